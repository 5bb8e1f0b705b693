"""The loopback Binance on the wire: places of streams, refusals, marks and candles of marks, options."""

import hashlib
import hmac

import pytest
from aiohttp import WSServerHandshakeError
from contract.streaming import Wire
from venue.instruments import Kind
from venue.routes import KEY, SECRET

pytestmark = pytest.mark.asyncio
MINUTE = 60_000
MARKET, PUBLIC = ("/market/ws/0", "fstream.binance.com"), ("/public/ws/0", "fstream.binance.com")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("/ws/0",), "btcusdt@trades"), (("/ws/0",), "btceur@trade"), (("/ws/0",), "btcusdt@kline_7m"),
        (("/ws/0",), "nothing"), (MARKET, "btcusdt@trade"), (PUBLIC, "btcusdt@kline_1m"),
        (PUBLIC, "btcusdt@markPrice@1s"), (PUBLIC, "btcusdt@optionTrade@x"),
    ],
)  # fmt: skip
async def test_a_stream_that_is_not_there_is_refused(venue, place, name):
    async with Wire(venue, *place) as wire:
        await wire.socket.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@trade", name], "id": 9})
        assert (await wire.hear())["error"]["code"] == 2
        assert venue.sockets.of()[0].feeds == {}


async def test_what_is_no_request_is_refused(venue):
    async with Wire(venue) as wire:
        await wire.socket.send_str("hello")
        assert (await wire.hear())["error"]["code"] == 1
        await wire.socket.send_json({"method": "SHOUT", "params": [], "id": 9})
        assert (await wire.hear())["error"]["code"] == 2


@pytest.mark.parametrize("path", ["/private/ws/unknown", "/private/ws?listenKey=unknown"])
async def test_an_unknown_listen_key_lets_nobody_in(venue, path):
    with pytest.raises(WSServerHandshakeError) as error:
        async with Wire(venue, path, "fstream.binance.com"):
            pass
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"apiKey": "other"}, -2015), ({"signature": "other"}, -1022), ({"timestamp": 1_789_999_990_000}, -1021)],
)
async def test_a_wrong_subscription_of_an_account_is_refused(venue, wrong, code):
    told = {"apiKey": KEY, "timestamp": venue.clock.now()} | wrong
    if "signature" not in told:
        signed = "&".join(f"{name}={told[name]}" for name in sorted(told))
        told["signature"] = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).hexdigest()
    async with Wire(venue, "/ws-api/v3", "ws-api.binance.com") as wire:
        request = {"method": "userDataStream.subscribe.signature", "params": told, "id": 9}
        await wire.socket.send_json(request)
        answer = await wire.hear()
        assert (answer["id"], answer["error"]["code"]) == (9, code)
        assert not venue.sockets.of()[0].login


async def test_marks_come_in_their_rhythm(venue):
    """Once a second or once in three, whether they have changed or not."""
    async with Wire(venue, *MARKET) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@markPrice@1s", "ethusdt@markPrice")
        told = [row["s"] for row in await wire.pass_time(*[500] * 12)]
    assert (told.count("BTCUSDT"), told.count("ETHUSDT")) == (6, 2)


async def test_candles_of_mark_and_index_run_with_the_clock(venue):
    """They are told at each pulse, and end as those of trades do, without volume."""
    state = venue.states["binance"]
    item = state.instrument("BTCUSD_PERP", Kind.INVERSE)
    async with Wire(venue, "/ws/0", "dstream.binance.com") as wire:
        await wire.ask("SUBSCRIBE", "btcusd_perp@markPriceKline_1m", "btcusd@indexPriceKline_1m")
        told = await wire.pass_time(MINUTE)
    for what, name in (("mark", "s"), ("index", "ps")):
        ended, running = [row for row in told if row["e"] == f"{what}Price_kline"]
        assert ended[name] == ("BTCUSD_PERP" if what == "mark" else "BTCUSD")
        assert [ended["k"]["x"], running["k"]["x"]] == [True, False]
        (candle,) = state.candles(item, MINUTE, ended["k"]["t"], ended["k"]["t"] + 1, what)
        assert (float(ended["k"]["c"]), float(ended["k"]["v"])) == (float(candle.close), 0)


async def test_options_of_an_underlying_share_their_streams(venue):
    """Trades and tickers come one by one, marks all at once."""
    state = venue.states["binance"]
    names = {item.id for item in state.listed(Kind.OPTION) if item.base == "BTC"}
    expiry = min(names).split("-")[1]
    async with Wire(venue, *PUBLIC) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@optionTrade", f"btcusdt@optionTicker@{expiry}")
        told = await wire.pass_time(15_000)
    assert {row["s"] for row in told if isinstance(row, dict)} == names
    assert {row[0]["s"] for row in told if isinstance(row, list)} == names
    async with Wire(venue, *MARKET) as wire:
        await wire.ask("SUBSCRIBE", "btcusdt@optionMarkPrice")
        (rows,) = await wire.pass_time(1000)
    assert {row["s"]: row["mp"] for row in rows} == {
        name: str(state.price(state.instrument(name, Kind.OPTION), "mark")) for name in names
    }
