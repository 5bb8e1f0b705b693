"""The venue's private websockets, heard by CCXT as it is: orders, fills, positions and money."""

import asyncio
from decimal import Decimal

import pytest
import pytest_asyncio
from ccxt.base.errors import AuthenticationError  # noqa: TID251 - the tests' side of the wall
from contract.streaming import CELLS, account_terms, client_of, instrument_of, subscribed, symbol_of
from venue.streams import Stream

pytestmark = pytest.mark.asyncio
WAIT = 5
"""Seconds after which a push is given up."""
STUMBLES = {("binance", "spot"): KeyError}
"""Where CCXT forgets its subscription twice, and raises that in place of the refusal."""
DEAF = {("binance", "option")}
"""Where a fill ends CCXT's receive loop: it has a fee without a coin there. The messages are looked at below."""
FILLED = [cell for cell in CELLS if cell not in DEAF]
HELD = [cell for cell in FILLED if cell[1] != "spot"]


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

    async def heard(self, call, *streams):
        """A task that waits for a push of the account."""
        return await subscribed(self.venue, self.client.id, call, *streams)

    async def send(self, side="buy", price=None, **params):
        """Send a limit order, or a market order with no price."""
        kind, limit = ("market", None) if price is None else ("limit", float(price))
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
    task = await account.heard(account.client.watch_orders(account.symbol), Stream.ORDERS)
    sent = await account.send(price=account.below)
    opened = (await asyncio.wait_for(task, WAIT))[-1]
    assert [opened[name] for name in ("id", "status", "side", "price", "amount", "filled")] == [
        sent["id"], "open", "buy", float(account.below), float(account.amount), 0.0,
    ]  # fmt: skip
    task = await account.heard(account.client.watch_orders(account.symbol), Stream.ORDERS)
    await account.client.cancel_order(sent["id"], account.symbol)
    gone = (await asyncio.wait_for(task, WAIT))[-1]
    assert (gone["id"], gone["status"]) == (sent["id"], "canceled")


async def test_a_resting_order_is_told_when_the_price_reaches_it(account):
    sent = await account.send(price=account.below)
    task = await account.heard(account.client.watch_orders(account.symbol), Stream.ORDERS)
    account.state.pin(account.item, account.below)
    filled = (await asyncio.wait_for(task, WAIT))[-1]
    assert (filled["id"], filled["status"], filled["filled"]) == (sent["id"], "closed", float(account.amount))


@pytest.mark.parametrize("account", FILLED, indirect=True, ids="-".join)
async def test_a_fill_is_told_with_its_fee(account):
    account.state.pin(account.item, account.price)
    task = await account.heard(account.client.watch_my_trades(account.symbol), Stream.ORDERS)
    sent = await account.send()
    fill = account.state.orders[int(sent["id"])].fills[0]
    heard = (await asyncio.wait_for(task, WAIT))[-1]
    assert [heard[name] for name in ("order", "symbol", "side", "amount", "price")] == [
        sent["id"], account.symbol, "buy", float(account.amount), float(account.price),
    ]  # fmt: skip
    assert heard["id"] == str(fill.id)
    assert heard["fee"]["cost"] == pytest.approx(float(fill.fee), abs=1e-8)  # as they are written


@pytest.mark.parametrize("account", FILLED, indirect=True, ids="-".join)
async def test_money_is_told_when_it_moves(account):
    account.state.pin(account.item, account.price)
    task = await account.heard(account.client.watch_balance(account.terms), Stream.ACCOUNT)
    await account.send()
    heard = await asyncio.wait_for(task, WAIT)
    coin = account.item.settle
    wallet = account.state.wallet_of(account.item)
    assert heard[coin]["total"] == pytest.approx(float(account.state.balances[wallet, coin]))


@pytest.mark.parametrize("account", HELD, indirect=True, ids="-".join)
async def test_a_position_is_told_as_it_grows(account):
    account.state.pin(account.item, account.price)
    task = await account.heard(account.client.watch_positions([account.symbol]), Stream.ACCOUNT)
    await account.send()
    heard = (await asyncio.wait_for(task, WAIT))[-1]
    held = account.state.position(account.item, "BOTH")
    assert (heard["symbol"], heard["side"]) == (account.symbol, "long")
    assert heard["contracts"] == float(held.amount) == float(account.amount)
    assert heard["entryPrice"] == float(held.entry)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_a_wrong_key_is_refused(venue, exchange, kind):
    client = await client_of(venue, exchange, signed=True)
    client.apiKey = "wrong"
    with pytest.raises(STUMBLES.get((exchange, kind), AuthenticationError)):
        await asyncio.wait_for(client.watch_orders(symbol_of(client, kind)), WAIT)
    assert not venue.sockets.listens(exchange, Stream.ORDERS)
    await client.close()
