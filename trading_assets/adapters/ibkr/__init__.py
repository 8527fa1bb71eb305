"""Interactive Brokers: connection, contracts, prices and orders."""
