"""What assets talk to, and the environment that says where it is.

Each resource is a thin shell around a plain adapter, made when a run first needs it.
With no environment at all everything is simulated and lies under ``./.trading``.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import dagster as dg
from pydantic import Field

from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.market_data.port import MarketData
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.adapters.notifications.silent import SilentNotifier
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.errors import InvalidInput
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.loading import PACKAGED

SIMULATED = "simulated"
CSV = "csv:"
SEED = 1
PAPER_PORT = 4002
CLIENT_ID = 1
HIGHEST_PORT = 65535
QUIET_MINUTES = 15.0
FLAGS = {"yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class IbkrPlace:
    """Where a gateway of Interactive Brokers is, and what may be done there.

    Attributes:
        host: ``IBKR_HOST``.
        port: ``IBKR_PORT``: 4002, 4004 or 7497 for paper, 4001, 4003 or 7496 for real
            money.
        client_id: ``IBKR_CLIENT_ID``: of the one connection that trades. The next one is
            that of market data.
        account: ``IBKR_ACCOUNT``; empty for none.
        is_readonly: ``IBKR_READONLY``, unless it is ``no``: nothing is ever sent.
        live_account: ``TRADING_LIVE_ACCOUNT``: the account with real money that this
            environment allows; empty for none.
    """

    host: str
    port: int
    client_id: int
    account: str
    is_readonly: bool
    live_account: str

    @classmethod
    def from_environment(cls, given: Mapping[str, str]) -> "IbkrPlace":
        """What *given* says, and the defaults of a paper account for what it does not.

        Raises:
            InvalidInput: If a variable does not hold what it should.
        """
        readonly = given.get("IBKR_READONLY") or "yes"
        if readonly not in FLAGS:
            raise InvalidInput(f"IBKR_READONLY must be yes or no, was {readonly!r}")
        return cls(
            host=given.get("IBKR_HOST") or "127.0.0.1",
            port=_number("IBKR_PORT", given.get("IBKR_PORT"), PAPER_PORT),
            client_id=_number("IBKR_CLIENT_ID", given.get("IBKR_CLIENT_ID"), CLIENT_ID),
            account=given.get("IBKR_ACCOUNT") or "",
            is_readonly=FLAGS[readonly],
            live_account=given.get("TRADING_LIVE_ACCOUNT") or "",
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Where we run: each field is an environment variable of ``.env.example``.

    Attributes:
        home: ``TRADING_HOME``; what has no place of its own lies in it.
        strategies: ``TRADING_STRATEGIES``, a folder of YAML files.
        market_data: ``TRADING_MARKET_DATA``: ``simulated``, or ``csv:`` and a folder.
        market_start: ``TRADING_MARKET_START``; None is years before the first strategy.
        warehouse: ``TRADING_WAREHOUSE``, a DuckDB file.
        ledger: ``TRADING_LEDGER``, a SQLite file or a PostgreSQL URL.
        charts: ``TRADING_CHARTS``, a folder.
        ibkr: ``IBKR_…``; used by what asks Interactive Brokers for something.
    """

    home: Path
    strategies: Path
    market_data: str
    market_start: date | None
    warehouse: Path
    ledger: str
    charts: Path
    ibkr: IbkrPlace

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """What *environment* says, and the embedded defaults for what it does not.

        Raises:
            InvalidInput: If a variable does not hold what it should.
        """
        given = os.environ if environment is None else environment
        home = Path(given.get("TRADING_HOME") or ".trading").expanduser().absolute()
        market_data = given.get("TRADING_MARKET_DATA") or SIMULATED
        check_market_data(market_data)
        if market_data.startswith(CSV):
            folder = Path(market_data.removeprefix(CSV)).expanduser().absolute()
            market_data = f"{CSV}{folder}"
        return cls(
            home=home,
            strategies=Path(given.get("TRADING_STRATEGIES") or PACKAGED).absolute(),
            market_data=market_data,
            market_start=_day(given.get("TRADING_MARKET_START")),
            warehouse=home / (given.get("TRADING_WAREHOUSE") or "warehouse.duckdb"),
            ledger=_ledger(home, given.get("TRADING_LEDGER") or "ledger.db"),
            charts=home / (given.get("TRADING_CHARTS") or "charts"),
            ibkr=IbkrPlace.from_environment(given),
        )

    @property
    def dagster_home(self) -> Path:
        """Where Dagster keeps its run history, unless ``DAGSTER_HOME`` says otherwise."""
        return self.home / "dagster"

    @property
    def is_simulated_market(self) -> bool:
        """Whether the bars are invented."""
        return self.market_data == SIMULATED


