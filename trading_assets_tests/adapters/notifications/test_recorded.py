import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import override

import pytest

from trading_assets.adapters.ledger.notices import NoticeBook
from trading_assets.adapters.notifications.apprise_urls import AppriseUrls
from trading_assets.adapters.notifications.port import Channel, Told
from trading_assets.adapters.notifications.recorded import RecordedNotifier
from trading_assets.models.notice import Topic
from trading_assets_tests.adapters.ledger.conftest import place  # noqa: F401 - a fixture
from trading_assets_tests.adapters.notifications.receiver import Receiver

HELD = Told(is_sent=False, is_held_back=True)
SENT = Told(is_sent=True)


@dataclass
class Ear(Channel):
    """Keeps what it is sent, unless it is deaf."""

    is_deaf: bool = False
    heard: list[tuple[str, str]] = field(default_factory=list)

    @override
    def send(self, title: str, text: str) -> Told:
        if self.is_deaf:
            return Told(is_sent=False, failed=("Ear",))
        self.heard.append((title, text))
        return SENT


@dataclass
class Clock:
    """Shows what it was set to."""

    at: datetime = datetime(2024, 1, 2, 22, 15, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def advance(self, minutes: float) -> None:
        self.at += timedelta(minutes=minutes)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def notices(place: str) -> Iterator[NoticeBook]:  # noqa: F811 - the fixture
    book = NoticeBook.open(place)
    yield book
    book.close()


@pytest.fixture
def notifier(ear: Ear, clock: Clock, place: str) -> RecordedNotifier:  # noqa: F811 - as above
    return RecordedNotifier(ear, place, now=clock)


def test_what_was_told_is_written_down(
    notifier: RecordedNotifier, ear: Ear, notices: NoticeBook, clock: Clock
) -> None:
    assert notifier.tell(Topic.HALT, "breakout, by hand") == SENT

    (notice,) = notices.all()
    assert ear.heard == [("Halt", "breakout, by hand")]
    assert (notice.seq, notice.topic, notice.text) == (1, Topic.HALT, "breakout, by hand")
    assert (notice.is_sent, notice.at) == (True, clock.at)


def test_a_topic_is_told_once_in_a_quarter_of_an_hour(
    notifier: RecordedNotifier, ear: Ear, clock: Clock
) -> None:
    told = []
    for minutes in (0, 1, 13.9, 0.1, 1):
        clock.advance(minutes)
        told.append(notifier.tell(Topic.FILL, f"after {minutes}"))

    assert told == [SENT, HELD, HELD, SENT, HELD]
    assert len(ear.heard) == 2


def test_the_next_message_tells_what_was_held_back(
    notifier: RecordedNotifier, ear: Ear, clock: Clock
) -> None:
    notifier.tell(Topic.FILL, "first")
    for symbol in ("AAPL", "MSFT"):
        notifier.tell(Topic.FILL, f"{symbol}\nand more of it")
    clock.advance(15)
    notifier.tell(Topic.FILL, "SPY")
    clock.advance(15)
    notifier.tell(Topic.FILL, "IBM")

    assert [text.splitlines() for _, text in ear.heard] == [
        ["first"],
        [
            *("SPY", "", "2 before it that nobody was told:"),
            "- 2024-01-02 22:15 UTC: AAPL",
            "- 2024-01-02 22:15 UTC: MSFT",
        ],
        ["IBM"],
    ]


def test_many_that_were_held_back_are_counted_and_the_last_shown(
    notifier: RecordedNotifier, ear: Ear, clock: Clock
) -> None:
    for number in range(31):
        notifier.tell(Topic.FILL, f"fill {number}")
    clock.advance(15)
    notifier.tell(Topic.FILL, "the next")

    lines = ear.heard[1][1].splitlines()
    assert lines[2] == "30 before it that nobody was told, the last 5 of them:"
    assert [line.rpartition(" ")[2] for line in lines[3:]] == ["26", "27", "28", "29", "30"]


def test_topics_do_not_hold_each_other_back(notifier: RecordedNotifier, ear: Ear) -> None:
    assert notifier.tell(Topic.GATEWAY_DOWN, "gone") == SENT
    assert notifier.tell(Topic.GATEWAY_UP, "back") == SENT
    assert len(ear.heard) == 2


def test_what_was_held_back_is_told_by_itself_after_a_while(
    notifier: RecordedNotifier, ear: Ear, clock: Clock
) -> None:
    notifier.tell(Topic.FAILED_EVENING, "cross_view")
    notifier.tell(Topic.FAILED_EVENING, "ranges_view")

    assert notifier.tell_held_back() == ()
    clock.advance(15)
    assert notifier.tell_held_back() == (Topic.FAILED_EVENING,)
    assert "ranges_view" in ear.heard[1][1]
    clock.advance(15)
    assert notifier.tell_held_back() == ()
    assert len(ear.heard) == 2


def test_what_cannot_be_delivered_is_written_down_and_told_later(
    notifier: RecordedNotifier, ear: Ear, notices: NoticeBook, clock: Clock
) -> None:
    ear.is_deaf = True
    assert notifier.tell(Topic.HALT, "lost") == Told(is_sent=False, failed=("Ear",))
    assert [notice.is_sent for notice in notices.all()] == [False]

    ear.is_deaf = False
    assert notifier.tell(Topic.HALT, "too soon") == HELD  # nothing is tried for a minute
    clock.advance(1)
    assert notifier.tell_held_back() == (Topic.HALT,)
    assert "lost" in ear.heard[0][1]
    assert "too soon" in ear.heard[0][1]


def test_other_processes_are_bound_by_the_same_limit(
    notifier: RecordedNotifier,
    ear: Ear,
    clock: Clock,
    place: str,  # noqa: F811 - as above
) -> None:
    notifier.tell(Topic.HALT, "one")
    other = RecordedNotifier(ear, place, now=clock)

    assert other.tell(Topic.HALT, "two") == HELD
    assert len(ear.heard) == 1


def test_whoever_comes_while_another_tells_is_held_back(
    notifier: RecordedNotifier, ear: Ear, notices: NoticeBook
) -> None:
    with notices.turn(Topic.HALT, 0):
        assert notifier.tell(Topic.HALT, "two at once") == HELD

    assert ear.heard == []
    assert [notice.text for notice in notices.all()] == ["two at once"]


def test_a_quiet_time_of_nothing_tells_everything(ear: Ear, place: str) -> None:  # noqa: F811 - as above
    notifier = RecordedNotifier(ear, place, quiet_minutes=0)

    assert [notifier.tell(Topic.FILL, "x") for _ in range(3)] == [SENT] * 3


def test_without_a_ledger_people_are_told_all_the_same(
    ear: Ear, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ledger.db").write_text("this was a ledger once, and is no database now")
    notifier = RecordedNotifier(ear, tmp_path / "ledger.db", now=clock)

    with caplog.at_level(logging.WARNING):
        assert notifier.tell(Topic.HALT, "one") == SENT
        assert notifier.tell(Topic.HALT, "two") == HELD
        assert notifier.tell_held_back() == ()
    clock.advance(15)
    assert notifier.tell(Topic.HALT, "three") == SENT
    assert "not written down" in caplog.text


def test_a_long_text_is_cut(notifier: RecordedNotifier, ear: Ear) -> None:
    notifier.tell(Topic.HALT, "x" * 100_000)

    assert len(ear.heard[0][1]) == 2000


def test_it_reaches_a_real_receiver(receiver: Receiver, tmp_path: Path) -> None:
    notifier = RecordedNotifier(AppriseUrls(receiver.address), tmp_path / "ledger.db")

    notifier.tell(Topic.POSITIONS_DISAGREE, "AAPL: 10 here, 12 there")

    assert receiver.messages[0]["title"] == "Positions disagree"
