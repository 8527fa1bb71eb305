"""Writing sessions down where experiments are compared."""
