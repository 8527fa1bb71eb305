"""A strategy's sessions at an experiment tracker.

It is defined only where there is a tracker, and made by a job of its own after the book:
the evening is over by then, so a tracker that is down, slow or refuses can neither fail
nor hold it up. What could not be told warns, and is told with the next evening, because
each asks for the last sessions and what is there already is not sent again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import version

import dagster as dg
import pandas as pd

from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.storage.port import Between, Warehouse
from trading_assets.adapters.tracking.port import Tracker
from trading_assets.core.tracking import SessionRows, Tale, plain_rows
from trading_assets.defs.coverage import waiting
from trading_assets.defs.jobs import TRACKED, tracking_job_name
from trading_assets.defs.lanes import OWNERS, Book, Market
from trading_assets.defs.partitions import Requested, every_symbol
from trading_assets.defs.telling import check, tell
from trading_assets.errors import DataMissing
from trading_assets.models.chart import Timeframe
from trading_assets.models.tables import (
    BARS,
    CHARTS,
    COVERAGE,
    ORDER_EVENTS,
    ORDERS,
    PORTFOLIO,
    POSITIONS,
    SIGNALS,
)
from trading_assets.models.tracking import (
    Outcome,
    Tracked,
    TrackedCurve,
    TrackedSession,
)
from trading_assets.sessions import LAST_DAY
from trading_assets.strategies.spec import fingerprint

TRACKING_VERSION = "1"
TOLD = "told"
OF_THE_BOOK = (ORDERS, ORDER_EVENTS, POSITIONS, PORTFOLIO)


def tracked_asset(market: Market, book: Book) -> dg.AssetsDefinition:
    """The asset ``<s>/tracked``."""
    lane, key = book.lane, book.key(TRACKED)

    @dg.asset(
        name=TRACKED,
        key_prefix=book.prefix,
        group_name=lane.name,
        partitions_def=lane.sessions,
        deps=[
            book.key("portfolio"),
            dg.AssetDep(lane.key("signals"), partition_mapping=every_symbol()),
        ],
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        check_specs=[
            dg.AssetCheckSpec(
                TOLD,
                asset=key,
                description="The tracker has every session that was asked for.",
            )
        ],
        code_version=fingerprint(TRACKING_VERSION),
        description="The session as runs of MLflow: parameters, metrics and pictures.",
        pool=tracking_job_name(lane.name),
        kinds={"mlflow"},
        owners=OWNERS,
    )
    def tracked(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        chart_store: dg.ResourceParam[ChartStore],
        tracker: dg.ResourceParam[Tracker],
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
        requested = Requested.of(context)
        with waiting(requested, market.current()):
            stored = Stored.read(book, warehouse, requested)
        told_by = {
            "dagster_run_id": context.run.run_id,
            "version": version("trading-assets"),
        }
        answers = list(tracker.track(stored.told(chart_store, told_by)))
        untold = _untold(stored, answers)
        counts = Counter(own.outcome for own in answers)
        yield check(
            TOLD, untold, warns=True, metadata={own.value: counts[own] for own in Outcome}
        )
        if len(untold):
            context.log.warning("not told: %s", untold.iloc[0]["reason"])
        else:
            tell(context, requested, _runs(stored, answers), {"MLflow run": "run_id"})
            yield dg.MaterializeResult(metadata={"experiment": stored.tale.experiment})

    return tracked


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of the sessions of a book that are to be told.

    Attributes:
        rows: Of each table, by session.
        history: `portfolio` of the whole book, ascending.
        fates: Statuses of orders since they were decided, by order id.
    """

    book: Book
    requested: Requested
    rows: Mapping[str, Mapping[date, pd.DataFrame]]
    history: pd.DataFrame
    fates: Mapping[str, frozenset[str]]

    @classmethod
    def read(cls, book: Book, warehouse: Warehouse, requested: Requested) -> "Stored":
        """Read it at one moment.

        Raises:
            DataMissing: If a session has no portfolio.
        """
        lane = book.lane
        within = {"session": Between(requested.first, requested.last)}
        own = {"strategy": lane.name, "lane": book.kind.value}
        wanted = [
            (BARS, within),
            (SIGNALS, within | {"strategy": lane.name}),
            (CHARTS, within | {"strategy": lane.name}),
            (COVERAGE, within | {"strategy": ["", lane.name], "symbol": lane.symbols}),
            *((table, within | own) for table in OF_THE_BOOK),
        ]
        with warehouse.snapshot():
            frames = {table.name: warehouse.read(table, where) for table, where in wanted}
            since = {"session": Between(lane.start, LAST_DAY)}
            history = warehouse.read(PORTFOLIO, own | since)
            # What was decided in a session happens in it and in those after it.
            onward = own | {"session": Between(requested.first, LAST_DAY)}
            events = warehouse.read(ORDER_EVENTS, onward, columns=["order_id", "status"])
        rows = {name: dict(_by_session(frame)) for name, frame in frames.items()}
        if absent := set(requested.sessions).difference(rows[PORTFOLIO.name]):
            raise DataMissing(
                f"{book.title}/portfolio was never materialized for {min(absent)}, of "
                f"{len(absent)} such sessions"
            )
        return cls(book, requested, rows, history, _fates(events))

    @property
    def tale(self) -> Tale:
        """Whose book it is."""
        plan = self.book.lane.plan
        return Tale(plan.spec, self.book.kind, plan.rules_hash)

    def told(
        self, chart_store: ChartStore, told_by: Mapping[str, str]
    ) -> Iterator[TrackedSession | TrackedCurve]:
        """The book's curve, then each session as it is asked for."""
        sessions = self.history["session"].dt.date
        yield self.tale.curve(plain_rows(self.history), [*map(self._place, sessions)])
        for session in self.requested.sessions:
            step, at = self._place(session)
            rows = self._session(session, chart_store)
            yield self.tale.session(rows, step=step, at=at, told_by=told_by)

    def _place(self, session: date) -> tuple[int, datetime]:
        """Number and close of a session."""
        lane = self.book.lane
        first = lane.calendar.position(lane.start)
        return lane.calendar.position(session) - first + 1, lane.calendar.close_at(session)

    def _session(self, session: date, chart_store: ChartStore) -> SessionRows:
        plain = {
            name: plain_rows(own[session]) if session in own else []
            for name, own in self.rows.items()
        }
        charts = {
            (str(row["symbol"]), Timeframe(row["timeframe"])): chart_store.get(path)
            for row in plain[CHARTS.name]
            if chart_store.exists(path := str(row["path"]))
        }
        return SessionRows(
            session=session,
            bars=plain[BARS.name],
            signals=plain[SIGNALS.name],
            orders=plain[ORDERS.name],
            order_events=plain[ORDER_EVENTS.name],
            coverage=plain[COVERAGE.name],
            positions=plain[POSITIONS.name],
            portfolio=plain[PORTFOLIO.name][0],
            charts=charts,
            fates=self.fates,
        )


