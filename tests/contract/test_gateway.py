"""The gateway against exchanges on this machine that CCXT can't tell from the real ones."""

from dataclasses import replace

import pytest
import pytest_asyncio
from gateways import CELLS, EXCHANGES, KINDS, gateway_to, order, request
from venue.faults import Fault
from venue.server import credentials

from metaexpert.clock import SimClock
from metaexpert.errors import (
    AuthenticationError,
    ConfigError,
    ExchangeError,
    NetworkError,
    OrderNotFound,
    RequestError,
    UnavailableError,
)
from metaexpert.exchanges import listing
from metaexpert.exchanges.markets import amount_text
from metaexpert.exchanges.orders import Terms
from metaexpert.exchanges.venues import VENUES
from metaexpert.models import MarginMode, OrderStatus, OrderType
from metaexpert.series import Kind

pytestmark = pytest.mark.asyncio

MINUTE = 60_000
DAY = 86_400_000


@pytest_asyncio.fixture
async def asked(venue):
    """Makes gateways to the venue and closes them."""
    made = []

    def make(exchange, kind, **more):
        made.append(gateway_to(venue, exchange, kind, **more))
        return made[-1]

    yield make
    for gateway in made:
        await gateway.close()


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_the_markets_of_one_kind_are_listed_once_and_kept(venue, asked, exchange, kind):
    async with asked(exchange, kind) as gateway:
        markets = await gateway.markets()
        assert KINDS[kind][1] in {market.symbol for market in markets}
        assert all(market.id and market.price_tick > 0 and market.exchange == exchange for market in markets)
        sent = len(venue.seen)
    async with asked(exchange, kind) as again:
        assert await again.markets() == markets
    assert len(venue.seen) == sent


async def test_a_list_of_yesterday_is_fetched_again_and_serves_where_that_fails(venue, asked, monkeypatch):
    clock = SimClock(10 * DAY)
    async with asked("binance", "spot", clock=clock) as gateway:
        markets = await gateway.markets()
    clock.advance(12 * DAY)
    async with asked("binance", "spot", clock=clock) as again:
        await again.markets()
        assert await again.listed() == 12 * DAY
    clock.advance(20 * DAY)
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    async with asked("binance", "spot", clock=clock) as offline:
        assert await offline.markets() == markets
        assert await offline.listed() == 12 * DAY
        with pytest.raises(UnavailableError, match="METAEXPERT_OFFLINE"):
            await offline.markets(refresh=True)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_candles_of_every_price(asked, exchange, kind):
    async with asked(exchange, kind) as gateway:
        now = await gateway.server_time()
        since = now // MINUTE * MINUTE - 10 * MINUTE
        rows = await gateway.candles(KINDS[kind][1], "1m", since, 5)
        assert [row[0] for row in rows] == [since + n * MINUTE for n in range(5)]
        assert all(
            low <= min(opened, close) and high >= max(opened, close) for _, opened, high, low, close, _ in rows
        )
        if kind != "spot":
            for price in (Kind.MARK, Kind.INDEX):
                found = await gateway.candles(KINDS[kind][1], "1m", since, 5, price)
                assert [row[0] for row in found] == [since + n * MINUTE for n in range(5)]


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_quotes_books_and_trades(asked, exchange, kind):
    async with asked(exchange, kind) as gateway:
        ticker = await gateway.ticker(KINDS[kind][1])
        book = await gateway.order_book(KINDS[kind][1], 5)
        assert ticker.bid <= ticker.ask
        assert (book.bids[0][0], len(book.asks)) == (max(price for price, _ in book.bids), 5)
        assert book.bids[0][0] < book.asks[0][0]
        trades = await gateway.trades_page(KINDS[kind][1], None, 10)
        assert trades == sorted(trades, key=lambda row: row[0])
        assert all(one.price > 0 and one.qty > 0 and one.side in (1, -1) for one in trades)
        assert len({one.id for one in trades} - {""}) == len(trades)


@pytest.mark.parametrize(("exchange", "kind"), [cell for cell in CELLS if cell[1] != "spot"])
async def test_funding_rates(asked, exchange, kind):
    async with asked(exchange, kind) as gateway:
        since = await gateway.server_time() - 3 * DAY
        rates = await gateway.funding_page(KINDS[kind][1], since, since + 3 * DAY, 100)
        if VENUES[exchange].paging.funding_end is None:  # its pages are numbered: this is the latest
            rates = [row for row in rates if row[0] >= since]
        assert 8 <= len(rates) <= 10
        assert all(time >= since and abs(rate) < 0.01 for time, rate in rates)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_a_book_is_asked_for_as_deep_as_can_be_and_cut(venue, asked, exchange, kind):
    gateway = asked(exchange, kind)
    book = await gateway.order_book(KINDS[kind][1], 7)
    assert len(book.bids) == len(book.asks) == 7
    said = [seen.args for seen in venue.seen][-1]
    offered = VENUES[exchange].depths.get(gateway.segment)
    if exchange != "kucoin":  # which has the depth in the path
        assert int(said.get("limit") or said["sz"]) == (
            7 if offered is None else min(n for n in offered if n >= 7)
        )


