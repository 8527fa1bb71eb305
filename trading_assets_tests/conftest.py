"""How the property tests are run, whoever runs them.

The short profile tries the same examples on every machine, so that a commit passes or
fails for what is in it; the long one (``make test-long``) looks for new ones, and has the
tests that are marked ``long``: of each a shorter one is in both.

Files that are marked ``together`` come first, for their tests share what takes long to
make: of several processes the one that is done takes tests from the end of another's,
which would cut such a file in two and have it all made twice.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("trading_assets_tests.quick_ledgers",)

IS_LONG = os.environ.get("TRADING_TEST_PROFILE") == "long"

settings.register_profile(
    "short",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("long" if IS_LONG else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what is ``together``; leave ``long`` out of the short profile."""
    items.sort(key=lambda item: item.get_closest_marker("together") is None)
    if IS_LONG:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if not item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
