"""Candle files of every usual form: what is recognised, mended, left out, refused."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metaexpert.bars import COLUMNS, frame, times
from metaexpert.errors import ConfigError, DataError
from metaexpert.importer import MarketRules, import_file, read_candles
from metaexpert.importer.names import kind_of_symbol, read_names
from metaexpert.models import ContractType, MarketType
from metaexpert.store import CandleStore

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01


def candles(count: int = 30, price: float = 40_000.0, step: int = HOUR, seed: int = 1) -> pd.DataFrame:
    """Sound candles whose numbers have two decimals."""
    rng = np.random.default_rng(seed)
    close = np.round(price * (1 + rng.normal(0, 0.003, count).cumsum()), 2)
    open_ = np.concatenate(([close[0]], close[:-1]))
    high = np.round(np.maximum(open_, close) * 1.002, 2)
    low = np.round(np.minimum(open_, close) * 0.998, 2)
    volume = np.round(rng.uniform(1, 90, count), 2)
    return frame(START + step * np.arange(count), (open_, high, low, close, volume))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def lines(data: pd.DataFrame, separator: str = ",", when: str = "ms", decimal: str = ".") -> list[str]:
    """Rows of time and the five columns as text."""
    scale = {"s": 1000, "ms": 1, "us": 1 / 1000, "ns": 1 / 1_000_000}
    moments = [
        str(int(ms / scale[when])) if when in scale else f"{pd.Timestamp(ms, unit='ms'):{when}}"
        for ms in times(data)
    ]
    cells = [[repr(float(value)).replace(".", decimal) for value in row] for row in data.to_numpy()]
    return [separator.join([moment, *row]) for moment, row in zip(moments, cells, strict=True)]


def same(path: Path, expected: pd.DataFrame, **options: str) -> None:
    pd.testing.assert_frame_equal(read_candles(path, **options).rows, expected, check_exact=True)


HEADER = "timestamp,open,high,low,close,volume"
KEPT = settings(
    deadline=None, max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


@KEPT
@given(
    separator=st.sampled_from([",", ";", "\t", "|", " "]),
    header=st.booleans(),
    when=st.sampled_from(["s", "ms", "us", "ns", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y%m%d%H%M%S"]),
    decimal=st.sampled_from([".", ","]),
    order=st.sampled_from(["up", "down", "mixed"]),
    packed=st.booleans(),
    seed=st.integers(0, 50),
    price=st.sampled_from([0.0001, 1.0, 40_000.0]),
)
def test_whatever_the_form_the_same_candles_come_back(
    tmp_path, separator, header, when, decimal, order, packed, seed, price
):
    data = candles(40, price=max(price, 5.0), seed=seed)
    decimal = "." if separator == "," else decimal
    rows = lines(data, separator, when, decimal)
    if order == "down":
        rows.reverse()
    elif order == "mixed":
        rows = [rows[at] for at in np.random.default_rng(seed).permutation(len(rows))]
    text = "\n".join([*([HEADER.replace(",", separator)] if header else []), *rows]) + "\n"
    path = tmp_path / "a.csv"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    same(path, data)


@KEPT
@given(
    seed=st.integers(0, 50), index=st.booleans(), unit=st.sampled_from(["ms", "us", "ns", "int"]), tz=st.booleans()
)
def test_parquet_of_any_time_type_comes_back_exactly(tmp_path, seed, index, unit, tz):
    data = candles(25, seed=seed)
    table = data.copy()
    if unit == "int":
        table.index = pd.Index(times(data), name="time")
    else:
        stamps = pd.DatetimeIndex(data.index).as_unit(unit)
        table.index = stamps if tz else stamps.tz_localize(None)
    (table if index else table.reset_index()).to_parquet(tmp_path / "a.parquet")
    same(tmp_path / "a.parquet", data)


def test_full_precision_survives(tmp_path):
    rng = np.random.default_rng(3)
    price = rng.lognormal(3, 1, 200)
    data = frame(START + HOUR * np.arange(200), (price, price * 1.01, price * 0.99, price, rng.random(200)))
    same(write(tmp_path / "a.csv", "\n".join([HEADER, *lines(data)])), data)


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "unix,open,high,low,close,Volume BTC",
        "Open time,Open,High,Low,Close,Volume",
        "<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
        "ts,o,h,l,c,vol",
        "Local time,Open,High,Low,Close,Volume",
        '"timestamp","open","high","low","close","volume_from"',
        "time_period_start,price_open,price_high,price_low,price_close,volume_traded",
    ],
)
def test_the_usual_names_of_columns_are_known(tmp_path, header):
    data = candles()
    same(write(tmp_path / "a.csv", "\n".join([header, *lines(data)])), data)


def test_the_order_of_columns_is_read_from_the_header(tmp_path):
    data = candles()
    rows = [",".join(row.split(",")[at] for at in (5, 4, 1, 2, 3, 0)) for row in lines(data)]
    same(write(tmp_path / "a.csv", "\n".join(["volume,close,open,high,low,time", *rows])), data)


def test_the_base_volume_wins_over_the_quote_volume(tmp_path):
    data = candles()
    quote = (data["volume"] * data["close"]).round(2)
    rows = [
        f"{row.rpartition(',')[0]},{q},{row.rpartition(',')[2]}" for row, q in zip(lines(data), quote, strict=True)
    ]
    path = write(tmp_path / "a.csv", "\n".join(["unix,open,high,low,close,Volume USD,Volume BTC", *rows]))
    same(path, data)
    assert read_candles(path).mended == ()


def test_a_plain_volume_beside_one_in_the_base_is_the_quote_volume(tmp_path):
    data = candles()
    quote = (data["volume"] * data["close"]).round(2)
    rows = [f"{row},{q}" for row, q in zip(lines(data), quote, strict=True)]
    path = write(tmp_path / "a.csv", "\n".join(["date,open,high,low,close,volume_btc,volume", *rows]))
    same(path, data)
    assert read_candles(path).mended == ()


def test_a_quote_volume_alone_is_divided_by_the_close_and_said(tmp_path):
    data = candles()
    rows = [
        f"{row.rpartition(',')[0]},{v * c}"
        for row, v, c in zip(lines(data), data["volume"], data["close"], strict=True)
    ]
    found = read_candles(write(tmp_path / "a.csv", "\n".join(["time,open,high,low,close,turnover", *rows])))
    np.testing.assert_allclose(found.rows["volume"], data["volume"])
    assert "divided by the close" in found.mended[0]


def test_a_file_without_volume_has_none(tmp_path):
    rows = [row.rpartition(",")[0] for row in lines(candles())]
    found = read_candles(write(tmp_path / "a.csv", "\n".join(["time,open,high,low,close", *rows])))
    assert (found.rows["volume"] == 0.0).all()
    assert ("volume", "none in the file: 0 for every candle") in found.facts


def test_swapped_volume_columns_are_proved_mended_and_located(tmp_path):
    data = candles(100)
    rows = []
    for at, row in enumerate(lines(data)):
        start, _, base = row.rpartition(",")
        quote = f"{float(base) * float(row.split(',')[4]):.2f}"
        first, second = (quote, base) if 30 <= at < 60 else (base, quote)
        rows.append(f"{start},{first},{second}")
    rows[45] = ",".join([*rows[45].split(",")[:5], "0", "0"])  # proves nothing, and does not end the stretch
    found = read_candles(
        write(tmp_path / "a.csv", "\n".join(["unix,open,high,low,close,volume,Volume USD", *rows]))
    )
    expected = data.copy()
    expected.iloc[45, 4] = 0.0
    pd.testing.assert_frame_equal(found.rows, expected, check_exact=True)
    assert len(found.mended) == 1
    assert "'volume' and 'Volume USD' hold each other's values in 29 rows" in found.mended[0]
    assert "2024-01-02 06:00 to 2024-01-03 11:00 (lines 32 to 61)" in found.mended[0]


def test_volumes_near_a_price_of_one_are_never_swapped(tmp_path):
    data = candles(20, price=1.0)
    rows = [f"{row},{float(row.split(',')[5]) * float(row.split(',')[4])}" for row in lines(data)]
    path = write(tmp_path / "a.csv", "\n".join(["unix,open,high,low,close,volume,quote_volume", *rows]))
    same(path, data)
    assert read_candles(path).mended == ()


def test_volumes_that_fit_no_price_are_reported(tmp_path):
    rows = [f"{row},5" for row in lines(candles(20))]
    found = read_candles(
        write(tmp_path / "a.csv", "\n".join(["unix,open,high,low,close,volume,quote_volume", *rows]))
    )
    assert found.mended == ("20 rows where neither volume fits the price keep 'volume' as it stands",)


def test_a_binance_archive_without_header_is_known(tmp_path):
    data = candles()
    rows = [
        f"{row},{int(row.split(',')[0]) + HOUR - 1},{v * c},7,{v / 2},{v * c / 2},0"
        for row, v, c in zip(lines(data), data["volume"], data["close"], strict=True)
    ]
    path = write(tmp_path / "BTCUSDT-1h-2024-01.csv", "\n".join(rows))
    same(path, data)
    packed = tmp_path / "BTCUSDT-1h-2024-01.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, path.name)
    same(packed, data)


def test_the_columns_of_a_headerless_file_may_stand_in_another_order(tmp_path):
    data = candles()
    rows = [",".join(row.split(",")[at] for at in (0, 1, 4, 2, 3, 5)) for row in lines(data)]
    path = write(tmp_path / "a.csv", "\n".join(rows))
    same(path, data)
    assert "open, close, high, low" in read_candles(path).mended[0]


def test_a_first_line_of_advertising_is_skipped_and_said(tmp_path):
    data = candles()
    path = write(tmp_path / "a.csv", "\n".join(["https://www.example.com", HEADER, *lines(data)]))
    same(path, data)
    assert ("skipped before it", "1 line(s)") in read_candles(path).facts


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize(("name", "size", "price"), [("BTCUSD_PERP", 100.0, 40_000.0), ("DOTUSD_PERP", 10.0, 7.0)])
def test_the_volume_of_inverse_futures_that_count_contracts_is_the_one_in_base(
    tmp_path, header, name, size, price
):
    """1,000 contracts of 100 USD at 40,000 are 2.5 BTC: 1000 x 100 / 40000."""
    columns = (
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_base,x"
    )
    data = candles(price=price)
    rows = [columns] if header else []
    for at, (o, h, low, c, _) in zip(times(data), data.to_numpy().tolist(), strict=True):
        rows.append(f"{at},{o},{h},{low},{c},1000,{at + HOUR - 1},{1000 * size / c},9,1,1,0")
    path = write(tmp_path / f"{name}-1h-2024-01.csv", "\n".join(rows))
    store = CandleStore(tmp_path / "store")
    report = import_file(path, store, exchange="binance")
    stored = store.read("binance", report.market.symbol, "1h")
    assert stored["volume"].tolist() == pytest.approx((1000 * size / data["close"]).tolist(), rel=1e-12)
    assert any(f"counts contracts of {size:g} USD" in line for line in report.mended)


def test_the_volume_of_inverse_futures_that_is_in_usd_or_in_base_is_known_too(tmp_path):
    """Bybit's volume is in USD beside a turnover in BTC; a volume in base beside one in quote stays."""
    data = candles()
    for name, first, second in (("a", 40_000.0, 1.0), ("b", 1.0, 40_000.0)):
        rows = ["time,open,high,low,close,volume,turnover"]
        rows += [
            f"{at},{o},{h},{low},{c},{first * 7},{second * 7}"
            for at, (o, h, low, c, _) in zip(times(data), data.to_numpy().tolist(), strict=True)
        ]
        path = write(tmp_path / f"BTCUSD_PERP-{name}.csv", "\n".join(rows))
        store = CandleStore(tmp_path / name)
        import_file(path, store)
        assert store.read("local", "BTC/USD:BTC", "1h")["volume"].tolist() == [7.0] * len(data)


