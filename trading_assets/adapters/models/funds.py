"""Money that is set aside for questions that are out, and given back when they are home.

What a question could cost at most is many times what most cost. So one that would go
beyond a limit only because others are out waits for them, and is refused when it would
still go beyond.
"""

import asyncio
from collections import Counter

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.errors import BudgetSpent
from trading_assets.models.call import Attempt
from trading_assets.models.question import Errand, Question
from trading_assets.strategies.spec import Budget


class Funds:
    """What may be spent by those who share a budget; the ledger has the sums."""

    def __init__(self, book: CallBook, budget: Budget) -> None:
        self._book = book
        self._budget = budget
        self._out: Counter[str] = Counter()
        self._returns = 0
        self._returned = asyncio.Event()

    async def reserve(
        self, call_id: str, question: Question, errand: Errand, attempt: Attempt
    ) -> str:
        """Set aside what *attempt* could cost, on the disk; its call id.

        Args:
            call_id: Of the call that it belongs to; empty for a new one.
            question: What is asked.
            errand: On whose behalf.
            attempt: What is about to be sent.

        Raises:
            BudgetSpent: If it could cost more than there is left.
        """
        while True:
            returns, returned = self._returns, self._returned
            try:
                call_id = await asyncio.wrap_future(
                    self._book.reserve(call_id, errand, attempt, self._budget)
                    if call_id
                    else self._book.begin(question, errand, attempt, self._budget)
                )
            except BudgetSpent:
                if returns == self._returns:
                    if not self._out[errand.strategy]:
                        raise
                    await returned.wait()
            else:
                self._out[errand.strategy] += 1
                return call_id

    def release(self, errand: Errand) -> None:
        """Tell those who wait that an attempt is home; what it cost is recorded next."""
        self._out[errand.strategy] -= 1
        self._returns += 1
        self._returned.set()
        self._returned = asyncio.Event()
