"""The base volume of each candle, from one or two volume columns that may have changed places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .moments import when

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    type Floats = npt.NDArray[np.float64]
    type Times = npt.NDArray[np.int64]
    type Mask = npt.NDArray[np.bool_]

__all__ = ["contract_size", "from_quote", "unswapped"]

_SHOWN = 5
_CONTRACTS = (10.0, 100.0)  # of Binance's COIN-M futures, in USD
_NEAR = 0.05  # how far a candle's mean price may lie from its typical price, for most candles


def from_quote(quote: Floats, close: Floats, mended: list[str]) -> Floats:
    """Return the volume in base units of candles that have one in quote only."""
    mended.append("there is no volume in base units: it is the quote volume divided by the close")
    with np.errstate(divide="ignore", invalid="ignore"):
        return quote / close


def unswapped(
    base: Floats,
    quote: Floats,
    prices: Sequence[Floats],
    time: Times,
    lines: tuple[int, ...],
    names: tuple[str, str],
    mended: list[str],
) -> Floats:
    """Return the base volume of every row; where the two columns hold each other's values, say so and swap them.

    Proof for a row: quote volume / base volume is its average price, so it lies near low..high (within a factor
    of 1.5, for rounding). A row whose ratio does so only the other way round is swapped. At prices near 1 the two
    can't be told apart, and such rows are left as they are.
    """
    low, high = prices[2] / 1.5, prices[1] * 1.5
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = quote / base
        straight = (ratio >= low) & (ratio <= high)
        swapped = (1.0 / ratio >= low) & (1.0 / ratio <= high) & ~straight
    unproved = ~straight & ~swapped & ((base != 0.0) | (quote != 0.0))
    if swapped.any():
        runs = _runs(swapped, straight)
        said = "; ".join(_stretch(time, lines, first, last) for first, last in runs[:_SHOWN])
        more = f"; and {len(runs) - _SHOWN} more stretches" if len(runs) > _SHOWN else ""
        mended.append(
            f"the columns {names[0]!r} and {names[1]!r} hold each other's values in {int(swapped.sum())} rows "
            f"(proved by quote = base x price) and were swapped back: {said}{more}"
        )
    if unproved.any():
        mended.append(
            f"{int(unproved.sum())} rows where neither volume fits the price keep {names[0]!r} as it stands"
        )
    return np.where(swapped, quote, base)


def contract_size(volume: Floats, other: Floats, prices: Sequence[Floats]) -> float | None:
    """How many USD each contract of an inverse future is worth if `volume` counts contracts; None if it does not.

    Then `other` is in base: `volume x size = other x price`. It is taken where it fits the typical prices better
    than `volume` in base beside `other` in quote, and than `volume` in quote beside `other` in base.
    """
    price = (prices[1] + prices[2] + prices[3]) / 3.0
    with np.errstate(divide="ignore", invalid="ignore"):
        worth = other * price / volume
        traded = np.isfinite(worth) & (worth > 0.0)
        if not traded.any():
            return None
        worth, price = worth[traded], price[traded]
        misfit = {size: float(np.median(np.abs(np.log(worth / size)))) for size in (1.0, *_CONTRACTS)}
        straight = float(np.median(np.abs(np.log(worth / price**2))))
    best = min(misfit, key=misfit.__getitem__)
    return best if best in _CONTRACTS and misfit[best] < min(_NEAR, straight) else None


def _stretch(time: Times, lines: tuple[int, ...], first: int, last: int) -> str:
    place = f" (lines {lines[first]} to {lines[last]})" if lines else ""
    return f"{when(int(time[first]))} to {when(int(time[last]))}{place}"


def _runs(swapped: Mask, straight: Mask) -> list[tuple[int, int]]:
    """Return first and last row of each stretch of swapped rows; rows that prove nothing don't end a stretch."""
    decided = np.flatnonzero(swapped | straight)
    states = swapped[decided]
    edges = np.flatnonzero(states[1:] != states[:-1]) + 1
    stretches = np.split(decided, edges)
    return [(int(part[0]), int(part[-1])) for part in stretches if swapped[part[0]]]
