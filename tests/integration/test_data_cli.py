"""`metaexpert data`: what a person sees when importing, listing and verifying candles."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

HOUR = 3_600_000
START = 1_704_067_200_000


def write(name: str, hours: range | list[int]) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{START + hour * HOUR},100,102,99,101.5,{hour}" for hour in hours]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]))
    return name


def test_an_import_shows_what_it_recognised_and_stores_it(cli):
    done = cli("data", "import", write("binance_spot/BTCUSDT-1h.csv", [0, 1, 2, 5, 6]))
    assert (done.code, done.err) == (0, "")
    for line in (
        "BTCUSDT-1h.csv: binance BTC/USDT 1h",
        "separator       comma",
        "time            milliseconds since 1970",
        "symbol          BTC/USDT (its name)",
        "price_tick      0.1 (from the decimals of the prices)",
        "taker           0.001 (default for spot)",
        "Mended: nothing",
        "Left out: nothing",
        "Missing: 2 candles of 1h in 1 gap (71.429% are there)",
        "2024-01-01 03:00 to 2024-01-01 04:00: 2",
        "Stored: 5 of 5 rows, 2024-01-01 00:00 to 2024-01-01 06:00 UTC; 5 new, 5 in all",
    ):
        assert line in done.out


def test_the_report_is_json_alone_when_asked(cli):
    done = cli("data", "import", write("a.csv", range(4)), "--symbol", "btcusd", "--market-type", "futures",
               "--contract-type", "inverse", "--exchange", "bybit", "--taker", "0.0006", "--json")  # fmt: skip
    report = json.loads(done.out)
    assert report["market"]["symbol"] == "BTC/USD:BTC"
    assert report["market"]["exchange"] == "bybit"
    assert ["taker", 0.0006, "given"] in report["rules"]
    assert (report["added"], report["quality"]["missing"]) == (4, 0)


def test_what_was_left_out_is_shown(cli):
    path = Path(write("BTCUSDT.csv", range(5)))
    path.write_text(
        path.read_text() + f"\n{START + 5 * HOUR},100,90,99,95,1\n{START + 4 * HOUR},100,102,99,101,7\n"
    )
    done = cli("data", "import", str(path))
    assert "1 impossible candle(s): 2024-01-01 05:00" in done.out
    assert "1 row(s) with the time of a later row: 2024-01-01 04:00" in done.out
    assert "Stored: 5 of 7 rows" in done.out


def test_every_option_reaches_the_market(cli):
    rules = {
        "price-tick": 0.5,
        "qty-step": 0.25,
        "min-qty": 0.75,
        "min-notional": 11.0,
        "maker": 0.0003,
        "taker": 0.0004,
        "contract-size": 10.0,
        "max-leverage": 7.0,
    }
    words = [word for name, value in rules.items() for word in (f"--{name}", str(value))]
    report = json.loads(cli("data", "import", write("BTCUSDT_PERP-1h.csv", range(3)), *words, "--json").out)
    assert {name: report["market"][name.replace("-", "_")] for name in rules} == rules


def test_a_timeframe_and_a_date_format_can_be_given(cli):
    Path("BTCUSDT.csv").write_text("date,open,high,low,close,volume\n02/01/2024,1,2,1,2,3\n")
    assert cli("data", "import", "BTCUSDT.csv", "--timeframe", "1d").code == 2
    done = cli("data", "import", "BTCUSDT.csv", "--timeframe", "1d", "--date-format", "%d/%m/%Y")
    assert "2024-01-02 00:00 to 2024-01-02 00:00 UTC; 1 new" in done.out


def test_the_list_shows_every_series(cli):
    assert cli("data", "list").out.startswith("No candles in ")
    assert json.loads(cli("data", "list", "--json").out) == []
    cli("data", "import", write("binance_spot/BTCUSDT-1h.csv", range(5)))
    cli("data", "import", write("ETHUSDT-1h.csv", range(7)))
    done = cli("data", "list")
    assert "BTC/USDT" in done.out
    assert "ETHUSDT-1h.csv" in done.out
    assert "2024-01-01" in done.out
    listed = json.loads(cli("data", "list", "--json").out)
    assert [(one["exchange"], one["symbol"], one["timeframe"], one["rows"]) for one in listed] == [
        ("binance", "BTC/USDT", "1h", 5),
        ("local", "ETH/USDT", "1h", 7),
    ]
    assert len(json.loads(cli("data", "list", "--exchange", "binance", "--json").out)) == 1


def test_verifying_shows_gaps_and_passes(cli):
    cli("data", "import", write("BTCUSDT-1h.csv", [0, 1, 9]))
    done = cli("data", "verify")
    assert done.code == 0
    assert "local BTC/USDT 1h: 3 candles, 2024-01-01 00:00 to 2024-01-01 09:00 UTC" in done.out
    assert (
        "duplicates 0, out of order 0, not a number 0, impossible 0, off the grid 0, without volume 1" in done.out
    )
    assert "Missing: 7 candles of 1h in 1 gap" in done.out
    verdict = json.loads(
        cli("data", "verify", "BTCUSDT", "--timeframe", "1h", "--exchange", "local", "--json").out
    )[0]
    assert (verdict["sound"], verdict["quality"]["missing"], verdict["error"]) == (True, 7, None)


def test_verifying_a_damaged_file_fails_and_names_it(cli, home):
    cli("data", "import", write("BTCUSDT-1h.csv", range(9)))
    path = home / "candles/local/BTC-USDT/1h.parquet"
    path.write_bytes(path.read_bytes()[:-30])
    done = cli("data", "verify")
    assert done.code == 1
    assert f"DAMAGED {path} is damaged" in done.out
    assert not json.loads(cli("data", "verify", "--json").out)[0]["sound"]
    listed = cli("data", "list")
    assert (listed.code, listed.err.count("\n")) == (1, 1)


def test_verifying_counts_rows_that_another_program_spoiled(cli, home):
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    cli("data", "import", write("BTCUSDT-1h.csv", range(9)))
    path = home / "candles/local/BTC-USDT/1h.parquet"
    table = pq.read_table(path)
    rows = table.to_pandas()
    rows = pd.concat([rows, rows.iloc[[2]]])
    rows.iloc[4, rows.columns.get_loc("high")] = 1.0
    pq.write_table(pa.Table.from_pandas(rows, schema=table.schema, preserve_index=False), path)
    done = cli("data", "verify")
    assert done.code == 1
    assert "duplicates 1, out of order 1, not a number 0, impossible 1" in done.out
    assert "duplicate at 2024-01-01 02:00" in done.out
    assert "impossible at 2024-01-01 04:00" in done.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("import", "none.csv"), 2, "none.csv does not exist"),
        (("import", "."), 2, "is a folder"),
        (("import", "empty.csv"), 1, "empty.csv is empty"),
        (("import", "header.csv"), 1, "has a header but no rows"),
        (("import", "binary.csv"), 1, "is neither CSV nor Parquet"),
        (("import", "noname.csv"), 2, "does not tell its symbol; add --symbol"),
        (("import", "noname.csv", "--symbol", "BTCUSDT", "--exchange", "binanse"), 2, "did you mean 'binance'"),
        (("import", "noname.csv", "--symbol", "BTCUSDT", "--timeframe", "1m"), 0, ""),
        (("import",), 2, "missing argument"),
        (("verify", "BTCUSDT"), 1, "no candles of BTCUSDT"),
        (("verify", "--timeframe", "9h"), 2, "unknown timeframe '9h'"),
    ],
)
def test_bad_input_gets_one_line_and_the_right_exit_code(cli, words, code, said):
    Path("empty.csv").write_text("")
    Path("header.csv").write_text("time,open,high,low,close,volume\n")
    Path("binary.csv").write_bytes(bytes(range(256)))
    write("noname.csv", range(3))
    done = cli("data", *words)
    assert done.code == code
    assert said in done.err
    if code:
        assert done.out == ""
        assert done.err.count("\n") == 1
        assert done.err.startswith("error: ")


def test_a_refused_import_writes_nothing(cli, home):
    write("noname.csv", range(3))
    cli("data", "import", "noname.csv")
    assert list(home.iterdir()) == []


def test_help_of_data_loads_nothing_heavy():
    script = "import sys; from metaexpert.cli import main\ntry: main(['data', 'import', '--help'])\n"
    script += (
        "except SystemExit: print([m for m in ('numpy', 'pandas', 'pyarrow', 'rich.table') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")


@pytest.mark.shared
def test_the_real_file_reports_its_missing_hours(cli, shared):
    done = cli("data", "import", str(shared / "data/ohlcv/binance_spot/BTCUSDT-1h.csv.gz"))
    assert "Missing: 114 candles of 1h in 21 gaps" in done.out
    assert "2018-02-08 01:00 to 2018-02-09 09:00: 33" in done.out


def test_gzip_is_unpacked(cli):
    path = Path(write("BTCUSDT-1h.csv", range(5)))
    packed = Path("BTCUSDT-1h.csv.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert "5 new, 5 in all" in cli("data", "import", str(packed)).out


def record(name: str, *rows: str) -> str:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows))
    return name


def test_what_goes_with_candles_is_imported_listed_and_verified(cli):
    cli("data", "import", write("binance_usdm/BTCUSDT-1h.csv", range(30)))
    done = cli("data", "import", write("binance_usdm_mark/BTCUSDT-1h-mark.csv", range(30)))
    assert "BTCUSDT-1h-mark.csv: binance BTC/USDT:USDT mark 1h" in done.out
    assert "kind            mark-price candles (its name or folder)" in done.out
    assert "Market rules" not in done.out
    rates = [f"{START + n * 8 * HOUR},0.0001" for n in (0, 1, 3)]
    done = cli("data", "import", record("binance_usdm/BTCUSDT-funding.csv", "time,funding_rate", *rates))
    assert "Missing: 1 rate in 1 gap (75.000% are there)" in done.out
    assert "2024-01-01 16:00 to 2024-01-01 16:00: 1" in done.out
    done = cli(
        "data", "import", record("binance_usdm/BTCUSDT-tape.csv", "time,price,qty,side", f"{START},100,1,buy")
    )
    assert "kind            trades (its columns)" in done.out
    assert "Missing" not in done.out
    listed = [line.split()[2:4] for line in cli("data", "list").out.splitlines()]
    assert listed == [["series", "rows"], ["1h", "30"], ["mark", "1h"], ["funding", "3"], ["trades", "1"]]
    kinds = [(one["kind"], one["timeframe"]) for one in json.loads(cli("data", "list", "--json").out)]
    assert kinds == [("candles", "1h"), ("mark", "1h"), ("funding", None), ("trades", None)]
    done = cli("data", "verify", "--kind", "funding")
    assert done.code == 0
    assert "binance BTC/USDT:USDT funding: 3 rates, 2024-01-01 00:00 to 2024-01-02 00:00 UTC" in done.out
    assert "  duplicates 0, out of order 0, not a number 0, impossible 0\n" in done.out
    assert cli("data", "verify", "--kind", "rates").code == 2
    assert len(json.loads(cli("data", "verify", "--json").out)) == 4


def test_the_kind_can_be_given(cli):
    path = write("BTCUSDT-1h.csv", range(4))
    done = cli("data", "import", path, "--kind", "index", "--json")
    assert json.loads(done.out)["kind"] == "index"
    done = cli("data", "import", path, "--kind", "indx")
    assert (done.code, done.err) == (2, "error: unknown kind 'indx'; did you mean 'index'?\n")
