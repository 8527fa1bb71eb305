import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.core.order_states import (
    OrderStanding,
    OrderState,
    average_price,
    order_standing,
)
from trading_assets.models.intent import Execution, Fact, FactKind, Terms
from trading_assets_tests.make_intents import (
    after,
    make_execution,
    make_fact,
    make_intent,
    make_order_ticket,
)

KINDS = list(FactKind)
HEARD = (FactKind.ACKNOWLEDGED, FactKind.WORKING, FactKind.PARTIALLY_FILLED)


def standing(
    *told: Fact | FactKind, executions: list[Execution] | None = None
) -> OrderStanding:
    facts = [make_fact(it) if isinstance(it, FactKind) else it for it in told]
    return order_standing(make_intent(), facts, executions or [])


def state(*told: Fact | FactKind, executions: list[Execution] | None = None) -> OrderState:
    return standing(*told, executions=executions).state


def test_an_intent_alone_may_have_been_sent_or_not() -> None:
    found = standing()

    assert found.state is OrderState.INTENDED
    assert found.is_ambiguous
    assert not found.is_final


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ((FactKind.SENT,), OrderState.SENT),
        ((FactKind.SENT, FactKind.UNKNOWN), OrderState.UNKNOWN),
        ((FactKind.SENT, FactKind.UNKNOWN, FactKind.RESENT), OrderState.SENT),
        ((FactKind.SENT, FactKind.ACKNOWLEDGED), OrderState.WORKING),
        ((FactKind.SENT, FactKind.UNKNOWN, FactKind.WORKING), OrderState.WORKING),
        ((FactKind.SENT, FactKind.INACTIVE), OrderState.INACTIVE),
        ((FactKind.INACTIVE, FactKind.WORKING), OrderState.WORKING),
        ((FactKind.WORKING, FactKind.CANCELLED), OrderState.CANCELLED),
        ((FactKind.SENT, FactKind.REJECTED), OrderState.REJECTED),
        ((FactKind.WORKING, FactKind.MISSING), OrderState.MISSING),
        ((FactKind.MISSING, FactKind.WORKING), OrderState.WORKING),
        ((FactKind.MISSING, FactKind.SETTLED), OrderState.CANCELLED),
        ((FactKind.WORKING, FactKind.NOTICE), OrderState.WORKING),
        ((FactKind.WORKING, FactKind.CANCEL_SENT), OrderState.WORKING),
    ],
)
def test_the_last_word_of_the_broker_counts(
    told: tuple[FactKind, ...], expected: OrderState
) -> None:
    assert state(*told) is expected


@pytest.mark.parametrize("kind", [FactKind.SENT, FactKind.RESENT, FactKind.UNKNOWN])
@pytest.mark.parametrize("heard", HEARD)
def test_what_was_heard_outweighs_what_we_noted_later(
    kind: FactKind, heard: FactKind
) -> None:
    assert state(heard, kind) is OrderState.WORKING


@pytest.mark.parametrize("echo", [FactKind.INACTIVE, FactKind.CANCELLED])
def test_a_rejection_stays_one_whatever_status_goes_with_it(echo: FactKind) -> None:
    rejected = make_fact(FactKind.REJECTED, text="201: too large")

    assert state(rejected, echo) is OrderState.REJECTED
    assert state(echo, rejected) is OrderState.REJECTED
    assert standing(rejected, echo).text == "201: too large"


def test_a_sign_of_life_revokes_a_rejection() -> None:
    assert state(FactKind.REJECTED, FactKind.WORKING) is OrderState.WORKING


def test_a_status_alone_fills_nothing() -> None:
    found = standing(make_fact(FactKind.FILLED, source="status", filled_shares=10))

    assert found.state is OrderState.WORKING
    assert found.filled_shares == 0
    assert found.is_short_of_executions
    assert not found.is_final


def test_a_fill_needs_no_status() -> None:
    found = standing(FactKind.SENT, executions=[make_execution()])

    assert found.state is OrderState.FILLED
    assert found.is_final
    assert found.perm_ids == (77,)


@pytest.mark.parametrize(
    "last", [FactKind.CANCELLED, FactKind.REJECTED, FactKind.UNKNOWN, FactKind.MISSING]
)
def test_shares_that_were_traded_count_whatever_was_said(last: FactKind) -> None:
    assert state(FactKind.SENT, last, executions=[make_execution()]) is OrderState.FILLED


def test_a_part_that_was_filled_before_a_cancel_is_kept() -> None:
    found = standing(FactKind.CANCELLED, executions=[make_execution(4)])

    assert found.state is OrderState.CANCELLED
    assert found.filled_shares == 4


def test_a_cancelled_order_that_claims_more_is_not_done_with() -> None:
    told = make_fact(FactKind.CANCELLED, source="status", filled_shares=6)

    assert not standing(told, executions=[make_execution(4)]).is_final
    assert standing(told, executions=[make_execution(6)]).is_final


def test_parts_make_a_whole_at_their_weighted_price() -> None:
    parts = [
        make_execution(3, 100.0, "a", commission=1.0),
        make_execution(7, 101.0, "b", commission=0.5),
    ]

    found = standing(FactKind.WORKING, executions=parts)

    assert found.state is OrderState.FILLED
    assert found.average_price == pytest.approx(100.7)
    assert found.commission == pytest.approx(1.5)


