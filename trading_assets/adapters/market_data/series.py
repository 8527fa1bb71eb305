"""All that a source knows of one symbol, and ranges cut from many of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from trading_assets.adapters.market_data.port import MarketHistory
from trading_assets.errors import InvalidInput
from trading_assets.models.bar import ActionKind, CoverageStatus
from trading_assets.models.base import Symbol
from trading_assets.models.tables import CORPORATE_ACTIONS

Days = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Words = NDArray[np.object_]

FIELDS = ("open", "high", "low", "close", "volume")
HASH_BYTES = 8
ABSENCES = (CoverageStatus.NOT_LISTED, CoverageStatus.MISSING, CoverageStatus.ENDED)
"""Before, between and after the sessions that a source tells of."""

_SYMBOL = TypeAdapter[str](Symbol)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actions:
    """Corporate actions of one symbol: one per ex-session and kind, in that order.

    Attributes:
        ex_sessions: ``datetime64[D]``.
        kinds: Values of `ActionKind`.
        amounts: Value of each: a ratio, or cash per share.
    """

    ex_sessions: Days
    kinds: tuple[str, ...]
    amounts: Floats


NO_ACTIONS = Actions(
    ex_sessions=np.empty(0, "datetime64[D]"), kinds=(), amounts=np.empty(0)
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SymbolSeries:
    """Everything that a source has for one symbol.

    Attributes:
        sessions: Sessions with a bar, ascending, ``datetime64[D]``.
        values: `FIELDS` of each bar, one row per session, as traded.
        first: First session that the source tells of; NaT if it tells of none.
        last: Last such session.
        absences: What to say of sessions before, between and after those with a bar.
        rejected: Why a session's row was refused.
        remarks: By the session that they belong to: what else a person should know.
    """

    symbol: str
    sessions: Days
    values: Floats
    first: np.datetime64
    last: np.datetime64
    absences: Mapping[CoverageStatus, str]
    actions: Actions = NO_ACTIONS
    rejected: Mapping[date, str] = field(default_factory=dict)
    remarks: Mapping[date, tuple[str, ...]] = field(default_factory=dict)


def distinct_symbols(symbols: Sequence[str]) -> list[str]:
    """*symbols* in ascending order, each once.

    Raises:
        InvalidInput: If one is not written as a symbol.
    """
    for symbol in symbols:
        try:
            _SYMBOL.validate_python(symbol)
        except ValidationError as error:
            raise InvalidInput(
                f"symbol must be 1 to 16 of A-Z 0-9 . - / ^ = and begin with a letter, "
                f"digit or ^, was {symbol!r}"
            ) from error
    return sorted(set(symbols))


def cut_history(
    source: str,
    series: Sequence[SymbolSeries],
    sessions: Sequence[date],
    unreadable: Mapping[str, str],
    *,
    restates: bool = False,
) -> MarketHistory:
    """What *series* say of *sessions*, laid out as the port promises.

    Args:
        source: Written beside every bar and action.
        series: Of distinct symbols, ascending.
        sessions: Consecutive sessions of the exchange; may be none.
        unreadable: Passed on as it is.
        restates: Whether the source divides prices by splits after the range too.
    """
    days = np.asarray(sessions, dtype="datetime64[D]")
    cuts = [_cut(known, days) for known in series]
    return MarketHistory(
        bars=_bars_frame(source, series, cuts),
        actions=_actions_frame(source, series, cuts),
        coverage=_coverage_frame(series, cuts, days),
        unreadable=dict(unreadable),
        remarks=tuple(remark for cut in cuts for remark in cut.remarks),
        later_splits=_later_splits(source, series if restates else [], days),
    )


def with_hashes(
    coverage: pd.DataFrame, bars: pd.DataFrame, actions: pd.DataFrame
) -> pd.DataFrame:
    """*coverage* with the ``content_hash`` of other bars and actions than it came with.

    Args:
        coverage: `coverage` rows of the asset ``bars``.
        bars: Of the same symbols and sessions.
        actions: Of the same, ordered by symbol, ex_session and kind.
    """
    values = bars[list(FIELDS)].to_numpy(dtype=np.float64)
    content = dict(zip(_keys(bars, "session"), _row_bytes(values), strict=True))
    told = zip(actions["kind"], actions["value"], strict=True)
    for key, (kind, amount) in zip(_keys(actions, "ex_session"), told, strict=True):
        content[key] = content.get(key, b"") + _action_bytes(kind, np.float64(amount))
    hashes = [_hash(content.get(key, b"")) for key in _keys(coverage, "session")]
    return coverage.assign(content_hash=np.array(hashes, dtype=object))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Cut:
    bars: slice
    actions: slice
    statuses: Words
    reasons: Words
    hashes: Words
    remarks: tuple[str, ...]


def _cut(known: SymbolSeries, days: Days) -> _Cut:
    bars = _between(known.sessions, days)
    actions = _between(known.actions.ex_sessions, days)
    with_bar = np.searchsorted(days, known.sessions[bars])
    statuses, reasons = _absences(known, days)
    statuses[with_bar], reasons[with_bar] = CoverageStatus.OK.value, ""
    return _Cut(
        bars=bars,
        actions=actions,
        statuses=statuses,
        reasons=reasons,
        hashes=_hashes(known, bars, actions, days),
        remarks=tuple(
            remark
            for on in sorted(known.remarks)
            if _is_within(on, days)
            for remark in known.remarks[on]
        ),
    )


def _between(ascending: Days, days: Days) -> slice:
    if not len(days):
        return slice(0, 0)
    first, last = np.searchsorted(ascending, days[0]), days[-1]
    return slice(int(first), int(np.searchsorted(ascending, last, side="right")))


def _is_within(session: date, days: Days) -> bool:
    return len(days) > 0 and days[0].item() <= session <= days[-1].item()


def _absences(known: SymbolSeries, days: Days) -> tuple[Words, Words]:
    at = 1 - (days < known.first).astype(np.intp) + (days > known.last)
    names = np.array([status.value for status in ABSENCES], dtype=object)
    texts = np.array([known.absences.get(status, "") for status in ABSENCES], dtype=object)
    statuses, reasons = names[at], texts[at]
    for session, reason in known.rejected.items():
        if _is_within(session, days):
            row = np.searchsorted(days, np.datetime64(session))
            statuses[row], reasons[row] = CoverageStatus.REJECTED.value, reason
    return statuses, reasons


def _hashes(known: SymbolSeries, bars: slice, actions: slice, days: Days) -> Words:
    content = [b""] * len(days)
    with_bar = np.searchsorted(days, known.sessions[bars]).tolist()
    for row, written in zip(with_bar, _row_bytes(known.values[bars]), strict=True):
        content[row] = written
    with_action = np.searchsorted(days, known.actions.ex_sessions[actions]).tolist()
    for row, at in zip(with_action, range(actions.start, actions.stop), strict=True):
        content[row] += _action_bytes(known.actions.kinds[at], known.actions.amounts[at])
    return np.array([_hash(written) for written in content], dtype=object)


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=HASH_BYTES).hexdigest() if content else ""


def _action_bytes(kind: str, amount: np.float64) -> bytes:
    return kind.encode() + amount.astype("<f8").tobytes()


def _keys(rows: pd.DataFrame, day: str) -> list[tuple[str, int]]:
    """Symbol and session of each row, as what can be looked up."""
    days = rows[day].to_numpy().astype("datetime64[D]").astype(np.int64).tolist()
    return list(zip(rows["symbol"], days, strict=True))


def _row_bytes(values: Floats) -> list[bytes]:
    written = values.astype("<f8").tobytes()
    width = 8 * len(FIELDS)
    return [written[at : at + width] for at in range(0, len(written), width)]


def _bars_frame(
    source: str, series: Sequence[SymbolSeries], cuts: Sequence[_Cut]
) -> pd.DataFrame:
    pairs = list(zip(series, cuts, strict=True))
    sessions = _stack([known.sessions[cut.bars] for known, cut in pairs], "datetime64[ns]")
    values = np.concatenate(
        [np.empty((0, len(FIELDS))), *(known.values[cut.bars] for known, cut in pairs)]
    )
    counts = [cut.bars.stop - cut.bars.start for cut in cuts]
    return pd.DataFrame(
        {
            "symbol": _names(series, counts),
            "session": sessions,
            **{name: values[:, at] for at, name in enumerate(FIELDS)},
            "source": np.full(len(sessions), source, dtype=object),
        }
    )


def _actions_frame(
    source: str, series: Sequence[SymbolSeries], cuts: Sequence[_Cut]
) -> pd.DataFrame:
    pairs = [(known.actions, cut.actions) for known, cut in zip(series, cuts, strict=True)]
    ex_sessions = _stack([own.ex_sessions[at] for own, at in pairs], "datetime64[ns]")
    kinds = [kind for own, at in pairs for kind in own.kinds[at]]
    return pd.DataFrame(
        {
            "symbol": _names(series, [at.stop - at.start for _, at in pairs]),
            "ex_session": ex_sessions,
            "kind": np.array(kinds, dtype=object),
            "value": _stack([own.amounts[at] for own, at in pairs], "float64"),
            "source": np.full(len(kinds), source, dtype=object),
        }
    )


def _later_splits(source: str, series: Sequence[SymbolSeries], days: Days) -> pd.DataFrame:
    found = [
        (known.symbol, on, kind, amount, source)
        for known in series
        for on, kind, amount in zip(
            known.actions.ex_sessions,
            known.actions.kinds,
            known.actions.amounts,
            strict=True,
        )
        if kind == ActionKind.SPLIT and (not len(days) or on > days[-1])
    ]
    columns = list(CORPORATE_ACTIONS.columns)
    return CORPORATE_ACTIONS.conform(pd.DataFrame(found, columns=columns))


def _coverage_frame(
    series: Sequence[SymbolSeries], cuts: Sequence[_Cut], days: Days
) -> pd.DataFrame:
    count = len(series) * len(days)
    statuses = _stack([cut.statuses for cut in cuts], "object")
    return pd.DataFrame(
        {
            "asset": np.full(count, "bars", dtype=object),
            "strategy": np.full(count, "", dtype=object),
            "symbol": _names(series, [len(days)] * len(series)),
            "session": _stack([days] * len(series), "datetime64[ns]"),
            "rows": (statuses == CoverageStatus.OK.value).astype(np.int64),
            "status": statuses,
            "reason": _stack([cut.reasons for cut in cuts], "object"),
            "content_hash": _stack([cut.hashes for cut in cuts], "object"),
        }
    )


def _names(series: Sequence[SymbolSeries], counts: Sequence[int]) -> Words:
    symbols = np.array([known.symbol for known in series], dtype=object)
    return np.repeat(symbols, np.array(counts, dtype=np.intp))


def _stack(parts: Sequence[NDArray[np.generic]], dtype: str) -> NDArray[np.generic]:
    return np.concatenate([np.empty(0, dtype), *parts]).astype(dtype, copy=False)
