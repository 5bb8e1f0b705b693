"""The venue's private websockets, heard by CCXT as it is: orders, fills, positions and money."""

import asyncio
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
import pytest_asyncio
from ccxt.base.errors import AuthenticationError, ExchangeError  # noqa: TID251 - the tests' side of the wall
from contract.streaming import CELLS, WAIT, Wire, account_terms, client_of, instrument_of, subscribed, symbol_of
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
STUMBLES = {("binance", "spot"): KeyError} | {cell: ExchangeError for cell in CELLS if cell[0] == "bybit"}
"""Where CCXT forgets its subscription twice and raises that, or does not know the refusal for one."""
DEAF = {("binance", "option")}
"""Where a fill ends CCXT's receive loop: it has a fee without a coin there. The messages are looked at below."""
FILLED = [cell for cell in CELLS if cell not in DEAF]
ADDED = [cell for cell in FILLED if cell[0] != "bitget"]
"""Where CCXT does not take the last fill of an order for all that was filled of it."""
HELD = [cell for cell in FILLED if cell[1] != "spot"]
STOPS = [(exchange, kind) for exchange in ("binance", "bybit") for kind in ("linear", "inverse")]
"""Where stops are told among the other orders."""
SIGN = {"okx": -1}
"""Where CCXT leaves the sign of a fee as the exchange has it."""
FEELESS = {"kucoin"}
"""Where no fee is told with a fill."""


def is_id(told, number):
    """Whether an identifier is that of an order or a fill: its number, or a UUID of that."""
    return told in {str(number), str(UUID(int=number))}


class Account:
    """One client with keys and the market that it trades."""

    def __init__(self, venue, client, kind):
        self.venue, self.client, self.kind = venue, client, kind
        self.symbol = symbol_of(client, kind)
        self.item = instrument_of(venue, client, self.symbol)
        self.state = venue.states[client.id]
        self.price = self.state.price(self.item)
        self.amount = self.item.min_amount * 10
        while self.item.notional(self.amount, self.price) < self.item.min_cost * 2:
            self.amount *= 10
        self.terms = account_terms(client.id, kind)

    async def hears(self, watch, stream, fits, act=None):
        """Watch until something is heard that `fits`; `act` when all that came with the subscription is heard.

        CCXT gives a message only to who waits for it as it comes.
        """
        first = True
        async with asyncio.timeout(WAIT):
            while True:
                task = await subscribed(self.venue, self.client.id, watch(), stream)
                comes = first and any(
                    stream in one.speech.at_once for one in self.venue.sockets.of(self.client.id)
                )
                if act is not None and not task.done() and not comes:
                    acting, act = act, None
                    await acting
                heard, first = await task, False
                if act is None and fits(heard):
                    return heard

    async def hears_order(self, status, act):
        """The order that is heard with a status after `act`."""
        watch = partial(self.client.watch_orders, self.symbol)
        return (await self.hears(watch, Stream.ORDERS, lambda heard: heard[-1]["status"] == status, act))[-1]

    async def send(self, side="buy", price=None, **params):
        """Send a limit order, or a market order with no price; Bitget must know what that may cost."""
        limit = self.price if price is None and self.client.id == "bitget" else price
        kind, limit = "market" if price is None else "limit", None if limit is None else float(limit)
        return await self.client.create_order(self.symbol, kind, side, float(self.amount), limit, params)

    @property
    def below(self):
        """A price at which a purchase rests."""
        return (self.price * Decimal("0.9") / self.item.tick).to_integral_value() * self.item.tick


@pytest_asyncio.fixture(params=CELLS, ids="-".join)
async def account(venue, request):
    exchange, kind = request.param
    client = await client_of(venue, exchange, signed=True)
    yield Account(venue, client, kind)
    await client.close()


async def test_an_order_is_told_as_it_opens_and_as_it_goes(account):
    opened = await account.hears_order("open", account.send(price=account.below))
    assert [opened[name] for name in ("side", "price", "amount")] == [
        "buy", float(account.below), float(account.amount),
    ]  # fmt: skip
    assert not opened["filled"]
    (order,) = account.state.open_orders()
    assert is_id(opened["id"], order.id)
    gone = await account.hears_order("canceled", account.client.cancel_order(opened["id"], account.symbol))
    assert (gone["id"], gone["status"]) == (opened["id"], "canceled")


async def test_a_resting_order_is_told_when_the_price_reaches_it(account):
    async def fall():
        account.state.pin(account.item, account.below)

    sent = await account.send(price=account.below)
    filled = await account.hears_order("closed", fall())
    assert (filled["id"], filled["status"], filled["filled"]) == (sent["id"], "closed", float(account.amount))


