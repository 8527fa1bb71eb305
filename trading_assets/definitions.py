"""The code location: what Dagster loads."""

import warnings

from dagster import BetaWarning

# We know: partition mappings between two dimensions are beta, and lookback assets have a
# backfill policy of their own so that their inputs are made first. Nobody need be told.
warnings.simplefilter("ignore", BetaWarning)
warnings.filterwarnings("ignore", message=".*varying BackfillPolicies.*")

from trading_assets.defs import fast_paths  # noqa: E402 - after the filter
from trading_assets.defs.location import (  # noqa: E402 - as above
    definitions_of,
    market_of,
)
from trading_assets.defs.resources import Settings  # noqa: E402 - as above

fast_paths.install()

settings = Settings.from_environment()
market = market_of(settings)
defs = definitions_of(settings, market)