def test_twelve_hour_clocks_are_read(tmp_path):
    data = candles()
    same(write(tmp_path / "a.csv", "\n".join([HEADER, *lines(data, when="%Y-%m-%d %I-%p")])), data)


@pytest.mark.parametrize(
    "notation",
    [
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %H:%M:%S",
        "%d.%m.%Y %H:%M:%S",
        "%d.%m.%Y %H:%M:%S.000 GMT+0000",
        "%Y.%m.%d %H:%M",
        "%Y%m%d %H%M%S",
    ],
)
def test_dates_are_read_when_a_day_proves_their_order(tmp_path, notation):
    data = candles(24 * 15)
    same(write(tmp_path / "a.csv", "\n".join([HEADER, *lines(data, when=notation)])), data)


def test_dates_that_can_be_read_in_two_ways_are_refused_until_told(tmp_path):
    data = candles(30)
    path = write(tmp_path / "a.csv", "\n".join([HEADER, *lines(data, when="%d/%m/%Y %H:%M")]))
    with pytest.raises(ConfigError, match=r"can be day or month first.*add --date-format, e.g. %d/%m/%Y"):
        read_candles(path)
    same(path, data, date_format="%d/%m/%Y %H:%M")
    with pytest.raises(ConfigError, match="does not match --date-format"):
        read_candles(path, date_format="%Y")