@pytest.mark.parametrize("account", ADDED, indirect=True, ids="-".join)
async def test_an_order_is_told_as_it_is_filled_bit_by_bit(account):
    sent = await account.send(price=account.below)
    (order,) = account.state.open_orders()
    watch, half = partial(account.client.watch_orders, account.symbol), account.amount / 2
    for filled, status in ((half, "open"), (account.amount, "closed")):

        async def fill():
            account.state.fill(order, half, account.below, maker=True)

        def fits(heard, told=(float(filled), status)):
            return (heard[-1]["filled"], heard[-1]["status"]) == told

        heard = await account.hears(watch, Stream.ORDERS, fits, fill())
        assert (heard[-1]["id"], heard[-1]["amount"]) == (sent["id"], float(account.amount))


@pytest.mark.parametrize("account", STOPS, indirect=True, ids="-".join)
async def test_a_stop_is_told_as_it_waits_and_as_it_fires(account):
    above = (account.price * Decimal("1.1") / account.item.tick).to_integral_value() * account.item.tick
    account.state.pin(account.item, account.price)

    async def rise():
        account.state.pin(account.item, above)

    waiting = await account.hears_order(
        "open", account.send(triggerPrice=float(above), triggerDirection="ascending")
    )
    assert (waiting["triggerPrice"], waiting["filled"] or 0) == (float(above), 0)
    watch = partial(account.client.watch_my_trades, account.symbol)
    (fill,) = await account.hears(watch, Stream.FILLS, bool, rise())
    assert (fill["side"], fill["amount"], fill["price"]) == ("buy", float(account.amount), float(above))
    stop = account.client.orders.hashmap[account.symbol][waiting["id"]]
    assert stop["status"] == "closed"


@pytest.mark.parametrize("account", FILLED, indirect=True, ids="-".join)
async def test_a_fill_is_told_with_its_fee(account):
    account.state.pin(account.item, account.price)
    watch, exchange = partial(account.client.watch_my_trades, account.symbol), account.client.id
    (heard,) = await account.hears(watch, Stream.FILLS, bool, account.send())
    (order,) = account.state.orders.values()
    (fill,) = order.fills
    assert [heard[name] for name in ("symbol", "side", "amount", "price")] == [
        account.symbol, "buy", float(fill.amount), float(fill.price),
    ]  # fmt: skip
    assert is_id(heard["id"], fill.id)
    assert is_id(heard["order"], order.id)
    if exchange in FEELESS:
        assert heard["fee"]["cost"] is None
    else:  # as they are written
        assert heard["fee"]["cost"] == pytest.approx(float(fill.fee) * SIGN.get(exchange, 1), abs=1e-8)


@pytest.mark.parametrize("account", FILLED, indirect=True, ids="-".join)
async def test_money_is_told_when_it_moves(account):
    account.state.pin(account.item, account.price)
    coin, wallet = account.item.settle, account.state.wallet_of(account.item)
    before = account.state.balances[wallet, coin]

    def fits(heard):
        """Some count what options are worth into the total, some tell the cash."""
        now = account.state.balances[wallet, coin]
        worth = account.state.worth(wallet, coin)
        return now != before and any(
            heard[coin]["total"] == pytest.approx(float(total)) for total in (now, now + worth)
        )

    watch = partial(account.client.watch_balance, account.terms)
    assert await account.hears(watch, Stream.BALANCE, fits, account.send())


@pytest.mark.parametrize("account", HELD, indirect=True, ids="-".join)
async def test_a_position_is_told_as_it_grows(account):
    """There is one already: KuCoin's first of a contract ends CCXT's receive loop."""
    account.state.pin(account.item, account.price)
    await account.send()
    watch = partial(account.client.watch_positions, [account.symbol])
    total = float(account.amount * 2)
    (heard,) = await account.hears(
        watch, Stream.POSITIONS, lambda heard: heard[-1]["contracts"] == total, account.send()
    )
    held = account.state.position(account.item, "BOTH")
    assert (heard["symbol"], heard["side"]) == (account.symbol, "long")
    assert heard["contracts"] == float(held.amount) == total
    assert heard["entryPrice"] == float(held.entry)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_a_wrong_key_is_refused(venue, exchange, kind):
    client = await client_of(venue, exchange, signed=True)
    client.apiKey = "wrong"
    with pytest.raises(STUMBLES.get((exchange, kind), AuthenticationError)):
        await asyncio.wait_for(client.watch_orders(symbol_of(client, kind)), WAIT)
    assert not venue.sockets.listens(exchange, Stream.ORDERS)
    await client.close()


