"""Rules: pure functions from views to opinions.

A rule of your own is one decorated function in a module that a strategy file names::

    @rule(indicators=lambda days: (f"sma_{days}",))
    def above_average(views: Views, *, days: Annotated[int, Field(ge=2)] = 50) -> Opinions:
        '''Long above the average close of *days*.'''
        average = views[f"sma_{days}"]
        return Opinions.of(
            views,
            buy=views.close > average,
            sell=views.close < average,
            reason=lambda row: f"close {views.close[row]:.2f}, average {average[row]:.2f}",
        )
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import SimpleNamespace
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from trading_assets.core.opinions import COLUMNS, Opinions
from trading_assets.core.source_hash import source_hash
from trading_assets.core.views import Views
from trading_assets.errors import InvalidStrategy
from trading_assets.strategies.faults import Fault, unknown_key, value_faults
from trading_assets.strategies.loading import described

PACKAGED_RULES = "trading_assets.core.packaged_rules"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a rule; *default* is `inspect.Parameter.empty` if it has none."""

    annotation: object
    adapter: TypeAdapter[Any]
    default: object

    def read(self, given: object) -> object:
        """*given* as this parameter's type, without guessing: ``"10"`` is no number."""
        return self.adapter.validate_json(json.dumps(given), strict=True)