def test_the_commission_is_unknown_while_a_part_lacks_its_own() -> None:
    parts = [make_execution(3, key="a", commission=1.0), make_execution(7, key="b")]

    assert standing(executions=parts).commission is None


@pytest.mark.parametrize("is_late", [True, False])
def test_the_highest_correction_replaces_the_others(*, is_late: bool) -> None:
    first = make_execution(10, 100.0, correction=1)
    right = make_execution(8, 99.5, correction=2, at=after(1))

    found = standing(executions=[first, right] if is_late else [right, first])

    assert found.filled_shares == 8
    assert found.average_price == 99.5
    assert found.state is OrderState.PARTIALLY_FILLED


def test_the_same_execution_told_twice_counts_once() -> None:
    assert standing(executions=[make_execution(4), make_execution(4)]).filled_shares == 4


def test_a_second_permanent_id_is_the_same_order() -> None:
    told = [
        make_fact(FactKind.WORKING, perm_id=77),
        make_fact(FactKind.WORKING, perm_id=78),
    ]
    parts = [make_execution(4, key="a", perm_id=77), make_execution(6, key="b", perm_id=78)]

    found = standing(*told, executions=parts)

    assert found.perm_ids == (77, 78)
    assert found.state is OrderState.FILLED


def test_a_change_holds_once_it_was_repeated() -> None:
    new = Terms(shares=12, limit_price=None, stop_price=None)
    sent = make_fact(FactKind.MODIFY_SENT, terms=new)
    made = make_fact(FactKind.MODIFIED, terms=new)

    assert standing(FactKind.WORKING, sent).pending_terms == new
    assert standing(FactKind.WORKING, sent).terms.shares == 10
    assert standing(FactKind.WORKING, sent, made).terms == new
    assert standing(FactKind.WORKING, sent, made).pending_terms is None


def test_a_change_that_was_refused_leaves_the_order_as_it_was() -> None:
    sent = make_fact(
        FactKind.MODIFY_SENT, terms=Terms(shares=12, limit_price=None, stop_price=None)
    )

    found = standing(FactKind.WORKING, sent, FactKind.MODIFY_REFUSED)

    assert found.state is OrderState.WORKING
    assert found.terms.shares == 10
    assert found.pending_terms is None


def test_more_shares_by_a_change_need_more_executions() -> None:
    made = make_fact(
        FactKind.MODIFIED, terms=Terms(shares=12, limit_price=None, stop_price=None)
    )

    assert state(FactKind.WORKING, made, executions=[make_execution()]) is (
        OrderState.PARTIALLY_FILLED
    )


def test_a_cancel_is_pending_until_the_order_has_ended() -> None:
    assert standing(FactKind.WORKING, FactKind.CANCEL_SENT).is_cancel_pending
    assert not standing(
        FactKind.WORKING, FactKind.CANCEL_SENT, FactKind.CANCELLED
    ).is_cancel_pending


def test_the_reason_of_an_end_is_the_notice_before_it() -> None:
    notice = make_fact(FactKind.NOTICE, text="399: held", code=399)
    inactive = make_fact(FactKind.INACTIVE, text="Inactive")

    assert standing(notice, inactive).text == "399: held"


def test_nothing_is_the_average_of_nothing() -> None:
    assert average_price([]) is None


def test_the_id_of_an_order_follows_from_its_meaning() -> None:
    assert make_order_ticket().order_id == "trend-2026-11-19-AAPL-entry"
    assert make_order_ticket(attempt=2).order_id == "trend-2026-11-19-AAPL-entry-2"


executions = st.lists(
    st.builds(
        make_execution,
        shares=st.integers(1, 5),
        price=st.floats(1, 500),
        key=st.sampled_from(["a", "b", "c"]),
        correction=st.integers(0, 3),
    ),
    unique_by=lambda it: (it.exec_key, it.correction),
)
facts = st.lists(st.sampled_from(KINDS).map(make_fact))


@given(facts=facts, executions=executions)
def test_shares_and_price_follow_from_executions_alone(
    facts: list[Fact], executions: list[Execution]
) -> None:
    latest = {it.exec_key: it for it in sorted(executions, key=lambda it: it.correction)}
    shares = sum(it.shares for it in latest.values())

    found = standing(*facts, executions=executions)

    assert found.filled_shares == shares
    if shares:
        value = sum(it.shares * it.price for it in latest.values())
        assert found.average_price == pytest.approx(value / shares)
    assert (found.state is OrderState.FILLED) == (shares >= 10)


@given(facts=facts, executions=executions, chance=st.randoms(use_true_random=False))
def test_the_order_in_which_executions_come_does_not_matter(
    facts: list[Fact], executions: list[Execution], chance: "object"
) -> None:
    mixed = list(executions)
    chance.shuffle(mixed)  # type: ignore[attr-defined]

    assert standing(*facts, executions=mixed) == standing(*facts, executions=executions)


@given(
    facts=facts, late=st.sampled_from([FactKind.SENT, FactKind.RESENT, FactKind.UNKNOWN])
)
def test_nothing_that_we_note_makes_a_definitive_order_ambiguous(
    facts: list[Fact], late: FactKind
) -> None:
    before = standing(*facts)

    after_it = standing(*facts, late)

    assert before.is_ambiguous or after_it.state is before.state
