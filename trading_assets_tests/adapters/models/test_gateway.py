"""Through the real SDKs and real sockets: only the clock is ours."""

import asyncio
import json
import logging
import socket
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from trading_assets.adapters.models.access import Access, ApiKey
from trading_assets.adapters.models.gate import MOST_REPLY_BYTES
from trading_assets.adapters.models.gateway import Gateway, GatewaySettings, picture_path
from trading_assets.adapters.models.surroundings import Surroundings
from trading_assets.errors import InvalidInput, ModelUnavailable, QuestionRejected
from trading_assets.models.question import Answer, Outcome, Provider
from trading_assets_tests.adapters.models.desks import (
    ANTHROPIC,
    COMPATIBLE,
    KEY,
    MODELS,
    OPENAI,
    Desk,
    make_errand,
    make_question,
    run,
)
from trading_assets_tests.fake_models import FakeModels, Fault, Play

every_model = pytest.mark.parametrize("model", MODELS)


@every_model
def test_an_answer_is_what_the_model_said(desk: Desk, model: str) -> None:
    desk.models.play(Play(text='{"action": "BUY"}'))

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.ANSWERED
    assert answer.text == '{"action": "BUY"}'
    assert answer.model_asked == model
    assert answer.model_answered == model.partition("/")[2]
    assert answer.usage.input_tokens > 2000
    assert not answer.is_recorded


@every_model
def test_what_was_answered_is_never_asked_again(desk: Desk, model: str) -> None:
    first = desk.ask(make_question(model))
    again = desk.ask(make_question(model), make_errand(run_id="run-2", role="other"))

    assert again == replace(first, is_recorded=True, cost_usd=0.0)
    assert again.recorded_cost_usd == first.cost_usd
    assert len(desk.models.requests) == 1


def test_another_sample_is_another_question(desk: Desk) -> None:
    one, two = desk.ask(make_question()), desk.ask(make_question(sample=2))

    assert one.call_id != two.call_id
    assert len(desk.models.requests) == 2


def test_refreshing_asks_anew_and_its_answer_counts_from_then_on(desk: Desk) -> None:
    desk.models.play(Play(text="old"), Play(text="new"))
    desk.ask(make_question())
    desk.time.seconds += 1

    fresh = desk.ask(make_question(), make_errand(run_id="run-2"), is_refreshing=True)
    later = desk.ask(make_question())

    assert (fresh.text, fresh.is_recorded) == ("new", False)
    assert (later.text, later.is_recorded) == ("new", True)
    assert fresh.call_id.endswith("-2")


def test_refreshing_that_is_tried_again_pays_for_nothing_twice(desk: Desk) -> None:
    desk.models.play(Play(text="old"), Play(text="new"))
    desk.ask(make_question())

    for _ in range(2):
        desk.time.seconds += 1
        errand = make_errand(run_id="run-2")
        assert desk.ask(make_question(), errand, is_refreshing=True).text == "new"

    assert len(desk.models.requests) == 2


@pytest.mark.parametrize("is_refreshing", [False, True])
def test_of_many_who_ask_the_same_at_once_one_pays(
    desk: Desk,
    is_refreshing: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk.models.always(Play(text="once", seconds=0.2))
    desk.surroundings = Surroundings()

    answers = desk.ask_all([make_question()] * 10, is_refreshing=is_refreshing)

    assert {it.text for it in answers} == {"once"}
    assert sorted(it.is_recorded for it in answers) == [False] + [True] * 9
    assert len(desk.models.requests) == 1


def test_of_two_gateways_that_ask_the_same_one_pays(desk: Desk) -> None:
    desk.models.always(Play(text="once", seconds=0.3))
    desk.surroundings = Surroundings()
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda: answers.append(desk.ask(make_question())))
        for _ in range(3)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [it.text for it in answers] == ["once"] * 3
    assert len(desk.models.requests) == 1


REFUSALS = [
    (Fault.REFUSAL, Outcome.REFUSED),
    (Fault.FILTERED, Outcome.REFUSED),
    (Fault.TRUNCATED, Outcome.TRUNCATED),
]


