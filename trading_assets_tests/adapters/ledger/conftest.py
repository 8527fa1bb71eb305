import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from trading_assets.adapters.ledger.store import Ledger

POSTGRES = os.environ.get("TRADING_TEST_POSTGRES", "postgresql://127.0.0.1:5432/test")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where a ledger may be opened; nothing is there yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "home" / "ledger.db")
        return
    server = sa.create_engine(
        sa.make_url(POSTGRES).set(drivername="postgresql+psycopg2"),
        isolation_level="AUTOCOMMIT",
        connect_args={"connect_timeout": 3},
    )
    schema = f"trading_assets_{uuid4().hex[:12]}"
    try:
        connection = server.connect()
    except sa.exc.OperationalError as error:
        pytest.skip(f"no PostgreSQL at {POSTGRES}: {error.orig}")
    connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{schema}"
    connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    connection.close()
    server.dispose()


@pytest.fixture
def ledger(place: str) -> Iterator[Ledger]:
    opened = Ledger.open(place)
    yield opened
    opened.close()