async def test_a_symbol_that_is_none_is_refused_with_the_nearest(asked):
    async with asked("binance", "spot") as gateway:
        with pytest.raises(ConfigError, match="BTC/USDT"):
            await gateway.market("BTCUSTD")
        assert (await gateway.market("BTCUSDT")).symbol == "BTC/USDT"


# --- the account ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_balances_by_currency(asked, exchange, kind):
    balances = {balance.currency: balance for balance in await asked(exchange, kind).balances()}
    coin = "BTC" if kind == "inverse" else "USDT"
    assert balances[coin].total == pytest.approx(2.0 if coin == "BTC" else 100_000.0)
    assert balances[coin].free == pytest.approx(balances[coin].total)


@pytest.mark.parametrize(("exchange", "kind"), [cell for cell in CELLS if cell[1] != "spot"])
async def test_positions_count_in_our_units(venue, asked, exchange, kind):
    gateway = asked(exchange, kind)
    assert await gateway.positions() == ()
    market = await gateway.market(KINDS[kind][1])
    price = (await gateway.ticker(market.symbol)).last
    qty = 20 * max(market.qty_step, 100.0 if kind == "inverse" else 0.001)
    client = venue.client(exchange)(credentials(exchange))
    try:
        await client.create_order(market.symbol, "market", "sell", float(amount_text(market, qty, price)))
    finally:
        await client.close()
    (position,) = await gateway.positions()
    assert (position.symbol, position.side) == (market.symbol, "short")
    assert position.qty == pytest.approx(-qty, rel=1e-3)
    assert position.entry_price == pytest.approx(price, rel=0.01)
    account = await gateway.account(market.settle)
    assert account.equity == pytest.approx(account.balance + account.unrealized_pnl)
    assert 0.0 < account.margin_used < account.equity
    fills = await gateway.fills(market.symbol)
    assert sum(fill.qty for fill in fills) == pytest.approx(qty, rel=1e-3)
    assert all(fill.side == "sell" and fill.fee > 0 and not fill.is_maker for fill in fills)


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_an_account_without_keys_is_told_which(asked, exchange):
    gateway = asked(exchange, "spot")
    for name in ("api_key", "api_secret", "api_passphrase"):
        object.__setattr__(gateway.settings, name, None)
    with pytest.raises(AuthenticationError, match=f"{exchange.upper()}_API_KEY"):
        await gateway.balances()


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if name in ("binance", "bybit", "okx")])
async def test_options_with_quotes_and_greeks(asked, exchange):
    gateway = asked(exchange, "option")
    chain = await gateway.option_chain("btc")
    assert chain
    assert list(chain) == sorted(chain, key=lambda one: (one.expiry, one.strike, one.option_type))
    greeks = await gateway.greeks(chain[0].symbol)
    assert -1.0 <= greeks.delta <= 1.0
    with pytest.raises(RequestError, match="lists no options of DOGE"):
        await gateway.option_chain("DOGE")


# --- orders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_an_order_is_sent_found_and_cancelled(asked, exchange, kind):
    gateway = asked(exchange, kind)
    market = await gateway.market(KINDS[kind][1])
    await gateway.set_up(market.symbol, Terms(margin_mode=MarginMode.CROSS))
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, 0.8 * last)
    assert await gateway.find(wanted) is None
    sent = await gateway.submit(request(wanted, last))
    assert (sent.id, sent.status, sent.filled) == ("a1b2c3", OrderStatus.OPEN, 0.0)
    assert sent.exchange_id
    found = await gateway.find(wanted)
    assert (found.exchange_id, found.status) == (sent.exchange_id, OrderStatus.OPEN)
    (working,) = await gateway.open_orders(market.symbol)
    assert (working.id, working.exchange_id) == ("a1b2c3", sent.exchange_id)
    step = market.qty_step if market.amount_step is None else market.amount_step * last
    assert working.qty == pytest.approx(wanted.qty, abs=step)
    assert (await gateway.open_orders()) == (working,)
    await gateway.cancel(sent)
    assert await gateway.open_orders() == ()
    assert (await gateway.find(wanted)).status is OrderStatus.CANCELED
    with pytest.raises(OrderNotFound):
        await gateway.cancel(sent)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_a_market_order_fills(asked, exchange, kind):
    gateway = asked(exchange, kind)
    market = await gateway.market(KINDS[kind][1])
    await gateway.set_up(market.symbol, Terms(margin_mode=MarginMode.CROSS))
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, None, type=OrderType.MARKET)
    await gateway.submit(request(wanted, last))
    found = await gateway.find(wanted)
    assert found.status is OrderStatus.FILLED
    assert found.filled == pytest.approx(wanted.qty, rel=1e-2)
    assert found.average_price == pytest.approx(last, rel=0.01)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_all_orders_of_a_market_are_cancelled(asked, exchange, kind):
    gateway = asked(exchange, kind)
    market = await gateway.market(KINDS[kind][1])
    await gateway.set_up(market.symbol, Terms(margin_mode=MarginMode.CROSS))
    last = (await gateway.ticker(market.symbol)).last
    for number in range(3):
        await gateway.submit(request(order(market, (0.8 - 0.01 * number) * last, id=f"a{number}"), last))
    assert len(await gateway.open_orders(market.symbol)) == 3
    await gateway.cancel_all(market.symbol)
    assert await gateway.open_orders(market.symbol) == ()


