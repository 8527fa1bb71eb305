"""Tests of `trading_assets.adapters.analysts`."""
