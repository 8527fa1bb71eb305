"""Tests of telling an experiment tracker."""