@pytest.mark.parametrize(("exchange", "kind"), [cell for cell in CELLS if cell[1] != "spot"])
async def test_an_entry_with_stop_and_target_leaves_no_position_bare(asked, exchange, kind):
    gateway = asked(exchange, kind)
    market = await gateway.market(KINDS[kind][1])
    await gateway.set_up(market.symbol, Terms(margin_mode=MarginMode.CROSS))
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, None, type=OrderType.MARKET, stop_loss=0.9 * last, take_profit=1.2 * last)
    await gateway.submit(request(wanted, last))
    (position,) = await gateway.positions()
    stops = {one.stop_price for one in await gateway.open_orders()} - {None}
    levels = stops | {position.stop_loss, position.take_profit}
    assert any(level == pytest.approx(0.9 * last, rel=1e-3) for level in levels if level)
    assert any(level == pytest.approx(1.2 * last, rel=1e-3) for level in levels if level)


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_lost_reply_is_told_and_the_order_found(venue, asked, exchange):
    gateway = asked(exchange, "spot")
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, 0.8 * last)
    await gateway.find(wanted)  # so that the clock is known
    venue.faults.add(Fault.REPLY_LOST, method="POST")
    with pytest.raises(NetworkError, match="look it up"):
        await gateway.submit(request(wanted, last))
    assert (await gateway.find(wanted)).status is OrderStatus.OPEN
    assert len(await gateway.open_orders(market.symbol)) == 1


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
async def test_margin_tiers_are_told_in_the_settlement_currency(asked, exchange, kind):
    async with asked(exchange, kind) as gateway:
        found = await gateway.tiers(KINDS[kind][1])
        if kind == "spot":
            assert found == ()
            return
        market = await gateway.market(KINDS[kind][1])
        assert replace(market, tiers=found).tiers == found  # they ascend
        assert len(found) == 3
        assert [tier.deduction > 0 for tier in found] == [False, *[exchange in ("binance", "bybit")] * 2]
        assert all(tier.rate * tier.max_leverage < 1 for tier in found)
        if exchange == "okx":
            last = (await gateway.ticker(market.symbol)).last
            size = market.contract_size
            value = 2_000 * size / last if kind == "inverse" else 2_000 * size * last
            assert found[0].max_notional == pytest.approx(value, rel=0.01)
        if (exchange, kind) == ("bitget", "inverse"):  # the first ends at about 150,000 USD
            last = (await gateway.ticker(market.symbol)).last
            assert found[0].max_notional * last == pytest.approx(150_000, rel=0.2)


@pytest.mark.parametrize(("exchange", "kind"), [cell for cell in CELLS if cell[1] != "spot"])
async def test_what_a_market_list_lacks_is_not_left_out(venue, asked, exchange, kind):
    """A position and an order in a market that the list no longer has are told, of the other kind they are not."""
    other = asked(exchange, "inverse" if kind == "linear" else "linear")
    gateway = asked(exchange, kind)
    for number, one in enumerate((other, gateway)):
        symbol = KINDS[one.segment.value][1]
        market, last = await one.market(symbol), (await one.ticker(symbol)).last
        await one.set_up(symbol, Terms(margin_mode=MarginMode.CROSS))
        await one.submit(request(order(market, 0.8 * last, id=f"a{number}"), last))
        await one.submit(request(order(market, None, type=OrderType.MARKET, id=f"b{number}"), last))
    assert (len(await gateway.positions()), len(await gateway.open_orders())) == (1, 1)
    raw = listing.load_raw(exchange, gateway.segment)
    (lost,) = (one for one in raw if one["symbol"] == KINDS[kind][1])
    rest = [one for one in raw if one is not lost]  # and one that settles in the same, so that it is asked for
    rest.append(
        {**lost, "id": "OTHER", "symbol": lost["symbol"].replace(lost["base"], "OTHER", 1), "base": "OTHER"}
    )
    listing.save(exchange, gateway.segment, rest, venue.clock.now())
    later = asked(exchange, kind)
    with pytest.raises(ExchangeError, match="there is a position in"):
        await later.positions()
    with pytest.raises(ExchangeError, match="there is an open order in"):
        await later.open_orders()
