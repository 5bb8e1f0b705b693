"""The cassettes, played through the gateway with no network, and what they may not hold."""

import asyncio

import pytest
import pytest_asyncio
import tapes
from vcr.errors import CannotOverwriteExistingCassetteException
from venue.routes import KEY, SECRET

from metaexpert.errors import MetaExpertError
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.venues import VENUES
from metaexpert.models import OrderStatus

FILES = sorted(tapes.FOLDER.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """The library may dial; there is nothing to reach."""
    monkeypatch.delenv("METAEXPERT_OFFLINE")


@pytest_asyncio.fixture
async def played(home):
    """Plays all cassettes of one kind of market, those that everybody may ask for or those of an account."""

    async def play(exchange, kind, calls, *, keys):
        now = tapes.times()[exchange]["private" if keys else "public"]
        async with tapes.player(exchange, kind, home, keys=keys) as gateway:
            return now, {
                call: await tapes.play(exchange, kind, call, ask, gateway, now, "none")
                for call, ask in calls.items()
            }

    return play


def check_quotes(kind, found, now):
    """Markets, prices, candles, trades and rates of one kind."""
    symbol = tapes.KINDS[kind][1]
    assert symbol in {market.symbol for market in found["markets"]}
    ticker, book = found["ticker"], found["order_book"]
    assert ticker.symbol == book.symbol == symbol
    assert 0 < book.bids[0][0] < book.asks[0][0]
    assert len(book.bids) == len(book.asks) == 20
    start = now // tapes.MINUTE * tapes.MINUTE - 10 * tapes.MINUTE
    for call in {"candles", "mark_candles"} & found.keys():
        rows = [row for row in found[call] if row[0] >= start][:5]
        assert [row[0] for row in rows] == [start + n * tapes.MINUTE for n in range(5)]
        assert all(
            low <= min(opened, close) <= max(opened, close) <= high for _, opened, high, low, close, _ in rows
        )
    assert found["trades"] == sorted(found["trades"], key=lambda trade: trade.time)
    assert all(trade.price > 0 and trade.qty > 0 and trade.side in (-1, 1) for trade in found["trades"])
    if kind != "spot":
        assert len(found["funding"]) >= 8
        assert all(abs(rate) < 0.01 for _, rate in found["funding"])


def check_options(found):
    """A chain, and the greeks of its first option."""
    assert {quote.symbol for quote in found["option_chain"]} <= {market.symbol for market in found["markets"]}
    assert found["option_chain"]
    assert -1 <= found["greeks"].delta <= 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("exchange", "kind"), tapes.CELLS)
async def test_what_everybody_may_ask(played, exchange, kind):
    """Every public cassette plays, and what comes out is whole."""
    now, found = await played(exchange, kind, tapes.public(kind), keys=False)
    if kind == "option":
        check_options(found)
    else:
        check_quotes(kind, found, now)


@pytest.mark.asyncio
@pytest.mark.parametrize(("exchange", "kind"), tapes.CELLS)
async def test_what_needs_a_key(played, exchange, kind):
    """An order's life, a trade and what it did to the account, with other signatures than the recorded ones."""
    _, found = await played(exchange, kind, tapes.private(kind), keys=True)
    assert all(balance.total >= balance.free >= 0 for balance in found["balances"])
    if kind == "option":
        return
    sent, working, listed, gone = found["orders"]
    assert sent.exchange_id == working.exchange_id == gone.exchange_id
    assert (working.status, gone.status) == (OrderStatus.OPEN, OrderStatus.CANCELED)
    assert [one.id for one in listed] == ["tapelimit"]
    filled, fills, positions, balances = found["trading"]
    assert filled.status is OrderStatus.FILLED
    assert sum(fill.qty for fill in fills) == pytest.approx(filled.filled, rel=1e-3)
    assert [one.qty > 0 for one in positions] == ([] if kind == "spot" else [True])
    assert balances


@pytest.mark.asyncio
async def test_what_is_not_on_a_tape_is_an_error(home):
    """Nothing is dialled instead."""
    async with tapes.player("binance", "spot", home, keys=False) as gateway:
        with tapes.recorder("none").use_cassette(str(tapes.tape("binance", "spot", "markets"))):
            await gateway.markets(refresh=True)
            with pytest.raises((MetaExpertError, CannotOverwriteExistingCassetteException)):
                await gateway.ticker("BTC/USDT")


