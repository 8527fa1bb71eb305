"""Runs whose process has died do not go on holding their pools."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from trading_assets.defs.instance import PROCESS, bury_dead_runs, this_process


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(instance: dg.DagsterInstance, tags: Mapping[str, str]) -> str:
    """A run that is under way, as far as anybody was told."""
    status = dg.DagsterRunStatus.STARTED
    run = dg.DagsterRun(job_name="market", tags=dict(tags), status=status)
    return instance.add_run(run).run_id


def of_server(path: Path) -> dict[str, str]:
    """The tag that Dagster gives to a run that a code server of this machine started."""
    return {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(path)})}


def ended_process() -> str:
    """Names a process of this machine that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    return this_process().replace(str(os.getpid()), str(child.pid))


def test_a_run_of_a_process_that_has_ended_has_failed(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, {PROCESS: ended_process()})
    assert bury_dead_runs(instance) == [run_id]
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.FAILURE


def test_a_run_has_failed_whose_code_server_does_not_listen(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "left"))
        server.listen()
    left = started(instance, of_server(tmp_path / "left"))
    gone = started(instance, of_server(tmp_path / "gone"))
    assert set(bury_dead_runs(instance)) == {left, gone}


def test_a_run_that_is_alive_or_of_another_machine_is_left_alone(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    started(instance, {PROCESS: this_process()})
    started(instance, {PROCESS: "another-machine:1"})
    started(instance, {GRPC_INFO_TAG: json.dumps({"host": "location", "port": 4000})})
    started(instance, {})
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "server"))
        server.listen()
        started(instance, of_server(tmp_path / "server"))
        assert bury_dead_runs(instance) == []
