"""Every example runs as its README says: at once on the demo exchange, and on candles that were imported."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/main.py"))
SHORT = ("--start", "2024-01-01", "--end", "2024-02-29", "--no-save")
every = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)


def test_the_three_examples_are_there():
    names = {path.name for path in EXAMPLES}
    assert {"expert_binance_ema", "expert_bybit_rsi", "expert_okx_macd"} <= names


@every
def test_an_example_has_its_four_files_and_is_short(example):
    assert {path.name for path in example.iterdir() if path.is_file()} >= {
        "main.py",
        "pyproject.toml",
        ".env.example",
        "README.md",
    }
    assert len((example / "main.py").read_text(encoding="utf-8").splitlines()) < 60
    assert re.fullmatch(r"(#.*\n|[A-Z_]+=\n)+", (example / ".env.example").read_text(encoding="utf-8"))


@every
def test_an_example_trades_on_the_demo_exchange(cli, example):
    done = cli("backtest", str(example), "--exchange", "demo", "--json", *SHORT)
    assert done.code == 0, done.err
    assert json.loads(done.out)["stats"]["trades"] > 0


@every
def test_an_example_s_readme_shows_options_that_exist(cli, example):
    text = (example / "README.md").read_text(encoding="utf-8")
    sets = [words for words in re.findall(r"    metaexpert (backtest .*)", text) if "--set" in words]
    assert sets
    for words in sets:
        done = cli(*[str(example) if word == example.name else word for word in words.split()], *SHORT)
        assert done.code == 0, done.err


@pytest.mark.shared
def test_the_rsi_example_runs_on_imported_inverse_candles(cli, shared):
    minutes = shared / "data/ohlcv/bybit_inverse/BTCUSD-1m-2022-12-13.csv"
    assert cli("data", "import", str(minutes)).code == 0
    words = ("--timeframe", "1m", "--start", "2022-12-13", "--end", "2022-12-13", "--set", "warmup_bars=100")
    done = cli("backtest", str(ROOT / "examples/expert_bybit_rsi"), "--json", "--no-save", *words)
    assert done.code == 0, done.err
    assert "BTC/USD:BTC" in done.out


@pytest.mark.shared
def test_the_macd_example_runs_on_imported_hours(cli, shared):
    hours = shared / "data/ohlcv/binance_usdm/BTCUSDT-1h.csv.gz"
    assert cli("data", "import", str(hours), "--exchange", "okx", "--symbol", "BTC-USDT-SWAP").code == 0
    words = ("--start", "2020-01-01", "--end", "2020-12-31")
    done = cli("backtest", str(ROOT / "examples/expert_okx_macd"), "--json", "--no-save", *words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["stats"]["trades"] > 20