def test_every_call_has_its_cassette():
    """None is missing, and none is left over."""
    wanted = {
        tapes.tape(exchange, kind, call)
        for exchange, kind in tapes.CELLS
        for call in tapes.public(kind) | tapes.private(kind)
    }
    assert set(FILES) == wanted
    assert set(tapes.times()) == set(VENUES)


@pytest.mark.parametrize("exchange", sorted(VENUES))
def test_no_cassette_holds_a_secret(exchange):
    """Each is searched for everything key-like."""
    found = {
        file.name: tapes.leaks(file.read_text(encoding="utf-8")) for file in FILES if file.parent.name == exchange
    }
    assert found
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize("exchange", sorted(VENUES))
def test_the_addresses_are_the_real_ones(exchange):
    """What was recorded from this machine was asked for at the exchange's own address."""
    hosts = {"binance": "binance.com", "bybit": "bybit.com", "okx": "okx.com", "bitget": "bitget.com"}
    texts = [file.read_text(encoding="utf-8") for file in FILES if file.parent.name == exchange]
    assert all(f"{hosts.get(exchange, 'kucoin.com')}/" in text for text in texts)
    assert not any("127.0.0.1" in text or "localhost" in text for text in texts)


@pytest.mark.parametrize(
    "line",
    [
        f"      X-MBX-APIKEY: [{'a1' * 32}]", "    X-BAPI-SIGN:", "    OK-ACCESS-PASSPHRASE:",
        "      ACCESS-KEY:",
        "    KC-API-PARTNER-SIGN:", "    Authorization:", "    Set-Cookie:",
        "uri: https://api.binance.com/api/v3/account?timestamp=X&signature=0f3a",
        '"apiKey":"vmPUZE6mv9SD5VNHk4HlW"',
        r'string: "{\"secret\":\"hunter2\"}"', '"passphrase": "open sesame"', '"listenKey":"abc"',
        '"uid":12345678',
        '"email":"someone@example.com"', "a1B2c3D4" * 8, "f3Bq1P" * 7 + "Z=", KEY, SECRET,
    ],
)  # fmt: skip
def test_a_secret_is_seen(line, tmp_path):
    """Whatever form it has, at whatever place of a cassette."""
    (file := tmp_path / "spot-ticker.yaml").write_text(f"interactions:\n- request:\n{line}\n", encoding="utf-8")
    assert tapes.leaks(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("line", ['"uid":"X"', "signature=X&symbol=BTCUSDT", '"orderId":"1000001"', '"userId":""'])
def test_what_is_masked_is_no_secret(line):
    """A mask, an order's number, an empty field."""
    assert tapes.leaks(line) == []


def test_personal_fields_and_signatures_never_reach_a_cassette(tmp_path, monkeypatch, home):
    """What is recorded with a key in hand holds neither it nor what was signed with it."""
    monkeypatch.setattr(tapes, "FOLDER", tmp_path)
    monkeypatch.setattr(tapes, "CELLS", [("okx", "spot"), ("kucoin", "linear")])
    asyncio.run(tapes.record_from_venue())
    files = sorted(tmp_path.rglob("*.yaml"))
    assert len(files) == len(tapes.public("spot") | tapes.private("spot")) + len(
        tapes.public("linear") | tapes.private("linear")
    )
    assert [leak for file in files for leak in tapes.leaks(file.read_text(encoding="utf-8"))] == []


@pytest.mark.asyncio
async def test_recording_live_asks_for_what_is_public_alone(venue, tmp_path, monkeypatch, played):
    """No key is needed; the time of the account's cassettes stays, that of the others is now."""
    monkeypatch.setattr(tapes, "FOLDER", tmp_path)
    monkeypatch.setattr(tapes, "CELLS", [("bybit", "linear")])
    tapes._stamp({exchange: {"public": 1, "private": 1} for exchange in VENUES})
    monkeypatch.setattr(tapes.WallClock, "now", lambda _: venue.now())
    await tapes.record_live(lambda told: venue.redirect(connect(told, sleep=tapes._no_sleep)))
    assert {file.stem for file in tmp_path.rglob("*.yaml")} == {
        f"linear-{call}" for call in tapes.public("linear")
    }
    assert tapes.times()["bybit"] == {"public": venue.now(), "private": 1}
    now, found = await played("bybit", "linear", tapes.public("linear"), keys=False)
    check_quotes("linear", found, now)
