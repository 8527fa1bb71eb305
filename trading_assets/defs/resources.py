"""What assets talk to, and the environment that says where it is.

Each resource is a thin shell around a plain adapter, made when a run first needs it.
With no environment at all everything is simulated and lies under ``./.trading``.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from trading_assets.adapters.brokers.accounts import BrokerAccounts
from trading_assets.adapters.brokers.choice import Brokers
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.market_data.port import MarketData
from trading_assets.adapters.notifications.port import Notifier
from trading_assets.adapters.notifications.silent import SilentNotifier
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.adapters.tracking.port import Tracker
from trading_assets.adapters.tracking.silent import SilentTracker
from trading_assets.errors import InvalidInput, WrongAccount
from trading_assets.models.bar import ActionKind
from trading_assets.models.base import Lane as BookLane
from trading_assets.models.tables import CORPORATE_ACTIONS
from trading_assets.sessions import trading_calendar
from trading_assets.strategies.loading import PACKAGED
from trading_assets.strategies.spec import StrategySpec

if TYPE_CHECKING:
    from trading_assets.adapters.analysts.desk import ModelDesk
    from trading_assets.adapters.ibkr.gateway import GatewaySettings
    from trading_assets.adapters.ibkr.visits import IbkrVisits
    from trading_assets.adapters.ledger.approvals import ApprovalBook
    from trading_assets.core.agreement import Split

SIMULATED = "simulated"
CSV = "csv:"
IBKR = "ibkr"
HOST = "127.0.0.1"
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
            host=given.get("IBKR_HOST") or HOST,
            port=_number("IBKR_PORT", given.get("IBKR_PORT"), PAPER_PORT),
            client_id=_number("IBKR_CLIENT_ID", given.get("IBKR_CLIENT_ID"), CLIENT_ID),
            account=given.get("IBKR_ACCOUNT") or "",
            is_readonly=FLAGS[readonly],
            live_account=given.get("TRADING_LIVE_ACCOUNT") or "",
        )

    @property
    def data_client_id(self) -> int:
        """Of connections for market data: never the one that trades."""
        return self.client_id + 1

    @property
    def account_client_id(self) -> int:
        """Of connections that ask how an account stands."""
        return self.client_id + 2


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """Where models are asked; empty is their provider's own place.

    Attributes:
        anthropic_base_url: ``ANTHROPIC_BASE_URL``.
        openai_base_url: ``OPENAI_BASE_URL``.
        compatible_base_url: ``COMPATIBLE_BASE_URL``, of a server that speaks Chat
            Completions; without it, that is ``OPENAI_BASE_URL``.
    """

    anthropic_base_url: str = ""
    openai_base_url: str = ""
    compatible_base_url: str = ""

    @classmethod
    def from_environment(cls, given: Mapping[str, str]) -> "ModelPlaces":
        """What *given* says."""
        return cls(
            anthropic_base_url=given.get("ANTHROPIC_BASE_URL") or "",
            openai_base_url=given.get("OPENAI_BASE_URL") or "",
            compatible_base_url=given.get("COMPATIBLE_BASE_URL") or "",
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """Where we run: each field is an environment variable of ``.env.example``.

    Attributes:
        home: ``TRADING_HOME``; what has no place of its own lies in it.
        strategies: ``TRADING_STRATEGIES``, a folder of YAML files.
        market_data: ``TRADING_MARKET_DATA``: ``simulated``, ``csv:`` and a folder, or
            ``ibkr``.
        corporate_actions: ``TRADING_CORPORATE_ACTIONS``, a folder with what a source of
            bars does not tell; None for none.
        market_start: ``TRADING_MARKET_START``; None is years before the first strategy.
        warehouse: ``TRADING_WAREHOUSE``, a DuckDB file.
        ledger: ``TRADING_LEDGER``, a SQLite file or a PostgreSQL URL.
        charts: ``TRADING_CHARTS``, a folder.
        ibkr: ``IBKR_…``; used by what asks Interactive Brokers for something.
        models: ``…_BASE_URL``; used by analysts that ask models.
        is_tracked: Whether ``MLFLOW_TRACKING_URI`` is set; what it says is a secret.
    """

    home: Path
    strategies: Path
    market_data: str
    corporate_actions: Path | None
    market_start: date | None
    warehouse: Path
    ledger: str
    charts: Path
    ibkr: IbkrPlace
    models: ModelPlaces = ModelPlaces()
    is_tracked: bool = False

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
        actions = given.get("TRADING_CORPORATE_ACTIONS")
        return cls(
            home=home,
            strategies=Path(given.get("TRADING_STRATEGIES") or PACKAGED).absolute(),
            market_data=market_data,
            corporate_actions=Path(actions).expanduser().absolute() if actions else None,
            market_start=_day(given.get("TRADING_MARKET_START")),
            warehouse=home / (given.get("TRADING_WAREHOUSE") or "warehouse.duckdb"),
            ledger=_ledger(home, given.get("TRADING_LEDGER") or "ledger.db"),
            charts=home / (given.get("TRADING_CHARTS") or "charts"),
            ibkr=IbkrPlace.from_environment(given),
            models=ModelPlaces.from_environment(given),
            is_tracked=bool(tracking_address(given)),
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
    """Bars from a seeded simulation, a folder of CSV files, or Interactive Brokers."""

    source: str = Field(description="`simulated`, `csv:` and a folder, or `ibkr`.")
    seed: int = Field(default=SEED, description="Of the simulated market.")
    host: str = Field(default=HOST, description="Of the gateway of Interactive Brokers.")
    port: int = Field(default=PAPER_PORT, description="Of that gateway.")
    client_id: int = Field(
        default=CLIENT_ID + 1, description="Of connections that ask it for bars."
    )
    account: str = Field(default="", description="That it must be logged in for.")
    corporate_actions: str = Field(
        default="", description="A folder with the actions that it does not tell."
    )

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
        if self.source == IBKR:
            return visits(
                looking_on(self.host, self.port, self.client_id, self.account),
                Path(self.corporate_actions) if self.corporate_actions else None,
            )
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


class BrokersResource(dg.ConfigurableResource[Brokers]):
    """Who trades: the simulated broker, or Interactive Brokers where a strategy says so.

    Both keep their books in the ledger.
    """

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    warehouse: str = Field(description="The DuckDB file, for splits of what is held.")
    wait_seconds: float = Field(default=300.0, description="Longest wait for a book.")
    host: str = Field(default="127.0.0.1", description="Of Interactive Brokers' gateway.")
    port: int = Field(default=PAPER_PORT, description="4002 and 7497 are paper trading.")
    client_id: int = Field(default=CLIENT_ID, description="Of the connection that trades.")
    account: str = Field(default="", description="Paper accounts begin with DU.")
    readonly: bool = Field(default=True, description="Nothing is ever sent.")
    live_account: str = Field(
        default="", description="The account with real money that may be traded."
    )

    @property
    def place(self) -> IbkrPlace:
        """Where the gateway is, and what may be done there."""
        return IbkrPlace(
            host=self.host,
            port=self.port,
            client_id=self.client_id,
            account=self.account,
            is_readonly=self.readonly,
            live_account=self.live_account,
        )

    def create_resource(self, context: dg.InitResourceContext | None) -> Brokers:
        """Give a run its brokers."""
        del context
        return Brokers(self._simulated, self._real)

    def _simulated(self, lane: BookLane) -> Broker:
        from trading_assets.adapters.brokers.simulated import (  # noqa: PLC0415 - only when used
            SimulatedBroker,
        )
        from trading_assets.adapters.ledger.store import Ledger  # noqa: PLC0415 - as above

        return SimulatedBroker(Ledger.open(self.ledger), lane, self.wait_seconds)

    def _real(self, spec: StrategySpec) -> Broker:
        from trading_assets.adapters.brokers.ibkr import (  # noqa: PLC0415 - only when used
            Border,
            IbkrBroker,
        )
        from trading_assets.adapters.ibkr.session import Books  # noqa: PLC0415 - as above

        books = Books.open(self.ledger)

        def halted(strategy: str) -> str:
            halt = books.ledger.halts.standing(strategy)
            return "" if halt is None else halt.reason

        border = Border(
            settings=lambda: trading_settings(self.place, spec),
            is_readonly=self.readonly,
            halted=halted,
            splits=lambda: stored_splits(self.warehouse),
            wait_seconds=self.wait_seconds,
        )
        return IbkrBroker(books, border, trading_calendar())


def trading_settings(place: IbkrPlace, spec: StrategySpec) -> "GatewaySettings":
    """The gateway at which *spec* is traded, if all agree for whom.

    Raises:
        InvalidInput: If nobody names an account.
        WrongAccount: If two name different ones, if the account does not fit the port, or
            if real money is not allowed by the strategy's file and the environment both.
    """
    from trading_assets.adapters.ibkr.gateway import (  # noqa: PLC0415 - only when used
        PAPER_PREFIX,
        GatewaySettings,
    )

    named = spec.execution.account
    account = named or place.account
    if not account:
        raise InvalidInput(
            f"{spec.name}: IBKR_ACCOUNT, or execution.account of its file, must name an "
            "account"
        )
    if named and place.account and named != place.account:
        raise WrongAccount(
            f"{spec.name}: its file names {named}, and IBKR_ACCOUNT {place.account}"
        )
    if not account.startswith(PAPER_PREFIX) and not named == account == place.live_account:
        raise WrongAccount(
            f"{spec.name}: {account} has real money, so execution.account of its file and "
            f"TRADING_LIVE_ACCOUNT must both name it; they say {named or 'nothing'} and "
            f"{place.live_account or 'nothing'}"
        )
    return GatewaySettings(
        host=place.host,
        port=place.port,
        client_id=place.client_id,
        account=account,
        readonly=place.is_readonly,
    )


def stored_splits(warehouse: str, wait_seconds: float = 60.0) -> "list[Split]":
    """Splits that the tables know of, with the opens before which they happened."""
    from trading_assets.core.agreement import Split  # noqa: PLC0415 - only when used

    resource = WarehouseResource(path=warehouse, wait_seconds=wait_seconds)
    rows = resource.create_resource(None).read(
        CORPORATE_ACTIONS, {"kind": ActionKind.SPLIT.value}
    )
    calendar = trading_calendar()
    return [
        Split(calendar.open_at(session), symbol, ratio)
        for session, symbol, ratio in zip(
            rows["ex_session"].dt.date, rows["symbol"], rows["value"], strict=True
        )
    ]


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


class AnalystsResource(dg.ConfigurableResource["ModelDesk"]):
    """Who puts questions to models: Anthropic, OpenAI, and servers that speak like it.

    Keys are secrets: they come from ``ANTHROPIC_API_KEY``, ``OPENAI_API_KEY`` and
    ``COMPATIBLE_API_KEY`` in the environment of the process that asks, and are no field
    that the UI would show.
    """

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    charts: str = Field(description="Where the pictures lie, those that are sent as well.")
    anthropic_base_url: str = Field(default="", description="Empty for Anthropic itself.")
    openai_base_url: str = Field(default="", description="Empty for OpenAI itself.")
    compatible_base_url: str = Field(
        default="", description="Of a server that speaks Chat Completions."
    )

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> "Iterator[ModelDesk]":
        """Give a run its desk, and put everything away after it."""
        del context
        with closing(self.opened()) as desk:
            yield desk

    def opened(self) -> "ModelDesk":
        """A desk; whoever takes it closes it."""
        from trading_assets.adapters.analysts.desk import ModelDesk  # noqa: PLC0415 - only when used
        from trading_assets.adapters.chart_store.filesystem import (  # noqa: PLC0415 - as above
            FileChartStore,
        )
        from trading_assets.adapters.models.access import accesses  # noqa: PLC0415 - as above

        urls = {
            "ANTHROPIC_BASE_URL": self.anthropic_base_url,
            "OPENAI_BASE_URL": self.openai_base_url,
            "COMPATIBLE_BASE_URL": self.compatible_base_url,
        }
        keys = {
            "ANTHROPIC_API_KEY": os.environ.get("ANTHROPIC_API_KEY", ""),
            "OPENAI_API_KEY": os.environ.get("OPENAI_API_KEY", ""),
            "COMPATIBLE_API_KEY": os.environ.get("COMPATIBLE_API_KEY", ""),
        }
        return ModelDesk.open(
            self.ledger, accesses(keys | urls), FileChartStore(Path(self.charts))
        )


class AccountsResource(dg.ConfigurableResource[BrokerAccounts]):
    """What Interactive Brokers says of accounts, kept in the ledger."""

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")
    warehouse: str = Field(description="The DuckDB file, for splits of what is held.")
    host: str = Field(default=HOST, description="Of Interactive Brokers' gateway.")
    port: int = Field(default=PAPER_PORT, description="4002 and 7497 are paper trading.")
    client_id: int = Field(
        default=CLIENT_ID + 2, description="Of a connection that only looks on."
    )

    def create_resource(self, context: dg.InitResourceContext | None) -> BrokerAccounts:
        """Give a run its accounts."""
        del context
        from trading_assets.adapters.ibkr.accounts import (  # noqa: PLC0415 - only when used
            Accounts,
        )
        from trading_assets.adapters.ibkr.session import Books  # noqa: PLC0415 - as above

        return Accounts(
            lambda account: looking_on(self.host, self.port, self.client_id, account),
            Books.open(self.ledger),
            lambda: stored_splits(self.warehouse),
        )


class ApprovalsResource(dg.ConfigurableResource["ApprovalBook"]):
    """What waits for people, kept in the ledger."""

    ledger: str = Field(description="A SQLite file, or a PostgreSQL URL without password.")

    def create_resource(self, context: dg.InitResourceContext | None) -> "ApprovalBook":
        """Give a sensor its approvals."""
        del context
        from trading_assets.adapters.ledger.approvals import (  # noqa: PLC0415 - only when used
            ApprovalBook,
        )

        return ApprovalBook.open(self.ledger)


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


class TrackerResource(dg.ConfigurableResource[Tracker]):
    """Where sessions are written down to be compared: MLflow, or nowhere.

    The address may hold a password: it comes from ``MLFLOW_TRACKING_URI`` in the
    environment of the process that tells, and is no field that the UI would show.
    """

    longest_seconds: float = Field(
        default=60.0, description="Of one session; then its run is given up."
    )

    def create_resource(self, context: dg.InitResourceContext | None) -> Tracker:
        """Give a run its tracker."""
        del context
        address = tracking_address()
        if not address:
            return SilentTracker()
        from trading_assets.adapters.tracking.mlflow_process import (  # noqa: PLC0415 - only when used
            MlflowTracker,
        )

        return MlflowTracker(address, self.longest_seconds)


def looking_on(host: str, port: int, client_id: int, account: str) -> "GatewaySettings":
    """A connection that asks and can send no order.

    Raises:
        InvalidInput: If there is no *account*.
        WrongAccount: If it does not fit the port.
    """
    from trading_assets.adapters.ibkr.gateway import (  # noqa: PLC0415 - only when used
        GatewaySettings,
    )

    if not account:
        raise InvalidInput(
            "Interactive Brokers is asked for an account: IBKR_ACCOUNT must name it, such "
            "as DU1234567"
        )
    return GatewaySettings(
        host=host, port=port, client_id=client_id, account=account, readonly=True
    )


def gateway_settings(place: IbkrPlace) -> "GatewaySettings":
    """The connection that asks for market data at *place*; see `looking_on`."""
    return looking_on(place.host, place.port, place.data_client_id, place.account)


def gateway_bars(settings: Settings) -> "IbkrVisits":
    """Bars of Interactive Brokers, whatever source of bars the settings name.

    Raises:
        InvalidInput: If there is no account.
        WrongAccount: If it does not fit the port.
    """
    return visits(gateway_settings(settings.ibkr), settings.corporate_actions)


def visits(gateway: "GatewaySettings", actions: Path | None) -> "IbkrVisits":
    """Bars of a gateway, and a folder of corporate actions."""
    from trading_assets.adapters.ibkr.visits import IbkrVisits  # noqa: PLC0415 - as above

    return IbkrVisits(gateway, trading_calendar(), actions)


def resources(settings: Settings) -> dict[str, dg.ConfigurableResource]:
    """The resources that *settings* ask for, by the names that assets know."""
    return {
        "market_data": market_data_resource(settings),
        "warehouse": WarehouseResource(path=str(settings.warehouse)),
        "brokers": brokers_resource(settings),
        "accounts": accounts_resource(settings),
        "chart_store": ChartStoreResource(folder=str(settings.charts)),
        "analysts": analysts_resource(settings),
        "notifier": NotifierResource(ledger=settings.ledger),
        **({"tracker": TrackerResource()} if settings.is_tracked else {}),
        "approvals": ApprovalsResource(ledger=settings.ledger),
    }


def analysts_resource(settings: Settings) -> AnalystsResource:
    """Who asks models, as *settings* say where they are."""
    return AnalystsResource(
        ledger=settings.ledger,
        charts=str(settings.charts),
        anthropic_base_url=settings.models.anthropic_base_url,
        openai_base_url=settings.models.openai_base_url,
        compatible_base_url=settings.models.compatible_base_url,
    )


def accounts_resource(settings: Settings) -> AccountsResource:
    """What a broker says of accounts, as *settings* say where to ask."""
    place = settings.ibkr
    return AccountsResource(
        ledger=settings.ledger,
        warehouse=str(settings.warehouse),
        host=place.host,
        port=place.port,
        client_id=place.account_client_id,
    )


def brokers_resource(settings: Settings) -> BrokersResource:
    """Who trades, as *settings* say."""
    place = settings.ibkr
    return BrokersResource(
        ledger=settings.ledger,
        warehouse=str(settings.warehouse),
        host=place.host,
        port=place.port,
        client_id=place.client_id,
        account=place.account,
        readonly=place.is_readonly,
        live_account=place.live_account,
    )


def market_data_resource(settings: Settings) -> MarketDataResource:
    """Where bars come from."""
    place = settings.ibkr
    return MarketDataResource(
        source=settings.market_data,
        host=place.host,
        port=place.port,
        client_id=place.data_client_id,
        account=place.account,
        corporate_actions=str(settings.corporate_actions or ""),
    )


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
        InvalidInput: If *source* is none of ``simulated``, ``csv:`` and a folder, and
            ``ibkr``.
    """
    names_a_folder = source.startswith(CSV) and source != CSV
    if source not in {SIMULATED, IBKR} and not names_a_folder:
        raise InvalidInput(
            f"TRADING_MARKET_DATA must be {SIMULATED}, {CSV}<folder> or {IBKR}, "
            f"was {source!r}"
        )


def notify_addresses(environment: Mapping[str, str] | None = None) -> str:
    """``TRADING_NOTIFY``: addresses of people, and secrets; empty for nobody's.

    It is no setting, so that nothing that prints settings can show it.
    """
    given = os.environ if environment is None else environment
    return (given.get("TRADING_NOTIFY") or "").strip()


def tracking_address(environment: Mapping[str, str] | None = None) -> str:
    """``MLFLOW_TRACKING_URI``: a server's address, and a secret; empty for none.

    It is no setting, as `notify_addresses` is none.
    """
    given = os.environ if environment is None else environment
    return (given.get("MLFLOW_TRACKING_URI") or "").strip()


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
