"""Sessions as runs of MLflow: a program, and the one place that knows ``mlflow``.

It reads what it is told from its standard input, a line of JSON each, and answers each
with a line on the file that it is started with.

MLflow takes no ids of ours, and keeps a parameter or a point for ever. So a session is
found by a tag; one that has changed gets new runs, and when these are whole, the old ones
are deleted. Whoever finds a session twice keeps the one whose id comes first, so two who
told it at the same moment end with the same one.
"""

import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import batched
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException, RestException
from pydantic import Field, TypeAdapter

from trading_assets.models.tracking import (
    Artifact,
    Outcome,
    Tracked,
    TrackedCurve,
    TrackedRun,
    TrackedSession,
)

KEY = "trading_key"
"""Tag of every run of ours: the session or the curve that it belongs to."""

CONTENT = "trading_content"
"""Tag of a session's or a curve's own run: the hash of what was told."""

THROUGH = "trading_through"
"""Tag of a curve: the step that it reaches."""

GROWING = "growing"
"""In the place of a curve's hash while points are added to it."""

PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"
FINISHED = "FINISHED"
MOST_RUNS = 10_000
MOST_METRICS = 1000
"""That MLflow takes in one request."""

LONGEST_PARAMETER = 500
LONGEST_NOTE = 5000
LONGEST_REASON = 300
BAD_REQUEST = 400
SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
ADDRESS = "MLFLOW_TRACKING_URI"
ADDRESSES = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+")


