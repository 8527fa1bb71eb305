"""A strategy's history, made through Dagster: the market, its view, its book, its outcomes.

Each part is one run over a range, and begins after the part before it has ended.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby, product
from typing import Any

import dagster as dg
import pandas as pd

from trading_assets.adapters.analysts.port import Asking, Estimate
from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.market_data.port import MarketData
from trading_assets.adapters.storage.port import Between, Warehouse
from trading_assets.core.charting import bars_for_chart
from trading_assets.core.indicators import bars_needed
from trading_assets.defs.asking import as_may_be_stored, ask
from trading_assets.defs.books import unwritten
from trading_assets.defs.coverage import missing, outdated_signals
from trading_assets.defs.jobs import (
    ACCOUNT,
    ACCOUNT_JOB,
    BACKFILL,
    BOOK,
    CHARTS,
    OUTCOMES,
    PERFORMANCE,
    TRACKED,
    UNPARTITIONED,
    VIEW,
    book_job_name,
    outcomes_job_name,
    range_tags,
    tracking_job_name,
    view_job_name,
)
from trading_assets.defs.lanes import MARKET, Book, Lane, Market
from trading_assets.defs.launch import Progress, run_job
from trading_assets.defs.outcomes import stale_outcomes
from trading_assets.defs.partitions import Requested
from trading_assets.defs.resources import (
    AnalystsResource,
    Settings,
    WarehouseResource,
    analysts_resource,
    brokers_resource,
    market_data_resource,
)
from trading_assets.defs.sensors import first_tracked
from trading_assets.defs.signals import REFRESH, briefings_of
from trading_assets.errors import InvalidInput
from trading_assets.models.chart import Timeframe
from trading_assets.models.tables import COVERAGE, SIGNALS

MOST_PARTITIONS = 50_000
"""Of one asset in one run; more symbols than that are made in several runs."""


@dataclass(frozen=True, slots=True)
class Part:
    """One run that a backfill consists of.

    Attributes:
        job: Name of the job.
        assets: Those of it that are made.
        symbols: Adjacent ones; empty for the book.
        asks: The step that asks models; None where none does.
        is_refreshing: Whether it asks anew about what there is an opinion of.
    """

    job: str
    assets: tuple[dg.AssetKey, ...]
    first: date
    last: date
    symbols: tuple[str, ...]
    sessions: int
    asks: dg.AssetKey | None = None
    is_refreshing: bool = False

    @property
    def materializations(self) -> int:
        """How many partitions will be made."""
        partitioned = [key for key in self.assets if key.path[-1] not in UNPARTITIONED]
        whole = len(self.assets) - len(partitioned)
        return len(partitioned) * self.sessions * max(len(self.symbols), 1) + whole

    @property
    def config(self) -> dict[str, Any]:
        """Of its run."""
        if self.asks is None:
            return {}
        step = {"config": {REFRESH: self.is_refreshing}}
        return {"ops": {self.asks.to_python_identifier(): step}}

    @property
    def title(self) -> str:
        """What is made, for a person."""
        names = [key.path[-1] for key in self.assets]
        return f"{self.job}: {', '.join(names)}"


@dataclass(frozen=True, slots=True)
class Backfill:
    """What a strategy's history needs, and how to make it.

    Attributes:
        launched_by: Who its runs say has asked for them.
    """

    market: Market
    book: Book
    warehouse: Warehouse
    broker: Broker
    market_data: MarketData
    analysts: AnalystsResource
    launched_by: str = BACKFILL

    @classmethod
    def of(
        cls, settings: Settings, market: Market, book: Book, launched_by: str = BACKFILL
    ) -> "Backfill":
        """A backfill of *book* on the stores that *settings* name."""
        brokers = brokers_resource(settings).create_resource(None)
        return cls(
            market=market,
            book=book,
            warehouse=WarehouseResource(path=str(settings.warehouse)).create_resource(None),
            broker=book.broker(brokers),
            market_data=market_data_resource(settings).create_resource(None),
            analysts=analysts_resource(settings),
            launched_by=launched_by,
        )

    @property
    def lane(self) -> Lane:
        """Whose history it is."""
        return self.book.lane

    def tonight(self) -> tuple[date, date]:
        """From the first session that is not decided to the last one that has closed."""
        return self.range_of(self.market.current(), None)

    def range_of(self, first: date | None, last: date | None) -> tuple[date, date]:
        """*first* and *last* snapped inward to sessions that there are.

        The book is one chain, so the range begins no later than its first session that is
        not decided, or no longer stands.

        Raises:
            InvalidInput: If no session is left.
        """
        calendar, lane = self.lane.calendar, self.lane
        closed = self.market.current()
        end = min(calendar.on_or_before(last), closed) if last else closed
        begin = max(calendar.on_or_after(first), lane.start) if first else lane.start
        if begin > end:
            raise InvalidInput(
                f"--from {first or lane.start} --to {last or closed} holds no session that "
                f"has closed since {lane.name} starts ({lane.start} to {closed})"
            )
        decided = self.broker.decided(lane.name)
        is_ours = decided[:1] == (lane.start,)  # the strategy's start may have been moved
        undecided = calendar.offset(decided[-1], 1) if is_ours else lane.start
        return min(begin, undecided), end

    def parts(
        self,
        first: date,
        last: date,
        symbols: Sequence[str] = (),
        *,
        with_charts: bool,
        is_refreshing: bool = False,
    ) -> Iterator[Part]:
        """The runs over *first* to *last*; ask for one when the one before has ended.

        Args:
            first: A session of the lane.
            last: A session of the lane that has closed.
            symbols: Those that market and view are limited to; none for all. The book
                is always made whole.
            with_charts: Whether charts are drawn.
            is_refreshing: Whether models are asked anew.
        """
        lane = self.lane
        wanted = tuple(sorted(symbols)) or lane.symbols
        shown = wanted if symbols else self.market.symbols
        yield from self._changed_bars(first, last, shown)
        first, last = self._reached(first, last)
        viewed = self._viewed(first, last, wanted)
        yield from self._absent_indicators(first, last, sorted({*shown, *viewed}))
        assets = [name for name in VIEW if with_charts or name not in CHARTS]
        view = self._chunks(
            view_job_name(lane.name),
            map(lane.key, assets),
            first,
            last,
            viewed,
            lane.symbols,
        )
        asks = lane.key("signals") if lane.analyst.asks_models else None
        for part in view:
            yield replace(part, asks=asks, is_refreshing=is_refreshing)
        yield from self.book_parts(first, last)
        yield from self.outcome_parts(last)

    def outcome_parts(self, last: date) -> Iterator[Part]:
        """Outcomes that are not as stored signals and bars tell them, up to *last*."""
        lane, job = self.lane, outcomes_job_name(self.lane.name)
        keys = [lane.key(name) for name in OUTCOMES]
        stale = stale_outcomes(lane, self.warehouse, last, self.market.current())
        for first, until in stale:
            yield from self._chunks(job, keys, first, until, lane.symbols, lane.symbols)

    def account_parts(self) -> Iterator[Part]:
        """What the broker says of its account tonight, if it is one outside."""
        if self.lane.spec.is_traded_for_real:
            current = self.market.current()
            yield Part(ACCOUNT_JOB, (dg.AssetKey(ACCOUNT),), current, current, (), 1)

    def estimate(self, part: Part) -> Estimate:
        """What it would cost to make a *part* whose bars are there; nobody is asked."""
        sessions = self.lane.calendar.between(part.first, part.last)
        requested = Requested.by_place(product(sessions, part.symbols))
        with self.warehouse.snapshot():
            briefings = briefings_of(self.lane, self.warehouse, requested)
        with closing(self.analysts.opened()) as desk:
            asking = Asking(desk, is_refreshing=part.is_refreshing)
            return self.lane.analyst.estimate(briefings, asking)

    def opinions(self, first: date, last: date) -> pd.DataFrame:
        """Signals of the range, as they are stored."""
        where = {"strategy": self.lane.name, "session": Between(first, last)}
        return self.warehouse.read(SIGNALS, where)

    def tracking_parts(self) -> Iterator[Part]:
        """What an experiment tracker is told by itself: the last sessions of the book."""
        lane = self.lane
        if decided := self.broker.decided(lane.name):
            first, last = first_tracked(lane, decided[-1]), decided[-1]
            sessions = len(lane.calendar.between(first, last))
            keys = (self.book.key(TRACKED),)
            yield Part(tracking_job_name(lane.name), keys, first, last, (), sessions)

    def run(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        part: Part,
        watch: Callable[[Progress], None],
    ) -> str:
        """Make one part; see `run_job`."""
        tags = range_tags(part.first, part.last, part.symbols, launched_by=self.launched_by)
        return run_job(
            definitions,
            instance,
            part.job,
            tags,
            assets=part.assets,
            config=part.config,
            watch=watch,
        )

    def _changed_bars(
        self, first: date, last: date, symbols: Sequence[str]
    ) -> Iterator[Part]:
        """Bars that are not stored as their source has them now.

        Looks back to the longest window: what was never made, was restated, or came late.
        """
        calendar = self.lane.calendar
        at = calendar.position(first) - self._longest_window()
        begin = calendar.sessions[max(at, calendar.position(self.market.start))]
        asked = ask(self.market, self.market_data, symbols, begin, last)
        told = as_may_be_stored(
            self.market, self.warehouse, self.market_data, asked
        ).history
        key, says = ["symbol", "session"], ["status", "content_hash"]
        where = {"asset": "bars", "symbol": symbols, "session": Between(begin, last)}
        stored = self.warehouse.read(COVERAGE, where, columns=[*key, *says])
        both = told.coverage[[*key, *says]].merge(
            stored, how="left", on=key, suffixes=("", "_stored")
        )
        differs = (both[says] != both[[f"{name}_stored" for name in says]].to_numpy()).any(
            axis=1
        )
        # What nothing explains is asked for as a whole, so that the run fails by its name.
        since = begin if self.market_data.restates else last
        unread = pd.DataFrame(
            [(symbol, day) for symbol in told.unreadable for day in {since, last}],
            columns=pd.Index(key),
        )
        unread["session"] = pd.to_datetime(unread["session"])
        changed = pd.concat([both.loc[differs, key], unread], ignore_index=True)
        if len(changed):
            own = sorted(set(changed["symbol"]))
            days = changed["session"].dt.date
            yield from self._market_range("bars", days.min(), days.max(), own)

    def _reached(self, first: date, last: date) -> tuple[date, date]:
        """The range, and with it all of the book that rests on bars that have changed.

        Whoever stored the change has marked what rests on it, of this lane too.
        """
        lane, broker = self.lane, self.broker
        stored = (*broker.decided(lane.name), *broker.superseded(lane.name))
        if not stored:
            return first, last
        end = max(stored)
        marked = outdated_signals(self.warehouse, lane.name, lane.symbols, lane.start, end)
        if marked.empty:
            return first, last
        return min(first, marked.min()), max(last, end)

    def _absent_indicators(
        self, first: date, last: date, symbols: Sequence[str]
    ) -> Iterator[Part]:
        """Indicators that are missing, older than their code, or than their bars."""
        absent = missing(
            self.warehouse,
            self.lane.calendar.between(first, last),
            symbols,
            asset="indicators",
            version=self.market.indicators_version,
        )
        if absent:
            yield from self._market_range("indicators", min(absent), max(absent), symbols)

    def _viewed(self, first: date, last: date, wanted: Sequence[str]) -> Sequence[str]:
        """The symbols *wanted*, and those whose signals rest on bars that have changed."""
        lane = self.lane
        marked = outdated_signals(self.warehouse, lane.name, lane.symbols, first, last)
        return sorted({*wanted, *marked.index})

    def _market_range(
        self, asset: str, first: date, last: date, symbols: Sequence[str]
    ) -> Iterator[Part]:
        keys = [dg.AssetKey(asset)]
        yield from self._chunks(MARKET, keys, first, last, symbols, self.market.symbols)

    def _longest_window(self) -> int:
        charts = self.lane.spec.charts
        spans = (
            (Timeframe.DAILY, charts.daily_sessions),
            (Timeframe.WEEKLY, charts.weekly_weeks),
        )
        return max(
            bars_needed(self.market.indicators)
            or self.lane.calendar.position(self.lane.start),
            self.lane.analyst.bars,
            *(bars_for_chart(frame, count, charts.indicators) for frame, count in spans),
        )

    def _chunks(
        self,
        job: str,
        assets: "Iterator[dg.AssetKey] | Sequence[dg.AssetKey]",
        first: date,
        last: date,
        symbols: Sequence[str],
        known: Sequence[str],
    ) -> Iterator[Part]:
        """One part per run of adjacent symbols, none larger than a run should be."""
        keys, sessions = tuple(assets), len(self.lane.calendar.between(first, last))
        most = max(MOST_PARTITIONS // sessions, 1)
        for adjacent in _adjacent(symbols, known):
            for at in range(0, len(adjacent), most):
                chunk = tuple(adjacent[at : at + most])
                yield Part(job, keys, first, last, chunk, sessions)

    def book_parts(self, first: date, last: date) -> Iterator[Part]:
        """The book of the range and of what rested on it; last of all its performance.

        Performance refuses a book of which a part no longer stands, and whether sessions
        after the range do is known when the range has been walked.
        """
        broker, name = self.broker, self.lane.name
        if all(own <= last for own in (*broker.decided(name), *broker.superseded(name))):
            yield self._book(first, last, BOOK)
            # What was told late is accounted for where it happened: before the range, too.
            if stale := unwritten(self.warehouse, broker, name):
                yield self._book(stale[0], last, BOOK)
            return
        yield self._book(first, last, [own for own in BOOK if own != PERFORMANCE])
        if superseded := broker.superseded(name):
            yield self._book(superseded[0], superseded[-1], BOOK)
        else:
            yield self._book(first, last, [PERFORMANCE])

    def _book(self, first: date, last: date, names: Sequence[str]) -> Part:
        lane = self.lane
        sessions = len(lane.calendar.between(first, last))
        assets = tuple(map(self.book.key, names))
        return Part(book_job_name(lane.name), assets, first, last, (), sessions)


def _adjacent(symbols: Sequence[str], known: Sequence[str]) -> list[list[str]]:
    """*symbols* in runs that have no other of *known* between them."""
    places = sorted(known.index(symbol) for symbol in symbols)
    runs = groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])
    return [[known[place] for _, place in run] for _, run in runs]
