import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trading_assets.adapters.ledger.notices import NoticeBook
from trading_assets.errors import StoreBusy
from trading_assets.models.notice import Topic

AT = datetime(2024, 1, 2, 22, 15, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
EACH = 20
ADD = f"""
import sys
from datetime import UTC, datetime
from trading_assets.adapters.ledger.notices import NoticeBook
from trading_assets.models.notice import Topic
book = NoticeBook.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range({EACH}):
    book.add(Topic.FILL, str(number), datetime.now(UTC), is_sent=False)
"""


@pytest.fixture
def book(place: str) -> Iterator[NoticeBook]:
    opened = NoticeBook.open(place)
    yield opened
    opened.close()


def test_notices_come_back_as_they_went_in_their_order(book: NoticeBook) -> None:
    book.add(Topic.HALT, "é", AT, is_sent=True)
    book.add(Topic.FILL, "", AT, is_sent=False)

    halt, fill = book.all()
    assert (halt.seq, halt.topic, halt.text, halt.is_sent, halt.at) == (
        *(1, Topic.HALT, "é", True),
        AT,
    )
    assert (fill.seq, fill.topic, fill.is_sent) == (2, Topic.FILL, False)


def test_untold_is_what_came_after_the_last_that_was_sent(book: NoticeBook) -> None:
    assert book.last_sent(Topic.FILL) is None
    for text, is_sent in (("a", False), ("b", True), ("c", False), ("d", False)):
        book.add(Topic.FILL, text, AT, is_sent=is_sent)
    book.add(Topic.HALT, "e", AT, is_sent=True)

    last = book.last_sent(Topic.FILL)
    assert last is not None
    assert last.text == "b"
    assert [notice.text for notice in book.untold(Topic.FILL)] == ["c", "d"]
    assert book.untold(Topic.HALT) == []


def test_one_at_a_time_tells_of_a_topic(book: NoticeBook, place: str) -> None:
    other = NoticeBook.open(place)
    with book.turn(Topic.FILL, 0):
        with pytest.raises(StoreBusy), other.turn(Topic.FILL, 0.05):
            pass
        with other.turn(Topic.HALT, 0):
            pass
    with other.turn(Topic.FILL, 0):
        pass
    other.close()


def test_processes_that_write_at_once_lose_nothing(book: NoticeBook, place: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, place],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.communicate("go\n")

    assert [notice.seq for notice in book.all()] == list(range(1, 2 * EACH + 1))
    assert [child.returncode for child in children] == [0, 0]
