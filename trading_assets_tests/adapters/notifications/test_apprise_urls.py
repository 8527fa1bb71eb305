import logging
import time

import pytest

from trading_assets.adapters.notifications.apprise_urls import AppriseUrls
from trading_assets.adapters.notifications.port import Told
from trading_assets.errors import InvalidInput
from trading_assets_tests.adapters.notifications.receiver import (
    SECRET,
    Receiver,
    receiving,
)


def test_a_message_arrives(receiver: Receiver) -> None:
    told = AppriseUrls(receiver.address).send("Halt", "breakout\nby hand")

    assert told == Told(is_sent=True)
    (message,) = receiver.messages
    assert (message["title"], message["message"]) == ("Halt", "breakout\nby hand")


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n  "])
def test_every_place_is_told(receiver: Receiver, between: str) -> None:
    with receiving() as other:
        channel = AppriseUrls(f" {receiver.address}{between}{other.address}, ")

        assert channel.send("Halt", "all") == Told(is_sent=True)
        assert other.texts == ["all"]
    assert channel.kinds == ("JSON", "JSON")
    assert receiver.texts == ["all"]


def test_an_address_may_have_commas_of_its_own() -> None:
    channel = AppriseUrls("mailto://me:x@example.com?to=a@example.com,b@example.com")

    assert channel.kinds == ("E-Mail",)


def test_a_place_that_refuses_is_named_by_its_kind(receiver: Receiver) -> None:
    with receiving() as other:
        other.status = 500
        told = AppriseUrls(f"{receiver.address} {other.address}").send("Halt", "all")

    assert told == Told(is_sent=True, failed=("JSON",))
    assert receiver.texts == ["all"]


def test_nobody_there_is_a_failure_and_no_error() -> None:
    with receiving() as gone:
        address = gone.address

    assert AppriseUrls(address).send("Halt", "x") == Told(is_sent=False, failed=("JSON",))


def test_a_place_that_never_ends_its_answer_holds_nobody_for_long(
    receiver: Receiver,
) -> None:
    """Each byte comes in time, so no time-out of a socket would end it."""
    with receiving() as other:
        other.is_dripping = True
        channel = AppriseUrls(f"{other.address} {receiver.address}", longest_seconds=0.5)
        begun = time.monotonic()
        told = channel.send("Halt", "x")
        seconds = time.monotonic() - begun

    assert told == Told(is_sent=True, failed=("JSON",))
    assert receiver.texts == ["x"]
    assert seconds < 5  # a generous bound: it would be endless


@pytest.mark.parametrize(
    "address",
    [
        f"nonsense://{SECRET}",
        f"slack://{SECRET}",
        f"json://:{SECRET}@",
        SECRET,
    ],
)
def test_a_bad_address_is_refused_without_showing_it(address: str) -> None:
    channel = AppriseUrls(f"json://127.0.0.1 {address}" if "://" in address else address)

    with pytest.raises(InvalidInput, match=r"TRADING_NOTIFY: address \d of \d") as refused:
        _ = channel.services

    assert SECRET not in str(refused.value)
    assert channel.send("Halt", "x") == Told(is_sent=False, failed=("TRADING_NOTIFY",))


@pytest.mark.parametrize("status", [200, 404])
def test_no_log_has_an_address(
    receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Not even when everything is logged, by whomever."""
    receiver.status = status
    with caplog.at_level(logging.DEBUG):
        channel = AppriseUrls(f"{receiver.address} json://127.0.0.1:1/{SECRET}")
        channel.send("Halt", "x")
        AppriseUrls(f"slack://{SECRET}").send("Halt", "x")

    assert receiver.texts == ["x"]
    assert "not delivered" in caplog.text
    assert SECRET not in caplog.text


def test_a_channel_that_is_printed_shows_no_address(receiver: Receiver) -> None:
    channel = AppriseUrls(receiver.address)

    assert SECRET not in repr(channel) + str(channel)
