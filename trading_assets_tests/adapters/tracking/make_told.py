"""Sessions to be told: name only what a test is about."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from trading_assets.models.tracking import (
    Artifact,
    Point,
    TrackedCurve,
    TrackedRun,
    TrackedSession,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


FILES = (
    Artifact(path="signal.json", content=b"{}\n"),
    Artifact(path="daily_chart.png", content=PNG),
)


def make_run(name: str, *, with_files: bool, **metrics: float) -> TrackedRun:
    """What is known of a book or a symbol."""
    return TrackedRun(
        name=name,
        parameters={"symbol": name, "action": "BUY"},
        metrics=metrics,
        tags={"strategy": "cross", "lane": "simulated"},
        note="Because it rose.",
        artifacts=FILES if with_files else (),
    )


def make_session(
    experiment: str,
    day: int = 2,
    *,
    symbols: Sequence[str] = ("AAA",),
    equity: float = 100.0,
    told_by: str = "run-1",
    with_files: bool = True,
) -> TrackedSession:
    """One session of a book with *symbols*, the *day*-th of January."""
    session = date(2024, 1, day)
    return TrackedSession(
        experiment=experiment,
        key=f"cross/simulated/{session}",
        session=session,
        at=datetime(2024, 1, day, 21, tzinfo=UTC),
        step=day,
        told_by={"dagster_run_id": told_by},
        book=make_run(
            f"{session} simulated", with_files=with_files, portfolio_value=equity
        ),
        symbols=tuple(
            make_run(own, with_files=with_files, latest_price=10.0) for own in symbols
        ),
    )


def make_curve(experiment: str, values: Sequence[float]) -> TrackedCurve:
    """A book whose equity went through *values*."""
    points = tuple(
        Point(
            step=step,
            at=datetime(2024, 1, step, 21, tzinfo=UTC),
            metrics={"portfolio_value": value},
        )
        for step, value in enumerate(values, start=1)
    )
    return TrackedCurve(
        experiment=experiment,
        key="cross/simulated",
        name="simulated book",
        tags={"strategy": "cross"},
        note="",
        points=points,
    )
