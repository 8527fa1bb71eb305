"""A process that asks one question: ``dying_asker.py FOLDER URL``; it may be killed."""

import sys
from pathlib import Path

from trading_assets.adapters.chart_store.filesystem import FileChartStore
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models.access import Access
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings
from trading_assets.models.question import Provider
from trading_assets_tests.adapters.models.desks import (
    KEY,
    OPENAI,
    make_errand,
    make_question,
    run,
)


async def _ask(gateway: Gateway) -> None:
    async with gateway:
        await gateway.answer(make_question(OPENAI), make_errand())


def main(folder: Path, url: str) -> None:
    """Ask; the ledger is in *folder*, the model at *url*."""
    book = CallBook.open(folder / "ledger.db")
    accesses = {Provider.OPENAI: Access.of(KEY, url)}
    pictures = FileChartStore(folder / "charts")
    run(_ask(Gateway(GatewaySettings(), accesses, book, pictures)))
    book.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
