"""Files of funding rates and of trades: what is recognised, mended, left out, refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from metaexpert.bars import resample, times
from metaexpert.errors import ConfigError, DataError
from metaexpert.importer import MarketRules, import_file
from metaexpert.store import CandleStore

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000
START = 1_704_067_200_000
EIGHT = [START, START + 8 * HOUR, START + 16 * HOUR]
RATES = [0.0001, -0.00025, 0.0003]


@pytest.fixture
def store(tmp_path) -> CandleStore:
    return CandleStore(tmp_path / "store")


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def funding(tmp_path: Path, *lines: str, name: str = "binance_usdm/BTCUSDT-fundingRate.csv") -> Path:
    return write(tmp_path / "in" / name, *lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["timestamp,funding_rate,mark_price", *(f"{t},{r}," for t, r in zip(EIGHT, RATES, strict=True))],
        [
            "calc_time,funding_interval_hours,last_funding_rate",
            *(f"{t},8,{r}" for t, r in zip(EIGHT, RATES, strict=True)),
        ],
        [
            "symbol,fundingRate,fundingRateTimestamp",
            *(f"BTCUSDT,{r},{t}" for t, r in zip(EIGHT, RATES, strict=True)),
        ],
        ["Time;Funding Rate", *(f"{t};{r:f}".replace(".", ",") for t, r in zip(EIGHT, RATES, strict=True))],
        ["time,rate", *(f"{t},{r}" for t, r in zip(EIGHT, RATES, strict=True))],
        [f"{t},{r}" for t, r in zip(EIGHT, RATES, strict=True)],
        ["fundingTime,fundingRate", *(f"{t},{r}" for t, r in zip(EIGHT[::-1], RATES[::-1], strict=True))],
        ["fundingTime,fundingRate,realizedRate", *(f"{t},9,{r}" for t, r in zip(EIGHT, RATES, strict=True))],
        ["time,funding rate", *(f"{t},{100 * r:.4f}%" for t, r in zip(EIGHT, RATES, strict=True))],
        ["time,funding_rate_pct", *(f"{t},{100 * r:.4f}" for t, r in zip(EIGHT, RATES, strict=True))],
        ["time,Funding Rate (%)", *(f"{t},{100 * r:.4f}" for t, r in zip(EIGHT, RATES, strict=True))],
    ],
)
def test_funding_rates_of_every_usual_form_come_back(tmp_path, store, lines):
    report = import_file(funding(tmp_path, *lines), store)
    assert (report.kind, report.timeframe, report.market.symbol) == ("funding", None, "BTC/USDT:USDT")
    stored = store.read("binance", "BTC/USDT:USDT", "funding")
    assert times(stored).tolist() == EIGHT
    assert stored["rate"].tolist() == pytest.approx(RATES, rel=1e-12)
    assert (report.added, report.total, report.rules) == (3, 3, ())
    assert dict(report.facts)["interval"] == "8h (its times)"


def test_funding_is_known_by_its_columns_whatever_the_name(tmp_path, store):
    path = funding(tmp_path, "time,funding_rate", f"{START},0.0001", name="x/BTCUSD.csv")
    report = import_file(path, store)
    assert (report.kind, report.market.symbol) == ("funding", "BTC/USD:BTC")
    facts = dict(report.facts)
    assert facts["contract type"] == "inverse (default for a pair in USD)"
    assert facts["kind"] == "funding rates (its columns)"
    assert facts["market type"] == "futures (default for funding rates)"


def test_times_a_little_after_the_hour_are_set_to_it(tmp_path, store):
    path = funding(tmp_path, "time,funding_rate", f"{START + 3},0.0001", f"{START + 8 * HOUR + 17},0.0002")
    report = import_file(path, store)
    assert report.mended == ("2 times up to 17 ms after the full hour were set to the hour",)
    assert times(store.read("binance", "BTC/USDT:USDT", "funding")).tolist() == EIGHT[:2]


def test_rates_in_percent_that_do_not_say_so_are_refused(tmp_path, store):
    lines = [f"{START + n * 8 * HOUR},{rate}" for n, rate in enumerate([0.01, 0.01, -0.02, 0.0125])]
    with pytest.raises(DataError, match=r"half of its rates are above 0.5%, so they seem to be in percent"):
        import_file(funding(tmp_path, "time,funding_rate", *lines), store)
    assert not store.root.exists()


def test_bad_rates_are_left_out_and_located(tmp_path, store):
    path = funding(
        tmp_path, "time,funding_rate", f"{START},0.0001", f"{EIGHT[1]},what", f"{EIGHT[2]},7", f"{START},0.0002"
    )
    report = import_file(path, store)
    assert report.left_out == (
        "1 row(s) with a value that is no number: 2024-01-01 08:00",
        "1 impossible rate(s): 2024-01-01 16:00",
        "1 row(s) with the time of a later row: 2024-01-01 00:00",
    )
    assert store.read("binance", "BTC/USDT:USDT", "funding")["rate"].tolist() == [0.0002]


def test_importing_again_says_which_rates_it_replaced(tmp_path, store):
    import_file(funding(tmp_path, "time,funding_rate", f"{EIGHT[0]},0.0001", f"{EIGHT[1]},0.0002"), store)
    again = funding(
        tmp_path,
        "time,funding_rate",
        f"{EIGHT[1]},0.0003",
        f"{EIGHT[2]},0.0004",
        name="binance_usdm/BTCUSDT-2.csv",
    )
    report = import_file(again, store)
    assert dict(report.facts)["replaced"] == "1 funding rates with other values, from BTCUSDT-fundingRate.csv"
    assert (report.added, report.total) == (1, 3)


@pytest.mark.parametrize(
    ("lines", "options", "error", "said"),
    [
        (
            ["time,funding_rate", f"{START},0.0001"],
            {"market_type": "spot"},
            ConfigError,
            "spot market has no funding",
        ),
        (["time,funding_rate", f"{START},0.0001"], {"symbol": "BTCUSDT_251226"}, ConfigError, "is no perpetual"),
        (["time,funding_rate", f"{START},0.0001"], {"timeframe": "8h"}, ConfigError, "leave --timeframe out"),
        (
            ["time,funding_rate", f"{START},0.0001"],
            {"rules": MarketRules(maker=0.0)},
            ConfigError,
            "belong to its candles",
        ),
        (
            ["time,funding_rate", f"{START},0.0001"],
            {"kind": "trades"},
            DataError,
            "no trades that can be recognised",
        ),
        (["time,value,other", f"{START},0.0001,1"], {}, DataError, "no column for rate among time, value, other"),
        (["time,funding_rate", f"{START},x"], {}, DataError, "none of its 1 rows is a sound funding rate"),
        ([f"{START},8,0.0001"], {}, DataError, "no header, and more columns than time and rate"),
        (["just some prose"], {}, DataError, "."),
    ],
)
def test_what_holds_no_funding_rates_is_refused_and_nothing_is_written(
    tmp_path, store, lines, options, error, said
):
    with pytest.raises(error, match=said) as caught:
        import_file(funding(tmp_path, *lines), store, **options)
    assert "\n" not in str(caught.value)
    assert not store.root.exists()


TRADES = [(START + 5, 100.5, 0.25, 1, 11), (START + 5, 100.6, 1.0, 1, 12), (START + 9, 100.4, 2.5, -1, 13)]
WORDS = {1: "buy", -1: "sell"}
MAKER = {1: "False", -1: "True"}


def tape(tmp_path: Path, *lines: str, name: str = "binance_spot/BTCUSDT-trades.csv") -> Path:
    return write(tmp_path / "in" / name, *lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["timestamp,id,side,price,amount,cost", *(f"{t},{i},{WORDS[s]},{p},{q},1" for t, p, q, s, i in TRADES)],
        ["id,price,qty,time,isBuyerMaker", *(f"{i},{p},{q},{t},{MAKER[s].lower()}" for t, p, q, s, i in TRADES)],
        [
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
            *(f"{i},{p},{q},1,2,{t},{MAKER[s]}" for t, p, q, s, i in TRADES),
        ],
        [
            "timestamp,symbol,side,size,price,tickDirection,trdMatchID",
            *(f"{t / 1000},BTCUSDT,{WORDS[s].title()},{q},{p},PlusTick,x-{i}" for t, p, q, s, i in TRADES),
        ],
        [f"{i},{p},{q},{p * q},{t},{MAKER[s]},True" for t, p, q, s, i in TRADES],
        [f"{i},{p},{q},{i},{i},{t},{MAKER[s]},True" for t, p, q, s, i in TRADES],
        ["time;price;qty;side", *(f"{t};{p};{q};{s}".replace(".", ",") for t, p, q, s, _ in TRADES)],
        ["id,time,price,qty,side", *(f"{i},{t},{p},{q},{s}" for t, p, q, s, i in TRADES[::-1])],
    ],
)  # fmt: skip
def test_trades_of_every_usual_form_come_back(tmp_path, store, lines):
    report = import_file(tape(tmp_path, *lines), store)
    assert (report.kind, report.market.symbol, report.added) == ("trades", "BTC/USDT", 3)
    stored = store.read("binance", "BTC/USDT", "trades")
    assert times(stored).tolist() == [row[0] for row in TRADES]
    assert stored["price"].tolist() == [row[1] for row in TRADES]
    assert stored["qty"].tolist() == [row[2] for row in TRADES]
    assert stored["side"].tolist() == [row[3] for row in TRADES]


def test_trades_from_parquet_come_back(tmp_path, store):
    table = pd.DataFrame(TRADES, columns=["time", "price", "qty", "side", "id"])
    table["is_buyer_maker"] = table.pop("side") == -1
    (tmp_path / "in").mkdir()
    table.to_parquet(tmp_path / "in" / "BTCUSDT.parquet")
    assert import_file(tmp_path / "in" / "BTCUSDT.parquet", store).kind == "trades"
    assert store.read("local", "BTC/USDT", "trades")["side"].tolist() == [1, 1, -1]


def test_three_columns_are_enough_and_an_unknown_side_is_told(tmp_path, store):
    report = import_file(tape(tmp_path, "time,price,qty", *(f"{t},{p},{q}" for t, p, q, _, _ in TRADES)), store)
    assert dict(report.facts)["side"] == "none in the file: unknown for every trade"
    assert store.read("binance", "BTC/USDT", "trades")["side"].tolist() == [0, 0, 0]
    again = tape(tmp_path, "time,price,qty,side", f"{START + 99},1,1,neither", name="binance_spot/BTCUSDT-2.csv")
    assert dict(import_file(again, store).facts)["side"] == "unknown for 1 trades"


def test_trades_set_the_market_s_rules(tmp_path, store):
    path = tape(tmp_path, "time,price,qty", f"{START},100.25,1")
    report = import_file(path, store, rules=MarketRules(taker=0.0004))
    assert (report.market.price_tick, report.market.taker) == (0.01, 0.0004)


def test_a_repeated_id_is_left_out_and_a_second_import_adds_nothing(tmp_path, store):
    lines = ["id,time,price,qty", "1,1704067200000,10,1", "1,1704067200000,10,1", "2,1704067200000,10,1"]
    report = import_file(tape(tmp_path, *lines), store)
    assert report.left_out == ("1 row(s) with the id of an earlier row: 2024-01-01 00:00",)
    assert (report.added, import_file(tape(tmp_path, *lines), store).added) == (2, 0)


def test_aggregated_trades_over_single_ones_are_refused_with_the_file_to_delete(tmp_path, store):
    single = [f"{START + at},10,1" for at in (0, 5, 5, 9)]
    import_file(tape(tmp_path, "time,price,qty", *single), store)
    path = tape(
        tmp_path,
        "time,price,qty",
        *(f"{START + at},10,1" for at in (0, 5, 9)),
        name="binance_spot/BTCUSDT-agg.csv",
    )
    with pytest.raises(DataError, match=r"one of the two is aggregated.* delete .*trades.parquet"):
        import_file(path, store)
    assert len(store.read("binance", "BTC/USDT", "trades")) == 4


@pytest.mark.shared
def test_the_real_funding_history_is_complete(shared, store):
    report = import_file(shared / "data/funding/binance_usdm_BTCUSDT.csv.gz", store)
    assert (report.market.symbol, report.added, report.quality.missing) == ("BTC/USDT:USDT", 2531, 0)
    assert report.quality.unsound == 0
    stored = store.read("binance", "BTC/USDT:USDT", "funding")
    assert stored["rate"].iloc[0] == 0.0001
    assert (times(stored) % (8 * HOUR) == 0).all()


@pytest.mark.shared
def test_the_real_mark_prices_are_recognised_beside_their_candles(shared, store):
    folder = shared / "data/ohlcv"
    import_file(folder / "binance_usdm/BTCUSDT-1h.csv.gz", store)
    report = import_file(folder / "binance_usdm_mark/BTCUSDT-1h-mark.csv.gz", store)
    assert (report.kind, report.timeframe, report.added, report.quality.unsound) == ("mark", "1h", 17_749, 0)
    assert report.market == store.market("binance", "BTC/USDT:USDT")
    assert report.market.price_tick == 0.01
    assert [info.name for info in store.series()] == ["1h", "mark-1h"]


@pytest.mark.shared
def test_real_trades_make_the_candles_that_were_made_of_them(shared, store):
    """The candles beside the trades were built by another program; the file ends within its last minute."""
    import_file(shared / "data/trades/binance_spot_XRPETH_aggtrades_2019-10-11_2019-10-13.csv.gz", store)
    import_file(shared / "data/ohlcv/binance_spot_XRPETH/XRPETH-1m-2019-10-11.csv", store)
    trades, bars = store.read("binance", "XRP/ETH", "trades"), store.read("binance", "XRP/ETH", "1m")
    minute = trades.index.floor("min")
    made = trades.groupby(minute).agg(
        open=("price", "first"),
        high=("price", "max"),
        low=("price", "min"),
        close=("price", "last"),
        volume=("qty", "sum"),
    )
    common = bars.index.intersection(made.index)
    assert len(common) > 1000
    np.testing.assert_allclose(made.loc[common], bars.loc[common], rtol=1e-12)
    assert len(resample(bars, "5m", source="1m")) > 200