@dataclass(frozen=True, eq=False)
class Rule:
    """A pure function with opinions, and what it asks for; `rule` makes one of a function.

    Calling it calls the function.
    """

    name: str
    function: Callable[..., Opinions]
    indicators: Callable[..., Iterable[str]] = field(repr=False)
    bars: Callable[..., int] = field(repr=False)
    check: Callable[..., None] = field(repr=False)
    version: str

    def __call__(self, views: Views, **parameters: object) -> Opinions:
        """What the function answers.

        Raises:
            InvalidStrategy: If that is no `Opinions`.
        """
        opinions = self.function(views, **parameters)
        if not isinstance(opinions, Opinions):
            received = type(opinions).__name__
            raise InvalidStrategy(f"a rule must return Opinions, was {received}")
        return opinions

    @property
    def __wrapped__(self) -> Callable[..., Opinions]:
        """The function, for those who look for its source."""
        return self.function

    @cached_property
    def version_hash(self) -> str:
        """Changes with the function, with what it names in its module, and its version."""
        parts = (self.function, self.indicators, self.bars, self.check)
        own = [part for part in parts if part.__module__ == self.function.__module__]
        return source_hash(own, self.name, self.version)

    @cached_property
    def parameters(self) -> Mapping[str, Parameter]:
        """What a strategy file may set, by name.

        Raises:
            InvalidStrategy: If one is not keyword-only, or not annotated with a type that
                can be checked.
        """
        _, *declared = inspect.signature(self.function).parameters.values()
        keywords = {p.name: p for p in declared if p.kind is p.KEYWORD_ONLY}
        bare = [p.name for p in declared if p.name not in keywords or _is_bare(p)]
        if bare:
            raise InvalidStrategy(
                f"rule {self.name}: parameters after the views must be keyword-only and "
                f"annotated, as in `*, days: int = 50`; {bare} are not"
            )
        hints = self._hints(keywords)
        return {name: self._parameter(keywords[name], hints[name]) for name in keywords}

    def faults(self, given: Mapping[str, object]) -> list[Fault]:
        """What is wrong with the parameters *given*; empty if they can be used."""
        faults: list[Fault] = []
        self._read(given, faults)
        return faults

    def bound(self, given: Mapping[str, object]) -> "BoundRule":
        """This rule with the parameters *given*, and defaults for the others.

        Raises:
            InvalidStrategy: If they can't be used; the message names every fault.
        """
        faults: list[Fault] = []
        values = self._read(given, faults)
        if faults:
            told = "; ".join(str(fault) for fault in faults)
            raise InvalidStrategy(f"rule {self.name}: {told}")
        asked = tuple(dict.fromkeys(_answer(self.indicators, values)))
        return BoundRule(self, values, asked, _answer(self.bars, values))

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of its parameters."""
        _, meanings = described(inspect.getdoc(self.function) or "", "Args")
        properties: dict[str, Any] = {}
        for name, parameter in self.parameters.items():
            schema = parameter.adapter.json_schema()
            if parameter.default is not inspect.Parameter.empty:
                schema["default"] = parameter.default
            if name in meanings:
                schema["description"] = meanings[name]
            properties[name] = schema
        return {"type": "object", "properties": properties}

    def _read(self, given: Mapping[str, object], faults: list[Fault]) -> dict[str, object]:
        """Values of all parameters; what is wrong is added to *faults*."""
        values: dict[str, object] = {}
        for name, parameter in self.parameters.items():
            if name not in given and parameter.default is inspect.Parameter.empty:
                faults.append(Fault((name,), f"is missing; rule {self.name} needs it"))
            elif name not in given:
                values[name] = parameter.default
            else:
                try:
                    values[name] = parameter.read(given[name])
                except ValidationError as error:
                    faults += value_faults(error, (name,), parameter.annotation)
        unknown = [name for name in given if name not in self.parameters]
        faults += [unknown_key((name,), self.parameters) for name in unknown]
        if not faults:
            try:
                _answer(self.check, values)
            except ValueError as error:
                faults.append(Fault((), str(error)))
        return values

    def _hints(self, keywords: Iterable[str]) -> dict[str, Any]:
        # Only the parameters': views and result may be known to type checkers alone.
        declared = inspect.get_annotations(self.function)
        wanted = SimpleNamespace(
            __annotations__={name: declared[name] for name in keywords}
        )
        scope = inspect.unwrap(self.function).__globals__
        return get_type_hints(wanted, globalns=scope, include_extras=True)

    def _parameter(self, declared: inspect.Parameter, annotation: object) -> Parameter:
        try:
            strictly = ConfigDict(allow_inf_nan=False)
            adapter = TypeAdapter[Any](annotation, config=strictly)  # pyright: ignore[reportArgumentType]  # whatever is declared
        except PydanticUserError as error:
            raise InvalidStrategy(
                f"rule {self.name}: the type of {declared.name} can't be checked: "
                f"{annotation}"
            ) from error
        return Parameter(annotation, adapter, declared.default)


@dataclass(frozen=True, eq=False)
class BoundRule:
    """A rule with its parameters.

    Attributes:
        parameters: All of them, checked.
        indicators: Columns that it reads.
        bars: How many of a symbol's last bars it looks at, itself included.
    """

    rule: Rule
    parameters: Mapping[str, object]
    indicators: tuple[str, ...]
    bars: int

    def opinions(self, views: Views) -> Opinions:
        """One opinion per row of *views*.

        A rule of somebody's own is asked again about some of the rows: an opinion that
        changes with the rows beside it would change with the range, and might have looked
        ahead.

        Raises:
            DataMissing: If an indicator that it needs was not computed.
            InvalidStrategy: If it answers out of range, or looks at other rows.
        """
        seen = views.seeing(self.indicators, self.bars)
        if not len(seen):
            nowhere = np.zeros(0, dtype=bool)
            return Opinions.of(seen, buy=nowhere, sell=nowhere, reason=str)
        opinions = self._ask(seen)
        if self.rule.function.__module__ != PACKAGED_RULES:
            everyone = np.arange(len(seen))
            for some in (everyone[::2], everyone[1::2], everyone[:1], everyone[-1:]):
                self._compare(seen, opinions, some)
        return opinions

    def _ask(self, views: Views) -> Opinions:
        """What the rule answers, checked."""
        try:
            opinions = self.rule(views, **self.parameters)
            opinions.check(views)
        except InvalidStrategy as error:
            raise InvalidStrategy(f"rule {self.rule.name}: {error}") from error
        return opinions

    def _compare(self, views: Views, whole: Opinions, rows: NDArray[np.int64]) -> None:
        """Refuse a *whole* that changes when *rows* are alone."""
        if not len(rows):
            return
        part = self._ask(views.take(rows))
        for name in COLUMNS:
            among, alone = getattr(whole, name)[rows], getattr(part, name)
            same = np.isclose(among, alone, rtol=1e-9, atol=0, equal_nan=True)
            if not same.all():
                row = int(np.argmin(same))
                raise InvalidStrategy(
                    f"rule {self.rule.name}: an opinion may rest on its own row alone; "
                    f"{name} of {views.row_name(rows[row])} is {among[row]} among "
                    f"{len(views)} rows and {alone[row]} among {len(rows)} of them"
                )


def rule(
    *,
    name: str | None = None,
    indicators: Iterable[str] | Callable[..., Iterable[str]] = (),
    bars: int | Callable[..., int] = 1,
    check: Callable[..., None] | None = None,
    version: str = "1",
) -> Callable[[Callable[..., Opinions]], Rule]:
    """A decorator that makes a rule of a pure function ``f(views, *, parameter=…)``.

    Args:
        name: What strategy files call it; None means as the function.
        indicators: Columns that it reads, or a function of some of its parameters that says
            so.
        bars: How many of a symbol's last bars its windows have at most, or such a function.
        check: Such a function that raises ValueError if they don't go together.
        version: Change it when something changes that is not in the function's module.
    """

    def decorate(function: Callable[..., Opinions]) -> Rule:
        made = Rule(
            name=name or function.__name__,
            function=function,
            indicators=(indicators if callable(indicators) else _always(tuple(indicators))),
            bars=bars if callable(bars) else _always(bars),
            check=check or _always(None),
            version=version,
        )
        _ = made.parameters  # refused where it is written
        return made

    return decorate


def _answer[A](function: Callable[..., A], values: Mapping[str, object]) -> A:
    """What *function* says of those of the *values* that it names."""
    named = inspect.signature(function).parameters
    return function(**{name: values[name] for name in values if name in named})


def _always[A](answer: A) -> Callable[..., A]:
    """A function that answers so, whatever it is given."""
    return lambda: answer


def _is_bare(parameter: inspect.Parameter) -> bool:
    return parameter.annotation is inspect.Parameter.empty