def test_offsets_of_zones_are_honoured(tmp_path):
    data = candles()
    shifted = [f"{pd.Timestamp(ms + 2 * HOUR, unit='ms'):%d.%m.%Y %H:%M:%S.000} GMT+0200" for ms in times(data)]
    rows = [f"{moment},{row.partition(',')[2]}" for moment, row in zip(shifted, lines(data), strict=True)]
    path = write(tmp_path / "a.csv", "\n".join(["Local time,Open,High,Low,Close,Volume", *rows]))
    same(path, data, date_format="%d.%m.%Y %H:%M:%S.%f GMT%z")


def test_separate_columns_of_date_and_time_are_joined(tmp_path):
    data = candles()
    rows = [row.replace(" ", ",", 1) for row in lines(data, when="%Y.%m.%d %H:%M")]
    path = write(tmp_path / "a.csv", "\n".join(["<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>", *rows]))
    same(path, data)
    same(write(tmp_path / "b.csv", "\n".join(rows)), data)


def test_units_that_change_midway_are_read_row_by_row_and_said(tmp_path):
    data = candles(20)
    rows = [*lines(data.iloc[:12], when="s"), *lines(data.iloc[12:])]
    path = write(tmp_path / "a.csv", "\n".join([HEADER, *rows]))
    same(path, data)
    assert ("time", "seconds since 1970 (12 rows), milliseconds since 1970 (8 rows)") in read_candles(path).facts


