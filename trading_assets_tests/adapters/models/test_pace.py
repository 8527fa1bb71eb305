import asyncio
from datetime import timedelta

import pytest

from trading_assets.adapters.models.pace import Pace, rate_limits
from trading_assets_tests.adapters.models.desks import StillTime, run


async def go(pace: Pace, tokens: int = 10) -> None:
    async with pace.turn(tokens):
        pass


def waited(headers: dict[str, str], tokens: int = 10, longest: float = 60.0) -> float:
    """Seconds until the next question after a reply with *headers*."""

    async def asked() -> float:
        time = StillTime()
        pace = Pace(4, longest, time.surroundings)
        await go(pace)
        pace.hear(headers)
        await go(pace, tokens)
        return time.seconds

    return run(asked())


def openai(remaining: str, reset: str, of: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{of}": "100",
        f"x-ratelimit-remaining-{of}": remaining,
        f"x-ratelimit-reset-{of}": reset,
    }


def anthropic(remaining: str, reset: str, of: str = "requests") -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{of}-limit": "100",
        f"anthropic-ratelimit-{of}-remaining": remaining,
        f"anthropic-ratelimit-{of}-reset": reset,
    }


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (openai("1", "30s"), 0.0),
        (openai("0", "30s"), 30.0),
        (openai("0", "6m0s"), 0.0),  # too long: it is asked, and says so itself
        (openai("0", "1m0s"), 60.0),
        (openai("0", "20ms"), 0.02),
        (openai("0", "1m2.5s"), 0.0),
        (openai("0", "2.5"), 2.5),
        (openai("0", "1h0m1s"), 0.0),
        (openai("0", "soon"), 0.0),
        (openai("none", "30s"), 0.0),
        (openai("9", "30s", of="tokens"), 30.0),
        (openai("10", "30s", of="tokens"), 0.0),
        (anthropic("0", "2026-03-03T12:00:05Z"), 5.0),
        (anthropic("0", "2026-03-03T11:59:00Z"), 0.0),
        (anthropic("9", "2026-03-03T12:00:05Z", of="input-tokens"), 5.0),
        (anthropic("1", "2026-03-03T12:00:05Z", of="output-tokens"), 0.0),
        (anthropic("0", "2026-03-03T12:00:05Z", of="output-tokens"), 5.0),
    ],
)
def test_a_question_waits_until_it_would_be_taken(
    headers: dict[str, str], seconds: float
) -> None:
    assert waited(headers) == pytest.approx(seconds)


def test_a_question_larger_than_any_window_waits_for_a_whole_one() -> None:
    assert waited(openai("99", "30s", of="tokens"), tokens=5000) == 30.0
    assert waited(openai("100", "30s", of="tokens"), tokens=5000) == 0.0


def test_what_goes_out_is_counted_before_a_reply_tells() -> None:
    async def asked() -> list[float]:
        time, went = StillTime(), list[float]()
        pace = Pace(10, 60.0, time.surroundings)
        pace.hear(openai("2", "10s"))
        for _ in range(4):
            await go(pace)
            went.append(time.seconds)
        return went

    assert run(asked()) == [0.0, 0.0, 10.0, 10.0]


def test_of_two_replies_about_one_window_the_smaller_is_newer() -> None:
    async def asked() -> float:
        time = StillTime()
        pace = Pace(10, 60.0, time.surroundings)
        pace.hear(openai("0", "10s"))
        pace.hear(openai("5", "10s"))
        await go(pace)
        return time.seconds

    assert run(asked()) == 10.0


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_end_it() -> None:
    async def asked() -> float:
        time = StillTime()
        pace = Pace(10, 60.0, time.surroundings)
        pace.pause(20)
        pace.pause(5)
        await asyncio.gather(*(go(pace) for _ in range(3)))
        return (time.now() - time.began) / timedelta(seconds=1)

    assert run(asked()) >= 20.0


def test_no_more_are_out_than_allowed() -> None:
    async def asked() -> int:
        pace = Pace(3, 60.0, StillTime().surroundings)
        out = most = 0

        async def one() -> None:
            nonlocal out, most
            async with pace.turn(1):
                out += 1
                most = max(most, out)
                await asyncio.sleep(0.001)
                out -= 1

        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert run(asked()) == 3


def test_both_ways_of_naming_limits_are_read() -> None:
    told = rate_limits(openai("1", "2s") | anthropic("3", "x", of="input-tokens"))

    assert told == {
        "requests": {"limit": "100", "remaining": "1", "reset": "2s"},
        "input-tokens": {"limit": "100", "remaining": "3", "reset": "x"},
    }