class MlflowRuns:
    """Runs of sessions and curves at one server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._experiment = cache(self._find_experiment)

    def track(self, told: TrackedSession | TrackedCurve) -> Tracked:
        """Write *told* down, unless it is there already."""
        if isinstance(told, TrackedCurve):
            return self._curve(told)
        return self._session(told)

    def _session(self, told: TrackedSession) -> Tracked:
        experiment, content = self._experiment(told.experiment), told.content_hash
        earlier = self._found(experiment, told.key)
        if kept := _first_whole(earlier, content):
            self._delete(_not_of(kept, earlier))
            return Tracked(key=told.key, outcome=Outcome.UNCHANGED, run_id=kept)
        own = self._log_session(experiment, told, content)
        now = self._found(experiment, told.key)
        kept = _first_whole(now, content) or own
        doubles = {run.info.run_id for run in now if _is_whole(run, content)}
        known = doubles | {run.info.run_id for run in earlier}
        self._delete(run for run in _not_of(kept, now) if _head_of(run) in known)
        return Tracked(key=told.key, outcome=Outcome.LOGGED, run_id=kept)

    def _log_session(self, experiment: str, told: TrackedSession, content: str) -> str:
        """New runs of *told*: that of the book is finished last, and then all is there."""
        own = {**told.told_by, KEY: told.key}
        book = self._log_run(experiment, told, told.book, own | {CONTENT: content})
        for symbol in told.symbols:
            self._finish(
                self._log_run(experiment, told, symbol, own | {PARENT: book}), told.at
            )
        self._finish(book, told.at)
        return book

    def _log_run(
        self,
        experiment: str,
        session: TrackedSession,
        told: TrackedRun,
        tags: Mapping[str, str],
    ) -> str:
        at = _milliseconds(session.at)
        run_id = self._create(experiment, told.name, at, {**told.tags, **tags}, told.note)
        metrics = [
            Metric(name, own, at, session.step) for name, own in told.metrics.items()
        ]
        parameters = [
            Param(name, own[:LONGEST_PARAMETER]) for name, own in told.parameters.items()
        ]
        self._client.log_batch(run_id, metrics, parameters)
        self._keep(run_id, told.artifacts)
        return run_id

    def _keep(self, run_id: str, artifacts: Sequence[Artifact]) -> None:
        if not artifacts:
            return
        with TemporaryDirectory(prefix="trading_assets-") as folder:
            for artifact in artifacts:
                file = Path(folder, artifact.path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(artifact.content)
            self._client.log_artifacts(run_id, folder)

    def _curve(self, told: TrackedCurve) -> Tracked:
        experiment, last = self._experiment(told.experiment), told.points[-1]
        found = self._found(experiment, told.key)
        kept, through = _longest(found, told)
        self._delete(_not_of(kept, found) if kept else ())
        if kept and through >= last.step:
            return Tracked(key=told.key, outcome=Outcome.UNCHANGED, run_id=kept)
        run_id = kept or self._create(
            experiment,
            told.name,
            _milliseconds(told.points[0].at),
            {**told.tags, KEY: told.key, CONTENT: GROWING},
            told.note,
        )
        if kept:
            self._client.set_tag(run_id, CONTENT, GROWING)
        self._grow(run_id, told, through)
        if not kept:
            self._delete(found)
        return Tracked(key=told.key, outcome=Outcome.LOGGED, run_id=run_id)

    def _grow(self, run_id: str, told: TrackedCurve, through: int) -> None:
        """Add the points after *through*, and say last that they are there."""
        last = told.points[-1]
        metrics = [
            Metric(name, own, _milliseconds(point.at), point.step)
            for point in told.points
            if point.step > through
            for name, own in point.metrics.items()
        ]
        for some in batched(metrics, MOST_METRICS):
            self._client.log_batch(run_id, some)
        self._finish(run_id, last.at)
        said = {THROUGH: str(last.step), CONTENT: told.hash_through(last.step)}
        self._client.log_batch(run_id, tags=[RunTag(*pair) for pair in said.items()])

    def _create(
        self, experiment: str, name: str, at: int, tags: Mapping[str, str], note: str
    ) -> str:
        noted = {**tags, NOTE: note[:LONGEST_NOTE]} if note else dict(tags)
        return self._client.create_run(experiment, at, noted, name).info.run_id

    def _finish(self, run_id: str, at: datetime) -> None:
        self._client.set_terminated(run_id, FINISHED, _milliseconds(at))

    def _found(self, experiment: str, key: str) -> Sequence[Run]:
        """Every run of *key* that was not deleted."""
        return self._client.search_runs(
            [experiment], f"tags.{KEY} = '{key}'", max_results=MOST_RUNS
        )

    def _delete(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._client.delete_run(run.info.run_id)

    def _find_experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is None:
            try:
                return self._client.create_experiment(name)
            except RestException as error:  # another was quicker
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                known = self._client.get_experiment_by_name(name)
        if known is None or known.lifecycle_stage != "active":
            raise MlflowException(f"experiment {name} was deleted there: restore it")
        return known.experiment_id


def _head_of(run: Run) -> str:
    """The run that *run* lies within, or itself."""
    return run.data.tags.get(PARENT, run.info.run_id)


def _is_whole(run: Run, content: str) -> bool:
    return run.info.status == FINISHED and run.data.tags.get(CONTENT) == content


def _first_whole(runs: Iterable[Run], content: str) -> str:
    """The run to keep of those that have *content*; empty if none has."""
    return min((run.info.run_id for run in runs if _is_whole(run, content)), default="")


def _not_of(kept: str, runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if _head_of(run) != kept]


def _longest(runs: Iterable[Run], told: TrackedCurve) -> tuple[str, int]:
    """The run of which all points are those of *told*, and how far it reaches."""
    fitting = [
        (-through, run.info.run_id)
        for run in runs
        if (through := int(run.data.tags.get(THROUGH, 0)))
        and run.data.tags.get(CONTENT) == told.hash_through(through)
    ]
    through, run_id = min(fitting, default=(0, ""))
    return run_id, -through


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def reason_of(error: Exception, environment: Mapping[str, str]) -> str:
    """What *error* comes from, without addresses and what is secret in them."""
    while (cause := error.__cause__ or error.__context__) and isinstance(cause, Exception):
        error = cause
    said = ADDRESSES.sub("…", " ".join(str(error).split()))
    for secret in sorted(_secrets(environment), key=len, reverse=True):
        said = said.replace(secret, "…")
    return f"{type(error).__name__}: {said[:LONGEST_REASON]}"


def _secrets(environment: Mapping[str, str]) -> set[str]:
    """Whatever of *environment* must not be shown, as it may be written."""
    address = urlsplit(environment.get(ADDRESS, ""))
    user, password = (unquote(own or "") for own in (address.username, address.password))
    named = {environment.get(name, "") for name in SECRETS}
    basic = b64encode(f"{user}:{password}".encode()).decode()
    place = address.netloc.rpartition("@")[2]
    written = {address.password or "", address.netloc, place, environment.get(ADDRESS, "")}
    return {*named, *written, password, basic, "" if password else user} - {""}


def _is_over(error: Exception) -> bool:
    """Whether the next would fail as well: all but a request that is wrong in itself."""
    refused = isinstance(error, RestException)
    return not (refused and error.get_http_status_code() == BAD_REQUEST)


def main() -> None:
    """Answer every line of standard input, until there is none."""
    read = TypeAdapter(
        Annotated[TrackedSession | TrackedCurve, Field(discriminator="kind")]
    )
    runs = MlflowRuns(MlflowClient(os.environ[ADDRESS]))
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin.buffer:
            told = read.validate_json(line)
            try:
                answer = runs.track(told)
            except Exception as error:  # noqa: BLE001 - of whatever it is that stores there
                answer = Tracked(
                    key=told.key,
                    outcome=Outcome.FAILED,
                    reason=reason_of(error, os.environ),
                    is_over=_is_over(error),
                )
            print(answer.model_dump_json(), file=answers, flush=True)


if __name__ == "__main__":
    main()
