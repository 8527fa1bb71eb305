"""Which analyst a strategy asks."""

from trading_assets.adapters.analysts.port import Analyst
from trading_assets.adapters.analysts.rules import rules_analyst_of
from trading_assets.errors import InvalidPrompt
from trading_assets.strategies.faults import Fault
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import RulesAnalyst


def analyst_of(strategy: LoadedStrategy) -> Analyst:
    """The analyst that *strategy* asks; nobody is asked yet.

    Raises:
        InvalidStrategy: If its rule or one of its prompts is not to be found, or is at
            fault; the message names file, line and key of every fault.
    """
    asked = strategy.spec.analyst
    if isinstance(asked, RulesAnalyst):
        return rules_analyst_of(strategy, asked)
    # Whoever asks no model shall not wait for what asking needs.
    from trading_assets.adapters.analysts.chart_reader import ChartReader  # noqa: PLC0415

    try:
        return ChartReader.of(strategy, asked)
    except InvalidPrompt as error:
        fault = Fault(("analyst", "prompts"), str(error))
        raise strategy.refusal([fault]) from error
