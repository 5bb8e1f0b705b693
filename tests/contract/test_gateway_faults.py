"""What goes wrong at an exchange: one line that says what to do, nothing sent twice, nothing lost."""

from decimal import Decimal

import pytest
import pytest_asyncio
from gateways import EXCHANGES, gateway_to, order, request
from venue.faults import Fault

from metaexpert import errors
from metaexpert.exchanges.orders import Terms
from metaexpert.models import MarginMode, OrderStatus, OrderType

pytestmark = pytest.mark.asyncio

READS = [
    (Fault.RESET, errors.NetworkError),
    (Fault.HTML, errors.NetworkError),
    (Fault.TRUNCATED, errors.NetworkError),
    (Fault.EMPTY, errors.NetworkError),
    (Fault.SERVER_ERROR, errors.NetworkError),
    (Fault.RATE_LIMIT, errors.UnavailableError),
    (Fault.BAN, (errors.UnavailableError, errors.AccessDenied)),
    (Fault.MAINTENANCE, (errors.UnavailableError, errors.NetworkError)),
    (Fault.GEO_BLOCK, errors.AccessDenied),
]


@pytest_asyncio.fixture
async def asked(venue):
    """Makes gateways to the venue and closes them; `waits` are the pauses that they wanted to make."""
    made = []

    def make(exchange, kind="spot", **more):
        waits = []

        async def sleep(seconds):
            waits.append(seconds)

        gateway = gateway_to(venue, exchange, kind, sleep, **more)
        gateway.waits = waits
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        await gateway.close()


def one_line(error, *secrets):
    text = str(error)
    assert "\n" not in text
    assert "http" not in text.replace("HTTP", "").lower()
    assert not [secret for secret in ("thekey", "signature=", "sign=", *secrets) if secret in text.lower()]
    assert error.__context__ is None


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(("fault", "expected"), READS, ids=[fault.value for fault, _ in READS])
async def test_a_read_that_always_fails_says_so_in_one_line(venue, asked, exchange, fault, expected):
    gateway = asked(exchange)
    await gateway.ticker("BTC/USDT")
    venue.faults.add(fault, times=99, seconds=90)
    with pytest.raises(expected) as caught:
        await gateway.ticker("BTC/USDT")
    one_line(caught.value)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.HTML, Fault.TRUNCATED, Fault.EMPTY, Fault.SERVER_ERROR])
async def test_a_read_that_fails_in_passing_is_not_noticed(venue, asked, exchange, fault):
    gateway = asked(exchange)
    await gateway.ticker("BTC/USDT")
    venue.faults.add(fault, times=2)
    assert (await gateway.ticker("BTC/USDT")).last
    assert 1 <= len(gateway.waits) <= 2  # a connection that was reset is dialled again at once, below us


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_retry_after_is_waited_for(venue, asked, exchange):
    gateway = asked(exchange)
    await gateway.ticker("BTC/USDT")
    venue.faults.add(Fault.RATE_LIMIT, seconds=1)
    assert (await gateway.ticker("BTC/USDT")).last
    assert len(gateway.waits) == 1
    assert gateway.waits[0] <= 1.0


UNSURE = [Fault.REPLY_LOST, Fault.TRUNCATED, Fault.EMPTY, Fault.UNKNOWN, Fault.HTML, Fault.RESET]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", UNSURE)
async def test_an_order_without_a_certain_answer_is_sent_once_and_can_be_found(venue, asked, exchange, fault):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, 0.8 * last)
    assert await gateway.find(wanted) is None
    venue.faults.add(fault, method="POST")
    with pytest.raises(errors.NetworkError, match="look it up") as caught:
        await gateway.submit(request(wanted, last))
    one_line(caught.value)
    arrived = fault not in (Fault.HTML, Fault.RESET)
    found = await gateway.find(wanted)
    assert (found is not None and found.status is OrderStatus.OPEN) == arrived
    assert len(await gateway.open_orders(market.symbol)) == int(arrived)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.DENIED, Fault.GEO_BLOCK])
async def test_an_order_that_was_certainly_not_taken_is_told_so(venue, asked, exchange, fault):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, 0.8 * last)
    await gateway.find(wanted)
    venue.faults.add(fault, method="POST")
    expected = {
        Fault.RATE_LIMIT: errors.UnavailableError,
        Fault.DENIED: errors.AuthenticationError,
        Fault.GEO_BLOCK: errors.AccessDenied,
    }[fault]
    with pytest.raises(expected) as caught:
        await gateway.submit(request(wanted, last))
    one_line(caught.value)
    assert await gateway.open_orders(market.symbol) == ()


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_the_same_order_twice_is_told_to_be_looked_up(venue, asked, exchange):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    wanted = order(market, 0.8 * last)
    await gateway.submit(request(wanted, last))
    with pytest.raises(errors.OrderRejected, match="was sent already"):
        await gateway.submit(request(wanted, last))
    restarted = asked(exchange)  # knows nothing of it, but the exchange does
    with pytest.raises(errors.NetworkError, match="an earlier try may have arrived"):
        await restarted.submit(request(wanted, last))
    assert len(await gateway.open_orders(market.symbol)) == 1


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_clock_that_is_off_is_measured_and_the_read_goes_through(venue, asked, exchange):
    venue.faults.skew = 90_000
    gateway = asked(exchange)
    assert await gateway.balances()
    venue.faults.skew = 0
    assert await gateway.balances()


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_wrong_keys(asked, exchange):
    with pytest.raises(errors.AuthenticationError, match="mend the API key") as caught:
        await asked(exchange, api_secret="anotherone").balances()
    one_line(caught.value, "anotherone")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_without_the_right_to_trade(venue, asked, exchange):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    venue.states[exchange].rights = frozenset({"read"})
    assert await gateway.balances()
    with pytest.raises(errors.AuthenticationError, match="rights"):
        await gateway.submit(request(order(market, 0.8 * last), last))


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_more_than_the_account_holds(venue, asked, exchange):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    balances = venue.states[exchange].balances
    balances |= {held: Decimal(1) for held in balances if held[1] == "USDT"}
    with pytest.raises(errors.InsufficientFunds, match="make it smaller or add funds") as caught:
        await gateway.submit(request(order(market, 0.8 * last), last))
    assert caught.value.reason == "insufficient_margin"


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_closing_order_without_a_position_tells_so_by_its_reason(asked, exchange):
    gateway = asked(exchange, "linear")
    market = await gateway.market("BTC/USDT:USDT")
    await gateway.set_up(market.symbol, Terms(10.0, MarginMode.CROSS))
    last = (await gateway.ticker(market.symbol)).last
    with pytest.raises(errors.OrderRejected) as caught:
        await gateway.submit(request(order(market, None, type=OrderType.MARKET, reduce_only=True), last))
    assert caught.value.reason == "reduce_only"


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_less_than_the_market_takes_is_not_even_sent(venue, asked, exchange):
    gateway = asked(exchange)
    market = await gateway.market("BTC/USDT")
    last = (await gateway.ticker(market.symbol)).last
    sent = len(venue.seen)
    with pytest.raises(errors.OrderRejected) as caught:
        await gateway.submit(request(order(market, 0.8 * last, qty=market.qty_step / 2), last))
    assert caught.value.reason == "below_min_qty"
    assert len(venue.seen) == sent


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_symbol_of_another_kind(asked, exchange):
    with pytest.raises(errors.ConfigError, match="market_type"):
        await asked(exchange).market("BTC/USDT:USDT")
