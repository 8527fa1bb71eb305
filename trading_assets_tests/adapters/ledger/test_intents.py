from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from trading_assets.adapters.ledger.intents import IntentBook, payload_hash
from trading_assets.adapters.ledger.schema import (
    BOOK_SESSIONS,
    BOOK_TABLES,
    METADATA,
    ORDER_FACTS,
    VERSION_TABLE,
)
from trading_assets.adapters.ledger.store import Ledger
from trading_assets.core.order_states import OrderState
from trading_assets.errors import DataMissing, OrderConflict
from trading_assets.models.intent import FactKind, Terms
from trading_assets.models.order import Leg
from trading_assets_tests.adapters.ledger.make_records import LANE, STRATEGY, make_records
from trading_assets_tests.make_intents import (
    ACCOUNT,
    AT,
    CLIENT_ID,
    after,
    make_bracket,
    make_commission,
    make_execution,
    make_fact,
    make_intent,
    make_order_ticket,
)

ENTRY = make_order_ticket().order_id
OTHER = make_order_ticket(symbol="MSFT")


@pytest.fixture
def book(place: str) -> Iterator[IntentBook]:
    opened = IntentBook.open(place)
    yield opened
    opened.close()


def test_a_new_book_knows_nothing(book: IntentBook) -> None:
    assert book.known([ENTRY]) == {}
    assert book.by_ref(ACCOUNT, ENTRY) is None
    assert book.highest_broker_order_id(ACCOUNT, CLIENT_ID) == 0
    assert book.unsettled(ACCOUNT) == []
    assert book.executions(ACCOUNT) == []


def test_what_was_committed_is_there_as_it_was_when_opened_again(place: str) -> None:
    intents = [make_intent(ticket, at) for at, ticket in enumerate(make_bracket(), start=5)]
    first = IntentBook.open(place)
    first.commit(intents)
    first.close()

    again = IntentBook.open(place)

    assert list(again.known(it.order_id for it in intents).values()) == intents
    assert again.by_ref(ACCOUNT, ENTRY) == intents[0]
    assert again.by_broker_order_id(ACCOUNT, CLIENT_ID, 6) == intents[1]
    assert again.highest_broker_order_id(ACCOUNT, CLIENT_ID) == 7
    again.close()


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(make_intent(broker_order_id=2), id="order id"),
        pytest.param(make_intent(OTHER, broker_order_id=1), id="broker order id"),
        pytest.param(make_intent(OTHER, 2, order_ref=ENTRY), id="reference"),
    ],
)
def test_no_id_is_used_twice(book: IntentBook, second: object) -> None:
    book.commit([make_intent()])
    bystander = make_intent(make_order_ticket(symbol="SPY"), broker_order_id=9)

    with pytest.raises(OrderConflict, match="used before"):
        book.commit([bystander, second])  # type: ignore[list-item]

    assert book.known([bystander.order_id]) == {}


def test_clients_and_accounts_count_their_ids_by_themselves(book: IntentBook) -> None:
    book.commit([make_intent(), make_intent(OTHER, client_id=8)])

    assert book.highest_broker_order_id(ACCOUNT, 8) == 1
    assert book.by_broker_order_id(ACCOUNT, CLIENT_ID, 1) == make_intent()
    assert book.by_ref("DU7654321", ENTRY) is None


def test_the_hash_tells_contents_apart_and_nothing_else() -> None:
    ticket = make_order_ticket(limit_price=100.0)

    assert payload_hash(ticket, ACCOUNT) == payload_hash(
        make_order_ticket(limit_price=100.0), ACCOUNT
    )
    others = [
        make_order_ticket(limit_price=100.01),
        make_order_ticket(limit_price=100.0, shares=11),
        make_order_ticket(limit_price=100.0, parent_id="x"),
    ]
    hashes = {payload_hash(it, ACCOUNT) for it in (ticket, *others)}
    assert len({*hashes, payload_hash(ticket, "DU7654321")}) == 5


