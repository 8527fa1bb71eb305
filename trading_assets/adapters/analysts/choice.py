"""Which analyst a strategy asks."""

from trading_assets.adapters.analysts.port import Analyst
from trading_assets.adapters.analysts.rules import rules_analyst_of
from trading_assets.errors import InvalidPrompt, InvalidStrategy
from trading_assets.strategies.faults import Fault
from trading_assets.strategies.loading import LoadedStrategy
from trading_assets.strategies.spec import AutogenAnalyst, RulesAnalyst


def analyst_of(strategy: LoadedStrategy) -> Analyst:
    """The analyst that *strategy* asks; nobody is asked yet.

    Raises:
        InvalidStrategy: If its rule or one of its prompts is not to be found, or is at
            fault, or if its kind needs a package that is not there; the message names
            file, line and key of every fault.
    """
    asked = strategy.spec.analyst
    if isinstance(asked, RulesAnalyst):
        return rules_analyst_of(strategy, asked)
    # Whoever asks no model shall not wait for what asking needs.
    from trading_assets.adapters.analysts.chart_reader import ChartReader  # noqa: PLC0415

    try:
        if isinstance(asked, AutogenAnalyst):
            return _autogen_panel(strategy, asked)
        return ChartReader.of(strategy, asked)
    except InvalidPrompt as error:
        fault = Fault(("analyst", "prompts"), str(error))
        raise strategy.refusal([fault]) from error


def _autogen_panel(strategy: LoadedStrategy, asked: AutogenAnalyst) -> Analyst:
    try:
        from trading_assets.adapters.analysts.autogen_panel import AutogenPanel  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        message = (
            f"autogen needs the package {error.name}, which is in the extra agents: "
            "pip install 'trading-assets[agents]'"
        )
        raise strategy.refusal([Fault(("analyst", "kind"), message)]) from error
    try:
        return AutogenPanel.of(strategy, asked)
    except InvalidStrategy as error:
        raise strategy.refusal([Fault(("analyst", "module"), str(error))]) from error
