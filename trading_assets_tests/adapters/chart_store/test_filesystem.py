from pathlib import Path
from threading import Thread

import pytest

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets_tests.adapters.chart_store.contract import PATH, ChartStoreContract


class TestFileChartStore(ChartStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ChartStore:
        return FileChartStore(tmp_path / "charts")

    def test_a_reader_never_sees_half_a_picture(self, store: ChartStore) -> None:
        pictures = {letter * 400_000 for letter in (b"a", b"b")}
        store.put(PATH, b"a" * 400_000)
        writer = Thread(target=lambda: [store.put(PATH, p) for p in [*pictures] * 40])
        writer.start()
        seen = set[bytes]()
        while writer.is_alive():
            seen.add(store.get(PATH))
        writer.join()

        assert seen <= pictures

    def test_nothing_but_pictures_is_left_behind(
        self, store: ChartStore, tmp_path: Path
    ) -> None:
        store.put(PATH, b"one")
        store.put(PATH, b"two")
        with pytest.raises(TypeError):
            store.put("trend/daily/AAPL/2024-01-16.png", "not bytes")  # type: ignore[arg-type]

        files = [file for file in (tmp_path / "charts").rglob("*") if file.is_file()]
        assert files == [tmp_path / "charts" / PATH]

    def test_web_servers_of_other_users_may_read(
        self, store: ChartStore, tmp_path: Path
    ) -> None:
        store.put(PATH, b"png")

        assert (tmp_path / "charts" / PATH).stat().st_mode & 0o777 == 0o644
