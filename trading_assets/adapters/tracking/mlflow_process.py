"""MLflow, spoken to by a process of its own.

Its client has its time-outs in the environment, retries by itself, and waits for a server
that dribbles as long as that does. Another process can be given an environment of its own
and be ended at any moment, and then nothing of it is still being sent.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Self, override

import trading_assets
from trading_assets.adapters.tracking.port import Tracker
from trading_assets.errors import InvalidInput
from trading_assets.models.tracking import (
    Outcome,
    Tracked,
    TrackedCurve,
    TrackedSession,
)

PROGRAM = "trading_assets.adapters.tracking.mlflow_runs"
LONGEST_SECONDS = 60.0
"""Of one session, the start of the process included."""

ENDS_WITHIN_SECONDS = 5.0
PATIENCE = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}
"""What the process is given unless the environment says otherwise."""

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowTracker(Tracker):
    """Runs of an MLflow server, or of whatever else MLflow's client can write to."""

    def __init__(self, address: str, longest_seconds: float = LONGEST_SECONDS) -> None:
        """Take where to tell; nothing is touched yet.

        Args:
            address: As ``MLFLOW_TRACKING_URI``; a secret.
            longest_seconds: Of one session.
        """
        self._address = address
        self._longest_seconds = longest_seconds

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    @override
    def track(self, told: Iterable[TrackedSession | TrackedCurve]) -> Iterator[Tracked]:
        if find_spec("mlflow") is None:
            raise InvalidInput(
                "MLFLOW_TRACKING_URI is set and the package mlflow is not installed: "
                "pip install 'trading-assets[mlflow]', or unset it"
            )
        with _Program.started(self._address) as program:
            for own in told:
                answer = program.answer(own, self._longest_seconds)
                yield answer
                if answer.is_over:
                    return


class _Program:
    """The process that speaks to MLflow, and how it is asked."""

    def __init__(self, process: subprocess.Popen[bytes], answers: IO[bytes]) -> None:
        self._process = process
        self._answers = answers

    @classmethod
    @contextmanager
    def started(cls, address: str) -> Iterator[Self]:
        """One that runs until the block is left; it is ended if it does not end itself."""
        reading, writing = os.pipe()
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", PROGRAM, str(writing)],
                env=environment_of(address),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(writing,),
            )
        finally:
            os.close(writing)
        with os.fdopen(reading, "rb") as answers:
            try:
                yield cls(process, answers)
            finally:
                _end(process)

    def answer(
        self, told: TrackedSession | TrackedCurve, longest_seconds: float
    ) -> Tracked:
        """What becomes of *told*; the process is ended when it takes too long."""
        is_late = threading.Event()

        def end() -> None:
            is_late.set()
            self._process.kill()

        late = threading.Timer(longest_seconds, end)
        late.start()
        try:
            answer = self._ask(told.model_dump_json().encode())
        finally:
            late.cancel()
        if answer.endswith(b"\n"):
            return Tracked.model_validate_json(answer)
        why = (
            f"it took longer than {longest_seconds:g} s"
            if is_late.is_set()
            else f"its process ended with status {self._process.wait()}"
        )
        return Tracked(key=told.key, outcome=Outcome.FAILED, reason=why, is_over=True)

    def _ask(self, line: bytes) -> bytes:
        """The answer to *line*; empty, or a part of one, if the process ends over it."""
        sending = self._process.stdin
        with suppress(BrokenPipeError):
            if sending is not None:
                sending.write(line + b"\n")
                sending.flush()
        return self._answers.readline()


def environment_of(address: str) -> dict[str, str]:
    """What the process is started with: ours, and what bounds MLflow's client."""
    source = str(Path(trading_assets.__file__).parents[1])
    paths = [source, os.environ.get("PYTHONPATH", "")]
    return {
        **PATIENCE,
        **os.environ,
        **QUIET,
        "MLFLOW_TRACKING_URI": address,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it end itself, which it does when it is told no more; else end it."""
    with suppress(BrokenPipeError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(ENDS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
