from collections.abc import Callable, Iterator
from typing import Any

import pytest

from trading_assets.adapters.ibkr.gateway import Gateway, GatewaySettings
from trading_assets_tests.fake_gateway import FakeGateway

ACCOUNT = "DU1234567"
SettingsFor = Callable[..., GatewaySettings]


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    """A gateway that lists AAPL at 190.10 and MSFT at 410.00."""
    with FakeGateway(account=ACCOUNT) as gateway:
        gateway.add_symbol(
            "AAPL", con_id=265598, primary_exchange="NASDAQ", name="APPLE INC"
        )
        gateway.add_symbol(
            "MSFT", con_id=272093, primary_exchange="NASDAQ", name="MICROSOFT CORP"
        )
        gateway.price("AAPL", 190.10)
        gateway.price("MSFT", 410.00)
        yield gateway


@pytest.fixture
def settings_for(fake: FakeGateway) -> SettingsFor:
    """Settings of the fake gateway, with what a test changes."""

    def settings(**changes: Any) -> GatewaySettings:
        given: dict[str, Any] = {
            "port": fake.port,
            "client_id": 7,
            "account": ACCOUNT,
            "messages_per_second": 0,
        }
        return GatewaySettings(**{**given, **changes})

    return settings


@pytest.fixture
def looking(settings_for: SettingsFor) -> Iterator[Gateway]:
    """A connection that only looks on."""
    with Gateway.connected(settings_for()) as gateway:
        yield gateway


@pytest.fixture
def trading(settings_for: SettingsFor) -> Iterator[Gateway]:
    """A connection that may send orders."""
    with Gateway.connected(settings_for(readonly=False)) as gateway:
        yield gateway