@pytest.mark.parametrize("short", [0, 1, 1000])
def test_close_times_are_moved_back_to_the_open(tmp_path, short):
    data = candles()
    rows = [
        f"{ms + HOUR - short},{row.partition(',')[2]}" for ms, row in zip(times(data), lines(data), strict=True)
    ]
    path = write(tmp_path / "a.csv", "\n".join(["close_time,open,high,low,close,volume", *rows]))
    same(path, data)
    assert "moved back to its open time" in read_candles(path).mended[0]


def test_unsound_rows_are_left_out_counted_and_located(tmp_path):
    data = candles(30)
    rows = lines(data)
    rows[3] = rows[3].replace(",", ",oops", 1)
    rows[5] = f"{rows[5].split(',')[0]},10,5,9,10,1"
    rows[7] = rows[7] + ",more"
    rows[8] = rows[8][:20]
    rows.append(rows[20])
    found = read_candles(write(tmp_path / "a.csv", "\n".join([HEADER, *rows])))
    assert len(found.rows) == 26
    assert found.left_out == (
        "2 line(s) with another number of columns than 6: line 9, 10",
        "1 row(s) with a value that is no number: 2024-01-01 03:00",
        "1 impossible candle(s): 2024-01-01 05:00",
        "1 row(s) with the time of a later row: 2024-01-01 20:00",
    )
    assert found.quality.gaps == (
        (START + 3 * HOUR, START + 3 * HOUR, 1),
        (START + 5 * HOUR, START + 5 * HOUR, 1),
        (START + 7 * HOUR, START + 8 * HOUR, 2),
    )


