"""Tests of `trading_assets.adapters.models`."""
