"""What a live run is about to do: with which account, in which markets, how large, within which limits.

Told by the settings, and by the exchange where it is asked; nothing is sent or changed for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .broker.admission import is_priced
from .broker.homes import homes_of
from .broker.names import Names
from .clock import WallClock
from .errors import ConfigError
from .exchanges.bridge import Bridge
from .exchanges.capabilities import Feature, support, why_unarmed
from .exchanges.gateway import Gateway
from .exchanges.standing import standing
from .exchanges.venues import segment_of, venue_of
from .journal import JournalReader
from .models import MarketType, SizeType, TradeMode
from .wiring import ended_of, journal_of, market_of, named, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from .broker.homes import Home
    from .config import ExchangeSettings, RunSettings, StrategySettings
    from .exchanges.orders import Terms
    from .models import Account, Market, Order, Position
    from .wiring import LiveJob

__all__ = ["Plan", "plan_of", "survey"]

_ANY_RUN = "0" * 8  # whose an order is tells the part of its id that all runs have in common
_LEVELS = {
    "stop_loss_pct": "stop", "take_profit_pct": "target", "trailing_stop_pct": "trailing stop",
    "breakeven_pct": "breakeven",
}  # fmt: skip
_FAILURES = {
    "close": "the position is closed at market",
    "retry": "it is sent again and again, with a warning each time",
    "alert": "on_error is told, and nothing else done",
}
_STOPS = {
    "leave": "entries are cancelled; positions stay, with their stops where these stand on the exchange",
    "flatten": "entries are cancelled and positions closed",
}
_FLATTENS = "at once, when its own orders are cancelled and its own positions closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a live run is about to do, and how the account stands before it.

    `homes` says by symbol who keeps the protective levels; `positions` and `orders` are all that stand on the
    account, whoever's; `own_orders` are the ids of those that are the expert's, `own` the signed quantities by
    (symbol, position_side) that its journal knows as its own. `now` says by symbol what positions are held on at
    present. `rights` are those of the key, as `Gateway.rights` tells them.
    """

    name: str
    exchange: ExchangeSettings
    strategy: StrategySettings
    run: RunSettings
    markets: tuple[Market, ...]
    homes: Mapping[str, Home]
    journal: Path
    account: Account
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    own: Mapping[tuple[str, str | None], float]
    own_orders: frozenset[str]
    now: Mapping[str, str]
    rights: frozenset[str] | None
    notes: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What should be looked at before it begins."""
        found = list(self.notes)
        if self.rights is not None and "withdraw" in self.rights:
            found.append("the key may WITHDRAW funds: take that right away, no expert needs it")
        if self.rights is not None and "trade" not in self.rights:
            found.append("the key may not trade here: give it that right on the exchange's site")
        if self.run.no_limits:
            found.append("no loss limit holds it: no_limits=True (--no-limits)")
        found += [
            f"{symbol}: its levels act only while the expert runs" for symbol, home in self.homes.items()
            if not home.is_native and self._has_levels
        ]  # fmt: skip
        if not self._has_levels:
            found.append("its settings give positions no stop")
        return tuple(found)

    def lines(self) -> list[str]:
        """The plan for people, a line each, the warnings last."""
        return [*self.rows(), *(f"  WARNING: {text}" for text in self.warnings)]

    def rows(self) -> list[str]:
        """The same without the warnings."""
        rows = {
            "account": self._money(),
            "symbols": f"{', '.join(market.symbol for market in self.markets)} on {self.strategy.timeframe} bars",
            "terms": self._terms(),
            "size": _size(self.strategy, self.markets[0]),
            "levels": self._levels(),
            **{f"  {symbol}": f"{home.place}: {home.why}" for symbol, home in self.homes.items()},
            "lost stop": _FAILURES[self.run.on_stop_failure],
            "slippage": _slippage(self.run, limits_only=any(map(is_priced, self.markets))),
            "limits": self._limits(),
            "dead man": self._dead_man(),
            "stopping": _FLATTENS if self.run.flatten else _STOPS[self.run.on_stop],
            "stands now": "; ".join(self._standing()) or "nothing",
            "journal": str(self.journal),
        }
        wide = max(map(len, rows))
        body = [f"  {name:<{wide}}  {text}" for name, text in rows.items()]
        return [self._head(), *body]

    def _head(self) -> str:
        venue, part = venue_of(self.exchange.exchange), segment_of(self.markets[0])
        what = "only closes what is its own" if self.run.flatten else "trades"
        if self.exchange.testnet:
            return f"{self.name} {what} on the TEST NETWORK of {venue.name}, {part} markets"
        return f"{self.name} {what} with REAL MONEY on {venue.name}, {part} markets"

    def _money(self) -> str:
        one, sub = self.account, self.exchange.subaccount
        whose = "" if sub is None else f"sub-account {sub}: "
        return (
            f"{whose}equity {one.equity:,.8g} {one.currency}, free {one.margin_free:,.8g}; key from "
            f"{_SOURCES[self.exchange.sources['api_key']]}"
        )

    def _terms(self) -> str:
        if self.exchange.market_type is not MarketType.FUTURES:
            return "no margin"
        wanted = _told(terms_of(self.exchange, self.strategy))
        others = [f"{symbol} has {now}" for symbol, now in self.now.items() if now != wanted]
        return f"{wanted}{': ' if others else ''}{', '.join(others)}{', to be changed first' if others else ''}"

    @property
    def _has_levels(self) -> bool:
        return any(getattr(self.strategy, name) is not None for name in ("stop_loss_pct", "trailing_stop_pct"))

    def _levels(self) -> str:
        found = [(word, getattr(self.strategy, name)) for name, word in _LEVELS.items()]
        told = ", ".join(f"{word} {value:g} %" for word, value in found if value is not None)
        return f"{told or 'none by the settings, only what orders bring'}; kept by"

    def _limits(self) -> str:
        strategy, run, currency = self.strategy, self.run, self.account.currency
        whose = (
            ("", strategy.daily_loss_limit, strategy.max_drawdown_pct),
            ("the account's ", run.account_daily_loss_limit, run.account_max_drawdown_pct),
        )
        found = [
            text for who, day, fall in whose for text in (
                None if day is None else f"{who}daily loss {day:,g} {currency}",
                None if fall is None else f"{who}drawdown {100 * fall:g} %",
            ) if text is not None
        ]  # fmt: skip
        return f"{', '.join(found)}; then {strategy.limit_action}" if found else "NONE"

    def _dead_man(self) -> str:
        seconds = self.run.dead_man_s
        part = segment_of(self.markets[0])
        why = why_unarmed(self.exchange.exchange, part)
        if seconds == 0:
            return "off by dead_man_s=0"
        if why:
            return f"none: {why}"
        where = support(self.exchange.exchange, part, Feature.DEAD_MAN)[1]
        return f"after {seconds} s without a sign of life the exchange cancels resting orders {where}".rstrip()

    def _standing(self) -> Iterator[str]:
        """What is on the account, and what becomes of it."""
        for one in self.positions:
            own = self.own.get((one.symbol, one.position_side), 0.0)
            fate = "taken over" if self.run.adopt and self._is_traded(one.symbol) else "left alone"
            rest = "" if one.qty == own else f", {one.qty - own:+.12g} not its own: {fate}"
            side = "" if one.position_side is None else f" {one.position_side}"
            yield f"{one.symbol}{side} {one.qty:+.12g} ({own:+.12g} its own{rest})"
        own_orders = sum(one.id in self.own_orders for one in self.orders)
        foreign = len(self.orders) - own_orders
        if own_orders:
            yield f"{own_orders} orders of its own"
        if foreign:
            yield f"{foreign} orders of others, left alone"

    def _is_traded(self, symbol: str) -> bool:
        return any(market.symbol == symbol for market in self.markets)


_SOURCES = {
    "override": "the command line",
    "keyword": "the code",
    "env": "the environment",
    ".env": "the file .env",
}


def _told(terms: Terms) -> str:
    return f"leverage {terms.leverage:g}, {terms.margin_mode} margin, {terms.position_mode} positions"


def _size(strategy: StrategySettings, market: Market) -> str:
    value, cap = strategy.size_value, strategy.max_position_size_quote
    told = {
        SizeType.FIXED_BASE: f"{value:g} {market.base}",
        SizeType.FIXED_QUOTE: f"worth {value:,g} {market.quote}",
        SizeType.PERCENT_EQUITY: f"{100 * value:g} % of equity as margin",
        SizeType.RISK_BASED: f"{value:g} % of equity at risk up to the stop",
    }[strategy.size_type]
    most = "" if cap is None else f", a position worth {cap:,g} {market.quote} at most"
    return f"{told}{most}, unless an order says its own"


def _slippage(run: RunSettings, *, limits_only: bool) -> str:
    what, pct = "market orders, exits too," if limits_only else "market entries", run.max_slippage_pct
    if pct is not None:
        return f"{what} fill at most {pct:g} % beyond the best quote, the rest is cancelled"
    if limits_only:
        return (
            f"{what} fill at the best quote or not at all: max_slippage_pct (--max-slippage) lets them go beyond"
        )
    return f"{what} take any price"


def plan_of(job: LiveJob) -> Plan:
    """Ask the exchange and make the plan of a live run, such as that of ``expert.start("live").job``.

    Raises:
        ConfigError: it is no live run, or a setting can't be had.
        ExchangeError: the exchange can't be asked, such as with a key that it refuses.
    """
    if job.run.trade_mode is not TradeMode.LIVE:
        raise ConfigError(f"trade_mode={str(job.run.trade_mode)!r} sends no order: only live runs have a plan")

    async def ask() -> Plan:
        ended = _ended(job)
        async with (job.gateway or Gateway)(job.exchange) as gateway:
            found = [await market_of(job, gateway, text, ended) for text in job.strategy.symbols]
            return await survey(job, gateway, tuple(named(job, found).by_symbol.values()))

    bridge = Bridge()
    try:
        return bridge.run(ask())
    finally:
        bridge.close()


def _ended(job: LiveJob) -> dict[str, Market]:
    """What the last run traded and has ended since."""
    journal = journal_of(job)
    if not journal.exists():
        return {}
    with JournalReader.open(journal) as kept:
        return ended_of(kept.last_manifest(), (job.clock or WallClock()).now())


async def survey(job: LiveJob, gateway: Gateway, markets: Sequence[Market]) -> Plan:
    """The plan of a live run in `markets`, with the gateway that it will trade by; nothing is changed.

    Raises:
        ConfigError: a setting can't be had.
        ExchangeError: the exchange can't be asked.
    """
    homes = homes_of(markets)
    symbols = [market.symbol for market in markets]
    account, positions, orders = await standing(gateway, symbols, job.clock or WallClock())
    names = Names(job.name, job.strategy.strategy_id, _ANY_RUN)
    journal, wanted = journal_of(job), terms_of(job.exchange, job.strategy)
    return Plan(
        name=job.name,
        exchange=job.exchange,
        strategy=job.strategy,
        run=job.run,
        markets=tuple(markets),
        homes=homes,
        journal=journal,
        account=account,
        positions=tuple(one for one in positions if one.qty != 0.0),
        orders=orders,
        own=dict(_own(journal)),
        own_orders=frozenset(one.id for one in orders if names.is_mine(one.id)),
        now={market.symbol: await _now(gateway, market, wanted) for market in markets},
        rights=await gateway.rights(),
        notes=job.notes,
    )


async def _now(gateway: Gateway, market: Market, wanted: Terms) -> str:
    """What the positions of a market are held on now."""
    try:
        return _told(await gateway.terms(market.symbol, carried=wanted))
    except ConfigError as error:  # such as legs that differ: it is brought about, or refused, when the run begins
        return str(error)


def _own(journal: Path) -> Iterator[tuple[tuple[str, str | None], float]]:
    """What the journal knows as the expert's own."""
    if not journal.exists():
        return
    with JournalReader.open(journal) as kept:
        state = kept.last_state()
    holdings: Iterable[Mapping[str, Any]] = () if state is None else state["broker"]["ledger"]["holdings"]
    for one in holdings:
        yield (one["symbol"], one["position_side"]), one["qty"]
