"""What OKX, Bitget and KuCoin push of an account adds up to what the account is, after many orders and trades."""

from decimal import Decimal
from random import Random

import pytest
from contract.lines import Line, dial, login, on, subscribe
from venue.instruments import Kind
from venue.orders import LIVE, Order, Refusal, Status

pytestmark = pytest.mark.asyncio
MARKETS = [
    ("okx", "BTC-USDT", Kind.SPOT), ("okx", "BTC-USDT-SWAP", Kind.LINEAR), ("okx", "BTC-USD-SWAP", Kind.INVERSE),
    ("bitget", "BTCUSDT", Kind.SPOT), ("bitget", "BTCUSDT", Kind.LINEAR), ("bitget", "BTCUSD", Kind.INVERSE),
    ("kucoin", "BTC-USDT", Kind.SPOT), ("kucoin", "XBTUSDTM", Kind.LINEAR), ("kucoin", "XBTUSDM", Kind.INVERSE),
]  # fmt: skip
ENDS = {"filled": Status.FILLED, "canceled": Status.CANCELED, "cancelled": Status.CANCELED}


async def listening(venue, exchange, item):
    """A connection that hears the orders, the positions and the money of one market."""
    spot = item.kind is Kind.SPOT
    if exchange == "okx":
        line, path = Line(venue, "wss://ws.okx.com:8443/ws/v5/private"), "/users/self/verify"
        said = [subscribe(channel=name, instType="ANY") for name in ("orders", "positions")]
        said.append(subscribe(channel="account"))
    elif exchange == "bitget":
        line, path = Line(venue, "wss://ws.bitget.com/v2/ws/private"), "/user/verify"
        product = "SPOT" if spot else "COIN-FUTURES" if item.kind is Kind.INVERSE else "USDT-FUTURES"
        names = ("orders",) if spot else ("orders", "positions")
        said = [subscribe(instType=product, channel=name, instId="default") for name in names]
        said.append(subscribe(instType=product, channel="account", coin="default"))
    else:
        line, path = await dial(venue, "private", "spot" if spot else "futures"), ""
        names = (
            ("/spotMarket/tradeOrdersV2", "/account/balance") if spot
            else ("/contractMarket/tradeOrders", "/contract/positionAll", "/contractAccount/wallet")
        )  # fmt: skip
        said = [on(name) for name in names]
    await line.__aenter__()
    for message in ([login(venue, path)] if path else []) + said:
        await line.say(message)
    await line.heard()
    return line


def live(state, item, dice):
    """Thirty steps of orders near the price, cancellations, and trades of the public."""
    price = state.price(item)
    for _ in range(30):
        what, away = dice.choice("bbbssct"), dice.randint(-6, 6) * item.tick
        amount = item.min_amount * dice.randint(1, 400)
        try:
            if what in "bs":
                limit = None if dice.random() < 0.25 else price + away
                state.place(Order(instrument=item, buy=what == "b", amount=amount, price=limit))
            elif what == "c" and state.open_orders():
                state.cancel(dice.choice(state.open_orders()))
            else:
                price += away
                state.trade(item, price, amount)
        except Refusal:
            continue


class Heard:
    """What the messages say in the end: the state of each order, its fills, the position and the money."""

    def __init__(self, messages):
        self.status, self.filled, self.fills, self.position, self.money = {}, {}, {}, None, {}
        for told in messages:
            rows = told["data"] if isinstance(told["data"], list) else [told["data"]]
            channel = told.get("arg", {}).get("channel", "")
            if channel == "positions" or told.get("subject") == "position.change":
                names = ("pos", "total", "currentQty")
                self.position = [Decimal(row[name]) for row in rows for name in names if name in row]
                continue
            for row in rows:
                self._order(row) if "ordId" in row or "orderId" in row else self._money(row)

    def _order(self, row):
        name = row.get("ordId") or row["orderId"]
        ended = ENDS.get(row.get("state") or row["status"], Status.OPEN)
        self.status[name] = ENDS.get(row.get("type", ""), ended)
        if trade := row.get("tradeId"):
            size = row.get("fillSz") or row.get("matchSize") or row["baseVolume"]
            self.fills.setdefault(name, {})[trade] = Decimal(size)
        filled = [row[told] for told in ("accFillSz", "accBaseVolume", "filledSize") if told in row]
        self.filled[name] = Decimal(filled[0] if filled else 0)

    def _money(self, row):
        for one in row.get("details", [row]):
            (coin,) = (one[name] for name in ("ccy", "coin", "marginCoin", "currency") if name in one)
            if "marginCoin" in one:
                self.money[coin] = Decimal(one["available"])
            elif "coin" in one:
                self.money[coin] = Decimal(one["available"]) + Decimal(one["frozen"])
            else:
                self.money[coin] = Decimal(one.get("cashBal") or one.get("walletBalance") or one["total"])


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("exchange", "name", "kind"), MARKETS)
async def test_messages_add_up_to_the_account(venue, exchange, name, kind, seed):
    state = venue.states[exchange]
    item = state.instrument(name, kind)
    line = await listening(venue, exchange, item)
    live(state, item, Random(seed))
    heard = Heard(await line.after(1))
    await line.__aexit__()
    orders = {str(order.id): order for order in state.orders.values()}
    assert len(orders) > 10
    assert set(heard.status.values()) == {Status.OPEN, Status.FILLED, Status.CANCELED}
    for number, order in orders.items():
        stands = Status.OPEN if order.status in LIVE else order.status
        assert heard.status[number] == (Status.CANCELED if stands is Status.EXPIRED else stands)
        assert heard.filled[number] == order.filled == sum(heard.fills.get(number, {}).values())
        assert set(heard.fills.get(number, {})) == {str(fill.id) for fill in order.fills}
    if kind is not Kind.SPOT:
        assert [abs(size) for size in heard.position] == [abs(held.amount) for held in state.held(item)]
    for coin, total in heard.money.items():
        told = state.balances[state.wallet_of(item), "BTC" if coin == "XBT" else coin]
        assert total == pytest.approx(told)
    assert heard.money
