"""Dagster's own home, and runs that were left behind by a process that died."""

import json
import os
import shutil
import socket
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import GRPC_INFO_TAG

from trading_assets.defs.resources import Settings
from trading_assets.defs.run_history import RUN_ENVIRONMENT

CONFIGURATION = Path(__file__).parents[2] / "dagster.yaml"
"""What a new home is given; one that has a configuration of its own keeps it."""

PROCESS = "trading/process"
"""Tag of a run that lives in the process that started it: host and process id."""


def prepare_environment(settings: Settings) -> Path:
    """Make this process and its children use the home of *settings*.

    Returns:
        Dagster's home: ``DAGSTER_HOME`` if that is set, else a folder of ours.
    """
    home = Path(os.environ.get("DAGSTER_HOME") or settings.dagster_home).absolute()
    home.mkdir(parents=True, exist_ok=True)
    configuration = home / CONFIGURATION.name
    if not configuration.exists():
        # Whole or not at all: half of it would be a home with another run history.
        draft = configuration.with_name(f"{configuration.name}.{os.getpid()}")
        shutil.copyfile(CONFIGURATION, draft)
        draft.replace(configuration)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["TRADING_HOME"] = str(settings.home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    for name, value in RUN_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return home


def take_env_file(folder: Path) -> None:
    """Set the variables of the ``.env`` in *folder*, as Dagster's code servers will."""
    from dagster._core.secrets.env_file import (  # noqa: PLC0415 - where there is one
        get_env_var_dict,
    )

    os.environ.update(get_env_var_dict(str(folder)))


def this_process() -> str:
    """Names this process among all of this machine's."""
    return f"{socket.gethostname()}:{os.getpid()}"


def bury_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Declare failed what a killed process of this machine has left as running.

    Dagster's own monitoring sees nothing of runs that are mere processes: until their
    longest time is over they would hold their pools.

    Returns:
        Ids of these runs.
    """
    open_runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    dead = [
        run
        for run in open_runs
        if _is_dead(run.tags.get(PROCESS)) or _is_deserted(run.tags.get(GRPC_INFO_TAG))
    ]
    for run in dead:
        instance.report_run_failed(run, "The process of this run has ended without a word.")
    return [run.run_id for run in dead]


def _is_deserted(server: str | None) -> bool:
    """Whether the code server that a run is a child of does not listen any more.

    Args:
        server: As Dagster tags a run with it; one that is not of this machine has a port,
            and no socket.
    """
    path = json.loads(server or "{}").get("socket")
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) != 0


def _is_dead(process: str | None) -> bool:
    host, _, number = (process or "").rpartition(":")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