def _by_session(frame: pd.DataFrame) -> Iterator[tuple[date, pd.DataFrame]]:
    """Rows of each session, without the wall clock."""
    lasting = frame.drop(columns="recorded_at", errors="ignore")
    for session, rows in lasting.groupby(lasting["session"].dt.strftime("%Y-%m-%d")):
        yield date.fromisoformat(str(session)), rows


def _fates(events: pd.DataFrame) -> dict[str, frozenset[str]]:
    told = events.groupby("order_id")["status"].unique()
    return {str(own): frozenset(map(str, statuses)) for own, statuses in told.items()}


def _untold(stored: Stored, answers: Sequence[Tracked]) -> pd.DataFrame:
    """What the tracker has not taken, and why; what was not tried shares the last why."""
    refused = {own.key: own.reason for own in answers if own.outcome is Outcome.FAILED}
    answered = {own.key for own in answers}
    last = answers[-1].reason if answers else "MLFLOW_TRACKING_URI is not set here"
    keys = [stored.tale.key, *_keys(stored)]
    reasons = {key: refused.get(key, "" if key in answered else last) for key in keys}
    found = [(key, why) for key, why in reasons.items() if why]
    return pd.DataFrame(found, columns=pd.Index(["key", "reason"]))


def _runs(stored: Stored, answers: Sequence[Tracked]) -> pd.DataFrame:
    """The tracker's run of each session."""
    run_ids = {own.key: own.run_id for own in answers}
    return pd.DataFrame(
        {
            "session": pd.to_datetime(list(stored.requested.sessions)),
            "run_id": [run_ids[key] for key in _keys(stored)],
        }
    )


def _keys(stored: Stored) -> list[str]:
    return [f"{stored.tale.key}/{session}" for session in stored.requested.sessions]
