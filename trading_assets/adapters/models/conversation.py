"""One question on its way: attempt by attempt, key by key, model by model.

Each attempt is committed before it is sent. A fault that passes is waited for, within
bounds; one that does not is left at once for the next model.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta

from trading_assets.adapters.ledger.calls import CallBook
from trading_assets.adapters.models import prices
from trading_assets.adapters.models.access import ApiKey
from trading_assets.adapters.models.funds import Funds
from trading_assets.adapters.models.gate import Gate
from trading_assets.adapters.models.pace import rate_limit_headers
from trading_assets.adapters.models.replies import Reading, Reply, Silence
from trading_assets.adapters.models.servers import Server
from trading_assets.adapters.models.surroundings import Surroundings
from trading_assets.adapters.models.verdicts import Then, Verdict, pause_seconds
from trading_assets.errors import ModelUnavailable, QuestionRejected
from trading_assets.models.call import Attempt, Ending, Settlement
from trading_assets.models.question import (
    Answer,
    Errand,
    Outcome,
    Provider,
    Question,
    Usage,
)

REQUEST_IDS = ("request-id", "x-request-id")
SCHEMA_WORDS = ("response_format", "json_schema", "grammar")
LONGEST_CLOSED_SECONDS = 86_400.0
"""A server that asks for longer is asked once a day all the same."""

FOR_GOOD = {Outcome.SPEND_LIMITED, Outcome.UNAUTHORIZED, Outcome.REJECTED}
"""What will be no different in a minute."""

LONGEST_TEXT = 2000
"""Characters of a reason that are kept; the reply itself is kept whole."""


NO_KEY = Verdict(
    outcome=Outcome.UNAUTHORIZED, then=Then.NEXT_MODEL, reason="every key was refused"
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one model is asked again and again.

    Attributes:
        failures: So many, and the next model is asked.
        doubtful: So many of those that may be billed without our knowing.
        longest_wait_seconds: A server that asks for more is not waited for.
    """

    failures: int = 5
    doubtful: int = 2
    longest_wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model of the chain, and the server that has it."""

    model: str
    server: Server

    @property
    def name(self) -> str:
        return self.model.partition("/")[2]


class Conversation:
    """A question that nobody has answered yet; `ask` is called once."""

    def __init__(
        self,
        question: Question,
        key: str,
        errand: Errand,
        book: CallBook,
        funds: Funds,
        patience: Patience,
        surroundings: Surroundings,
    ) -> None:
        self._question = question
        self._key = key
        self._errand = errand
        self._book = book
        self._funds = funds
        self._patience = patience
        self._surroundings = surroundings
        self._call_id = ""
        self._attempts = 0
        self._usage = Usage()
        self._cost_usd = 0.0
        self._price_version = ""
        self._started = 0.0
        self._ended: Future[None] | None = None

    @property
    def ended(self) -> Future[None] | None:
        """Done when the end is on record; None if there was nothing to record."""
        return self._ended

    async def ask(self, chain: Sequence[tuple[str, Server]]) -> Answer:
        """Put the question to the models of *chain*, until one is heard.

        Raises:
            ModelUnavailable: If none is.
            QuestionRejected: If each that could be asked refuses the request itself.
            BudgetSpent: If the next attempt could cost more than there is left.
        """
        self._started = self._surroundings.clock()
        last, model, silent = Verdict(outcome=Outcome.UNREACHABLE, then=Then.DONE), "", []
        outcomes: set[Outcome] = set()
        try:
            for model, server in chain:
                last = await self._ask_model(_Candidate(model, server))
                if last.then is Then.DONE:
                    return self._answered(
                        model, last.reading or Reading(outcome=last.outcome)
                    )
                silent.append(f"{model}: {last.outcome}, {last.reason}")
                outcomes.add(last.outcome)
        except Exception as error:
            self._end(model, last, reason=str(error))
            raise
        if last.reading is not None:  # somebody is there, and makes no sense
            return self._answered(model, last.reading)
        self._end(model, last, reason="; ".join(silent))
        raise _unavailable(f"no model could be heard: {'; '.join(silent)}", outcomes)

    async def _ask_model(self, candidate: _Candidate) -> Verdict:
        """The last word of one model; ``done`` if it is an answer."""
        if (closed := self._closed(candidate)) is not None:
            return closed
        failures = doubtful = 0
        refused_key: Verdict | None = None
        while True:
            verdict = await self._attempt(candidate)
            if verdict is None:
                return replace(refused_key or NO_KEY, then=Then.NEXT_MODEL)
            if verdict.then is Then.DONE:
                return verdict
            if verdict.then is Then.NEXT_KEY:
                refused_key = verdict
                continue
            failures += 1
            doubtful += verdict.is_doubtful
            is_patient = self._is_patient(failures, doubtful, verdict)
            if verdict.then is Then.NEXT_MODEL or not is_patient:
                self._remember(candidate, verdict)
                return replace(verdict, then=Then.NEXT_MODEL)
            await self._pause(candidate.server, failures, verdict)

    def _closed(self, candidate: _Candidate) -> Verdict | None:
        """What a model has said to somebody else and would say again; None if nothing."""
        server = candidate.server
        if server.spent is not None:
            return server.spent
        until = server.closed_until.get(candidate.name)
        if until is None or until <= self._surroundings.now():
            return None
        return Verdict(
            outcome=Outcome.RATE_LIMITED,
            then=Then.NEXT_MODEL,
            reason=f"it wants to be left alone until {until:%Y-%m-%d %H:%M:%S} UTC",
        )

    def _remember(self, candidate: _Candidate, verdict: Verdict) -> None:
        """Keep others from asking what would be answered in the same way."""
        server, seconds = candidate.server, verdict.retry_after_seconds or 0.0
        if verdict.outcome is Outcome.SPEND_LIMITED:
            server.spent = replace(verdict, then=Then.NEXT_MODEL)
        elif seconds > self._patience.longest_wait_seconds:
            wait = timedelta(seconds=min(seconds, LONGEST_CLOSED_SECONDS))
            server.closed_until[candidate.name] = self._surroundings.now() + wait

    def _is_patient(self, failures: int, doubtful: int, verdict: Verdict) -> bool:
        asked_for = verdict.retry_after_seconds or 0.0
        return (
            failures < self._patience.failures
            and doubtful < self._patience.doubtful
            and asked_for <= self._patience.longest_wait_seconds
        )

    async def _pause(self, server: Server, failures: int, verdict: Verdict) -> None:
        chance = self._surroundings.chance()
        asked_for = verdict.retry_after_seconds
        if asked_for is not None:
            server.pace.pause(asked_for)  # of everybody
        await self._surroundings.sleep(pause_seconds(failures, asked_for, chance))

    async def _attempt(self, candidate: _Candidate) -> Verdict | None:
        """Ask once, in turn; None if every key was refused meanwhile.

        A server that takes no schema is asked once more in the same turn, with the schema
        in words; if that is taken, it is remembered.
        """
        server, name = candidate.server, candidate.name
        async with server.pace.turn(prices.input_tokens(self._question)):
            key = server.keys.current
            if key is None:
                return None
            has_schema = name not in server.without_schema
            verdict = await self._send(candidate, key, has_schema=has_schema)
            if has_schema and _may_be_the_schema(server, verdict):
                in_words = await self._send(candidate, key, has_schema=False)
                if in_words.then is Then.DONE:
                    server.without_schema.add(name)
                if not in_words.is_refused_request:
                    verdict = in_words
            if verdict.then is Then.NEXT_KEY:
                server.keys.refuse(key)
            return verdict

    async def _send(
        self, candidate: _Candidate, key: ApiKey, *, has_schema: bool
    ) -> Verdict:
        """One request: committed, sent, settled."""
        server = candidate.server
        attempt = self._next(candidate, key, has_schema=has_schema)
        gate = Gate(self._reserve(attempt), server.timeout_seconds)
        started = self._surroundings.clock()
        try:
            came = await server.ask(
                self._question, candidate.name, key, gate, has_schema=has_schema
            )
            await gate.require_open()
        finally:
            await gate.close()
            if gate.is_open:
                self._funds.release(self._errand)
        latency_seconds = self._surroundings.clock() - started
        verdict = server.judged(came, self._surroundings.now())
        self._settle(attempt, came, verdict, latency_seconds)
        if isinstance(came, Reply):
            server.pace.hear(came.headers)
        return verdict

    def _next(self, candidate: _Candidate, key: ApiKey, *, has_schema: bool) -> Attempt:
        model = candidate.model
        return Attempt(
            number=self._attempts + 1,
            model=model,
            key_id=key.key_id,
            is_schema_sent=has_schema,
            estimated_usd=prices.most_usd(self._question, model),
            price_version=prices.price_version(model),
            asked_at=self._surroundings.now(),
        )

    async def _reserve(self, attempt: Attempt) -> None:
        """Have *attempt* on the disk, and its call before it."""
        self._call_id = await self._funds.reserve(
            self._call_id, self._question, self._errand, attempt
        )
        self._attempts = attempt.number
        self._price_version = attempt.price_version

    def _settle(
        self, attempt: Attempt, came: Reply | Silence, verdict: Verdict, latency: float
    ) -> None:
        usage = verdict.reading.usage if verdict.reading is not None else None
        charged_usd = _charge(attempt, verdict, usage)
        headers = came.headers if isinstance(came, Reply) else {}
        is_reply = isinstance(came, Reply)
        settlement = Settlement(
            outcome=verdict.outcome,
            status=came.status if is_reply else None,
            request_id=next((headers[it] for it in REQUEST_IDS if it in headers), ""),
            rate_limits=rate_limit_headers(headers),
            usage=usage,
            charged_usd=attempt.estimated_usd if charged_usd is None else charged_usd,
            is_charge_estimated=charged_usd is None,
            latency_seconds=latency,
            reply=came.body if is_reply else b"",
            error=storable(verdict.reason),
            settled_at=self._surroundings.now(),
        )
        self._book.settle(self._call_id, self._errand, attempt, settlement)
        self._cost_usd += settlement.charged_usd
        self._usage = _sum(self._usage, usage or Usage())

    def _answered(self, model: str, reading: Reading) -> Answer:
        ending = self._ending(
            model,
            outcome=reading.outcome,
            text=storable(reading.text, None),
            reason=reading.reason,
            model_answered=reading.model,
        )
        self._ended = self._book.end(self._call_id, ending)
        return Answer(
            call_id=self._call_id,
            question_key=self._key,
            outcome=ending.outcome,
            text=ending.text,
            reason=ending.reason,
            model_asked=model,
            model_answered=ending.model_answered,
            usage=ending.usage,
            cost_usd=ending.cost_usd,
            latency_seconds=ending.latency_seconds,
            is_recorded=False,
            recorded_cost_usd=ending.cost_usd,
        )

    def _end(self, model: str, last: Verdict, *, reason: str) -> None:
        """Record that nobody was heard, if anybody was asked."""
        if self._call_id:
            ending = self._ending(
                model, outcome=last.outcome, text="", reason=reason, model_answered=""
            )
            self._ended = self._book.end(self._call_id, ending)

    def _ending(
        self, model: str, *, outcome: Outcome, text: str, reason: str, model_answered: str
    ) -> Ending:
        return Ending(
            outcome=outcome,
            text=text,
            reason=storable(reason),
            model_asked=model,
            model_answered=storable(model_answered),
            usage=self._usage,
            cost_usd=self._cost_usd,
            price_version=self._price_version,
            latency_seconds=self._surroundings.clock() - self._started,
            answered_at=self._surroundings.now(),
        )


def storable(text: str, longest: int | None = LONGEST_TEXT) -> str:
    """*text* as every database takes it; cut where it is too long."""
    whole = text if longest is None else text[:longest]
    return (
        whole.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
    )


def _unavailable(why: str, outcomes: Collection[Outcome]) -> ModelUnavailable:
    """Nobody was heard, of whom each said one of *outcomes* in the end."""
    if Outcome.REJECTED in outcomes and FOR_GOOD.issuperset(outcomes):
        return QuestionRejected(why)
    return ModelUnavailable(why, may_pass=not FOR_GOOD.issuperset(outcomes))


def _may_be_the_schema(server: Server, verdict: Verdict) -> bool:
    """Servers of one's own differ in what they take, and not all say what it was."""
    if server.provider is not Provider.COMPATIBLE:
        return False
    is_named = any(word in verdict.reason for word in SCHEMA_WORDS)
    return verdict.is_refused_request or (
        verdict.outcome is Outcome.OVERLOADED and is_named
    )


def _charge(attempt: Attempt, verdict: Verdict, usage: Usage | None) -> float | None:
    """What an attempt costs, US dollars; None if nobody knows."""
    if verdict.is_doubtful:
        return None
    if verdict.reading is None:
        return 0.0
    return None if usage is None else prices.cost_usd(attempt.model, usage)


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        cache_read_tokens=one.cache_read_tokens + other.cache_read_tokens,
        cache_write_tokens=one.cache_write_tokens + other.cache_write_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
    )
