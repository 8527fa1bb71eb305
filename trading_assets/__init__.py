"""A Dagster asset-based trading platform."""
