"""How ledgers of every age become one of today."""
