"""What is swept: the values of every parameter, the signals that they go to, and the desks they are traded on."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, MetaExpertError, StrategyError, did_you_mean
from ..signals import ask
from .desk import EVENT_ONLY, SignalSettings, single_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd

    from .desk import Desk, Histories
    from .single import Single

__all__ = ["SWEEP", "Book", "Plan", "check_names", "dealt", "is_setting", "named", "refuse_unknown"]

SWEEP = "Backtest.sweep(...)"
_SETTINGS = frozenset(SignalSettings.__annotations__) | frozenset(EVENT_ONLY)
_SETS = ("trade_hours", "allowed_days")  # settings whose one value is a set


@dataclass(frozen=True, kw_only=True)
class Book:
    """One symbol of a sweep: its candles and the desks that it is traded on, by the values of swept settings."""

    histories: Histories
    desks: Mapping[tuple[Any, ...], Desk]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is swept.

    `signals` is called with the bars and the parameters that are no settings; it may return None to leave a pass
    out. `ranges` holds the values of every parameter in order; `settings` names those that are settings. `books`
    holds the symbols by the name that the table shows, "" alone when there is only one.
    """

    signals: Callable[..., Any]
    ranges: Mapping[str, Sequence[Any]]
    settings: tuple[str, ...]
    books: Mapping[str, Book]

    @property
    def names(self) -> list[str]:
        """What tells the passes apart: the symbol, where there are several, and the parameters."""
        return [*([] if "" in self.books else ["symbol"]), *self.ranges]

    def passes(self) -> Iterator[dict[str, Any]]:
        """The parameters of every pass."""
        for values in product(*self.ranges.values()):
            yield dict(zip(self.ranges, values, strict=True))

    def desk(self, symbol: str, parameters: Mapping[str, Any]) -> Desk:
        """The desk of one pass."""
        return self.books[symbol].desks[tuple(parameters[name] for name in self.settings)]

    def single(self, symbol: str, parameters: Mapping[str, Any], bars: pd.DataFrame) -> Single | None:
        """What is played in one pass, its signals made of `bars`; None where they leave it out.

        Raises:
            StrategyError: the signals fail, or are no boolean columns of the bars' length.
        """
        own = {name: value for name, value in parameters.items() if name not in self.settings}
        try:
            answer = ask(self.signals, bars, **own)
            if answer is None:
                return None
            return single_of(self.desk(symbol, parameters), self.books[symbol].histories, answer)
        except MetaExpertError as error:
            raise StrategyError(f"{named(symbol, parameters)}: {error}") from error


def named(symbol: str, parameters: Mapping[str, Any]) -> str:
    """How a message calls a pass."""
    words = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
    return f"the pass {words}" + (f" of {symbol}" if symbol else "")


# --- what was given -------------------------------------------------------------------------------------------


def dealt(ranges: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Settings with one value, those of an expert (`own`) beneath, and the values of everything that is swept.

    Raises:
        ConfigError: a range is empty, has no order, or holds values that can't be told apart.
    """
    fixed, swept = dict(own), dict[str, list[Any]]()
    for name, given in ranges.items():
        values = None if name in _SETS else _values(name, given)
        if name in _SETTINGS and values is None:
            fixed[name] = given
        else:
            swept[name] = [given] if values is None else values
            fixed.pop(name, None)
    if not swept:
        raise ConfigError(
            f"{SWEEP}: there is nothing to sweep: give a parameter its values, as in fast=range(5, 50)"
        )
    return fixed, swept


def is_setting(name: str) -> bool:
    """Is `name` a setting of strategies, and not a parameter of the signals?"""
    return name in _SETTINGS


def _values(name: str, given: Any) -> list[Any] | None:
    """The values of a range; None where one value was given."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        return None
    if isinstance(given, Mapping | Set):
        kind = type(given).__name__  # pyright: ignore[reportUnknownArgumentType]
        raise ConfigError(f"{SWEEP}: {name} is a {kind}, which has no order: give a list, a range or an array")
    source: Any = given  # pyright: ignore[reportUnknownVariableType]
    values: Any = source.tolist() if hasattr(source, "tolist") else list(source)
    if not isinstance(values, list):  # an array of one value, without a dimension
        return None
    return _told_apart(name, values)  # pyright: ignore[reportUnknownArgumentType]


def _told_apart(name: str, values: list[Any]) -> list[Any]:
    """Refuse values that can't name a pass."""
    if not values:
        raise ConfigError(f"{SWEEP}: {name} has no values: give at least one")
    for value in values:
        try:
            hash(value)
        except TypeError:
            raise ConfigError(
                f"{SWEEP}: {name} can't take {value!r:.60}: use a tuple, a number or a word"
            ) from None
    return values


def check_names(function: Callable[..., Any], given: Iterable[str]) -> None:
    """Refuse parameters that `function` does not take, and ask for those that it can't do without.

    Raises:
        ConfigError: there is one.
    """
    try:
        _, *rest = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # made in C, or without parameters: it says so itself when it is called
        return
    given = list(given)
    named = {one.name: one for one in rest if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    if not any(one.kind is one.VAR_KEYWORD for one in rest):
        refuse_unknown(given, named)
    for name, one in named.items():
        if one.default is one.empty and name not in given:
            raise ConfigError(f"{SWEEP}: signals need a value of {name!r}: give {name}=[...]")


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse parameters that are neither `known` nor settings.

    Raises:
        ConfigError: there is one.
    """
    known = list(known)
    for name in given:
        if name not in known:
            hint = did_you_mean(name, [*known, *_SETTINGS])
            raise ConfigError(f"{SWEEP}: {name!r} is neither a parameter of signals nor a setting{hint}")
