from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets_tests.adapters.models.desks import Desk
from trading_assets_tests.fake_models import FakeModels


@pytest.fixture
def models() -> Iterator[FakeModels]:
    with FakeModels() as listening:
        yield listening


@pytest.fixture
def desk(models: FakeModels, tmp_path: Path) -> Iterator[Desk]:
    book = CallBook.open(tmp_path / "ledger.db")
    yield Desk(models, book, tmp_path)
    book.close()
