"""The promises in `ChartStore`, as tests that every store runs."""

import pytest

from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.errors import DataMissing, InvalidInput

PATH = "trend/daily/AAPL/2024-01-12.png"


class ChartStoreContract:
    """Subclass, and provide a ``store`` that holds nothing yet."""

    @pytest.fixture
    def store(self) -> ChartStore:
        raise NotImplementedError

    def test_what_is_put_is_what_is_got(self, store: ChartStore) -> None:
        store.put(PATH, b"\x89PNG\x00")

        assert store.get(PATH) == b"\x89PNG\x00"

    def test_putting_again_replaces(self, store: ChartStore) -> None:
        store.put(PATH, b"a long first picture")
        store.put(PATH, b"second")

        assert store.get(PATH) == b"second"

    def test_only_what_was_put_exists(self, store: ChartStore) -> None:
        store.put(PATH, b"png")

        assert store.exists(PATH)
        assert not store.exists("trend/daily/AAPL/2024-01-16.png")
        assert not store.exists("trend/daily")

    def test_a_missing_chart_is_named(self, store: ChartStore) -> None:
        with pytest.raises(DataMissing, match=PATH):
            store.get(PATH)

    @pytest.mark.parametrize(
        "path",
        ["", "/etc/passwd", "../up.png", "a/../../up.png", "a//b.png", "./a.png", "a/",
         ".hidden", "-rf", "a\\..\\b.png", "a/b\0.png", "C:/a.png", "a\n.png"],
    )  # fmt: skip
    def test_a_path_out_of_the_store_is_refused(self, store: ChartStore, path: str) -> None:
        with pytest.raises(InvalidInput, match="chart path"):
            store.put(path, b"png")
        with pytest.raises(InvalidInput, match="chart path"):
            store.get(path)
        with pytest.raises(InvalidInput, match="chart path"):
            store.exists(path)
