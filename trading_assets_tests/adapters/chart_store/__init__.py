"""Tests of the chart store."""
