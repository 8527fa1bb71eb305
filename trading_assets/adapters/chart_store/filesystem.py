"""Pictures in a folder."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import override

from trading_assets.adapters.chart_store.port import ChartStore, steps_of
from trading_assets.errors import DataMissing


class FileChartStore(ChartStore):
    """A folder with one file per chart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @override
    def put(self, path: str, png: bytes) -> None:
        target = self._file(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as draft:
            try:
                draft.write(png)
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).chmod(0o644)  # drafts are private; web servers read
                Path(draft.name).replace(target)
            except BaseException:
                Path(draft.name).unlink(missing_ok=True)
                raise

    @override
    def get(self, path: str) -> bytes:
        try:
            return self._file(path).read_bytes()
        except FileNotFoundError as error:
            raise DataMissing(f"chart {path} is not in {self._folder}") from error

    @override
    def exists(self, path: str) -> bool:
        return self._file(path).is_file()

    def _file(self, path: str) -> Path:
        return self._folder.joinpath(*steps_of(path))
