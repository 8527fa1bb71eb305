"""A world whose market is a gateway of Interactive Brokers, on the loopback."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd

from trading_assets_tests.defs.world import CROSS, FIELDS, SYMBOLS, World, walk
from trading_assets_tests.fake_gateway import FakeGateway

PRICES = list(FIELDS[:4])
ACCOUNT = "DU1234567"


@dataclass
class Street(World):
    """A world with a *gateway* in the place of its files.

    Attributes:
        traded: Bars by symbol, as they were traded.
        splits: Ratio by symbol and ex-session.
    """

    gateway: FakeGateway = field(default_factory=FakeGateway)
    traded: dict[str, pd.DataFrame] = field(default_factory=dict)
    splits: dict[tuple[str, date], float] = field(default_factory=dict)

    @classmethod
    def on(cls, gateway: FakeGateway, home: Path, strategy: str = CROSS) -> "Street":
        """A fresh one, at the end of the last session that there are bars of."""
        home.joinpath("strategies").mkdir(parents=True)
        street = cls(home, gateway=gateway)
        street.write_strategy(strategy, "s0.yaml")
        for seed, symbol in enumerate(SYMBOLS):
            street.traded[symbol] = walk(seed + 1, street.count)
        street.at_close_of(street.sessions[-1])
        return street

    @property
    def environment(self) -> dict[str, str]:
        """What names this world and its gateway to a process."""
        folder = self.home / "actions"
        return {
            **super().environment,
            "TRADING_MARKET_DATA": "ibkr",
            "IBKR_PORT": str(self.gateway.port),
            "IBKR_ACCOUNT": ACCOUNT,
            **({"TRADING_CORPORATE_ACTIONS": str(folder)} if folder.is_dir() else {}),
        }

    def split_between(self, symbol: str, ex_session: date, ratio: float) -> None:
        """Split *symbol*: from that session on it is traded at another price."""
        bars = self.traded[symbol]
        after = pd.Index(bars.index) >= ex_session
        bars.loc[after, PRICES] = (bars.loc[after, PRICES] / ratio).round(2)
        bars.loc[after, "volume"] = (bars.loc[after, "volume"] * ratio).astype(int)
        self.splits[symbol, ex_session] = ratio

    def write_actions_of(self, symbol: str, *rows: str) -> None:
        """Make *rows* the file of corporate actions of *symbol*."""
        folder = self.home / "actions"
        folder.mkdir(exist_ok=True)
        (folder / f"{symbol}.csv").write_text("\n".join(["ex_date,kind,value", *rows]))

    def at_close_of(self, session: date) -> None:
        """Let the gateway tell what it would tell at the end of *session*."""
        for number, symbol in enumerate(SYMBOLS):
            bars = self.traded[symbol].astype("float64")
            told = bars[pd.Index(bars.index) <= session].copy()
            for (split, ex_session), ratio in self.splits.items():
                if split == symbol and ex_session <= session:
                    before = pd.Index(told.index) < ex_session
                    told.loc[before, PRICES] = (told.loc[before, PRICES] / ratio).round(2)
                    told.loc[before, "volume"] *= ratio
            self.gateway.add_symbol(symbol, con_id=number + 1, name=symbol, bars=told)

    def stored(self, symbol: str) -> pd.DataFrame:
        """The bars of *symbol* that are stored, by session."""
        bars = self.tables()["bars"].query(f"symbol == '{symbol}'")
        return bars.set_index(bars["session"].dt.date)[list(FIELDS)]
