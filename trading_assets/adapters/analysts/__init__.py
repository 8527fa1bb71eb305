"""Who has opinions."""
