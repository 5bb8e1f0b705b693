"""Inputs: the numbers and words of an expert that a run, or an optimiser, may change."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

__all__ = ["Input", "Inputs"]


@dataclass(frozen=True, slots=True)
class Input:
    """An input of an expert with the range over which an optimiser may search it."""

    default: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ConfigError(f"Input({self.default!r}): give both low and high, or neither")
        if self.low is not None and self.high is not None:
            if not self.low <= self.default <= self.high:
                raise ConfigError(f"Input({self.default!r}) lies outside {self.low!r}..{self.high!r}")
            if self.step is not None and self.step <= 0:
                raise ConfigError(f"Input({self.default!r}): step must be positive, got {self.step!r}")


class Inputs:
    """The inputs of an expert, read as attributes: ``inputs.fast``."""

    def __init__(self, declared: Mapping[str, Any]) -> None:
        inputs = {name: one if isinstance(one, Input) else Input(one) for name, one in declared.items()}
        object.__setattr__(self, "_inputs", inputs)
        object.__setattr__(self, "_values", {name: one.default for name, one in inputs.items()})

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = self.__dict__.get("_values", {})
        if name in values:
            return values[name]
        raise AttributeError(f"there is no input {name!r}{did_you_mean(name, values)}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"inputs can't be changed by the expert: {name} stays as the run was told")

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__["_values"])

    def __repr__(self) -> str:
        values: dict[str, Any] = self.__dict__["_values"]
        return f"Inputs({', '.join(f'{name}={value!r}' for name, value in values.items())})"

    @property
    def declared(self) -> Mapping[str, Input]:
        """The inputs by name, with their ranges."""
        return self.__dict__["_inputs"]

    def as_dict(self) -> dict[str, Any]:
        """The values by name."""
        return dict(self.__dict__["_values"])

    @contextmanager
    def changed(self, changes: Mapping[str, Any]) -> Generator[None]:
        """Other values for the length of one run.

        Raises:
            ConfigError: a name is unknown, or a value is of another kind than the default.
        """
        values: dict[str, Any] = self.__dict__["_values"]
        before = dict(values)
        for name, value in changes.items():
            if name not in before:
                raise ConfigError(f"there is no input {name!r}{did_you_mean(name, before)}")
            values[name] = _like(name, self.declared[name].default, value)
        try:
            yield
        finally:
            values.update(before)


def _like(name: str, default: Any, value: Any) -> Any:
    """`value` in the type of `default`; a whole float is an int where one is meant."""
    if isinstance(default, bool) or default is None or isinstance(value, bool):
        fits = isinstance(value, bool) == isinstance(default, bool) or default is None
    elif isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    elif isinstance(default, float) and isinstance(value, int):
        return float(value)
    else:
        fits = isinstance(value, type(default))
    if not fits:
        raise ConfigError(f"input {name} is {type(default).__name__} ({default!r}), got {value!r}")
    return value
