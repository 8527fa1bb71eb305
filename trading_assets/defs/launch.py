"""A run in this process, whose events can be watched as they happen."""

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from trading_assets.defs.instance import PROCESS, this_process
from trading_assets.defs.jobs import LOCATION, MODULE
from trading_assets.errors import TradingAssetsError

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FAILURE = f"{dg.Failure.__module__}.{dg.Failure.__qualname__}: "


class RunFailed(TradingAssetsError):
    """A run that ended without success; the message says what stopped it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that happened in a run.

    Attributes:
        step: Asset that is being made, such as ``trend_following/signals``.
        materialized: Partitions made by this event: 0 or 1.
    """

    step: str
    materialized: int


@contextmanager
def _unexamined() -> Iterator[None]:
    """Spare the garbage collector all that there is already: it will be there after, too.

    A run makes a hundred thousand small things, and a collection that looks through a
    code location and its libraries each time takes a tenth of it.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@_unexamined()
def run_job(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    job_name: str,
    tags: Mapping[str, str],
    *,
    assets: Iterable[dg.AssetKey] | None = None,
    config: Mapping[str, Any] | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> str:
    """Run a job to its end, in this process.

    Args:
        definitions: Of the code location.
        instance: Where the run is recorded.
        job_name: Of the job.
        tags: Of the run; a range of partitions is one of them.
        assets: Those of the job's to make; None for all.
        config: Of the run, beyond what is always so.
        watch: Is told of what happens.

    Returns:
        The run's id.

    Raises:
        RunFailed: If a step failed, or a blocking check did.
    """
    job = definitions.resolve_job_def(job_name)
    selected = None if assets is None else set(assets)
    if selected is not None:
        job = job.get_subset(asset_selection=selected)
    origin = RemoteRepositoryOrigin(
        ManagedGrpcPythonEnvCodeLocationOrigin(
            loadable_target_origin=LoadableTargetOrigin(module_name=MODULE),
            location_name=LOCATION,
        ),
        SINGLETON_REPOSITORY_NAME,
    )
    run = instance.create_run_for_job(
        job,
        run_config={**QUIET, **(config or {})},
        tags={**job.run_tags, **tags, PROCESS: this_process()},
        asset_selection=selected,
        remote_job_origin=origin.get_job_origin(job_name),
    )
    faults: list[str] = []
    for event in execute_run_iterator(InMemoryJob(job), run, instance):
        _report(event, watch, faults)
    ended = instance.get_run_by_id(run.run_id)
    if ended is None or not ended.is_success:
        raise RunFailed(f"run {run.run_id[:8]} of {job_name} failed: " + "; ".join(faults))
    return run.run_id


def _report(
    event: dg.DagsterEvent, watch: Callable[[Progress], None], faults: list[str]
) -> None:
    step = (event.step_key or "").replace("__", "/")
    if event.is_step_start or event.is_step_materialization:
        watch(Progress(step, int(event.is_step_materialization)))
    elif event.is_step_failure and event.step_failure_data.error:
        error = event.step_failure_data.error
        cause = error.cause or error
        said = cause.message.strip().removeprefix(FAILURE)  # our own words, not a class
        faults.append(f"{step}: {said}")
    elif event.event_type_value == "ASSET_CHECK_EVALUATION":
        verdict = event.asset_check_evaluation_data
        if not verdict.passed and verdict.severity is dg.AssetCheckSeverity.ERROR:
            asset = verdict.asset_key.to_user_string()
            faults.append(f"{asset}: check {verdict.check_name} failed")
