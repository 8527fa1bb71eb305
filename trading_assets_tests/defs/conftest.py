import os
from collections.abc import Iterator

import pytest

from trading_assets.adapters.storage import duckdb_tables
from trading_assets.core import equity_picture
from trading_assets_tests.defs.shelf import Shelf


@pytest.fixture(scope="package", autouse=True)
def in_a_hurry() -> Iterator[None]:
    """Leave out what costs these tests time and is the subject of others.

    That an equity picture becomes a PNG is for `test_equity_picture` and `test_web` to see;
    it is composed here, and not rasterized. That DuckDB may use several threads is for
    `test_duckdb_tables`; of a few hundred rows, starting them takes most of the time.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(equity_picture, "png_of", lambda _: b"not rasterized")
        patched.setitem(duckdb_tables.SETTINGS, "threads", 1)
        yield


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Made worlds, to be taken copies of."""
    own = tmp_path_factory.getbasetemp()
    is_one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    folder = (own.parent if is_one_of_many else own) / "shelf"
    folder.mkdir(exist_ok=True)
    return Shelf(folder)
