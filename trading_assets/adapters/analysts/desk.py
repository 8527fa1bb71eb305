"""Who puts an analyst's questions to models, and remembers what came of them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from trading_assets.adapters.chart_store.port import ChartStore
from trading_assets.adapters.ledger.approvals import ApprovalBook
from trading_assets.adapters.ledger.batches import BatchBook
from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.ledger.intents import IntentBook
from trading_assets.adapters.ledger.opinions import OpinionBook
from trading_assets.adapters.models.access import Accesses
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings
from trading_assets.models.base import Lane
from trading_assets.strategies.spec import ModelAnalyst


@dataclass(frozen=True, slots=True)
class ModelDesk:
    """The ledger's memory of opinions and calls, and a way to whoever has none yet.

    Attributes:
        accesses: Keys and addresses; asked for when somebody has to be asked.
        pictures: Where what is sent is kept.
    """

    calls: CallBook
    opinions: OpinionBook
    intents: IntentBook
    approvals: ApprovalBook
    batches: BatchBook
    accesses: Accesses
    pictures: ChartStore

    @classmethod
    def open(cls, ledger: str | Path, accesses: Accesses, pictures: ChartStore) -> Self:
        """A desk on the ledger at *ledger*."""
        return cls(
            calls=CallBook.open(ledger),
            opinions=OpinionBook.open(ledger),
            intents=IntentBook.open(ledger),
            approvals=ApprovalBook.open(ledger),
            batches=BatchBook.open(ledger),
            accesses=accesses,
            pictures=pictures,
        )

    def close(self) -> None:
        """Let go of the ledger."""
        self.calls.close()
        self.opinions.close()
        self.intents.close()
        self.approvals.close()
        self.batches.close()

    def gateway(self, analyst: ModelAnalyst, *, is_refreshing: bool) -> Gateway:
        """The way to the models of *analyst*, within its budget."""
        settings = GatewaySettings(
            fallback=analyst.fallback,
            budget=analyst.budget,
            concurrency=analyst.concurrency,
            timeout_seconds=analyst.timeout_seconds,
            is_refreshing=is_refreshing,
        )
        return Gateway(settings, self.accesses, self.calls, self.pictures)

    def traded(self, strategy: str) -> set[tuple[date, str]]:
        """Sessions and symbols of *strategy* from which an order went to a real broker.

        Or may go at any moment: a person is asked about it, or has approved it.
        """
        intents = self.intents.of_strategy(strategy).values()
        asked = self.approvals.of(strategy, Lane.IBKR.value)
        at = datetime.now(UTC)
        waiting = (it for it in asked if it.may_be_sent or it.waits(at))
        return {(it.ticket.session, it.ticket.symbol) for it in intents} | {
            (it.proposal.session, it.proposal.head.symbol) for it in waiting
        }
