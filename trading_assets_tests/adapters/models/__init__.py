"""Asking models, over HTTP against servers that only pretend."""