def test_a_header_that_is_repeated_is_left_out(tmp_path):
    data = candles(10)
    rows = lines(data)
    found = read_candles(write(tmp_path / "a.csv", "\n".join([HEADER, *rows[:5], HEADER, *rows[5:]])))
    pd.testing.assert_frame_equal(found.rows, data)
    assert found.left_out == ("1 line(s) that repeat the header: line 7",)


def test_a_cut_gzip_file_is_imported_as_far_as_it_goes(tmp_path):
    data = candles(3000)
    packed = gzip.compress("\n".join([HEADER, *lines(data)]).encode())
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])
    found = read_candles(path)
    assert 500 < len(found.rows) < 2500
    pd.testing.assert_frame_equal(found.rows, data.iloc[: len(found.rows)])
    assert "ends too early" in found.left_out[0]


def zipped(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n\n  \n", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x1f", "holds no candles that can be recognised"),
        (gzip.compress(HEADER.encode(), mtime=0)[:-9], "ends within its first line"),
        (HEADER.encode(), "has a header but no rows"),
        (b"hello\nworld\n", "holds no candles that can be recognised"),
        (b"\x89PNG\x00\x00\x01\x02", "is neither CSV nor Parquet"),
        (b"PAR1 and then nothing", "is a damaged Parquet file"),
        (b"\x1f\x8bnot gzip at all", "is a damaged archive"),
        (b"PK\x03\x04 not zip", "is a damaged archive"),
        (zipped("a.csv", "b.csv"), "holds 2 files"),
        (b"time,open,high,low,price,volume\n1,2,3,4,5,6\n", "no column for close among"),
        (b"id,open,high,low,close,volume\n1,2,3,4,5,6\n", "no column for time among"),
        (
            b"a,b,c,d,e,f,g\n1704067200000,2,3,1,2,6\n1704070800000,2,3,1,2,6\n",
            "header has 7 columns but the rows have 6",
        ),
        (b"1704067200000,1,2,3,4,5\n1704070800000,1,2,3,4,5\n", "its prices are in no known order"),
        (f"{HEADER}\n5,1,2,1,2,3\n6,1,2,1,2,3\n".encode(), "'5' is no time between 2001 and 2100"),
        (f"{HEADER}\nnever,1,2,1,2,3\nlater,1,2,1,2,3\n".encode(), "is no time that can be recognised"),
        (f"{HEADER}\n13/14/2024,1,2,1,2,3\n14/13/2024,1,2,1,2,3\n".encode(), "mixes day-first and month-first"),
        (f"{HEADER}\n1704067200000,1,2,1,2,3\n".encode(), r"don't tell the timeframe"),
        (f"{HEADER},symbol\n1704067200000,1,2,1,2,3,A\n1704070800000,1,2,1,2,3,B\n".encode(), "holds 2 symbols"),
        (f"{HEADER}\n1704067200000,1,2,1,2,3\n1704067207000,1,2,1,2,3\n".encode(), "no timeframe we know"),
    ],
)
def test_what_is_no_candle_file_is_refused_in_one_line_that_names_it(tmp_path, content, said):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_candles(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        read_candles(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="is a folder"):
        read_candles(tmp_path)


LINEAR = (MarketType.FUTURES, ContractType.LINEAR)
INVERSE = (MarketType.FUTURES, ContractType.INVERSE)


@pytest.mark.parametrize(
    ("path", "exchange", "kind", "pair", "timeframe"),
    [
        ("binance_spot/BTCUSDT-1h.csv.gz", "binance", (MarketType.SPOT, None), ("BTC", "USDT"), "1h"),
        ("binance_usdm/BTCUSDT-1m-2024-01.csv.gz", "binance", LINEAR, ("BTC", "USDT"), "1m"),
        ("bybit_inverse/BTCUSD-1m-2022-12-13.csv", "bybit", INVERSE, ("BTC", "USD"), "1m"),
        ("kucoin_spot/BTC-USDT-1h-2023.csv.gz", "kucoin", (MarketType.SPOT, None), ("BTC", "USDT"), "1h"),
        ("x/coinbase_BTCUSD-1h.csv.gz", None, (None, None), ("BTC", "USD"), "1h"),
        ("x/Binance_ETHUSDT_minute.csv", "binance", (None, None), ("ETH", "USDT"), "1m"),
        ("binance/futures/BTC_USDT_USDT-5m-futures.parquet", "binance", LINEAR, ("BTC", "USDT"), "5m"),
        ("x/BTC-USDT-SWAP-4H.csv", None, LINEAR, ("BTC", "USDT"), "4h"),
        ("x/BTC-USD-SWAP_1d.csv", None, INVERSE, ("BTC", "USD"), "1d"),
        ("x/BTCUSD_PERP-1h.csv", None, INVERSE, ("BTC", "USD"), "1h"),
        ("x/XBTUSDTM-60m.csv", None, LINEAR, ("BTC", "USDT"), "1h"),
        ("x/btcusdt_1h.csv", None, (None, None), ("BTC", "USDT"), "1h"),
        ("x/prices.csv", None, (None, None), None, None),
        ("x/my_data_1M.csv", None, (None, None), None, None),
    ],
)
def test_names_tell_exchange_kind_pair_and_timeframe(tmp_path, path, exchange, kind, pair, timeframe):
    named = read_names(tmp_path / "data" / path)
    assert (named.exchange, (named.market_type, named.contract_type), named.pair, named.timeframe) == (
        exchange,
        kind,
        pair,
        timeframe,
    )


def test_a_unified_symbol_tells_its_kind():
    assert kind_of_symbol("BTC/USDT:USDT") == LINEAR
    assert kind_of_symbol("BTC/USD:BTC") == INVERSE
    assert kind_of_symbol("BTC/USDT:USDT-251226-100000-C") == (MarketType.OPTIONS, None)
    assert kind_of_symbol("BTCUSDT") is None


@pytest.fixture
def store(tmp_path) -> CandleStore:
    return CandleStore(tmp_path / "store")


def file(tmp_path: Path, name: str = "BTCUSDT-1h.csv", data: pd.DataFrame | None = None) -> Path:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, "\n".join([HEADER, *lines(candles() if data is None else data)]))


