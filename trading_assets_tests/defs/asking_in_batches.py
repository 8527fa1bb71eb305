"""A process that asks in batches, for whoever wants to kill it.

    python -m trading_assets_tests.defs.asking_in_batches HOME URL submit|poll [COMMITS]

After so many commits to the ledger it is gone, without a word.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from trading_assets.adapters.analysts import batching
from trading_assets.adapters.analysts.batching import Now, right_now
from trading_assets.adapters.analysts.desk import ModelDesk
from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.models.access import accesses
from trading_assets.defs.batches import BatchWork
from trading_assets_tests.defs.world import World


@contextmanager
def batch_work(
    world: World,
    url: str,
    *,
    strategy: str = "reader",
    now: Now = right_now,
    openai_key: str = "another-secret",
) -> Iterator[BatchWork]:
    """The batches of a world's strategy; either provider is at *url*."""
    told = {
        "ANTHROPIC_API_KEY": "a-secret",
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_API_KEY": openai_key,
        "OPENAI_BASE_URL": f"{url}/v1",
        "COMPATIBLE_BASE_URL": f"{url}/v1",
    }
    pictures = FileChartStore(world.settings.charts)
    with closing(ModelDesk.open(world.settings.ledger, accesses(told), pictures)) as desk:
        yield BatchWork(world.lane(strategy), world.warehouse, desk, now)


def die_after(commits: int) -> None:
    """Be gone after so many commits that have written."""
    left = [commits]

    @event.listens_for(sa.Engine, "commit")
    def _count(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("is_writing"):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(home: str, url: str, what: str, commits: str = "") -> None:
    """Do one thing."""
    batching.FILED_TOGETHER = 1
    world = World(Path(home))
    with batch_work(world, url) as work:
        if commits:
            die_after(int(commits))
        if what == "submit":
            days = world.lane_sessions
            work.submit(days[0], days[1], work.lane.symbols, "run-1")
        else:
            work.poll()


if __name__ == "__main__":
    main(*sys.argv[1:])