@every_model
@pytest.mark.parametrize(("fault", "outcome"), REFUSALS)
def test_what_was_heard_and_is_no_answer_is_told_once_and_kept(
    desk: Desk, model: str, fault: Fault, outcome: Outcome
) -> None:
    desk.models.play(Play(fault=fault, text='{"action": "BUY", "reasoning": "long"}'))

    answer = desk.ask(make_question(model))
    again = desk.ask(make_question(model))

    assert answer.outcome is again.outcome is outcome
    assert answer.reason
    assert answer.usage.input_tokens > 2000
    assert again.is_recorded
    assert len(desk.models.requests) == 1


@every_model
def test_no_words_at_all_are_malformed_and_paid_for_once(desk: Desk, model: str) -> None:
    desk.models.play(Play(fault=Fault.EMPTY))

    answer = desk.ask(make_question(model))
    again = desk.ask(make_question(model))

    assert answer.outcome is again.outcome is Outcome.MALFORMED
    assert answer.reason == "the model said nothing"
    assert again.is_recorded
    assert len(desk.models.requests) == 1


@every_model
@pytest.mark.parametrize("fault", [Fault.FENCED, Fault.PROSE])
def test_words_around_the_json_are_handed_on_as_they_are(
    desk: Desk, model: str, fault: Fault
) -> None:
    desk.models.play(Play(fault=fault, text='{"action": "BUY"}'))

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.ANSWERED
    assert '{"action": "BUY"}' in answer.text
    assert answer.text != '{"action": "BUY"}'


@every_model
@pytest.mark.parametrize("fault", [Fault.HTML, Fault.MALFORMED_JSON, Fault.OTHER_JSON])
def test_a_reply_that_is_none_is_asked_again_once_and_then_told(
    desk: Desk, model: str, fault: Fault
) -> None:
    desk.models.always(Play(fault=fault))

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.MALFORMED
    assert len(desk.models.requests) == 2
    assert desk.outcomes(answer) == ["malformed"] * 2
    recorded = desk.book.call(answer.call_id).attempts[0].settlement
    assert recorded is not None
    assert recorded.reply
    assert recorded.is_charge_estimated


@every_model
def test_a_reply_that_is_none_may_be_an_answer_next_time(desk: Desk, model: str) -> None:
    desk.models.play(Play(fault=Fault.HTML))

    answer = desk.ask(make_question(model))

    assert desk.outcomes(answer) == ["malformed", "answered"]


PASSING = [
    (Fault.RATE_LIMITED, "rate_limited"),
    (Fault.SERVER_ERROR, "overloaded"),
    (Fault.BAD_GATEWAY, "overloaded"),
    (Fault.UNAVAILABLE, "overloaded"),
    (Fault.OVERLOADED, "overloaded"),
    (Fault.CONFLICT, "overloaded"),
    (Fault.GATEWAY_TIMEOUT, "timed_out"),
    (Fault.DROP_BEFORE, "ambiguous_billed"),
    (Fault.DROP_AFTER, "ambiguous_billed"),
    (Fault.DROP_AMID, "ambiguous_billed"),
]


@every_model
@pytest.mark.parametrize(("fault", "outcome"), PASSING)
def test_what_passes_is_asked_again(
    desk: Desk, model: str, fault: Fault, outcome: str
) -> None:
    desk.models.play(Play(fault=fault))

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.ANSWERED
    assert desk.outcomes(answer) == [outcome, "answered"]
    assert desk.time.slept == [0.5]


@every_model
def test_asking_again_has_an_end_and_takes_longer_each_time(desk: Desk, model: str) -> None:
    desk.models.always(Play(fault=Fault.OVERLOADED))

    with pytest.raises(ModelUnavailable, match=rf"{model}: overloaded, HTTP 529"):
        desk.ask(make_question(model))

    assert desk.time.slept == [0.5, 1.0, 2.0, 4.0]
    assert len(desk.models.requests) == 5


