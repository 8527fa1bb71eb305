"""Every source of bars keeps the promises of the port."""