def test_facts_are_numbered_from_one_without_gaps(book: IntentBook) -> None:
    book.commit([make_intent()])
    book.tell(ENTRY, make_fact(FactKind.SENT))
    book.tell(ENTRY, make_fact(FactKind.WORKING, perm_id=7), make_fact(FactKind.CANCELLED))

    with book._engine.connect() as connection:
        query = sa.select(ORDER_FACTS.c.seq).order_by(ORDER_FACTS.c.seq)
        assert list(connection.scalars(query)) == [1, 2, 3]
    kinds = [fact.kind for fact in book.facts(ENTRY)]
    assert kinds == [FactKind.SENT, FactKind.WORKING, FactKind.CANCELLED]


def test_everything_that_a_fact_says_is_kept(book: IntentBook) -> None:
    fact = make_fact(
        FactKind.MODIFIED,
        perm_id=2_147_483_999,
        code=399,
        text="größer",
        filled_shares=2.5,
        terms=Terms(shares=3, limit_price=1.05, stop_price=None),
    )
    book.commit([make_intent()])

    book.tell(ENTRY, fact)

    assert book.facts(ENTRY) == [fact]


def test_a_fact_that_repeats_the_last_one_is_no_news(book: IntentBook) -> None:
    book.commit([make_intent()])

    assert book.tell(ENTRY, make_fact(FactKind.WORKING)) == 1
    assert book.tell(ENTRY, make_fact(FactKind.WORKING, at=after(9))) == 0
    assert book.tell(ENTRY, make_fact(FactKind.UNKNOWN), make_fact(FactKind.WORKING)) == 2
    assert len(book.facts(ENTRY)) == 3


def test_nothing_is_told_of_an_order_that_was_never_committed(book: IntentBook) -> None:
    with pytest.raises(DataMissing, match=ENTRY):
        book.tell(ENTRY, make_fact(FactKind.SENT))


def test_several_may_tell_at_once(book: IntentBook) -> None:
    book.commit([make_intent()])

    with ThreadPoolExecutor(4) as pool:
        told = pool.map(
            lambda number: book.tell(ENTRY, make_fact(FactKind.NOTICE, text=str(number))),
            range(20),
        )
        assert sum(told) == 20

    assert {fact.text for fact in book.facts(ENTRY)} == {str(n) for n in range(20)}


def test_an_execution_told_twice_is_there_once(book: IntentBook) -> None:
    assert book.add_executions([make_execution(4), make_execution(4)]) == 1
    assert book.add_executions([make_execution(4)]) == 0

    assert [it.shares for it in book.executions(ACCOUNT)] == [4]


def test_a_correction_is_another_row_and_counts(book: IntentBook) -> None:
    book.add_executions([make_execution(10, 100.0, correction=2)])
    book.add_executions([make_execution(10, 101.0, correction=1)])

    assert [it.price for it in book.executions(ACCOUNT)] == [100.0]


@pytest.mark.parametrize("is_commission_first", [True, False])
def test_a_commission_finds_its_execution(
    book: IntentBook, *, is_commission_first: bool
) -> None:
    steps = [
        lambda: book.add_commissions([make_commission(1.25)]),
        lambda: book.add_executions([make_execution()]),
    ]
    for step in steps if is_commission_first else reversed(steps):
        step()

    [execution] = book.executions(ACCOUNT)
    assert (execution.commission, execution.commission_currency) == (1.25, "USD")


def test_a_correction_keeps_the_commission_until_it_has_its_own(book: IntentBook) -> None:
    book.add_executions([make_execution(correction=1), make_execution(correction=2)])
    book.add_commissions([make_commission(1.0, correction=1)])
    assert book.executions(ACCOUNT)[0].commission == 1.0

    book.add_commissions([make_commission(0.9, correction=2)])

    assert book.executions(ACCOUNT)[0].commission == 0.9


def test_executions_of_others_are_kept_and_belong_to_no_order(book: IntentBook) -> None:
    book.commit([make_intent()])
    book.add_executions([make_execution(0.5, order_ref="", symbol="SPY")])

    assert book.standings([ENTRY])[ENTRY].filled_shares == 0
    assert [it.symbol for it in book.executions(ACCOUNT)] == ["SPY"]
    assert book.executions("DU7654321") == []