@every_model
@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.GATEWAY_TIMEOUT])
def test_what_may_have_been_billed_is_asked_twice_at_most(
    desk: Desk, model: str, fault: Fault
) -> None:
    desk.models.always(Play(fault=fault))

    with pytest.raises(ModelUnavailable):
        desk.ask(make_question(model))

    assert len(desk.models.requests) == 2


FINAL = [
    (Fault.BAD_REQUEST, "rejected"),
    (Fault.NOT_FOUND, "rejected"),
    (Fault.TOO_LARGE, "rejected"),
    (Fault.FORBIDDEN, "unauthorized"),
    (Fault.SPEND_LIMIT, "spend_limited"),
    (Fault.PAYMENT, "spend_limited"),
    (Fault.UNAUTHORIZED, "unauthorized"),
    (Fault.EXPIRED_KEY, "unauthorized"),
]


@pytest.mark.parametrize("model", [ANTHROPIC, OPENAI])
@pytest.mark.parametrize(("fault", "outcome"), FINAL)
def test_what_does_not_pass_is_asked_once(
    desk: Desk, model: str, fault: Fault, outcome: str
) -> None:
    desk.models.always(Play(fault=fault))

    with pytest.raises(ModelUnavailable, match=outcome):
        desk.ask(make_question(model))

    assert len(desk.models.requests) == 1
    assert desk.time.slept == []


