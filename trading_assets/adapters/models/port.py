"""What we need from whoever puts questions to models."""

from typing import Protocol

from trading_assets.models.question import Answer, Errand, Question


class ModelGateway(Protocol):
    """Questions become answers, each paid for once.

    Every gateway keeps these promises:

    - The same question is answered with the same bytes, at no cost, however often it is
      put, by whomever: unless the gateway was told to ask anew.
    - What was sent, what came back and what it cost is on record, attempt by attempt.
    - No attempt is made that could cost more than the budget has left.
    - It is open within one event loop, from ``async with`` to its end.
    """

    async def answer(self, question: Question, errand: Errand) -> Answer:
        """Put *question* to a model, or to the next one that can be heard.

        Args:
            question: All that the model is shown.
            errand: On whose behalf; no answer depends on it.

        Returns:
            What was heard: also a refusal, or an answer that was cut off or makes no
            sense.

        Raises:
            ModelUnavailable: If nobody could be heard.
            QuestionRejected: If nobody takes this question as it is.
            BudgetSpent: If asking could cost more than the budget has left.
            InvalidInput: If a model has no key, no address, or no known price.
        """
        ...
