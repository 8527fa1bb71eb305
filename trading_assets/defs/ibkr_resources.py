"""What the sensors of an account at Interactive Brokers talk to."""

import dagster as dg
from pydantic import Field

from trading_assets.adapters.brokers.watch import OrderWatch
from trading_assets.adapters.ibkr.ping import Doorbell
from trading_assets.defs.resources import (
    CLIENT_ID,
    HOST,
    PAPER_PORT,
    IbkrPlace,
    Settings,
    stored_splits,
    trading_settings,
)
from trading_assets.sessions import trading_calendar

RINGING_CLIENT_ID = 998
"""Of its own, so that ringing disturbs nobody: not who trades, not who rings by hand."""

RINGING_SECONDS = 5.0
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
SPLITS_SECONDS = 5.0
"""A tick is worth no longer waits: the next one comes in a minute."""


class DoorbellResource(dg.ConfigurableResource[Doorbell]):
    """Whether the gateway of Interactive Brokers is there."""

    host: str = Field(default=HOST, description="Of the gateway of Interactive Brokers.")
    port: int = Field(default=PAPER_PORT, description="Of that gateway.")
    client_id: int = Field(
        default=RINGING_CLIENT_ID, description="That nobody else connects with."
    )

    def create_resource(self, context: dg.InitResourceContext | None) -> Doorbell:
        """Give a sensor its bell."""
        del context
        return Doorbell(self.host, self.port, self.client_id, RINGING_SECONDS)


class OrderWatchResource(dg.ConfigurableResource[OrderWatch]):
    """Orders at Interactive Brokers, as far as they can be looked after by a sensor."""

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    warehouse: str = Field(description="The DuckDB file, for splits of what is held.")
    host: str = Field(default=HOST, description="Of the gateway of Interactive Brokers.")
    port: int = Field(default=PAPER_PORT, description="4002 and 7497 are paper trading.")
    client_id: int = Field(default=CLIENT_ID, description="Of the connection that trades.")
    account: str = Field(default="", description="Paper accounts begin with DU.")
    readonly: bool = Field(default=True, description="Nothing is ever sent.")
    live_account: str = Field(
        default="", description="The account with real money that may be traded."
    )

    def create_resource(self, context: dg.InitResourceContext | None) -> OrderWatch:
        """Give a sensor its watch."""
        del context
        from dataclasses import replace  # noqa: PLC0415 - with what follows

        from trading_assets.adapters.brokers.ibkr_watch import (  # noqa: PLC0415 - only when used
            IbkrWatch,
            WatchBorder,
        )
        from trading_assets.adapters.ibkr.session import Books  # noqa: PLC0415 - as above

        books = Books.open(self.ledger)
        place = IbkrPlace(
            host=self.host,
            port=self.port,
            client_id=self.client_id,
            account=self.account,
            is_readonly=self.readonly,
            live_account=self.live_account,
        )

        def halted(strategy: str) -> str:
            halt = books.ledger.halts.standing(strategy)
            return "" if halt is None else halt.reason

        border = WatchBorder(
            settings=lambda spec: replace(
                trading_settings(place, spec),
                connect_seconds=CONNECT_SECONDS,
                answer_seconds=ANSWER_SECONDS,
            ),
            is_readonly=self.readonly,
            halted=halted,
            splits=lambda: stored_splits(self.warehouse, SPLITS_SECONDS),
        )
        return IbkrWatch(books, border, trading_calendar())


def ibkr_resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """What the sensors of Interactive Brokers ask for, by the names that they know."""
    place = settings.ibkr
    return {
        "doorbell": DoorbellResource(host=place.host, port=place.port),
        "order_watch": OrderWatchResource(
            ledger=settings.ledger,
            warehouse=str(settings.warehouse),
            host=place.host,
            port=place.port,
            client_id=place.client_id,
            account=place.account,
            readonly=place.is_readonly,
            live_account=place.live_account,
        ),
    }