@pytest.mark.parametrize(
    ("fault", "kind", "may_pass"),
    [
        (Fault.SPEND_LIMIT, ModelUnavailable, False),
        (Fault.UNAUTHORIZED, ModelUnavailable, False),
        (Fault.OVERLOADED, ModelUnavailable, True),
        (Fault.NOT_FOUND, QuestionRejected, False),
        (Fault.REDIRECT, QuestionRejected, False),
    ],
)
def test_it_is_told_whether_another_try_may_help(
    desk: Desk,
    fault: Fault,
    kind: type[ModelUnavailable],
    may_pass: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk.models.always(Play(fault=fault))

    with pytest.raises(ModelUnavailable) as raised:
        desk.ask(make_question())

    assert type(raised.value) is kind
    assert raised.value.may_pass is may_pass


@pytest.mark.parametrize(
    ("play", "asked"),
    [
        (Play(fault=Fault.SPEND_LIMIT), 1),
        (Play(fault=Fault.RATE_LIMITED, retry_after="3600"), 1),
        (Play(fault=Fault.RATE_LIMITED, retry_after="3"), 15),
        (Play(fault=Fault.BAD_REQUEST), 3),
    ],
)
def test_who_will_say_no_to_everybody_is_asked_once(
    desk: Desk, play: Play, asked: int
) -> None:
    desk.models.always(play, model=ANTHROPIC.partition("/")[2])

    async def one_by_one() -> list[Answer]:
        async with desk.gateway(fallback=(OPENAI,)) as gateway:
            return [
                await gateway.answer(make_question(sample=it), make_errand())
                for it in (1, 2, 3)
            ]

    answers = run(one_by_one())

    assert {it.model_asked for it in answers} == {OPENAI}
    assert len(desk.models.requests) == asked + 3


@every_model
def test_nobody_follows_to_another_place(desk: Desk, model: str) -> None:
    with FakeModels() as elsewhere:
        place = f"{elsewhere.url('anthropic')}/v1/messages"
        desk.models.always(Play(fault=Fault.REDIRECT, headers={"location": place}))

        with pytest.raises(ModelUnavailable, match="it sends us elsewhere"):
            desk.ask(make_question(model))

        assert elsewhere.requests == []


@every_model
def test_a_question_that_a_filter_stops_is_refused_and_costs_nothing(
    desk: Desk, model: str
) -> None:
    desk.models.play(Play(fault=Fault.POLICY))

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.REFUSED
    assert "content filtering policy" in answer.reason
    assert answer.cost_usd == 0.0
    assert desk.ask(make_question(model)).is_recorded


FAR = "Mon, 01 Jan 99999999999999 00:00:00 GMT"


@pytest.mark.parametrize("reset", ["99999999999h", "9" * 400 + "h", "1e308", "nan", FAR])
@every_model
def test_headers_that_make_no_sense_do_no_harm(desk: Desk, model: str, reset: str) -> None:
    names = ("anthropic-ratelimit-requests-{}", "x-ratelimit-{}-requests")
    told = {"reset": reset, "remaining": "9" * 400, "limit": "nan"}
    odd = {name.format(of): value for name in names for of, value in told.items()}
    desk.models.play(
        Play(fault=Fault.OVERLOADED, retry_after=FAR, headers=odd), Play(headers=odd)
    )

    assert desk.ask(make_question(model)).outcome is Outcome.ANSWERED


@every_model
def test_a_reply_without_end_is_not_read_to_it(desk: Desk, model: str) -> None:
    desk.models.play(Play(text="x" * MOST_REPLY_BYTES))

    answer = desk.ask(make_question(model))

    assert desk.outcomes(answer) == ["ambiguous_billed", "answered"]


@every_model
def test_the_next_model_is_asked_when_one_can_not_be_heard(desk: Desk, model: str) -> None:
    other = next(it for it in MODELS if it != model)
    desk.models.always(Play(fault=Fault.SPEND_LIMIT), model=model.partition("/")[2])

    answer = desk.ask(make_question(model), fallback=(model, other))

    assert answer.model_asked == other
    call = desk.book.call(answer.call_id)
    assert call.model == model
    assert [it.attempt.model for it in call.attempts] == [model, other]
    assert desk.ask(make_question(model)).is_recorded


def test_an_answer_of_the_next_model_is_better_than_none_that_can_be_read(
    desk: Desk,
) -> None:
    desk.models.always(Play(fault=Fault.HTML), model="claude-haiku-5-5")

    answer = desk.ask(make_question(), fallback=(OPENAI,))

    assert answer.outcome is Outcome.ANSWERED
    assert desk.outcomes(answer) == ["malformed", "malformed", "answered"]


@pytest.mark.parametrize(
    ("play", "slept"),
    [
        (Play(fault=Fault.RATE_LIMITED, retry_after="7"), 7.25),
        (Play(fault=Fault.RATE_LIMITED, retry_after_ms="2500"), 2.75),
        (Play(fault=Fault.OVERLOADED, retry_after="Tue, 03 Mar 2026 12:00:09 GMT"), 9.25),
        (Play(fault=Fault.RATE_LIMITED, retry_after="nonsense"), 0.5),
        (Play(fault=Fault.RATE_LIMITED, retry_after="-3"), 0.5),
    ],
)
@every_model
def test_a_server_that_asks_for_time_gets_it(
    desk: Desk, model: str, play: Play, slept: float
) -> None:
    desk.models.play(play)

    answer = desk.ask(make_question(model))

    assert answer.outcome is Outcome.ANSWERED
    assert sum(desk.time.slept) == pytest.approx(slept)


@every_model
def test_a_server_that_asks_for_an_hour_is_not_waited_for(desk: Desk, model: str) -> None:
    desk.models.always(Play(fault=Fault.RATE_LIMITED, retry_after="3600"))

    with pytest.raises(ModelUnavailable, match="rate_limited"):
        desk.ask(make_question(model))

    assert len(desk.models.requests) == 1
    assert desk.time.slept == []


@pytest.mark.parametrize("fault", [Fault.UNAUTHORIZED, Fault.EXPIRED_KEY])
@every_model
def test_a_key_that_is_refused_gives_way_to_the_next(
    desk: Desk, model: str, fault: Fault
) -> None:
    desk.keys = "sk-old-111111, sk-new-222222"
    desk.models.refuse_key("sk-old-111111", fault)

    first, second = desk.ask_all([make_question(model), make_question(model, sample=2)])

    assert {first.outcome, second.outcome} == {Outcome.ANSWERED}
    assert desk.models.requests[-1].key == "sk-new-222222"
    attempts = desk.book.call(first.call_id).attempts
    assert len({it.attempt.key_id for it in attempts}) == len(attempts) == 2


def test_a_key_is_in_no_file_no_log_and_no_repr(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    desk.models.play(Play(fault=Fault.ECHO_KEY))

    with pytest.raises(ModelUnavailable) as raised:
        desk.ask(make_question())
    desk.ask(make_question())
    desk.book.close()

    written = b"".join(it.read_bytes() for it in desk.folder.rglob("*") if it.is_file())
    assert b"incorrect api key provided: <key " in written
    assert KEY.encode() not in written
    shown = f"{raised.value!r} {desk.gateway()!r} {desk.accesses!r} {caplog.text}"
    assert KEY not in shown


def test_a_slow_reply_is_ambiguous(desk: Desk) -> None:
    desk.models.play(Play(fault=Fault.SLOW), Play(fault=Fault.TRICKLE))

    with pytest.raises(ModelUnavailable, match=r"ambiguous_billed.*0\.3 s"):
        desk.ask(make_question(), timeout_seconds=0.3)

    assert desk.book.spent("charts") > 0


def test_a_server_that_is_not_there_was_never_billed(desk: Desk) -> None:
    gateway = Gateway(
        GatewaySettings(),
        {Provider.ANTHROPIC: Access.of(KEY, "http://127.0.0.1:1")},
        desk.book,
        desk.pictures,
        desk.time.surroundings,
    )

    with pytest.raises(ModelUnavailable, match="unreachable"):
        run(gateway.answer(make_question(), make_errand()))

    assert desk.book.flush().result() is None
    assert desk.book.spent("charts") == 0.0


def test_a_server_that_takes_no_connection_was_never_billed(desk: Desk) -> None:
    with socket.socket() as deaf, ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(3):  # whoever comes after these is left standing
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the socket's own
            waiting.connect_ex(deaf.getsockname())
        gateway = Gateway(
            GatewaySettings(timeout_seconds=0.4),
            {
                Provider.ANTHROPIC: Access.of(
                    KEY, f"http://127.0.0.1:{deaf.getsockname()[1]}"
                )
            },
            desk.book,
            desk.pictures,
            desk.time.surroundings,
        )

        with pytest.raises(ModelUnavailable, match="unreachable, ConnectTimeout"):
            run(gateway.answer(make_question(), make_errand()))

    assert desk.book.flush().result() is None
    assert desk.book.spent("charts") == 0.0


def test_what_an_sdk_says_of_a_key_is_not_kept(desk: Desk) -> None:
    access = Access((ApiKey(f"{KEY}\n{KEY}"),), desk.models.url("anthropic"))
    gateway = Gateway(
        GatewaySettings(),
        {Provider.ANTHROPIC: access},
        desk.book,
        desk.pictures,
        desk.time.surroundings,
    )

    with pytest.raises(ModelUnavailable) as raised:
        run(gateway.answer(make_question(), make_errand()))

    desk.book.close()
    written = b"".join(it.read_bytes() for it in desk.folder.rglob("*") if it.is_file())
    assert KEY.encode() not in written
    assert KEY not in repr(raised.value)


def test_a_server_that_is_away_is_not_one_without_schemas(desk: Desk) -> None:
    desk.models.play(Play(fault=Fault.NO_SCHEMA), Play(fault=Fault.UNAVAILABLE))

    desk.ask_all([make_question(COMPATIBLE)])

    bodies = [it.body for it in desk.models.requests]
    assert ["response_format" in it for it in bodies] == [True, False, True]


def test_a_server_without_schemas_is_told_in_words_and_remembered(desk: Desk) -> None:
    desk.models.always(Play(fault=Fault.NO_SCHEMA))
    questions = [make_question(COMPATIBLE, sample=it) for it in range(1, 4)]

    answers = desk.ask_all(questions, concurrency=1)

    assert {it.outcome for it in answers} == {Outcome.ANSWERED}
    bodies = [it.body for it in desk.models.requests]
    assert ["response_format" in it for it in bodies] == [True, False, False, False]
    assert '"BUY"' in bodies[1]["messages"][1]["content"][-1]["text"]
    calls = [desk.book.call(it.call_id) for it in answers]
    sent = [[it.attempt.is_schema_sent for it in call.attempts] for call in calls]
    assert sorted(sent) == [[False], [False], [True, False]]


def test_a_server_without_pictures_is_never_asked_without_them(desk: Desk) -> None:
    desk.models.always(Play(fault=Fault.NO_IMAGES))

    with pytest.raises(ModelUnavailable, match="does not take images"):
        desk.ask(make_question(COMPATIBLE))

    assert len(desk.models.requests) == 2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ANTHROPIC, "set ANTHROPIC_API_KEY"),
        (OPENAI, "set OPENAI_API_KEY"),
        (COMPATIBLE, "set COMPATIBLE_BASE_URL"),
    ],
)
def test_a_provider_without_access_is_named_with_its_variable(
    desk: Desk, model: str, words: str
) -> None:
    gateway = Gateway(GatewaySettings(), {}, desk.book, desk.pictures)

    with pytest.raises(InvalidInput, match=words):
        run(gateway.answer(make_question(model), make_errand()))