def test_an_import_stores_the_candles_and_the_market_and_tells_all(tmp_path, store):
    report = import_file(file(tmp_path), store)
    assert (report.added, report.total, report.rows_read, report.timeframe) == (30, 30, 30, "1h")
    assert report.market == store.market("local", "BTC/USDT")
    pd.testing.assert_frame_equal(store.read("local", "BTC/USDT", "1h"), candles(), check_exact=True)
    facts = dict(report.facts)
    assert facts["exchange"] == "local (default)"
    assert facts["market type"] == "spot (default)"
    assert facts["symbol"] == "BTC/USDT (its name)"
    assert facts["timeframe"] == "1h (its times)"
    assert store.series()[0].sources[0].name == "BTCUSDT-1h.csv"
    assert len(store.series()[0].sources[0].digest) == 64


def test_arguments_win_over_names(tmp_path, store):
    path = file(tmp_path, "binance_spot/BTCUSDT-1h.csv")
    report = import_file(
        path, store, exchange="bybit", symbol="ETHUSD", market_type="futures", contract_type="inverse"
    )
    assert (report.market.exchange, report.market.symbol) == ("bybit", "ETH/USD:ETH")
    assert dict(report.facts)["contract type"] == "inverse (given)"


def test_importing_again_adds_nothing_and_keeps_the_rules(tmp_path, store):
    first = import_file(file(tmp_path), store, rules=MarketRules(taker=0.002, qty_step=0.5))
    again = import_file(file(tmp_path), store)
    assert (again.added, again.total) == (0, 30)
    assert again.market.taker == first.market.taker == 0.002
    assert ("qty_step", 0.5, "as in the store") in again.rules
    assert ("qty_step", 0.5, "given") in first.rules


