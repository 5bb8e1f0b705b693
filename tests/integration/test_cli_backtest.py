"""`metaexpert backtest`: options, precedence, what is printed and kept, and bad input."""

import io
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metaexpert.cli.backtest import _LateProgress
from metaexpert.clock import SimClock

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--start", "2024-01-01", "--end", "2024-02-29", "--no-save")


@pytest.fixture
def bot(cli):
    """A scaffolded expert in the current folder."""
    assert cli("new", "my_bot", "--strategy", "ema").code == 0
    return Path("my_bot/main.py")


@pytest.fixture
def as_json(cli):
    """Run `metaexpert backtest ... --json` and return what it printed, parsed."""

    def run(*words):
        outcome = cli("backtest", *words, "--json", "--no-save")
        assert (outcome.code, outcome.err) == (0, "")
        return json.loads(outcome.out)

    return run


def test_a_folder_and_its_file_give_the_same_bytes(cli, bot):
    by_folder = cli("backtest", "my_bot", "--json", *SHORT)
    assert by_folder.code == 0
    assert by_folder == cli("backtest", str(bot), "--json", *SHORT)


def test_the_table_names_the_data_the_costs_and_synthetic_prices(cli, bot):
    outcome = cli("backtest", "my_bot", *SHORT)
    assert (outcome.code, outcome.err) == (0, "")
    for word in ("synthetic", "Sharpe", "Fees", "Net"):
        assert word.lower() in outcome.out.lower()
    assert "\x1b" not in outcome.out


def test_colour_and_width_follow_the_terminal(cli, bot, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    outcome = cli("backtest", "my_bot", *SHORT)
    assert max(len(line) for line in outcome.out.splitlines()) <= 80


def test_span_and_capital_come_from_the_files_own_run(as_json, bot):
    text = bot.read_text().replace("2024-01-01", "2024-03-01").replace("2024-12-31", "2024-03-31")
    bot.write_text(text.replace("10_000", "2_500"))
    found = json.dumps(as_json("my_bot"))
    assert "2024-03-01" in found
    assert "2024-03-31" in found or "2024-04-01" in found
    assert "2500" in found


def test_options_win_over_the_file(as_json, bot):
    own = as_json("my_bot", "--start", "2024-01-01", "--end", "2024-01-31")
    changed = as_json(
        "my_bot", "--start", "2024-01-01", "--end", "2024-01-31", "--capital", "777", "--set", "fast=5"
    )
    assert own != changed
    assert "777" in json.dumps(changed)


@pytest.mark.parametrize(
    "options",
    [
        ("--symbol", "ETHUSDT"),
        ("--timeframe", "4h"),
        ("--market-type", "futures"),
        ("--market-type", "futures", "--contract-type", "inverse", "--symbol", "BTCUSD", "--capital", "1"),
        ("--set", "size_value=0.1"),
        ("--symbol", "BTCUSDT,ETHUSDT"),
    ],
)
def test_every_override_changes_the_result(as_json, bot, options):
    span = ("--start", "2024-01-01", "--end", "2024-02-15")
    assert as_json("my_bot", *span) != as_json("my_bot", *span, *options)


def test_the_real_sample_is_said_to_be_real(cli, bot):
    outcome = cli(
        "backtest", "my_bot", "--symbol", "BTC/USD", "--start", "2018-01-01", "--end", "2018-03-31", "--no-save"
    )
    assert outcome.code == 0
    assert "coinbase" in outcome.out.lower()


def test_the_result_is_kept_with_its_manifest(cli, bot, home):
    saved = cli("backtest", "my_bot", "--end", "2024-01-31")
    folder = Path(re.sub(r"\s+", "", saved.out.partition("Saved in ")[2]))
    assert folder.is_relative_to(home)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    again = cli("backtest", "my_bot", "--end", "2024-01-31")
    assert again.out == saved.out
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}


def test_no_save_keeps_nothing(cli, bot, home):
    cli("backtest", "my_bot", *SHORT)
    assert not list(home.rglob("manifest.json"))


def test_a_value_that_cannot_be_read_without_running_is_noted(cli, bot):
    bot.write_text(bot.read_text().replace('backtest_end="2024-12-31"', 'backtest_end=str("2024-12-31")'))
    outcome = cli("backtest", "my_bot", *SHORT)
    assert outcome.code == 0
    assert outcome.err.startswith("note: ")
    assert "backtest_end" in outcome.err


