import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets_tests.adapters.models.desks import Desk
from trading_assets_tests.fake_models import FakeModels


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without rows; making one takes longer than copying it."""
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    CallBook.open(path).close()
    return path


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as listening:
        yield listening


@pytest.fixture
def desk(models: FakeModels, empty_ledger: Path, tmp_path: Path) -> Iterator[Desk]:
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    book = CallBook.open(tmp_path / "ledger.db")
    yield Desk(models, book, tmp_path)
    book.close()