class MarketDataResource(dg.ConfigurableResource[MarketData]):
    """Bars from a seeded simulation, or from a folder of CSV files."""

    source: str = Field(description="`simulated`, or `csv:` and a folder.")
    seed: int = Field(default=SEED, description="Of the simulated market.")

    def create_resource(self, context: dg.InitResourceContext | None) -> MarketData:
        """Give a run its market."""
        del context
        check_market_data(self.source)
        if self.source.startswith(CSV):
            from trading_assets.adapters.market_data.csv_files import (  # noqa: PLC0415 - only when used
                CsvMarketData,
            )

            folder = Path(self.source.removeprefix(CSV)).expanduser()
            return CsvMarketData(folder, trading_calendar())
        return _simulated_market(self.seed)


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """Every table, in a DuckDB file."""

    path: str = Field(description="The DuckDB file.")
    wait_seconds: float = Field(default=60.0, description="Longest wait for its lock.")

    def create_resource(self, context: dg.InitResourceContext | None) -> Warehouse:
        """Give a run its tables."""
        del context
        from trading_assets.adapters.storage.duckdb_tables import (  # noqa: PLC0415 - slow to import
            DuckDbWarehouse,
        )

        return DuckDbWarehouse(Path(self.path), self.wait_seconds)


class BrokerResource(dg.ConfigurableResource[Broker]):
    """The simulated broker, which keeps its books in the ledger."""

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    wait_seconds: float = Field(default=300.0, description="Longest wait for a book.")

    def create_resource(self, context: dg.InitResourceContext | None) -> Broker:
        """Give a run its broker."""
        del context
        from trading_assets.adapters.brokers.simulated import (  # noqa: PLC0415 - only when used
            SimulatedBroker,
        )
        from trading_assets.adapters.ledger.store import Ledger  # noqa: PLC0415 - as above

        return SimulatedBroker(Ledger.open(self.ledger), wait_seconds=self.wait_seconds)


class ChartStoreResource(dg.ConfigurableResource[ChartStore]):
    """Pictures, in a folder that the web server shows as ``/charts``."""

    folder: str = Field(description="Where the pictures lie.")

    def create_resource(self, context: dg.InitResourceContext | None) -> ChartStore:
        """Give a run its pictures."""
        del context
        from trading_assets.adapters.chart_store.filesystem import (  # noqa: PLC0415 - only when used
            FileChartStore,
        )

        return FileChartStore(Path(self.folder))


class NotifierResource(dg.ConfigurableResource[Notifier]):
    """Where people are told what they should know at once.

    Addresses are secrets: they come from ``TRADING_NOTIFY`` in the environment of the
    process that tells, and are no field that the UI would show.
    """

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    quiet_minutes: float = Field(
        default=QUIET_MINUTES, description="Between two messages of the same topic."
    )

    def create_resource(self, context: dg.InitResourceContext | None) -> Notifier:
        """Give a run somebody to tell."""
        del context
        addresses = notify_addresses()
        if not addresses:
            return SilentNotifier()
        return _recorded_notifier(addresses, self.ledger, self.quiet_minutes)


def resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """The resources that *settings* ask for, by the names that assets know."""
    return {
        "market_data": MarketDataResource(source=settings.market_data),
        "warehouse": WarehouseResource(path=str(settings.warehouse)),
        "broker": BrokerResource(ledger=settings.ledger),
        "chart_store": ChartStoreResource(folder=str(settings.charts)),
        "notifier": NotifierResource(ledger=settings.ledger),
    }


@cache
def _simulated_market(seed: int) -> MarketData:
    """The market of *seed*: whoever draws it in this process, draws it once."""
    from trading_assets.adapters.market_data.simulated import (  # noqa: PLC0415 - only when used
        SimulatedMarketData,
    )

    return SimulatedMarketData(seed, trading_calendar())


@cache
def _recorded_notifier(addresses: str, ledger: str, quiet_minutes: float) -> Notifier:
    """One for this process: it remembers, from tick to tick, who could not be told."""
    from trading_assets.adapters.notifications.apprise_urls import (  # noqa: PLC0415 - only when used
        AppriseUrls,
    )
    from trading_assets.adapters.notifications.recorded import (  # noqa: PLC0415 - as above
        RecordedNotifier,
    )

    return RecordedNotifier(AppriseUrls(addresses), ledger, quiet_minutes=quiet_minutes)


def check_market_data(source: str) -> None:
    """Refuse a source of bars that there is none of.

    Raises:
        InvalidInput: If *source* is neither ``simulated`` nor ``csv:`` and a folder.
    """
    names_a_folder = source.startswith(CSV) and source != CSV
    if source != SIMULATED and not names_a_folder:
        raise InvalidInput(
            f"TRADING_MARKET_DATA must be {SIMULATED} or {CSV}<folder>, was {source!r}"
        )


def notify_addresses(environment: Mapping[str, str] | None = None) -> str:
    """``TRADING_NOTIFY``: addresses of people, and secrets; empty for nobody's.

    It is no setting, so that nothing that prints settings can show it.
    """
    given = os.environ if environment is None else environment
    return (given.get("TRADING_NOTIFY") or "").strip()


def _ledger(home: Path, place: str) -> str:
    return place if "://" in place else str(home / place)


def _number(name: str, given: str | None, default: int) -> int:
    written = given or str(default)
    if not written.isdecimal() or not 1 <= int(written) <= HIGHEST_PORT:
        raise InvalidInput(f"{name} must be 1 to {HIGHEST_PORT}, was {written!r}")
    return int(written)


def _day(written: str | None) -> date | None:
    if not written:
        return None
    try:
        return date.fromisoformat(written)
    except ValueError as error:
        raise InvalidInput(
            f"TRADING_MARKET_START must be a day such as 2014-01-02, was {written!r}"
        ) from error