def test_an_order_stands_where_facts_and_executions_say(book: IntentBook) -> None:
    book.commit([make_intent(), make_intent(OTHER, 2)])
    book.tell(ENTRY, make_fact(FactKind.SENT), make_fact(FactKind.WORKING, perm_id=77))
    book.add_executions([make_execution(4, 100.0, "a"), make_execution(6, 101.0, "b")])

    standings = book.standings([ENTRY, OTHER.order_id, "never"])

    assert standings[ENTRY].state is OrderState.FILLED
    assert standings[ENTRY].average_price == pytest.approx(100.6)
    assert standings[OTHER.order_id].state is OrderState.INTENDED
    assert list(standings) == [ENTRY, OTHER.order_id]


def test_only_what_is_not_done_with_is_unsettled(book: IntentBook) -> None:
    symbols = ["AAPL", "MSFT", "SPY", "IBM", "XOM", "KO"]
    tickets = [make_order_ticket(symbol=symbol) for symbol in symbols]
    book.commit([make_intent(it, at) for at, it in enumerate(tickets, start=1)])
    filled, cancelled, claiming, revived, missing, _untouched = (
        it.order_id for it in tickets
    )
    book.add_executions([make_execution()])
    book.note_fills(ACCOUNT, [filled])
    book.tell(cancelled, make_fact(FactKind.WORKING), make_fact(FactKind.CANCELLED))
    book.tell(claiming, make_fact(FactKind.CANCELLED, filled_shares=3))
    book.tell(revived, make_fact(FactKind.CANCELLED), make_fact(FactKind.WORKING))
    book.tell(missing, make_fact(FactKind.MISSING))

    unsettled = [it.intent.ticket.symbol for it in book.unsettled(ACCOUNT)]

    assert unsettled == ["SPY", "IBM", "XOM", "KO"]
    assert book.facts(filled)[-1].kind is FactKind.FILLED
    assert book.unsettled("DU7654321") == []


def test_an_order_that_a_correction_makes_smaller_is_unsettled_again(
    book: IntentBook,
) -> None:
    book.commit([make_intent()])
    for execution in (make_execution(10), make_execution(8, correction=2)):
        book.add_executions([execution])
        book.note_fills(ACCOUNT, [ENTRY])
        book.note_fills(ACCOUNT, [ENTRY])

    [standing] = book.unsettled(ACCOUNT)

    assert standing.filled_shares == 8
    assert [it.kind for it in book.facts(ENTRY)] == [FactKind.FILLED, FactKind.NOTICE]


def test_a_ledger_from_before_there_were_intents_is_brought_up_to_date(
    place: str,
) -> None:
    ledger = Ledger.open(place)
    ledger.append(STRATEGY, LANE, 0, make_records(range(2)), {})
    with ledger._engine.begin() as connection:
        first = {BOOK_SESSIONS.name, *BOOK_TABLES}
        for table in reversed(METADATA.sorted_tables):
            if table.name not in first:
                table.drop(connection)
        connection.execute(
            sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '0001'")  # noqa: S608 - ours
        )
    ledger.close()

    book = IntentBook.open(place)

    book.commit([make_intent()])
    assert len(ledger.chain(STRATEGY, LANE)) == 2
    book.close()
    ledger.close()


def test_a_part_marks_nothing_as_filled(book: IntentBook) -> None:
    book.commit([make_intent()])
    book.add_executions([make_execution(4)])

    book.note_fills(ACCOUNT, [ENTRY, "of somebody else"])

    assert book.facts(ENTRY) == []


def test_many_orders_are_read_in_several_questions(book: IntentBook) -> None:
    tickets = [make_order_ticket(Leg.EXIT, attempt=at) for at in range(1, 1203)]
    book.commit([make_intent(it, at) for at, it in enumerate(tickets, start=1)])
    last = tickets[-1].order_id
    book.add_executions([make_execution(order_ref=last)])

    standings = book.standings([ticket.order_id for ticket in tickets])

    assert len(standings) == 1202
    assert standings[last].state is OrderState.FILLED
    assert len(book.unsettled(ACCOUNT)) == 1201


def test_instants_come_back_in_utc(book: IntentBook) -> None:
    book.commit([make_intent()])

    recorded_at = book.known([ENTRY])[ENTRY].recorded_at

    assert recorded_at == AT
    assert recorded_at.utcoffset() == timedelta(0)
