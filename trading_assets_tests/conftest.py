"""How the property tests are run, whoever runs them.

The short profile tries the same examples on every machine, so that a commit passes or
fails for what is in it; the long one (``make test-long``) looks for new ones.
"""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "short", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(
    "long" if os.environ.get("TRADING_TEST_PROFILE") == "long" else "short"
)
