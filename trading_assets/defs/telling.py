"""How a step says what it found, where a person will look for it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pandas as pd

from trading_assets.defs.fast_paths import add_partition_metadata
from trading_assets.defs.partitions import Requested

MOST_ROWS = 20
ROUND = 1
"""From here on, two digits after the point are enough."""


def tell(
    context: dg.AssetExecutionContext,
    requested: Requested,
    rows: pd.DataFrame,
    fields: Mapping[str, str],
) -> None:
    """Attach numbers of *rows* to the partitions that they belong to, fit to be read.

    Args:
        context: Of the step.
        requested: Its partitions.
        rows: One row per partition, or none for it.
        fields: Column of *rows* by the name that the number is shown under; one that
            ends in ``_frac`` is shown in per cent.
    """
    days = rows["session"].dt.date
    symbols = rows["symbol"] if requested.symbols else [""] * len(rows)
    columns = (_readable(rows[column]).tolist() for column in fields.values())
    told: dict[str, dict[str, object]] = {}
    for session, symbol, *numbers in zip(days, symbols, *columns, strict=True):
        if (key := requested.keys.get((session, symbol))) is not None:
            pairs = zip(fields, map(shown, numbers), strict=True)
            told[key] = {name: number for name, number in pairs if number is not None}
    add_partition_metadata(context, told)


def tell_rows(
    context: dg.AssetExecutionContext, requested: Requested, name: str, rows: pd.DataFrame
) -> None:
    """Attach those of *rows* that are of the last session to its partition, as a table.

    Of that one alone: it is what an evening makes, and what the asset's page shows.

    Args:
        context: Of the step.
        requested: Its partitions, one per session.
        name: That the table is shown under.
        rows: With a column ``session``, which is not shown.
    """
    own = rows.loc[rows["session"] == pd.Timestamp(requested.last)].drop(columns="session")
    if len(own):
        key = requested.keys[requested.last, ""]
        add_partition_metadata(context, {key: {name: table(own)}})


def check(
    name: str,
    faults: pd.DataFrame,
    *,
    warns: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> dg.AssetCheckResult:
    """A verdict: passed if there are no *faults*, which are shown otherwise.

    Args:
        name: Of the check.
        faults: One row per thing that is wrong, fit to be shown.
        warns: Whether a fault is worth knowing but stops nothing.
        metadata: More to show.
    """
    severity = dg.AssetCheckSeverity.WARN if warns else dg.AssetCheckSeverity.ERROR
    found: dict[str, Any] = {"faults": len(faults), **(metadata or {})}
    if len(faults):
        found["first of them"] = table(faults)
    return dg.AssetCheckResult(
        check_name=name, passed=faults.empty, severity=severity, metadata=found
    )


def table(rows: pd.DataFrame) -> dg.MetadataValue:
    """The first of *rows* as a Markdown table."""
    head = rows.head(MOST_ROWS)
    lines = [
        " | ".join(map(str, head.columns)),
        " | ".join("---" for _ in head.columns),
        *(" | ".join(map(_cell, row)) for row in head.itertuples(index=False)),
    ]
    return dg.MetadataValue.md("\n".join(f"| {line} |" for line in lines))


def shown(value: object) -> object:
    """*value* as metadata can hold it; None for what is not there."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    return value.date().isoformat() if isinstance(value, pd.Timestamp) else value


def rounded(value: float) -> float:
    """*value* with no more digits than a reader wants: cents, or four places of a ratio."""
    return round(value, 2 if abs(value) >= ROUND else 4)


def _readable(column: pd.Series) -> pd.Series:
    """*column* as `rounded` shows it, and fractions in per cent."""
    if column.dtype.kind != "f":
        return column
    values = column * 100 if str(column.name).endswith("_frac") else column
    return values.round(4).where(values.abs() < ROUND, values.round(2))


def _cell(value: object) -> str:
    value = shown(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.{2 if abs(value) >= ROUND else 4}f}"
    return str(value).replace("|", "\\|")