@pytest.mark.parametrize("account", [("binance", "option")], indirect=True, ids="-".join)
async def test_a_fill_of_a_binance_option_is_told(venue, account):
    """An order holds all of its fills, and one message the money and the position."""
    key = (await account.client.eapiPrivatePostListenKey())["listenKey"]
    async with Wire(venue, f"/private/ws/{key}", "fstream.binance.com") as wire:
        account.state.pin(account.item, account.price)
        sent = await account.send(price=account.price)
        async with asyncio.timeout(WAIT):
            opened, filled, changed = [await wire.hear() for _ in range(3)]
    (fill,) = account.state.orders[int(sent["id"])].fills
    assert (opened["o"][0]["S"], opened["o"][0]["fi"]) == ("ACCEPTED", [])
    (row,) = filled["o"]
    assert (row["oid"], row["S"], Decimal(row["q"])) == (sent["id"], "FILLED", account.amount)
    assert [(one["t"], Decimal(one["p"]), Decimal(one["f"])) for one in row["fi"]] == [
        (str(fill.id), fill.price, fill.fee),
    ]  # fmt: skip
    (money,), (held,) = changed["B"], changed["P"]
    assert Decimal(money["b"]) == round(account.state.balances["option", "USDT"], 8)
    assert (held["s"], Decimal(held["c"]), Decimal(held["a"])) == (account.item.id, account.amount, fill.price)


@pytest.mark.parametrize("account", [("binance", "linear")], indirect=True, ids="-".join)
async def test_binance_tells_what_it_does_itself(venue, account):
    """Funding is told as money alone, a liquidation as an order of Binance's own."""
    state, item = account.state, account.item
    state.pin(item, account.price)
    state.set_leverage(item, Decimal(100))
    state.balances["linear", "USDT"] = item.value(account.amount, account.price) / 20
    await account.send()
    await venue.advance(8 * 3_600_000 - venue.clock.now() % (8 * 3_600_000) - 1000)
    key = (await account.client.fapiPrivatePostListenKey())["listenKey"]
    async with Wire(venue, f"/private/ws?listenKey={key}", "fstream.binance.com") as wire:
        await venue.advance(1000)
        state.pin(item, account.price * Decimal("0.9"))
        await venue.advance(1000)
        async with asyncio.timeout(WAIT):
            paid, opened, closed, emptied = [await wire.hear() for _ in range(4)]
    assert (paid["a"]["m"], paid["a"]["B"][0]["a"]) == ("FUNDING_FEE", "USDT")
    funding = next(entry for entry in state.ledger if entry.cause == "funding")
    assert Decimal(paid["a"]["B"][0]["bc"]) == round(funding.change, 8)
    assert [opened["o"][name] for name in "oxX"] == ["LIQUIDATION", "NEW", "NEW"]
    assert [closed["o"][name] for name in "oxXS"] == ["LIQUIDATION", "CALCULATED", "FILLED", "SELL"]
    assert closed["o"]["c"].startswith("autoclose-")
    assert Decimal(emptied["a"]["P"][0]["pa"]) == 0


@pytest.mark.parametrize("account", [("binance", "inverse")], indirect=True, ids="-".join)
async def test_a_listen_key_of_binance_lasts_an_hour_unless_it_is_renewed(venue, account):
    hour = 3_600_000
    key = (await account.client.dapiPrivatePostListenKey())["listenKey"]
    async with Wire(venue, f"/ws/{key}", "dstream.binance.com") as wire:
        await venue.advance(hour - 1)
        await account.client.dapiPrivatePutListenKey()
        await venue.advance(hour - 1)
        await account.send(price=account.below)
        await venue.advance(1)
        await account.send(price=account.below)
        async with asyncio.timeout(WAIT):
            told = [await wire.hear() for _ in range(2)]
        assert [one["e"] for one in told] == ["ORDER_TRADE_UPDATE", "listenKeyExpired"]
        assert told[1]["listenKey"] == key
        assert not venue.sockets.listens("binance", Stream.ORDERS)
    assert (await account.client.dapiPrivatePostListenKey())["listenKey"] != key


@pytest.mark.parametrize("account", [("bybit", "linear")], indirect=True, ids="-".join)
async def test_bybit_tells_a_liquidation_as_such(account):
    state, item = account.state, account.item
    state.pin(item, account.price)
    state.set_leverage(item, Decimal(100))
    for coin in state.coins("unified"):
        state.balances["unified", coin] = Decimal(0)
    state.balances["unified", "USDT"] = item.value(account.amount, account.price) / 20
    await account.send()

    async def fall():
        state.pin(item, account.price * Decimal("0.9"))

    watch = partial(account.client.watch_my_trades, account.symbol)
    (heard,) = await account.hears(watch, Stream.FILLS, bool, fall())
    assert [heard["info"][name] for name in ("execType", "createType", "side")] == [
        "BustTrade", "CreateByLiq", "Sell",
    ]  # fmt: skip
