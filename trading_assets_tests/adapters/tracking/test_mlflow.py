"""Sessions at a real MLflow server, and at one that is down, slow or dies in the middle."""

import importlib.util
import logging
import sys
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from trading_assets.adapters.tracking.mlflow_process import MlflowTracker, environment_of
from trading_assets.adapters.tracking.port import Tracker
from trading_assets.adapters.tracking.silent import SilentTracker
from trading_assets.errors import InvalidInput
from trading_assets.models.tracking import (
    Outcome,
    Tracked,
    TrackedCurve,
    TrackedSession,
)
from trading_assets_tests.adapters.tracking.make_told import (
    PNG,
    make_curve,
    make_session,
)
from trading_assets_tests.adapters.tracking.servers import (
    SECRET,
    Gate,
    MlflowServer,
    free_port,
    gate_before,
    starting,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from trading_assets.adapters.tracking.mlflow_runs import MlflowRuns

pytestmark = pytest.mark.together
needs_server = pytest.mark.skipif(
    importlib.util.find_spec("mlflow.server") is None
    or importlib.util.find_spec("flask") is None,
    reason="mlflow with its server is not installed",
)
LOGGED, UNCHANGED, FAILED = Outcome
PATIENCE_SECONDS = 2.0
numbers = count()


@pytest.fixture(scope="module", autouse=True)
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer | None]:
    """A server that starts while tests run that need none: it takes seconds."""
    if importlib.util.find_spec("flask") is None:
        yield None
        return
    with starting(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


@pytest.fixture(scope="module")
def server(begun: MlflowServer | None) -> MlflowServer:
    assert begun is not None
    begun.wait()
    return begun


@pytest.fixture
def gate(server: MlflowServer) -> Iterator[Gate]:
    with gate_before(server.port) as gate:
        yield gate


@pytest.fixture(scope="module")
def client(server: MlflowServer) -> "MlflowClient":
    """To look with, past every gate."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient  # noqa: PLC0415 - slow, and not always there

        return MlflowClient(server.address)


@pytest.fixture
def runs(
    gate: Gate, client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> "MlflowRuns":
    """What the program of its own does, in this process: quicker, for what it logs."""
    from trading_assets.adapters.tracking.mlflow_runs import MlflowRuns  # noqa: PLC0415

    for name, own in environment_of("").items():
        if name.startswith("MLFLOW_"):
            monkeypatch.setenv(name, own)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return MlflowRuns(type(client)(gate.address))


@pytest.fixture
def experiment() -> str:
    return f"trading_assets/cross{next(numbers)}"


def ask(tracker: Tracker, told: Sequence[TrackedSession | TrackedCurve]) -> list[Tracked]:
    return list(tracker.track(told))


def found(client: "MlflowClient", experiment: str) -> "list[Run]":
    """Every run of an experiment, oldest first."""
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    return list(
        client.search_runs([known.experiment_id], order_by=["start_time", "run_id"])
    )


def heads(runs: "Sequence[Run]") -> "list[Run]":
    return [own for own in runs if "mlflow.parentRunId" not in own.data.tags]


# Without a server


def test_without_an_address_nothing_is_answered_for(experiment: str) -> None:
    assert ask(SilentTracker(), [make_session(experiment)]) == []


def test_a_missing_package_is_told_with_the_extra_that_has_it(
    experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)

    with pytest.raises(InvalidInput, match=r"pip install 'trading-assets\[mlflow\]'"):
        ask(MlflowTracker("http://127.0.0.1:1"), [make_session(experiment)])


@needs_server
def test_a_server_that_is_down_is_an_answer_and_ends_it(experiment: str) -> None:
    tracker = MlflowTracker(f"http://me:{SECRET}@127.0.0.1:{free_port()}")

    (answer,) = ask(tracker, [make_session(experiment, day) for day in (2, 3, 4)])

    assert (answer.outcome, answer.is_over) == (FAILED, True)
    assert answer.reason == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert SECRET not in repr(answer)
    assert SECRET not in repr(tracker)


def test_how_long_mlflow_waits_is_said_to_its_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    given = environment_of("http://127.0.0.1:1")

    assert given["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert given["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert given["MLFLOW_DISABLE_TELEMETRY"] == "true"


# The process


@needs_server
def test_a_session_is_told_once_and_nothing_is_sent_the_second_time(
    gate: Gate,
    runs: "MlflowRuns",
    client: "MlflowClient",
    experiment: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = [make_curve(experiment, [1, 2, 3]), make_session(experiment)]
    tracker = MlflowTracker(gate.address)

    with caplog.at_level(logging.DEBUG):
        first = ask(tracker, told)
        sent = len(gate.writes)
        second = [runs.track(own) for own in told]

    assert [own.outcome for own in first] == [LOGGED, LOGGED]
    assert [own.outcome for own in second] == [UNCHANGED, UNCHANGED]
    assert [own.run_id for own in second] == [own.run_id for own in first]
    assert len(gate.writes) == sent > 0
    assert len(found(client, experiment)) == 3
    assert SECRET not in caplog.text


@needs_server
def test_two_processes_that_tell_the_same_session_at_once_leave_one(
    server: MlflowServer, runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    told = [make_session(experiment, symbols=("AAA", "BBB"))]
    answers: list[Tracked] = []
    threads = [
        threading.Thread(
            target=lambda: answers.extend(ask(MlflowTracker(server.address), told))
        )
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stand = [
        own for own in heads(found(client, experiment)) if own.info.status == "FINISHED"
    ]
    assert LOGGED in {own.outcome for own in answers}
    assert len(stand) == 1
    assert runs.track(told[0]) == Tracked(
        key=told[0].key, outcome=UNCHANGED, run_id=stand[0].info.run_id
    )
    assert len(found(client, experiment)) == 3


@pytest.mark.long
@needs_server
def test_a_server_that_never_ends_its_answer_is_given_up(
    gate: Gate, experiment: str
) -> None:
    """No time-out of a request ends it: there is always another byte."""
    tracker = MlflowTracker(gate.address)

    def told() -> Iterator[TrackedSession]:
        yield make_session(experiment, day=2)
        gate.is_dripping = True
        tracker._longest_seconds = PATIENCE_SECONDS
        yield make_session(experiment, day=3)
        raise AssertionError("more was asked for")

    first, second = tracker.track(told())

    assert first.outcome is LOGGED
    assert (second.outcome, second.is_over) == (FAILED, True)
    assert second.reason == "it took longer than 2 s"


@needs_server
def test_a_server_that_never_answers_is_no_use(
    runs: "MlflowRuns", gate: Gate, experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trading_assets.adapters.tracking.mlflow_runs import _is_over, reason_of  # noqa: PLC0415 - slow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    gate.is_silent = True

    with pytest.raises(Exception, match="experiments/get-by-name") as failed:
        runs.track(make_session(experiment))

    assert _is_over(failed.value)
    assert reason_of(failed.value, {}) == "TimeoutError: timed out"


# What is there


@needs_server
def test_a_session_is_a_run_with_one_for_each_symbol_in_it(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    told = make_session(experiment, day=5, symbols=("AAA", "BBB"), equity=123.5)

    runs.track(told)

    (book,) = heads(found(client, experiment))
    inner = {own.info.run_name: own for own in found(client, experiment)}
    assert inner.keys() == {"2024-01-05 simulated", "AAA", "BBB"}
    assert book.info.run_name == "2024-01-05 simulated"
    assert book.data.metrics == {"portfolio_value": 123.5}
    assert book.data.params == {"symbol": "2024-01-05 simulated", "action": "BUY"}
    assert book.data.tags["dagster_run_id"] == "run-1"
    assert inner["AAA"].data.tags["mlflow.parentRunId"] == book.info.run_id
    assert inner["AAA"].data.tags["mlflow.note.content"] == "Because it rose."
    (point,) = client.get_metric_history(book.info.run_id, "portfolio_value")
    close = int(told.at.timestamp() * 1000)
    assert (point.step, point.timestamp) == (5, close)
    assert (book.info.start_time, book.info.end_time) == (close, close)
    assert {own.info.status for own in inner.values()} == {"FINISHED"}


@needs_server
def test_files_are_kept_byte_for_byte(
    runs: "MlflowRuns",
    client: "MlflowClient",
    experiment: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    answer = runs.track(make_session(experiment))

    folder = tmp_path_factory.mktemp("kept")
    path = client.download_artifacts(answer.run_id, "daily_chart.png", str(folder))
    assert (folder / "daily_chart.png").read_bytes() == PNG, path
    assert {own.path for own in client.list_artifacts(answer.run_id)} == {
        "daily_chart.png",
        "signal.json",
    }


@needs_server
def test_who_tells_it_is_no_change(runs: "MlflowRuns", gate: Gate, experiment: str) -> None:
    runs.track(make_session(experiment, told_by="run-1"))
    sent = len(gate.writes)

    again = runs.track(make_session(experiment, told_by="run-2"))

    assert again.outcome is UNCHANGED
    assert len(gate.writes) == sent


@needs_server
def test_a_session_that_has_changed_takes_the_place_of_what_was_there(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    runs.track(make_session(experiment, equity=100))
    other = runs.track(make_session(experiment, day=3))
    changed = runs.track(make_session(experiment, symbols=("AAA", "BBB"), equity=90))

    there = found(client, experiment)
    assert changed.outcome is LOGGED
    assert [own.info.run_id for own in heads(there)] == [changed.run_id, other.run_id]
    assert len(there) == 3 + 2
    assert heads(there)[0].data.metrics == {"portfolio_value": 90}


@needs_server
def test_runs_of_others_in_the_experiment_are_left_alone(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    runs.track(make_session(experiment, equity=100))
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    theirs = client.create_run(known.experiment_id, run_name="theirs")
    runs.track(make_session(experiment, equity=90))

    assert client.get_run(theirs.info.run_id).info.lifecycle_stage == "active"


@pytest.mark.long
@needs_server
def test_whenever_the_server_dies_the_next_telling_ends_with_one_whole_session(
    runs: "MlflowRuns", gate: Gate, client: "MlflowClient", experiment: str
) -> None:
    """Cut after every second request of a telling that takes the place of another."""
    equity, died = 100.0, 0
    for passes in count(step=2):
        equity += 1
        told = make_session(experiment, equity=equity, with_files=False)
        gate.left = passes
        try:
            runs.track(told)
        except Exception:  # noqa: BLE001 - whatever MLflow makes of it
            died += 1
        gate.left = None
        is_whole = died <= passes // 2
        answer = runs.track(told)

        (book, symbol) = sorted(
            found(client, experiment), key=lambda own: own.info.run_id != answer.run_id
        )
        assert book.data.metrics == {"portfolio_value": equity}
        assert symbol.data.tags["mlflow.parentRunId"] == book.info.run_id
        assert (book.info.status, symbol.info.status) == ("FINISHED", "FINISHED")
        if is_whole:
            break
    assert died >= 5


@pytest.mark.long
@needs_server
def test_a_session_that_is_there_twice_is_kept_once(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    told = make_session(experiment)
    first = runs.track(told)
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    double = runs._log_session(known.experiment_id, told, told.content_hash)

    kept = runs.track(told)

    assert kept.outcome is UNCHANGED
    assert kept.run_id == min(first.run_id, double)
    assert len(found(client, experiment)) == 2


@needs_server
def test_an_experiment_that_was_deleted_is_named(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    client.delete_experiment(client.create_experiment(experiment))

    with pytest.raises(Exception, match=f"experiment {experiment} was deleted there"):
        runs.track(make_session(experiment))


# The curve


@needs_server
def test_a_curve_grows_by_what_is_new(
    runs: "MlflowRuns", client: "MlflowClient", gate: Gate, experiment: str
) -> None:
    first = runs.track(make_curve(experiment, [100, 101, 99]))
    sent = len(gate.writes)
    grown = runs.track(make_curve(experiment, [100, 101, 99, 102]))

    assert (grown.outcome, grown.run_id) == (LOGGED, first.run_id)
    assert len(gate.writes) - sent == 4
    assert curve_of(client, grown.run_id) == [(1, 100), (2, 101), (3, 99), (4, 102)]


@pytest.mark.long
@needs_server
def test_a_curve_whose_past_has_changed_is_drawn_anew(
    runs: "MlflowRuns", client: "MlflowClient", experiment: str
) -> None:
    first = runs.track(make_curve(experiment, [100, 101, 99]))
    anew = runs.track(make_curve(experiment, [100, 105, 99]))

    assert anew.run_id != first.run_id
    assert [own.info.run_id for own in found(client, experiment)] == [anew.run_id]
    assert curve_of(client, anew.run_id) == [(1, 100), (2, 105), (3, 99)]


@pytest.mark.long
@needs_server
def test_a_curve_of_years_takes_a_few_requests(
    runs: "MlflowRuns", client: "MlflowClient", gate: Gate, experiment: str
) -> None:
    told = make_curve(experiment, [100])
    (point,) = told.points
    points = tuple(point.model_copy(update={"step": step}) for step in range(1, 2501))
    long = told.model_copy(update={"points": points})

    answer = runs.track(long)

    assert len(gate.writes) == 7
    history = client.get_metric_history(answer.run_id, "portfolio_value")
    assert len(history) == 2500


@pytest.mark.long
@needs_server
def test_whenever_the_server_dies_a_curve_has_each_point_once(
    runs: "MlflowRuns", gate: Gate, client: "MlflowClient", experiment: str
) -> None:
    values = [100.0, 101.0]
    runs.track(make_curve(experiment, values))
    for passes in range(2, 7):
        gate.left = passes
        with suppress(Exception):
            runs.track(make_curve(experiment, [*values, -1.0]))
        gate.left = None
        values.append(float(passes))
        answer = runs.track(make_curve(experiment, values))

        assert curve_of(client, answer.run_id) == list(enumerate(values, start=1))
        assert len(found(client, experiment)) == 1


def curve_of(client: "MlflowClient", run_id: str) -> list[tuple[int, float]]:
    history = client.get_metric_history(run_id, "portfolio_value")
    return sorted((own.step, own.value) for own in history)


# Secrets


@needs_server
@pytest.mark.parametrize(
    "said",
    [
        "GET {address}/api failed",
        "no {secret} here",
        "Authorization: Basic {basic}",
        "host {netloc} is not known",
        "HTTPConnectionPool(host: 127.0.0.1:5000)",
    ],
)
def test_a_reason_has_neither_address_nor_password(said: str) -> None:
    from trading_assets.adapters.tracking.mlflow_runs import reason_of  # noqa: PLC0415

    address = f"http://me:{SECRET}@127.0.0.1:5000"
    basic = b64encode(f"me:{SECRET}".encode()).decode()
    words = {
        "address": address,
        "secret": SECRET,
        "basic": basic,
        "netloc": urlsplit(address).netloc,
    }

    reason = reason_of(ValueError(said.format(**words)), {"MLFLOW_TRACKING_URI": address})

    assert reason.startswith("ValueError: ")
    assert not [own for own in (SECRET, basic, "127.0.0.1") if own in reason]