def test_candles_that_replace_others_are_counted(tmp_path, store):
    import_file(file(tmp_path, "BTCUSDT-1h.csv"), store)
    other = candles()
    other.iloc[3:5, 4] += 1.0
    report = import_file(file(tmp_path, "b/BTCUSDT-1h.csv", other), store)
    assert dict(report.facts)["replaced"] == "2 candles with other values, from BTCUSDT-1h.csv"
    pd.testing.assert_frame_equal(store.read("local", "BTC/USDT", "1h"), other, check_exact=True)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTC/USDT", {"qty_step": 1e-8, "taker": 0.001, "max_leverage": 1.0, "min_notional": 5.0}),
        ("BTC/USDT:USDT", {"qty_step": 0.001, "taker": 0.0005, "max_leverage": 100.0, "min_notional": 5.0}),
        ("BTC/USD:BTC", {"qty_step": 1.0, "taker": 0.0005, "max_leverage": 100.0, "min_notional": 0.0}),
        ("ETH/BTC", {"min_notional": 0.0}),
    ],
)
def test_rules_have_defaults_by_kind(tmp_path, store, symbol, expected):
    report = import_file(file(tmp_path, "a.csv"), store, symbol=symbol)
    assert {name: getattr(report.market, name) for name in expected} == expected
    assert {name for name, _, _ in report.rules} == set(MarketRules.__dataclass_fields__)


def test_the_tick_comes_from_the_decimals_of_the_prices(tmp_path, store):
    assert import_file(file(tmp_path), store).market.price_tick == 0.01
    whole = candles()
    whole[list(COLUMNS[:4])] = whole[list(COLUMNS[:4])].round(0)
    assert import_file(file(tmp_path, "ETHUSDT.csv", whole), store).market.price_tick == 1.0
    assert (
        import_file(file(tmp_path, "XRPUSDT.csv"), store, rules=MarketRules(price_tick=0.5)).market.price_tick
        == 0.5
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"exchange": "binence"}, "can't import for exchange 'binence'; did you mean 'binance'"),
        ({"exchange": "demo"}, "can't import for exchange 'demo'"),
        ({"timeframe": "7m"}, "unknown timeframe '7m'"),
        ({"market_type": "future"}, "unknown market type 'future'; did you mean 'futures'"),
        ({"market_type": "futures", "contract_type": "invers"}, "unknown contract type 'invers'"),
        ({"contract_type": "linear"}, "--contract-type is for futures"),
        ({"symbol": "nothing"}, "'nothing' is no symbol"),
        ({"rules": MarketRules(taker=0.5)}, "--taker is a rate"),
        ({"rules": MarketRules(price_tick=0.0)}, "--price-tick must be above 0"),
        ({"rules": MarketRules(min_qty=-1.0)}, "--min-qty must be 0 or more"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_written(tmp_path, store, options, said):
    with pytest.raises(ConfigError, match=said):
        import_file(file(tmp_path), store, **options)
    assert not store.root.exists()


def test_a_file_that_does_not_tell_its_symbol_asks_for_it(tmp_path, store):
    with pytest.raises(ConfigError, match=r"prices.csv does not tell its symbol; add --symbol"):
        import_file(file(tmp_path, "prices.csv"), store)


def test_a_symbol_column_counts_more_than_the_name(tmp_path, store):
    rows = [f"{row},ETH/USD" for row in lines(candles())]
    path = write(tmp_path / "BTCUSDT.csv", "\n".join([f"{HEADER},symbol", *rows]))
    assert import_file(path, store).market.symbol == "ETH/USD"


def test_mark_and_index_prices_are_known_by_their_name(tmp_path, store):
    for word in ("mark", "index"):
        report = import_file(file(tmp_path, f"BTCUSDT-1h-{word}.csv"), store)
        assert (report.kind, report.market.symbol, report.rules) == (word, "BTC/USDT:USDT", ())
        assert dict(report.facts)["kind"] == f"{word}-price candles (its name or folder)"
        stored = store.read("local", "BTC/USDT:USDT", f"{word}-1h")
        pd.testing.assert_frame_equal(stored, candles().assign(volume=0.0), check_exact=True)
    assert store.series(kind="candles") == []


def test_the_kind_that_is_given_counts_more_than_the_name(tmp_path, store):
    report = import_file(file(tmp_path, "BTCUSDT-1h-mark.csv"), store, kind="candles")
    assert (report.kind, report.market.symbol, report.rules[0][0]) == ("candles", "BTC/USDT", "price_tick")


@pytest.mark.parametrize("name", ["BTCUSDT-1h-premium.csv", "mark/BTCUSDT-1h.csv", "index/BTCUSDT-1h.csv"])
def test_a_word_that_proves_nothing_is_asked_about(tmp_path, store, name):
    path = file(tmp_path, name)
    with pytest.raises(
        ConfigError, match=r"leaves open whether .*: --kind candles or --kind mark or --kind index"
    ):
        import_file(path, store)
    assert import_file(path, store, kind="mark").kind == "mark"


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("BTCUSDT-1h.csv", {"kind": "marks"}, "unknown kind 'marks'; did you mean 'mark'"),
        ("binance_spot_mark/BTCUSDT-1h.csv", {}, "a spot market has no mark-price candles"),
        ("BTCUSDT-1h-mark.csv", {"rules": MarketRules(taker=0.001)}, "rules of the market belong to its candles"),
    ],
)
def test_what_a_kind_can_t_have_is_refused(tmp_path, store, name, options, said):
    with pytest.raises(ConfigError, match=said):
        import_file(file(tmp_path, name), store, **options)
    assert not store.root.exists()


