"""The ledger's books and the tables that they are copied to."""

from datetime import date

from trading_assets.adapters.brokers.port import Broker
from trading_assets.adapters.storage.port import Warehouse
from trading_assets.models.tables import PORTFOLIO


def unwritten(warehouse: Warehouse, broker: Broker, strategy: str) -> list[date]:
    """Decided sessions whose portfolio is not in the tables, or is of an older walk."""
    decided = broker.decided(strategy)
    own = {"strategy": strategy, "lane": broker.lane.value}
    columns = ["session", "book_hash"]
    there = warehouse.read(PORTFOLIO, own, columns=columns)
    stands = broker.rows(strategy, PORTFOLIO, decided)[columns]
    both = stands.merge(there, how="left", indicator=True)
    return sorted(both.loc[both["_merge"] == "left_only", "session"].dt.date)
