"""Which broker keeps which of a strategy's books."""

from collections.abc import Callable

from trading_assets.adapters.brokers.port import Broker
from trading_assets.models.base import Lane
from trading_assets.strategies.spec import StrategySpec


class Brokers:
    """A broker for each book, made when it is first asked for."""

    def __init__(
        self,
        simulated: Callable[[Lane], Broker],
        real: Callable[[StrategySpec], Broker],
    ) -> None:
        """Make none yet.

        Args:
            simulated: Makes the simulated broker of a lane.
            real: Makes the one that trades for a strategy outside.
        """
        self._simulated, self._real = simulated, real
        self._made: dict[tuple[str, Lane], Broker] = {}

    def of(self, spec: StrategySpec, lane: Lane) -> Broker:
        """The broker that keeps the book of *spec* in *lane*.

        Raises:
            InvalidInput: If it is outside, and nobody says where.
            WrongAccount: If the strategy, the environment and the port do not agree on
                the account.
        """
        key = (spec.name if lane is Lane.IBKR else "", lane)
        if key not in self._made:
            is_real = lane is Lane.IBKR
            self._made[key] = self._real(spec) if is_real else self._simulated(lane)
        return self._made[key]