def test_the_first_candles_replace_the_default_rules_that_came_with_mark_prices(tmp_path, store):
    import_file(file(tmp_path, "BTCUSDT-1h-mark.csv"), store)
    assert store.market("local", "BTC/USDT:USDT").price_tick == 0.01
    whole = candles().round(0).assign(high=50_000.0, low=30_000.0)
    options = {"market_type": "futures", "rules": MarketRules(taker=0.0007)}
    assert import_file(file(tmp_path, "BTCUSDT-1h.csv", whole), store, **options).market.price_tick == 1.0
    again = import_file(file(tmp_path, "BTCUSDT-1h-mark.csv"), store)
    assert (again.market.price_tick, again.market.taker) == (1.0, 0.0007)


def test_the_report_is_plain_json(tmp_path, store):
    report = import_file(file(tmp_path), store).as_dict()
    assert report["facts"]["separator"] == "comma"
    assert report["quality"]["missing"] == 0
    assert report["market"]["symbol"] == "BTC/USDT"


@pytest.mark.shared
def test_the_real_binance_file_reports_its_missing_hours(shared, store):
    report = import_file(shared / "data/ohlcv/binance_spot/BTCUSDT-1h.csv.gz", store)
    assert (report.market.exchange, report.market.symbol, report.timeframe) == ("binance", "BTC/USDT", "1h")
    assert (report.added, report.quality.missing, len(report.quality.gaps)) == (29_474, 114, 21)
    outage = pd.Timestamp("2018-02-08 01:00", tz="UTC").value // 10**6
    assert (outage, outage + 32 * HOUR, 33) in report.quality.gaps


@pytest.mark.shared
def test_the_real_dirty_file_is_mended_and_says_where(shared, store):
    path = shared / "data/ohlcv/dirty/bitstamp_BTCUSD-1h_descending_swapped_volume.csv.gz"
    report = import_file(path, store)
    assert dict(report.facts)["order"] == "newest first: turned round"
    assert (report.added, report.quality.missing) == (33_259, 0)
    assert "in 20143 rows" in report.mended[0]
    assert "2020-10-12 08:00 to 2019-04-13 17:00 (lines 12114 to 25257)" in report.mended[0]
    stored = store.read("local", "BTC/USD", "1h")
    assert stored["volume"].max() < 20_000
    assert stored.iloc[0].tolist() == [8733.86, 8796.68, 8707.28, 8740.99, 559.93]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("path", "symbol", "rows"),
    [
        ("binance_usdm/BTCUSDT-1m-2024-01.csv.gz", "BTC/USDT:USDT", 44_640),
        ("bybit_inverse/BTCUSD-1m-2022-12-13.csv", "BTC/USD:BTC", 721),
        ("kucoin_spot/BTC-USDT-1h-2023-11_2026-04.csv.gz", "BTC/USDT", 21_610),
    ],
)
def test_other_real_files_are_recognised(shared, store, path, symbol, rows):
    report = import_file(shared / "data/ohlcv" / path, store)
    assert (report.market.symbol, report.added, report.quality.unsound) == (symbol, rows, 0)