def test_a_model_without_a_price_is_refused_by_name(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match=r"anthropic/claude-nope-9.*no price"):
        desk.ask(make_question("anthropic/claude-nope-9"))

    assert desk.models.requests == []


def test_every_call_can_be_explained_to_the_bytes(desk: Desk) -> None:
    question = make_question()
    errand = make_errand(parents=("a-1", "b-2"), table_hash="t1", is_blind=False)

    answer = desk.ask(question, errand)

    call = desk.book.call(answer.call_id)
    assert (call.system, call.task, call.schema) == (
        question.system,
        question.task,
        question.schema,
    )
    assert call.parents == ("a-1", "b-2")
    assert (call.table_hash, call.is_blind, call.prompt_version) == ("t1", False, "p1")
    pictures = [desk.pictures.get(picture_path(it[1])) for it in call.shared[:2]]
    assert pictures == [it.png for it in question.images]
    assert call.shared[2] == question.shared[2]
    (attempt,) = call.attempts
    assert attempt.settlement is not None
    said = json.loads(attempt.settlement.reply)["content"]
    assert said[-1]["text"] == answer.text
    assert attempt.settlement.request_id == "req_1"
    assert call.ending is not None
    assert call.ending.price_version.startswith("genai-prices ")


def test_a_hundred_at_once_within_limits_are_never_refused(desk: Desk) -> None:
    desk.models.limit(40, 0.6)
    desk.surroundings = Surroundings()
    questions = [make_question(OPENAI, sample=it) for it in range(1, 101)]

    answers = desk.ask_all(questions, concurrency=10)

    assert {it.outcome for it in answers} == {Outcome.ANSWERED}
    assert 2 <= desk.models.most_at_once <= 10
    refused = [it for answer in answers for it in desk.outcomes(answer) if it != "answered"]
    assert len(refused) <= 10


def test_a_question_that_is_given_up_lets_others_ask_and_stays_in_doubt(
    desk: Desk,
) -> None:
    desk.models.play(Play(fault=Fault.SLOW))

    async def given_up() -> None:
        async with desk.gateway() as gateway:
            asked = asyncio.create_task(gateway.answer(make_question(), make_errand()))
            while not desk.models.requests:  # noqa: ASYNC110 - another thread's
                await asyncio.sleep(0.01)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked

    run(given_up())

    assert desk.book.spent("charts") > 0
    answer = desk.ask(make_question())
    assert answer.outcome is Outcome.ANSWERED
    assert answer.call_id.endswith("-2")


def test_two_providers_do_not_wait_for_each_other(models: FakeModels, desk: Desk) -> None:
    models.always(Play(seconds=0.2))
    desk.surroundings = Surroundings()

    desk.ask_all([make_question(it) for it in MODELS], concurrency=1)

    assert models.most_at_once == 3
