"""What lies beside the package: it has to agree with the package, and to work."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest
import sqlalchemy as sa
import yaml
from click.testing import CliRunner

from trading_assets.adapters.ibkr.gateway import LIVE_PORTS, PAPER_PORTS
from trading_assets.cli import main
from trading_assets.defs.run_history import RUN_ENVIRONMENT
from trading_assets_tests.fake_gateway import FakeGateway

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
POSTGRES = os.environ.get("TRADING_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")
WITHIN_SECONDS = 120

BESIDE_THE_PACKAGE = {
    "DAGSTER_HOME",  # Dagster reads it
    "TRADING_POSTGRES_PASSWORD",  # docker-compose.yml reads it, and these four
    "IB_GATEWAY_USER",
    "IB_GATEWAY_PASSWORD_FILE",
    "IB_GATEWAY_MODE",
    "IB_GATEWAY_PORT",
    "TRADING_SAMPLE_DATA",  # the tests and benchmarks read these three
    "TRADING_TEST_POSTGRES",
    "TRADING_TEST_PROFILE",
}
"""Variables of .env.example that no module of the package reads."""


def text(name: str) -> str:
    return (ROOT / name).read_text()


def loaded(name: str) -> Any:
    return yaml.safe_load(text(name))


# requirements.lock


def requirements() -> list[str]:
    """Every entry of the lock: the line of its name and those that continue it."""
    lines = [line for line in text("requirements.lock").splitlines() if line.strip()]
    entries = re.split(r"\n(?=\S)", "\n".join(lines))
    return [entry for entry in entries if not entry.startswith("#")]


def test_everything_that_is_installed_is_pinned_and_hashed() -> None:
    entries = requirements()

    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_lock_names_no_address() -> None:
    lock = text("requirements.lock")

    assert "://" not in lock
    assert not re.search(r"^ *-(?!-hash=)", lock, flags=re.MULTILINE)


def test_the_lock_has_everything_that_the_project_asks_for() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = {entry.partition("==")[0] for entry in requirements()}

    assert {re.split(r"[<>=~!]", name)[0].lower() for name in asked} <= locked


# Makefile and .python-version


def targets() -> dict[str, str]:
    """Targets of the Makefile that say what they do."""
    return dict(
        re.findall(r"^([a-z-]+):[^#\n]*## (.+)$", text("Makefile"), flags=re.MULTILINE)
    )


def test_every_command_of_the_makefile_says_what_it_does() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", text("Makefile"), flags=re.MULTILINE)

    assert phony
    assert set(phony[1].split()) == set(targets())


@pytest.mark.parametrize("target", ["setup", "demo", "dev", "test", "check", "bench"])
def test_the_commands_that_people_expect_are_there(target: str) -> None:
    assert target in targets()
    assert f"make {target}" in text("README.md")


def test_make_knows_how_to_do_each_of_them() -> None:
    for target in targets():
        done = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def test_the_python_is_the_same_everywhere() -> None:
    wanted = text(".python-version").strip()

    assert wanted == "3.12"
    assert f'requires-python = ">={wanted},<3.13"' in text("pyproject.toml")
    assert f"FROM python:{wanted}-" in text("docker/Dockerfile")
    assert sys.version_info[:2] == (3, 12)


def test_what_has_to_pass_is_what_the_readme_says() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    assert re.findall(r"^make .+$", text(".ci/run"), flags=re.MULTILINE) == [
        "make check",
        "make test",
    ]


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in the wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "trading_assets",
        source / "trading_assets",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_wheel_has_every_file_of_the_package(wheel: set[str]) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "trading_assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert files <= wheel


@pytest.mark.parametrize(
    "pattern",
    [
        "trading_assets/strategies/*.yaml",
        "trading_assets/core/templates/*.j2",
        "trading_assets/prompts/system.j2",
        "trading_assets/adapters/ledger/migrations/versions/0001_*.py",
    ],
)
def test_the_wheel_has_what_is_not_a_module(wheel: set[str], pattern: str) -> None:
    assert [name for name in wheel if fnmatch(name, pattern)]


def test_the_wheel_has_no_tests_and_names_its_licence(wheel: set[str]) -> None:
    assert not [name for name in wheel if name.startswith("trading_assets_tests")]
    assert [name for name in wheel if name.endswith("licenses/LICENSE")]
    assert "Apache License" in text("LICENSE")


# Environment variables


def read_by_the_package() -> set[str]:
    """Variables named in the code that reads the environment."""
    readers = ("defs/resources.py", "cli.py", "defs/instance.py", "defs/web.py")
    code = "\n".join(text(f"trading_assets/{name}") for name in readers)
    return set(re.findall(r'(?:(?:environ|given)\.get\(\s*|envvar=)"([A-Z_]+)"', code))


def of_the_example() -> set[str]:
    """Variables of .env.example; those that are commented out count."""
    return set(re.findall(r"^#?([A-Z_]+)=", text(".env.example"), flags=re.MULTILINE))


def test_the_example_names_every_variable_that_is_read_and_no_other() -> None:
    assert read_by_the_package() >= {"TRADING_HOME", "TRADING_MARKET_DATA", "DAGSTER_HOME"}
    assert of_the_example() == read_by_the_package() | BESIDE_THE_PACKAGE


def test_nothing_in_the_example_is_a_secret_or_switched_on() -> None:
    assert not re.findall(r"^[A-Z_]+=", text(".env.example"), flags=re.MULTILINE)


def test_the_readme_explains_every_variable() -> None:
    explained = set(
        re.findall(r"^\| `([A-Z_]+)` \|", text("README.md"), flags=re.MULTILINE)
    )

    assert explained == of_the_example()


def test_every_command_runs_on_the_env_file_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/tiny.yaml").write_text(TINY)
    (tmp_path / ".env").write_text("TRADING_STRATEGIES=mine\n")
    monkeypatch.setenv("TRADING_STRATEGIES", "somewhere else")
    monkeypatch.chdir(tmp_path)

    answered = CliRunner().invoke(main, ["strategies", "validate"])

    assert answered.output.endswith("tiny is valid\n")


def test_the_environment_is_read_in_few_places_only() -> None:
    readers = {
        path.relative_to(ROOT / "trading_assets").as_posix()
        for path in (ROOT / "trading_assets").rglob("*.py")
        if re.search(r"os\.(environ|getenv)", path.read_text())
    }

    assert readers <= {
        "defs/resources.py",
        "defs/instance.py",  # tells Dagster where its home is
        "sessions.py",  # where a user's cache is
        "core/chart_canvas.py",  # tells matplotlib not to look for a home
        "adapters/tracking/mlflow_process.py",  # hands it on to a process of its own
        "adapters/tracking/mlflow_runs.py",  # is that process, and is told so where to go
    } | {"cli.py"}


# Dagster's own files


def test_the_workspace_names_the_module_that_there_is() -> None:
    ((location,),) = (
        [entry["python_module"] for entry in loaded("workspace.yaml")["load_from"]],
    )

    assert location == {
        "module_name": "trading_assets.definitions",
        "location_name": "trading_assets",
    }


def test_both_instances_are_the_same_but_for_where_they_write() -> None:
    own, docker = loaded("dagster.yaml"), loaded("docker/dagster.yaml")
    where = {"storage", "local_artifact_storage", "compute_logs"}

    assert {k: v for k, v in own.items() if k not in where} == {
        k: v for k, v in docker.items() if k not in where
    }
    assert own["telemetry"] == {"enabled": False}


# docker-compose.yml


def services() -> dict[str, dict[str, Any]]:
    return loaded("docker-compose.yml")["services"]


def test_compose_has_the_four_services_and_more_for_who_asks() -> None:
    profiles = {name: own.get("profiles") for name, own in services().items()}

    assert profiles == {
        **dict.fromkeys(["postgres", "code_location", "web", "daemon"]),
        "ib_gateway": ["ibkr"],
        "ib_gateway_check": ["ibkr"],
        "mlflow": ["mlflow"],
    }


@pytest.mark.parametrize(
    "name", ["postgres", "code_location", "web", "daemon", "ib_gateway_check", "mlflow"]
)
def test_every_service_says_how_to_see_that_it_is_well(name: str) -> None:
    """The image of the gateway has nothing to ask it with: its check is a service."""
    assert services()[name]["healthcheck"]["test"]
    assert services()[name]["restart"] == "unless-stopped"


def test_compose_keeps_to_the_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec", reason="make setup installs it")
    read = compose_spec.PyOptions(apply_merge=True).from_yaml(text("docker-compose.yml"))

    read.validate()
    assert set(read.service_names()) == set(services())


def test_compose_names_only_what_it_declares() -> None:
    declared = loaded("docker-compose.yml")
    for name, own in services().items():
        mounted = {each.partition(":")[0] for each in own.get("volumes", [])}
        assert {each for each in mounted if "/" not in each} <= declared["volumes"].keys()
        assert set(own.get("secrets", [])) <= declared["secrets"].keys(), name
        assert set(own.get("depends_on", [])) <= services().keys(), name


def test_the_default_services_start_without_an_account() -> None:
    """A value that must be given is asked for whatever the profile is."""
    needed = set(re.findall(r"\$\{(\w+):\?", text("docker-compose.yml")))

    assert needed == {"TRADING_POSTGRES_PASSWORD"}


def test_the_gateway_is_for_paper_and_looks_on_until_told_otherwise() -> None:
    environment = services()["ib_gateway"]["environment"]
    ours = services()["web"]["environment"]

    assert environment["TRADING_MODE"] == "${IB_GATEWAY_MODE:-paper}"
    assert environment["READ_ONLY_API"] == ours["IBKR_READONLY"] == "${IBKR_READONLY:-yes}"
    assert ours["IBKR_PORT"] == "${IB_GATEWAY_PORT:-4004}"
    assert {4003} == LIVE_PORTS & {4003, 4004}
    assert {4004} == PAPER_PORTS & {4003, 4004}
    assert services()["ib_gateway"]["expose"] == ["4003", "4004"]
    assert ours["IBKR_HOST"] in services()


def test_the_password_of_the_gateway_is_a_file() -> None:
    gateway = services()["ib_gateway"]

    assert not [name for name in gateway["environment"] if name.endswith("PASSWORD")]
    assert gateway["environment"]["TWS_PASSWORD_FILE"] == "/run/secrets/ib_gateway_password"  # noqa: S105 - a path
    assert gateway["secrets"] == ["ib_gateway_password"]
    assert "secrets/" in text(".gitignore").splitlines()
    assert "!secrets" not in text(".dockerignore")


def test_the_check_of_the_gateway_is_a_command_that_there_is() -> None:
    check = services()["ib_gateway_check"]
    kind, program, *words = check["healthcheck"]["test"]

    assert (kind, program) == ("CMD", "trading-assets")
    with FakeGateway(account="DU1234567") as gateway:
        env = {"IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(gateway.port)}
        assert CliRunner().invoke(main, words, env=env).exit_code == 0
    assert CliRunner().invoke(main, words, env=env).exit_code == 1
    assert {"IBKR_HOST", "IBKR_PORT"} <= check["environment"].keys()


def test_only_web_servers_can_be_reached_and_only_from_this_machine() -> None:
    published = {name: own.get("ports", []) for name, own in services().items()}

    assert {name for name, ports in published.items() if ports} == {"web", "mlflow"}
    for port in (*published["web"], *published["mlflow"]):
        assert port.startswith("127.0.0.1:")


def test_the_password_comes_from_outside_and_has_no_default() -> None:
    compose = text("docker-compose.yml")
    secrets = re.findall(r"^\s*\w*PASSWORD: (.+)$", compose, flags=re.MULTILINE)

    assert len(secrets) == 2
    assert all(secret.startswith("${TRADING_POSTGRES_PASSWORD:?") for secret in secrets)


def test_ours_share_image_volume_and_environment() -> None:
    names = ("code_location", "web", "daemon", "ib_gateway_check")
    ours = [services()[name] for name in names]

    for key in ("image", "volumes", "environment"):
        assert all(own[key] == ours[0][key] for own in ours)
    assert RUN_ENVIRONMENT.items() <= ours[0]["environment"].items()


def test_compose_hands_in_what_the_instance_asks_for() -> None:
    asked = set(re.findall(r"\{env: (\w+)\}", text("docker/dagster.yaml")))

    assert asked <= services()["code_location"]["environment"].keys()


def test_compose_sets_only_variables_that_somebody_reads() -> None:
    given = {
        name
        for name in services()["web"]["environment"]
        if name.startswith(("TRADING_", "IBKR_"))
    }

    assert given <= read_by_the_package()


def test_the_workspace_of_compose_points_to_its_code_location() -> None:
    (entry,) = loaded("docker/workspace.yaml")["load_from"]
    server = entry["grpc_server"]
    command = services()["code_location"]["command"]

    assert server["host"] in services()
    assert f"--port={server['port']}" in command
    assert f"--location-name={server['location_name']}" in command
    assert server["location_name"] == "trading_assets"


def test_the_image_gets_every_file_that_it_copies() -> None:
    kept = set(re.findall(r"^!(\S+)$", text(".dockerignore"), flags=re.MULTILINE))
    copies = re.findall(r"^COPY (.+) \S+$", text("docker/Dockerfile"), flags=re.MULTILINE)
    sources = {source for line in copies for source in line.split()}

    assert {source.partition("/")[0] for source in sources} == kept
    assert all((ROOT / source).exists() for source in sources)


# The services of docker-compose.yml, run without Docker


class Stack:
    """Web server, daemon and code location on a PostgreSQL of their own."""

    def __init__(self, folder: Path, database: sa.URL) -> None:
        self.folder = folder
        self.code_port, self.web_port = free_port(), free_port()
        for name in ("dagster", "home", "strategies"):
            (folder / name).mkdir()
        shutil.copy(ROOT / "docker/dagster.yaml", folder / "dagster")
        (folder / "strategies/tiny.yaml").write_text(TINY)
        entry = loaded("docker/workspace.yaml")
        server = entry["load_from"][0]["grpc_server"]
        server |= {"host": "127.0.0.1", "port": self.code_port}
        (folder / "workspace.yaml").write_text(yaml.safe_dump(entry))
        own = {name: value for name, value in os.environ.items() if not is_ours(name)}
        self.environment = own | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "DAGSTER_HOME": str(folder / "dagster"),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "DAGSTER_POSTGRES_HOST": str(database.host),
            "DAGSTER_POSTGRES_USER": str(database.username or "postgres"),
            "DAGSTER_POSTGRES_PASSWORD": str(database.password or ""),
            "DAGSTER_POSTGRES_DB": str(database.database),
            "TRADING_HOME": str(folder / "home"),
            "TRADING_MARKET_START": "2024-01-02",
            "TRADING_STRATEGIES": str(folder / "strategies"),
            **RUN_ENVIRONMENT,
        }

    def here(self, words: Sequence[str]) -> list[str]:
        """A command of a service on this machine, with the ports of this stack."""
        changed = {
            "0.0.0.0": "127.0.0.1",  # noqa: S104 - of the container, not of this machine
            "4000": str(self.code_port),
            "3000": str(self.web_port),
            "docker/workspace.yaml": f"{self.folder}/workspace.yaml",
        }
        pattern = "|".join(map(re.escape, changed))
        own = [re.sub(pattern, lambda found: changed[found[0]], word) for word in words]
        return [str(BIN / own[0]), *own[1:]]

    def is_well(self, name: str) -> bool:
        """Whether the service's own health check says so."""
        kind, *words = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        checked = subprocess.run(
            self.here(words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        return checked.returncode == 0

    @contextmanager
    def running(self, name: str) -> Iterator["subprocess.Popen[bytes]"]:
        """The service *name*, until the block is left."""
        with (self.folder / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                self.here(services()[name]["command"]),
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield child
            finally:
                os.killpg(child.pid, 9)
                child.wait()

    def ask(self, query: str, **variables: Any) -> Any:
        """The web server's answer to a question in GraphQL."""
        request = Request(
            f"http://127.0.0.1:{self.web_port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
            return json.load(answer)["data"]

    def logs(self) -> str:
        """The end of what every service has printed."""
        files = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{file.name}:\n{file.read_text()[-3000:]}" for file in files)


TINY = """
name: tiny
universe: [AAA]
start: 2024-01-02
benchmark: null
analyst: {kind: rules, rule: breakout}
"""
LOCATIONS = """
{
  workspaceOrError {
    ... on Workspace { locationEntries { name locationOrLoadError { __typename } } }
  }
}
"""
LAUNCH = """
mutation($run: ExecutionParams!) {
  launchRun(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def is_ours(name: str) -> bool:
    return name.startswith(("TRADING_", "DAGSTER_"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(answer: Callable[[], Any], wanted: Sequence[Any], stack: Stack) -> Any:
    """What *answer* gives once that is one of *wanted*."""
    deadline, last = time.monotonic() + WITHIN_SECONDS, None
    while time.monotonic() < deadline:
        try:
            last = answer()
        except (URLError, OSError) as error:
            last = error
        if last in wanted:
            return last
        time.sleep(0.5)
    raise AssertionError(f"still {last!r}, not {wanted}\n{stack.logs()}")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    url = sa.make_url(POSTGRES).set(drivername="postgresql+psycopg2")
    if (url.port or 5432) != 5432:
        pytest.skip("docker/dagster.yaml asks for PostgreSQL on port 5432")
    server = sa.create_engine(
        url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3}
    )
    try:
        connection = server.connect()
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {POSTGRES}: {error.orig}")
    user = connection.exec_driver_sql("SELECT current_user").scalar_one()
    database = f"trading_assets_{uuid4().hex[:12]}"
    connection.exec_driver_sql(f"CREATE DATABASE {database}")
    try:
        yield Stack(tmp_path, url.set(database=database, username=user))
    finally:
        connection.exec_driver_sql(f"DROP DATABASE {database} WITH (FORCE)")
        connection.close()
        server.dispose()


def test_the_services_of_compose_run_a_job_together(stack: Stack) -> None:
    with ExitStack() as children:
        children.enter_context(stack.running("code_location"))
        until(lambda: stack.is_well("code_location"), [True], stack)
        for name in ("web", "daemon"):
            children.enter_context(stack.running(name))

        def locations() -> Mapping[str, str]:
            entries = stack.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
            return {
                each["name"]: each["locationOrLoadError"]["__typename"] for each in entries
            }

        until(locations, [{"trading_assets": "RepositoryLocation"}], stack)
        launched = stack.ask(LAUNCH, run=market_run("2024-01-02|AAA", "2024-01-05|AAA"))
        assert launched["launchRun"]["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["launchRun"]["run"]["runId"]

        def status() -> str:
            return stack.ask(STATUS, id=run_id)["runOrError"]["status"]

        assert until(status, ["SUCCESS", "FAILURE"], stack) == "SUCCESS"
        for name in ("web", "daemon"):
            until(lambda name=name: stack.is_well(name), [True], stack)

    assert (stack.folder / "home/warehouse.duckdb").exists()
    assert {path.name for path in (stack.folder / "dagster").iterdir()} == {"dagster.yaml"}


def market_run(first: str, last: str) -> dict[str, Any]:
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }
    return {
        "selector": {
            "repositoryLocationName": "trading_assets",
            "repositoryName": "__repository__",
            "jobName": "market",
        },
        "executionMetadata": {
            "tags": [{"key": key, "value": value} for key, value in tags.items()]
        },
    }
