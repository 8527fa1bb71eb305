import os

import pytest

from trading_assets_tests.defs.shelf import Shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Made worlds, to be taken copies of."""
    own = tmp_path_factory.getbasetemp()
    is_one_of_many = "PYTEST_XDIST_WORKER" in os.environ
    folder = (own.parent if is_one_of_many else own) / "shelf"
    folder.mkdir(exist_ok=True)
    return Shelf(folder)
