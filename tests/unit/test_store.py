"""The candle store: merging, atomic writes, damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaexpert import parquet
from metaexpert import store as store_module
from metaexpert.bars import empty, frame, times
from metaexpert.errors import ConfigError, DataError
from metaexpert.files import home
from metaexpert.models import ContractType, Market, MarketType, Tier
from metaexpert.series import Kind, build
from metaexpert.store import CandleStore, Source

HOUR = 3_600_000
START = 1_704_067_200_000
SOURCE = Source("a.csv", "ab" * 32)
SPOT = Market(symbol="BTC/USDT", exchange="binance", type=MarketType.SPOT, base="BTC", quote="USDT", settle="USDT")
SWAP = replace(
    SPOT,
    symbol="BTC/USD:BTC",
    type=MarketType.FUTURES,
    contract_type=ContractType.INVERSE,
    settle="BTC",
    max_leverage=50.0,
    max_qty=1e6,
)


def candles(hours: list[int], price: float = 100.0) -> pd.DataFrame:
    opens = START + HOUR * np.array(sorted(hours), dtype=np.int64)
    flat = np.full(len(opens), price)
    return frame(opens, (flat, flat + 1, flat - 1, flat, np.arange(len(opens), dtype=float)))


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    return CandleStore(tmp_path / "candles")


def test_the_store_lives_under_the_data_folder(home: Path):
    assert CandleStore().root == home / "candles"


def test_the_data_folder_is_the_platform_s_own_without_an_override(monkeypatch):
    monkeypatch.delenv("METAEXPERT_HOME")
    assert home().name == "metaexpert"
    assert home().is_absolute()


def test_a_tilde_in_the_data_folder_means_the_user_s_own_folder(monkeypatch):
    monkeypatch.setenv("METAEXPERT_HOME", "~/candles")
    assert home() == Path.home() / "candles"
    monkeypatch.setenv("METAEXPERT_HOME", "~no-such-user-here/candles")
    with pytest.raises(ConfigError, match="METAEXPERT_HOME=~no-such-user-here"):
        home()


def test_what_is_appended_is_read_back_bit_for_bit(store):
    rng = np.random.default_rng(5)
    price = rng.lognormal(size=500)
    original = frame(START + HOUR * np.arange(500), (price, price * 1.1, price / 1.1, price, rng.random(500)))
    assert store.append(SPOT, "1h", original, source=SOURCE) == 500
    pd.testing.assert_frame_equal(store.read("binance", "BTC/USDT", "1h"), original, check_exact=True)


def test_whole_numbers_are_stored_as_prices(store):
    store.append(SPOT, "1h", candles([0, 1]).round().astype("int64"), source=SOURCE)
    store.append(SPOT, "1h", candles([2]), source=SOURCE)
    assert set(store.read("binance", "BTC/USDT", "1h").dtypes) == {np.dtype("float64")}


def test_new_rows_win_and_only_new_times_count(store):
    store.append(SPOT, "1h", candles([0, 1, 2]), source=SOURCE)
    assert store.append(SPOT, "1h", candles([2, 3, 5], price=200.0), source=Source("b.csv")) == 2
    merged = store.read("binance", "BTC/USDT", "1h")
    assert merged["open"].tolist() == [100.0, 100.0, 200.0, 200.0, 200.0]
    assert times(merged).tolist() == [START + h * HOUR for h in (0, 1, 2, 3, 5)]


def test_reading_a_span_is_half_open(store):
    store.append(SPOT, "1h", candles([0, 1, 2, 3]), source=SOURCE)
    part = store.read("binance", "BTC/USDT", "1h", START + HOUR, START + 3 * HOUR)
    assert times(part).tolist() == [START + HOUR, START + 2 * HOUR]
    assert store.read("binance", "BTC/USDT", "1h", START + 9 * HOUR).empty


def test_unsound_candles_are_not_stored(store):
    with pytest.raises(DataError, match="1 unsound candles; sanitize them first"):
        store.append(SPOT, "1h", candles([0, 1, 2]).iloc[[0, 2, 1]], source=SOURCE)
    assert not store.root.exists()


@pytest.mark.parametrize("market", [SPOT, SWAP])
def test_the_market_s_rules_come_back_whole(store, market):
    store.append(market, "1h", candles([0, 1]), source=SOURCE)
    assert store.market(market.exchange, market.symbol) == market
    assert store.markets(market.exchange) == [market]
    assert store.markets("okx") == []


def test_an_unknown_market_or_series_is_named_with_the_nearest(store):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    with pytest.raises(DataError, match=r"no market BTC/USDC of binance in .*did you mean 'BTC/USDT'"):
        store.market("binance", "BTC/USDC")
    with pytest.raises(DataError, match=r"no 4h candles of BTC/USDT from binance in .*import them first"):
        store.read("binance", "BTC/USDT", "4h")


def test_series_tell_span_rows_and_sources_in_order(store):
    store.append(SPOT, "1d", candles([0, 24, 48]), source=SOURCE)
    store.append(SPOT, "1h", candles([3, 4]), source=SOURCE)
    store.append(SPOT, "1h", candles([5]), source=Source("b.csv"))
    store.append(SWAP, "1m", candles([0]), source=SOURCE)
    infos = store.series()
    assert [(i.symbol, i.timeframe, i.rows) for i in infos] == [
        ("BTC/USD:BTC", "1m", 1),
        ("BTC/USDT", "1h", 3),
        ("BTC/USDT", "1d", 3),
    ]
    hours = infos[1]
    assert (hours.start, hours.end) == (START + 3 * HOUR, START + 6 * HOUR)
    assert hours.sources == (SOURCE, Source("b.csv"))
    assert [i.timeframe for i in store.series("binance", "BTC/USDT")] == ["1h", "1d"]


hours = st.lists(st.integers(0, 40), min_size=1, max_size=20, unique=True)
slow = settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@slow
@given(parts=st.lists(hours, min_size=1, max_size=4), data=st.data())
def test_appending_is_idempotent_and_its_order_does_not_matter(parts, data, tmp_path_factory):
    whole = candles(list(range(41)))
    pieces = [whole.iloc[sorted(part)] for part in parts]
    stores = [CandleStore(tmp_path_factory.mktemp("store")) for _ in range(2)]
    for piece in pieces:
        stores[0].append(SPOT, "1h", piece, source=SOURCE)
        assert stores[0].append(SPOT, "1h", piece, source=SOURCE) == 0
    for piece in data.draw(st.permutations(pieces)):
        stores[1].append(SPOT, "1h", piece, source=SOURCE)
    first, second = (one.read("binance", "BTC/USDT", "1h") for one in stores)
    pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(first, whole.iloc[sorted({hour for part in parts for hour in part})])


def test_a_writer_that_dies_leaves_the_old_file_whole(store, monkeypatch):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    path = store.info("binance", "BTC/USDT", "1h").path
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(DataError, match=r"can't write .*1h.parquet: No space left on device"):
        store.append(SPOT, "1h", candles([0, 1, 2]), source=SOURCE)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir() if "tmp" in p.name] == []


def test_a_killed_process_leaves_the_old_file_and_no_lock(store):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    script = f"""
        import os
        from pathlib import Path
        from metaexpert import store as module
        from tests.unit.test_store import SPOT, SOURCE, candles
        module.write_merged = lambda path, *_: (path.write_bytes(b"half"), os._exit(9))
        module.CandleStore(Path({str(store.root)!r})).append(SPOT, "1h", candles([0, 1, 2]), source=SOURCE)
    """
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=root, check=False)
    assert ended.returncode == 9
    assert len(store.read("binance", "BTC/USDT", "1h")) == 2
    assert store.append(SPOT, "1h", candles([0, 1, 2]), source=SOURCE) == 1
    names = {entry.name for entry in store.info("binance", "BTC/USDT", "1h").path.parent.iterdir()}
    assert names == {".lock", "1h.parquet", "market.json"}  # what the killed one left is gone


def test_a_failed_import_changes_no_rules(store, monkeypatch):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    monkeypatch.setattr(
        store_module, "write_merged", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(DataError, match="No space left"):
        store.append(replace(SPOT, price_tick=5.0), "1h", candles([2]), source=SOURCE)
    assert store.market("binance", "BTC/USDT").price_tick == SPOT.price_tick


def test_two_writers_at_once_lose_nothing(store):
    pieces = [candles(list(range(at, at + 5))) for at in range(0, 40, 5)]
    threads = [
        threading.Thread(target=store.append, args=(SPOT, "1h", piece), kwargs={"source": SOURCE})
        for piece in pieces
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.read("binance", "BTC/USDT", "1h")) == 40


def damaged(store: CandleStore, how: str) -> Path:
    store.append(SPOT, "1h", candles(list(range(500))), source=SOURCE)
    path = store.info("binance", "BTC/USDT", "1h").path
    raw = bytearray(path.read_bytes())
    if how == "cut":
        raw = raw[: len(raw) // 2]
    elif how == "flipped bit":
        raw[200] ^= 0x10
    else:
        raw = bytearray(b"not parquet at all")
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize("how", ["cut", "flipped bit", "replaced"])
def test_a_damaged_file_is_named_in_one_line(store, how):
    path = damaged(store, how)
    with pytest.raises(DataError) as caught:
        store.read("binance", "BTC/USDT", "1h")
    assert str(caught.value).startswith(f"{path} is damaged (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", '{"symbol": "BTC/USDT"}', ""])
def test_damaged_rules_are_named_in_one_line(store, text):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    path = store.info("binance", "BTC/USDT", "1h").path.parent / "market.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"market.json is damaged \(.*import its candles again"):
        store.market("binance", "BTC/USDT")


def test_damaged_rules_of_one_market_stand_in_no_other_s_way(store):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    other = replace(SPOT, symbol="ETH/USDT", base="ETH")
    store.append(other, "1h", candles([0, 1]), source=SOURCE)
    (store.info("binance", "BTC/USDT", "1h").path.parent / "market.json").write_text("{")
    assert store.markets("binance") == [other]
    with pytest.raises(DataError, match=r"market\.json is damaged"):
        store.markets("binance", "BTC/USDT")


@pytest.mark.parametrize(("name", "value"), [("price_tick", "0.01"), ("qty_step", 0), ("maker", float("nan"))])
def test_rules_that_are_no_rules_are_damage(store, name, value):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    path = store.info("binance", "BTC/USDT", "1h").path.parent / "market.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    with pytest.raises(DataError, match=rf"market.json is damaged \({name} is {value!r}\)"):
        store.market("binance", "BTC/USDT")


def test_rules_that_were_deleted_come_back_with_the_next_import(store):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    (store.info("binance", "BTC/USDT", "1h").path.parent / "market.json").unlink()
    assert store.markets("binance") == []
    store.append(SPOT, "1h", candles([1, 2]), source=SOURCE)
    assert [market.symbol for market in store.markets("binance")] == ["BTC/USDT"]


def test_verifying_counts_and_locates_what_is_unsound(store):
    store.append(SPOT, "1h", candles([0, 1, 2, 7]), source=SOURCE)
    quality = store.verify("binance", "BTC/USDT", "1h")
    assert quality.gaps == ((START + 3 * HOUR, START + 6 * HOUR, 4),)
    assert quality.source == "a.csv"
    assert quality.unsound == 0


def test_verifying_all_shows_damage_as_a_verdict(store):
    store.append(SWAP, "1h", candles([0, 1]), source=SOURCE)
    path = damaged(store, "cut")
    verdicts = {verdict.path: verdict for verdict in store.verify_all()}
    assert not verdicts[path].is_sound
    assert "is damaged" in (verdicts[path].error or "")
    assert [v.is_sound for p, v in verdicts.items() if p != path] == [True]


def test_verifying_can_be_narrowed_by_symbol_timeframe_and_exchange(store):
    store.append(SPOT, "1h", candles([0, 1]), source=SOURCE)
    store.append(SPOT, "1d", candles([0, 24]), source=SOURCE)
    store.append(SWAP, "1h", candles([0, 1]), source=SOURCE)
    assert len(store.verify_all(symbol="BTCUSDT")) == 2
    assert len(store.verify_all(symbol="btc/usd:btc")) == 1
    assert len(store.verify_all(timeframe="1h")) == 2
    with pytest.raises(DataError, match=r"no candles of BTCUSDC in .*did you mean 'BTC/USDT'"):
        store.verify_all(symbol="BTCUSDC")
    with pytest.raises(DataError, match=r"no candles from okx in .*; import some"):
        store.verify_all("okx")


@pytest.mark.parametrize("exchange", ["../x", "a/b", "", "A b", "/etc", "*"])
def test_an_exchange_s_name_can_t_leave_the_store(store, exchange):
    with pytest.raises(ConfigError, match="is no exchange name"):
        store.append(replace(SPOT, exchange=exchange), "1h", candles([0, 1]), source=SOURCE)
    with pytest.raises(ConfigError, match="is no exchange name"):
        store.series(exchange)


def test_a_symbol_of_any_script_has_a_safe_folder(store):
    market = replace(SPOT, symbol="币安人生/USDT", base="币安人生")
    store.append(market, "1h", candles([0, 1]), source=SOURCE)
    assert store.markets("binance") == [market]
    assert store.info("binance", market.symbol, "1h").path.parent.name.isascii()
    with pytest.raises(ConfigError, match="is no symbol"):
        store.append(replace(SPOT, symbol=".."), "1h", candles([0, 1]), source=SOURCE)


def test_the_rules_are_plain_json_without_the_origin(store):
    store.append(replace(SPOT, source="a.csv"), "1h", candles([0, 1]), source=SOURCE)
    path = store.info("binance", "BTC/USDT", "1h").path.parent / "market.json"
    rules = json.loads(path.read_text())
    assert rules["type"] == "spot"
    assert "source" not in rules


def test_nothing_is_stored_of_no_candles(store):
    assert store.append(SPOT, "1h", candles([0]), source=SOURCE) == 1
    assert store.append(SPOT, "1h", empty(), source=SOURCE) == 0
    assert store.series()[0].rows == 1


def others() -> dict[str, pd.DataFrame]:
    """One series of every kind beside candles, by name."""
    time = START + HOUR * 8 * np.arange(4)
    ones = np.ones(4)
    return {
        "mark-8h": build(Kind.MARK, time, [ones, ones, ones, ones, ones * 0]),
        "index-8h": build(Kind.INDEX, time, [ones, ones, ones, ones, ones * 0]),
        "funding": build(Kind.FUNDING, time, [ones * 1e-4]),
        "trades": build(Kind.TRADES, np.sort(np.append(time[:3], time[0])), [ones * 9, ones * 2, ones]),
    }


@pytest.mark.parametrize("name", list(others()))
def test_every_kind_of_series_comes_back_bit_for_bit_and_again_adds_nothing(store, name):
    rows = others()[name]
    assert store.append(SWAP, name, rows, source=SOURCE) == 4
    assert store.append(SWAP, name, rows, source=SOURCE) == 0
    pd.testing.assert_frame_equal(store.read("binance", SWAP.symbol, name), rows, check_exact=True)
    assert store.verify("binance", SWAP.symbol, name).unsound == 0
    span = store.read("binance", SWAP.symbol, name, START + 1, START + 16 * HOUR)
    assert times(span).tolist() == [START + 8 * HOUR]


def test_the_kinds_of_one_market_stand_side_by_side(store):
    store.append(SWAP, "1h", candles([0, 1]), source=SOURCE)
    for name, rows in others().items():
        store.append(SWAP, name, rows, source=SOURCE)
    infos = store.series()
    assert [(i.name, i.kind, i.timeframe) for i in infos] == [
        ("1h", "candles", "1h"),
        ("mark-8h", "mark", "8h"),
        ("index-8h", "index", "8h"),
        ("funding", "funding", None),
        ("trades", "trades", None),
    ]
    assert (infos[3].start, infos[3].end) == (START, START + 24 * HOUR + 1)
    assert [i.name for i in store.series(kind="mark")] == ["mark-8h"]
    assert len(store.verify_all(kind="funding")) == 1
    assert len(store.verify_all(timeframe="8h")) == 2
    with pytest.raises(ConfigError, match="unknown kind 'marks'; did you mean 'mark'"):
        store.verify_all(kind="marks")
    with pytest.raises(DataError, match=r"no index-price candles from okx in .*; import some"):
        store.verify_all("okx", kind="index")
    with pytest.raises(DataError, match="no 1h mark-price candles of"):
        store.read("binance", SWAP.symbol, "mark-1h")


def test_unsound_rates_and_trades_are_not_stored(store):
    rates = build(Kind.FUNDING, np.array([START]), [np.array([1.5])])
    with pytest.raises(DataError, match="1 unsound funding rates; sanitize them first"):
        store.append(SWAP, "funding", rates, source=SOURCE)
    trades = build(Kind.TRADES, np.array([START]), [np.array([-1.0]), np.ones(1), np.ones(1)])
    with pytest.raises(DataError, match="1 unsound trades"):
        store.append(SWAP, "trades", trades, source=SOURCE)
    assert not store.root.exists()


def test_a_span_of_a_long_file_reads_only_the_groups_it_needs(store, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 10)
    long = candles(list(range(95)))
    store.append(SPOT, "1h", long, source=SOURCE)
    path = store.info("binance", SPOT.symbol, "1h").path
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0x10  # within the first group, which the span below does not touch
    path.write_bytes(bytes(raw))
    part = store.read("binance", SPOT.symbol, "1h", START + 49 * HOUR, START + 61 * HOUR)
    pd.testing.assert_frame_equal(part, long.iloc[49:61])
    assert store.read("binance", SPOT.symbol, "1h", START + 900 * HOUR).empty
    with pytest.raises(DataError, match="is damaged"):
        store.read("binance", SPOT.symbol, "1h", START, START + 5 * HOUR)


def test_margin_tiers_come_back_also_without_an_end(store):
    tiers = (Tier(50_000.0, 0.004, 0.0, 125.0), Tier(float("inf"), 0.005, 50.0, 100.0))
    store.append(replace(SWAP, tiers=tiers), "1h", candles([0, 1]), source=SOURCE)
    assert store.market("binance", SWAP.symbol).tiers == tiers


@pytest.mark.parametrize(("name", "value"), [("price_tick", 0.0), ("taker", float("nan"))])
def test_rules_that_are_no_rules_are_not_stored(store, name, value):
    with pytest.raises(ConfigError, match=f"BTC/USDT: {name} is {value!r}, which is no rule of a market"):
        store.append(replace(SPOT, **{name: value}), "1h", candles([0, 1]), source=SOURCE)
    assert not store.root.exists()


def test_whole_numbers_are_stored_as_floats(store):
    whole = candles([0, 1, 2]).astype({"open": np.int64, "high": np.int64, "low": np.int64, "close": np.int64})
    store.append(SPOT, "1h", whole, source=SOURCE)
    assert store.append(SPOT, "1h", candles([3]), source=SOURCE) == 1
    assert set(store.read("binance", "BTC/USDT", "1h").dtypes) == {np.dtype(np.float64)}
