from collections.abc import Iterator

import pytest

from trading_assets_tests.adapters.notifications.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody to tell."""
    with receiving() as opened:
        yield opened