def test_a_handler_can_import_a_module_beside_it(cli, bot):
    Path("my_bot/later.py").write_text("ANSWER = 42\n")
    text = bot.read_text().replace(
        "def init() -> None:\n", "def init() -> None:\n    import later\n\n    assert later.ANSWER == 42\n"
    )
    bot.write_text(text)
    outcome = cli("backtest", "my_bot", *SHORT)
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 2, "nowhere"),
        (("my_bto",), 2, "'my_bot'"),
        (("my_bot", "--exchange", "binanse"), 2, "'binance'"),
        (("my_bot", "--timeframe", "60m"), 2, "'1h'"),
        (("my_bot", "--symbol", "BTC/USDTT:X"), 2, "BTC/USDTT:X"),
        (("my_bot", "--start", "yesterday"), 2, "yesterday"),
        (("my_bot", "--start", "2024-02-01", "--end", "2024-01-01"), 2, "2024-02-01"),
        (("my_bot", "--capital", "-5"), 2, "capital"),
        (("my_bot", "--set", "fats=5"), 2, "'fast'"),
        (("my_bot", "--set", "size_type=risk_basd"), 2, "'risk_based'"),
        (("my_bot", "--contract-type", "inverse"), 2, "contract_type"),
        (("my_bot", "--set", "leverage=5"), 2, "leverage"),
        (("my_bot", "--exchange", "binance"), 1, "metaexpert data import"),
        (("my_bot", "--symbol", "BTC/USD", "--start", "2031-01-01", "--end", "2031-02-01"), 1, "2019"),
    ],
)
def test_bad_input_is_one_line(cli, bot, words, code, said):
    outcome = cli("backtest", *words)
    assert outcome.code == code
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert said in outcome.err


def test_an_error_in_a_handler_names_the_line_and_leaves_nothing(cli, bot, home):
    bot.write_text(bot.read_text().replace("    if crossover(", "    1 / 0\n    if crossover("))
    outcome = cli("backtest", "my_bot")
    assert outcome.code == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "ZeroDivisionError" in last
    assert "main.py:" in last
    assert not list(home.rglob("manifest.json"))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to one process on Windows")
def test_ctrl_c_stops_cleanly(bot, home):
    text = bot.read_text().replace("    if crossover(", "    print('bar', flush=True)\n    if crossover(")
    bot.write_text(text)
    command = [sys.executable, "-m", "metaexpert", "backtest", "my_bot", "--timeframe", "1m"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "bar\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in err
    assert not list(home.rglob("*.json"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_shown_on_a_terminal_once_a_run_is_long(monkeypatch, stream, shown):
    monkeypatch.setenv("TERM", "xterm")
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    clock = SimClock(0)
    with _LateProgress(clock) as progress:
        progress.update(0.1)
        assert stderr.getvalue() == ""
        clock.advance(1_500)
        progress.update(0.5)
    assert ("backtest" in stderr.getvalue()) is shown


def test_the_example_runs_on_the_demo_exchange(cli):
    example = str(ROOT / "examples" / "expert_binance_ema")
    outcome = cli("backtest", example, "--exchange", "demo", *SHORT)
    assert (outcome.code, outcome.err) == (0, "")
    assert "synthetic" in outcome.out.lower()


def test_the_example_asks_for_candles_when_there_are_none(cli):
    outcome = cli("backtest", str(ROOT / "examples" / "expert_binance_ema"))
    assert outcome.code == 1
    assert "metaexpert data import" in outcome.err


def test_the_example_is_short():
    lines = (ROOT / "examples" / "expert_binance_ema" / "main.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) < 60


@pytest.mark.shared
def test_the_example_runs_on_imported_candles(cli, shared):
    candles = shared / "data" / "ohlcv" / "binance_spot" / "BTCUSDT-1h.csv.gz"
    imported = cli("data", "import", str(candles), "--exchange", "binance")
    assert imported.code == 0
    assert "missing" in imported.out.lower()
    words = (
        "backtest",
        str(ROOT / "examples" / "expert_binance_ema"),
        "--start",
        "2018-01-01",
        "--end",
        "2020-12-31",
    )
    outcome = cli(*words, "--no-save")
    assert (outcome.code, outcome.err) == (0, "")
    for word in ("missing", "fees", "sharpe"):
        assert word in outcome.out.lower()
    first, second = cli(*words, "--json", "--no-save"), cli(*words, "--json", "--no-save")
    assert first.code == 0
    assert first.out == second.out
