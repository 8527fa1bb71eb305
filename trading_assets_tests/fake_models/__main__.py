"""Fake models to try a client against by hand.

    python -m trading_assets_tests.fake_models --port 4010

A model's name may say what goes wrong: ``gpt-6-luna@overloaded``. Or script the next
request: ``curl -d '{"fault": "rate_limited", "retry_after": "2"}' localhost:4010/_play``.
``/_requests`` lists what came.
"""

import argparse
import threading

from trading_assets_tests.fake_models.plays import Fault
from trading_assets_tests.fake_models.server import FakeModels


def main(arguments: list[str] | None = None) -> None:
    """Run until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m trading_assets_tests.fake_models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=4010, help="0 takes a free one")
    parser.add_argument("--instant", action="store_true", help="answer without a look")
    asked = parser.parse_args(arguments)
    with FakeModels(asked.port, is_instant=asked.instant) as models:
        _say(f"listening on 127.0.0.1:{models.port}")
        for protocol in ("anthropic", "openai", "compatible"):
            _say(f"  {protocol}: {models.url(protocol)}")
        _say(f"faults: {', '.join(Fault)}")
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            _say("interrupted")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a program for a terminal


if __name__ == "__main__":
    main()
