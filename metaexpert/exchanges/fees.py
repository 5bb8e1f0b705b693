"""What a fee is worth in the currency that a market settles in, whatever it was paid in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .. import rules
from ..errors import MetaExpertError

if TYPE_CHECKING:
    from ..answers import ExchangeFill
    from ..clock import Clock
    from ..models import Market
    from .gateway import Gateway

__all__ = ["Fees", "usual"]

_FRESH_MS = 60_000
_PATIENCE = 2.0  # seconds: a fill waits no longer to be told


class Fees:
    """Values the fees of fills; use it within one event loop.

    Args:
        gateway: tells what other currencies are worth.
        clock: tells how old a price is.
    """

    def __init__(self, gateway: Gateway, clock: Clock) -> None:
        self._gateway, self._clock = gateway, clock
        self._prices: dict[tuple[str, str], tuple[int, float | None]] = {}

    async def value(self, fill: ExchangeFill) -> float | None:
        """What was paid for `fill`, in the settlement currency; None where its currency has no known price.

        A third currency, such as BNB, is valued at its last price, which is asked for once a minute at most; while
        none is told, the last one that is known holds.
        """
        market = await self._gateway.market(fill.symbol)
        if fill.fee == 0.0 or fill.fee_currency == market.settle:
            return fill.fee
        if fill.fee_currency == market.base:
            return fill.fee * fill.price
        if fill.fee_currency is None:
            return None
        price = await self._price(fill.fee_currency, market.settle)
        return None if price is None else fill.fee * price

    async def _price(self, currency: str, settle: str) -> float | None:
        asked, price = self._prices.get((currency, settle), (None, None))
        now = self._clock.now()
        if asked is None or now - asked >= _FRESH_MS:
            try:
                async with asyncio.timeout(_PATIENCE):
                    price = (await self._gateway.ticker(f"{currency}/{settle}")).last or price
            except (MetaExpertError, TimeoutError):
                pass  # no such market, or no answer: as it was known before
            self._prices[currency, settle] = now, price
        return price


def usual(fill: ExchangeFill, market: Market) -> float:
    """What `fill` costs by the market's own rates, in the settlement currency: where nobody tells."""
    rate = market.maker if fill.is_maker else market.taker
    return rules.fee(rules.INVERSE if market.is_inverse else rules.LINEAR, fill.qty, fill.price, rate)
