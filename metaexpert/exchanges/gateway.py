"""One exchange and one account: asked in our words, answered in our models. Async; feeds and brokers use it.

Reads are tried again when they fail in passing; an order, a cancellation or a setting is sent once. Nothing is
routed by a default: every call names its market by the full unified symbol, and account-wide calls cover every
wallet, settlement currency and product of the segment.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, cast

from ..clock import WallClock
from ..errors import (
    ExchangeError,
    MetaExpertError,
    NetworkError,
    OrderNotFound,
    OrderRejected,
    RequestError,
    UnavailableError,
    UnprotectedError,
)
from ..kinds import Kind
from ..timeframe import DAY_MS, parse
from . import account, convert, finding, listing, orders, pages, setup
from .caller import Caller, is_offline
from .connection import place_of
from .fields import filled_in
from .keys import ask_rights
from .margins import tiers_of
from .symbols import resolve
from .venues import Bound, Segment, segment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from pathlib import Path

    from ..answers import Balance, ExchangeFill, Greeks, OptionQuote
    from ..clock import Clock
    from ..config import ExchangeSettings
    from ..events import PublicTrade
    from ..models import Account, Market, Order, OrderBook, Position, Ticker, Tier
    from .listing import Listing
    from .orders import Call, OrderRequest, Terms

__all__ = ["Gateway"]

_LIST_AGE_MS = DAY_MS
_PRICES: Mapping[Kind, Mapping[str, str]] = {
    Kind.CANDLES: {},
    Kind.MARK: {"price": "mark"},
    Kind.INDEX: {"price": "index"},
}


class Gateway:
    """One account of one exchange, for one kind of market; use it within one event loop, as a context manager.

    Args:
        settings: exchange, kind of market, keys.
        clock: tells how old the market list is.
        home: the folder of the user's data; None: as `metaexpert.files.home` has it.
        client: makes the CCXT client; None: `connection.connect`.
        sleep: waits between tries, in seconds.
    """

    def __init__(
        self, settings: ExchangeSettings, *, clock: Clock | None = None, home: Path | None = None,
        client: Callable[[ExchangeSettings], Any] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self.settings = settings
        self.segment = segment(settings.market_type, settings.contract_type)
        self._caller = Caller(settings, client=client, sleep=sleep)
        self._venue = self._caller.venue
        self._clock = clock or WallClock()
        self._shelf = home, place_of(settings)
        self._listing: Listing | None = None
        self._by_symbol: dict[str, Market] = {}
        self._is_told = False  # whether the CCXT client knows the markets
        self._loading = asyncio.Lock()
        self._sent: set[str] = set()  # ids that an order may have
        self._sending: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections once the orders under way are through; the gateway can be used again."""
        if self._sending:
            await asyncio.wait(set(self._sending))
        self._is_told = False
        await self._caller.close()

    # -- markets -------------------------------------------------------------------------------------------------

    async def markets(self, *, refresh: bool = False) -> tuple[Market, ...]:
        """Every market of the segment that is traded: from disk where the list is no older than a day.

        Without a network an older list serves as well; `listed` tells its age.

        Raises:
            UnavailableError, NetworkError: there is no list and the exchange can't be asked.
        """
        return (await self.listing(refresh=refresh)).markets

    async def listed(self) -> int:
        """When the market list was fetched, in ms UTC."""
        return (await self.listing()).fetched

    async def market(self, symbol: str) -> Market:
        """The one market that `symbol` names, as people, the exchange or CCXT write it.

        Raises:
            ConfigError: none or several are meant, or one of another kind.
        """
        known = self._by_symbol.get(symbol)
        if known is not None:
            return known
        kinds = self.settings.market_type, self.settings.contract_type
        found = resolve(symbol, await self.markets(), *kinds)
        self._by_symbol[symbol] = found
        return found

    async def listing(self, *, refresh: bool = False) -> Listing:
        """As `markets`, with its age and with what had to be left out."""
        async with self._loading:
            if self._listing is None:
                self._listing = listing.load(self._venue.id, self.segment, *self._shelf)
            known = self._listing
            fresh = known is not None and 0 <= known.age(self._clock.now()) < _LIST_AGE_MS
            if known is not None and not refresh and (fresh or is_offline()):
                return known
            try:
                raw = await self._caller.read("load the markets", "fetch_markets", dict(self._venue.listing))
            except (UnavailableError, NetworkError):
                if known is None or refresh:
                    raise
                return known
            return self._keep(raw)

    def _keep(self, raw: list[Mapping[str, Any]]) -> Listing:
        own = [one for one in raw if convert.segment_of_raw(one) == self.segment]
        self._listing = listing.save(self._venue.id, self.segment, own, self._clock.now(), *self._shelf)
        self._by_symbol, self._is_told = {}, False
        return self._listing

    @property
    def caller(self) -> Caller:
        """What asks CCXT; it may be asked of a market once that is `known`."""
        return self._caller

    async def known(self, symbol: str) -> Market:
        """The market, with the CCXT client told of it."""
        market = await self.market(symbol)
        if not self._is_told:
            raw = listing.load_raw(self._venue.id, self.segment, *self._shelf)
            if raw is None:
                await self.listing(refresh=True)
                raw = listing.load_raw(self._venue.id, self.segment, *self._shelf) or []
            self._caller.client.set_markets(raw)
            self._is_told = True
        return market

    # -- what everybody may see --------------------------------------------------------------------------------

    async def server_time(self) -> int:
        """The exchange's clock, in ms UTC."""
        return int(await self._caller.read("ask for the time", "fetch_time"))

    async def ticker(self, symbol: str) -> Ticker:
        """Best bid and ask, the last price, and the day's volume."""
        market = await self.known(symbol)
        doing = f"fetch the ticker of {market.symbol}"
        raw = await self._caller.read(doing, "fetch_ticker", market.symbol)
        if raw.get("bid") is None and self._caller.client.has.get("fetchBidsAsks"):
            quotes = await self._caller.read(doing, "fetch_bids_asks", [market.symbol])
            quote = quotes.get(market.symbol, {})
            raw = {**raw, "bid": quote.get("bid"), "ask": quote.get("ask")}
        return convert.ticker_of(raw, market)

    async def order_book(self, symbol: str, depth: int | None = None) -> OrderBook:
        """The book, best prices first, to `depth` levels or as the exchange gives it."""
        market = await self.known(symbol)
        doing = f"fetch the order book of {market.symbol}"
        offered = self._venue.depths.get(self.segment)
        asked = depth
        if depth is not None and offered is not None:
            asked = next((one for one in offered if one >= depth), None)
        raw = await self._caller.read(doing, "fetch_order_book", market.symbol, asked)
        return convert.book_of(raw, market, depth)

    async def candles(
        self, symbol: str, timeframe: str, since: int, limit: int, kind: Kind = Kind.CANDLES
    ) -> list[tuple[float, ...]]:
        """The candles of `limit` timeframes from `since` (ms UTC) on: time, four prices, volume in base.

        The running candle may be among them, and some from beyond. `download` asks for page after page.
        """
        market = await self.known(symbol)
        doing = f"fetch {timeframe} {kind.plural} of {market.symbol}"
        params: dict[str, Any] = dict(_PRICES[kind])
        if self._venue.paging.until:
            params["until"] = since + limit * parse(timeframe) - 1
        raw = await self._caller.read(doing, "fetch_ohlcv", market.symbol, timeframe, since, limit, params)
        return convert.candles_of(raw, market)

    async def funding_page(
        self, symbol: str, since: int, until: int, limit: int, number: int | None = None
    ) -> list[tuple[int, float]]:
        """Up to `limit` funding rates of [since, until): (time ms UTC, rate), oldest first.

        Where pages are numbered it is the page `number` instead, whatever its times are; None: the latest.
        """
        market = await self.known(symbol)
        doing = f"fetch the funding rates of {market.symbol}"
        end = self._venue.paging.funding_end
        asked: tuple[Any, ...] = (None, limit, {"pageNo": 1 if number is None else number})
        if end is not None:
            asked = (since, limit, {end: until if end == "after" else until - 1})
        raw = await self._caller.read(doing, "fetch_funding_rate_history", market.symbol, *asked)
        return convert.funding_of(raw)

    async def trades_page(
        self, symbol: str, since: int | None, limit: int, until: int | None = None
    ) -> list[PublicTrade]:
        """Public trades, oldest first.

        Args:
            symbol: as in `market`.
            since: the first time; None: the last trades that there are.
            limit: how many.
            until: where to end (exclusive), where the exchange serves that.
        """
        market = await self.known(symbol)
        doing = f"fetch the trades of {market.symbol}"
        params: dict[str, Any] = {}
        if until is not None:
            said = self._venue.paging.tape_params
            params = {name: until if value == "{end}" else value for name, value in said.items()}
        raw = await self._caller.read(doing, "fetch_trades", market.symbol, since, limit, params)
        return convert.trades_of(raw, market)

    async def option_chain(self, base: str) -> tuple[OptionQuote, ...]:
        """Every option of `base` with its quotes, in the order of expiry, strike, call and put.

        Raises:
            RequestError: there are no options of `base`.
        """
        listed = [market for market in await self.markets() if market.is_option]
        chain = [market for market in listed if market.base == base.upper()]
        if not chain:
            bases = ", ".join(sorted({market.base for market in listed})) or "nothing"
            raise RequestError(f"{self._venue.name} lists no options of {base}; it has some of {bases}")
        await self.known(chain[0].symbol)
        doing = f"fetch the option chain of {base.upper()}"
        asked = [filled_in(call, base=base.upper()) for call in self._venue.chain]
        quotes, greeks = [await self._caller.read(doing, *call) for call in asked]
        return convert.chain_of(quotes, greeks, chain)

    async def greeks(self, symbol: str) -> Greeks:
        """Delta, gamma, theta, vega and the implied volatilities of an option.

        Raises:
            RequestError: it is no option.
        """
        market = await self.known(symbol)
        if not market.is_option:
            raise RequestError(f"{market.symbol} is no option: it has no greeks")
        raw = await self._caller.read(f"fetch the greeks of {market.symbol}", "fetch_greeks", market.symbol)
        return convert.greeks_of(raw, market)

    async def tiers(self, symbol: str) -> tuple[Tier, ...]:
        """The margin tiers of a contract, ascending, bounds in the settlement currency; none of spot and options.

        Where the exchange bounds them by contracts or in quote, they are valued at the last price.
        """
        market = await self.known(symbol)
        if self.segment not in (Segment.LINEAR, Segment.INVERSE):
            return ()
        doing = f"fetch the margin tiers of {market.symbol}"
        if self._venue.private_tiers:
            kind = {"type": "swap", "subType": self.segment.value}
            told = await self._caller.read(doing, "fetch_leverage_tiers", [market.symbol], kind, private=True)
            raw = told.get(market.symbol, [])
        else:
            raw = await self._caller.read(doing, "fetch_market_leverage_tiers", market.symbol)
        counts = self._venue.tier_bounds[self.segment]
        return tiers_of(raw, market, None if counts is Bound.VALUE else (await self.ticker(symbol)).last)

    # -- the account -------------------------------------------------------------------------------------------

    async def balances(self) -> tuple[Balance, ...]:
        """What the account holds for this segment, by currency; those of which it holds nothing are left out."""
        found: list[Balance] = []
        for asked in await self._queries(self._venue.balances):
            method = asked.pop("method", "fetch_balance")
            raw = await self._caller.read("fetch the balance", method, asked, private=True)
            found.extend(account.balances_of(raw, self._venue.id))
        return account.added(found)

    async def positions(self) -> tuple[Position, ...]:
        """Every open position of the segment, whatever it settles in; none on spot.

        Raises:
            ExchangeError: there is one in a market that is not in the list.
        """
        found: list[Position] = []
        for asked in await self._queries(self._venue.positions):
            raw = await self._caller.read("fetch the positions", "fetch_positions", None, asked, private=True)
            self._refuse_unlisted([one for one in raw if one.get("contracts") != 0.0], "a position")
            found.extend(account.positions_of(raw, self._markets))
        return tuple(found)

    async def account(self, currency: str) -> Account:
        """Balance, equity and margin in one settlement `currency`."""
        balances, positions = await self.balances(), await self.positions()
        return account.account_of(currency.upper(), balances, positions, self._markets, await self.server_time())

    async def fills(self, symbol: str, since: int | None = None) -> tuple[ExchangeFill, ...]:
        """The account's own executions in a market, oldest first, each once: all since a time (ms UTC).

        They are told as far back as the exchange keeps them, three months where it keeps them shortest. Without
        `since` they are those of the last week.
        """
        market = await self.known(symbol)
        now = self._clock.now()
        begin = now - 7 * DAY_MS if since is None else since
        told = (account.fill_of(one, market) for one in await pages.fills(self._caller, market, begin, now))
        each = {(fill.id, fill.order_id, fill.side): fill for fill in told if fill.time >= begin}
        found = tuple(sorted(each.values(), key=lambda fill: fill.time))
        if not found:
            return ()
        return account.forced(found, await pages.liquidations(self._caller, market, found[0].time, now))

    async def rights(self) -> frozenset[str] | None:
        """What the key may do in this segment: of "read", "trade" and "withdraw" those that it surely may.

        None where the exchange does not say. `metaexpert doctor` tells more of it.
        """
        return (await ask_rights(self._caller)).inside(self.segment)

    async def terms(self, symbol: str, position_side: str | None = None, carried: Terms | None = None) -> Terms:
        """What a market's positions are held on now: leverage, margin mode and position mode.

        Args:
            symbol: as in `market`. Spot and options have leverage 1 and no modes.
            position_side: ``"long"`` or ``"short"``: whose leverage, where legs may have different ones.
            carried: what orders are sent with: at OKX the margin mode, and at KuCoin the leverage of isolated
                margin, stand nowhere else while no position is open. None: what they are without settings.

        Raises:
            ConfigError: the legs have different leverages and none was asked for, or the account is in a mode that
                is not traded in here.
        """
        market = await self.known(symbol)
        return await setup.terms_of(self._caller, market, position_side, carried or orders.Terms())

    async def set_up(self, symbol: str, terms: Terms) -> Terms:
        """Bring a market's positions to `terms`, where they differ, and read them back; both legs.

        Raises:
            ConfigError: it is not as asked afterwards, both values named: with positions or orders open most modes
                can't be changed. Or the exchange does not take this leverage; then nothing was changed.
        """
        return await setup.set_up(self._caller, await self.known(symbol), terms)

    # -- orders ------------------------------------------------------------------------------------------------

    async def submit(self, request: OrderRequest) -> Order:
        """Send an order, and after it the stop and target that stand by themselves; each once.

        Raises:
            OrderRejected: nothing was sent, or the exchange refused it. An id is sent again only after a `find`
                that found nothing.
            NetworkError: whether the order arrived is not known: `find` it before anything else; if it is there,
                `protect` it.
            UnprotectedError: the order stands, and its stop or target does not, or that is not known.
        """
        order, market = request.order, await self.known(request.order.symbol)
        calls = orders.calls_of(request, market)
        if order.id in self._sent:
            raise OrderRejected(f"order {order.id} was sent already: look it up, or give the next one another id")
        self._sent.add(order.id)
        return await self._through(self._send(order, market, *calls))

    async def _send(self, order: Order, market: Market, entry: Call, *protective: Call) -> Order:
        try:
            answer = await self._caller.order(f"send order {order.id}", entry.method, *entry.arguments)
        except NetworkError:
            raise
        except MetaExpertError:
            self._sent.discard(order.id)  # nothing was done
            raise
        if _has_id(answer):
            await self._protect(order, protective)
        try:
            return account.order_of(answer, market, order)
        except NetworkError:
            raise
        except Exception as error:
            told = f"{self._venue.name}: the answer to order {order.id} in {order.symbol} can't be read ({error})"
            raise NetworkError(f"{told}: look it up before anything else") from error

    async def _through[T](self, sending: Coroutine[Any, Any, T]) -> T:
        """Bring what was begun to its end before a cancellation is obeyed, so that no position is left bare.

        What ends in an unprotected one is told even then.
        """
        task = asyncio.ensure_future(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        cancelled = False
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled and not (task.cancelled() or isinstance(task.exception(), UnprotectedError)):
            raise asyncio.CancelledError
        return task.result()

    async def protect(self, request: OrderRequest) -> None:
        """Send the stop and target of an order that has been filled, where they stand by themselves.

        Raises:
            UnprotectedError: one of them does not stand, or that is not known.
        """
        market = await self.known(request.order.symbol)
        await self._through(self._protect(request.order, orders.protection_of(request, market)))

    async def _protect(self, order: Order, calls: Sequence[Call]) -> None:
        for call in calls:
            try:
                answer = await self._caller.order(f"protect order {order.id}", call.method, *call.arguments)
                if not _has_id(answer):
                    raise NetworkError(f"{self._venue.name}: the answer has no id")
            except MetaExpertError as error:
                raise UnprotectedError(
                    f"order {order.id} in {order.symbol} stands without its stop or target ({error}): "
                    "protect its position or close it"
                ) from error

    async def find(self, order: Order) -> Order | None:
        """The order as the exchange knows it by our id; None where it knows none.

        Of a stop that was reached it is the order that it has become, with the `exchange_id` of that one.
        An exchange may know of an order only a moment after it took it: ask a few times before believing a None.
        """
        market = await self.known(order.symbol)
        found = await finding.find(self._caller, order, market)
        if found is None:
            self._sent.discard(order.id)
        return found

    async def cancel(self, order: Order) -> None:
        """Cancel an order; `find` tells what had been filled before.

        Raises:
            OrderNotFound: it works no more: `find` tells what became of it.
            NetworkError: whether it was cancelled is not known.
        """
        call = orders.cancel_of(order, await self.known(order.symbol))
        await self._caller.order(f"cancel order {order.id}", call.method, *call.arguments)

    async def amend(self, order: Order, price: float | None = None, qty: float | None = None) -> None:
        """Give a resting limit order another price or quantity, where it stands.

        Raises:
            OrderRejected: the exchange has no such call, or refuses it; the order is as it was.
            NetworkError: whether it was changed is not known.
        """
        call = orders.amend_of(order, await self.known(order.symbol), price, qty)
        await self._caller.order(f"change order {order.id}", call.method, *call.arguments)

    async def cancel_all(self, symbol: str) -> None:
        """Cancel every order of a market, stop orders included.

        Raises:
            NetworkError: whether they were cancelled is not known: look at `open_orders`.
        """
        market = await self.known(symbol)
        calls = orders.cancel_all_of(market)
        for call in calls:
            await self._caller.order(f"cancel the orders of {market.symbol}", call.method, *call.arguments)
        if not calls:
            for order in await self.open_orders(market.symbol):
                with suppress(OrderNotFound):  # filled or cancelled meanwhile
                    await self.cancel(order)

    async def dead_man(self, symbols: Sequence[str], seconds: int) -> None:
        """Have the exchange cancel open orders unless this is called again within `seconds`; 0 ends it.

        Whose orders these are, and whether stop orders stay, `capabilities.dead_man_scope` tells.

        Args:
            symbols: all the markets that it is to watch: a later call may forget those of the one before.
            seconds: 10 to 120 suit every exchange.

        Raises:
            OrderRejected: the exchange has no such call.
            NetworkError: whether it heard is not known; call again.
        """
        markets = [await self.known(symbol) for symbol in symbols]
        named = ", ".join(market.symbol for market in markets)
        for call in orders.dead_man_of(markets, seconds):
            await self._caller.set(f"set the dead man's switch of {named}", call.method, *call.arguments)

    async def open_orders(self, symbol: str | None = None) -> tuple[Order, ...]:
        """The orders that work, stop and target orders included, of one market or all of the segment.

        Raises:
            ExchangeError: there may be more than the exchange tells of at once, or there is one in a market that
                is not in the list.
        """
        name = None if symbol is None else (await self.known(symbol)).symbol
        found: dict[str, Order] = {}
        for asked in await self._queries(self._venue.open_orders):
            each = asked.pop("each", False) and name is None
            for market in await pages.active(self._caller, self.segment, self._markets) if each else (name,):
                raw = await pages.open_orders(self._caller, market, asked)
                self._refuse_unlisted(raw, "an open order")
                found |= {order.exchange_id or order.id: order for order in account.orders_of(raw, self._markets)}
        return tuple(order for order in found.values() if name in (None, order.symbol))

    @property
    def _markets(self) -> Mapping[str, Market]:
        return {} if self._listing is None else {market.symbol: market for market in self._listing.markets}

    def _refuse_unlisted(self, raw: Iterable[Mapping[str, Any]], what: str) -> None:
        """What can't be told in our units is not left out: only what belongs to the other kind of contract is."""
        for name in {str(one.get("symbol")) for one in raw} - self._markets.keys():
            if not listing.is_settled_otherwise(name, self.segment):
                raise ExchangeError(
                    f"{self._venue.name}: there is {what} in {name}, which is not in its list of {self.segment} "
                    f"markets: fetch that anew (metaexpert markets {self._venue.id} --refresh), or see to it there"
                )

    async def _queries(self, table: Mapping[Segment, tuple[Mapping[str, Any], ...]]) -> list[dict[str, Any]]:
        """The parameters of each call that together show all of the segment."""
        listed = (await self.listing()).markets
        if listed:
            await self.known(listed[0].symbol)
        settles = sorted({market.settle for market in listed})
        found = [filled_in(dict(asked), settle=one) for asked in table.get(self.segment, ()) for one in settles]
        return [asked for i, asked in enumerate(found) if asked not in found[:i]]


def _has_id(answer: Any) -> bool:
    return isinstance(answer, dict) and bool(cast("dict[str, Any]", answer).get("id"))
