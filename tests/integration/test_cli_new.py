"""`metaexpert new`, number by number of docs/specs/cli-new-command/spec.md."""

import ast
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from metaexpert.cli.scaffold import FILES, STRATEGIES, check_name, create, render
from metaexpert.config import (
    KNOWN_EXCHANGES,
    ExchangeSettings,
    LogSettings,
    RunSettings,
    StrategySettings,
    exchange_settings,
)
from metaexpert.errors import ConfigError
from metaexpert.exchanges.venues import VENUES


def files_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def keywords_of(source: str, call: str) -> set[str]:
    """The keyword names of every call of `call` (a name or the last part of a dotted one) in `source`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            function = node.func
            if call == (function.id if isinstance(function, ast.Name) else getattr(function, "attr", None)):
                found |= {word.arg for word in node.keywords if word.arg}
    return found


def assert_refused(outcome, *words: str) -> None:
    """One line on stderr, exit code 2, nothing written into the current folder."""
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    for word in words:
        assert word in outcome.err
    assert files_in(Path()) == []


# 1


def test_makes_a_folder_with_five_files(cli):
    outcome = cli("new", "my_bot")
    assert (outcome.code, outcome.err) == (0, "")
    assert files_in(Path()) == ["my_bot"]
    assert files_in(Path("my_bot")) == sorted(FILES)
    for file in FILES:
        data = Path("my_bot", file).read_bytes()
        assert b"\r" not in data
        assert data.decode("utf-8").endswith("\n")


def test_the_same_command_writes_the_same_bytes(cli, tmp_path):
    cli("new", "my_bot")
    again = create("my_bot", parent=tmp_path)
    assert {f: (again / f).read_bytes() for f in FILES} == {f: Path("my_bot", f).read_bytes() for f in FILES}


def test_a_new_folder_has_the_usual_permissions(cli):
    Path("yardstick").mkdir()
    cli("new", "my_bot")
    assert Path("my_bot").stat().st_mode == Path("yardstick").stat().st_mode


# 2


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_result_runs_at_once(cli, strategy):
    assert cli("new", "my_bot", "--strategy", strategy).code == 0
    outcome = cli("backtest", "my_bot", "--start", "2024-01-01", "--end", "2024-03-31", "--no-save")
    assert (outcome.code, outcome.err) == (0, "")
    assert "synthetic" in outcome.out.lower()


@pytest.mark.parametrize("contract_type", ["linear", "inverse"])
@pytest.mark.parametrize("strategy", ["blank", "ema"])
def test_futures_run_at_once_too(cli, strategy, contract_type):
    made = cli(
        "new", "my_bot", "--strategy", strategy, "--market-type", "futures", "--contract-type", contract_type
    )
    assert made.code == 0
    outcome = cli("backtest", "my_bot", "--start", "2024-01-01", "--end", "2024-02-29", "--no-save")
    assert (outcome.code, outcome.err) == (0, "")


def test_python_main_py_gives_the_same_result_as_the_command(cli, home):
    cli("new", "my_bot", "--strategy", "ema")
    by_python = subprocess.run(
        [sys.executable, "main.py"], cwd="my_bot", capture_output=True, text=True, encoding="utf-8", check=True
    )
    (kept,) = home.glob("runs/*/result.json")
    by_command = cli("backtest", "my_bot", "--json", "--no-save")
    assert kept.read_text(encoding="utf-8") == by_command.out
    assert by_python.stdout.splitlines()[-1] == f"Saved in {kept.parent}"


# 3


def test_main_names_what_was_asked_for(cli):
    outcome = cli(
        *("new", "my_bot", "--strategy", "ema", "--exchange", "bybit", "--market-type", "futures"),
        *("--contract-type", "inverse", "--symbol", "ETHUSD", "--timeframe", "4h"),
    )
    assert outcome.code == 0
    source = Path("my_bot/main.py").read_text()
    assert 'MetaExpert(exchange="bybit", market_type="futures", contract_type="inverse")' in source
    assert 'symbol="ETHUSD"' in source
    assert 'timeframe="4h"' in source


@pytest.mark.parametrize(
    ("exchange", "names"),
    [
        ("demo", []),
        ("binance", ["BINANCE_API_KEY", "BINANCE_API_SECRET"]),
        ("okx", ["OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE"]),
    ],
)
def test_env_example_names_the_variables_without_values(exchange, names):
    files = render("my_bot", exchange=exchange)
    lines = [line for line in files[".env.example"].splitlines() if line and not line.startswith("#")]
    assert lines == [f"{name}=" for name in names]
    assert ".env" in files[".gitignore"].splitlines()


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "bitget", "kucoin"])
def test_every_variable_in_env_example_is_one_that_is_read(exchange):
    """With the comment sign taken away and a value filled in, each reaches its setting."""
    text = render("my_bot", exchange=exchange)[".env.example"]
    lines = re.findall(r"^(?:# )?([A-Z_]+)=(.*)$", text, flags=re.MULTILINE)
    assert (f"{exchange.upper()}_TESTNET" in dict(lines)) == bool(VENUES[exchange].testnet)
    dotenv = {name: (value or "x").replace("host:port", "host:1") for name, value in lines}
    settings = exchange_settings({"exchange": exchange}, environ={}, dotenv=dotenv)
    given = [name for name, source in settings.sources.items() if source == ".env"]
    assert len(given) == len(lines) == len(dotenv)


# 4


def test_pyproject_declares_the_name_in_normal_form():
    project = tomllib.loads(render("My__Bot-2")["pyproject.toml"])["project"]
    assert project["name"] == "my-bot-2"
    assert project["dependencies"] == ["metaexpert"]


# 5


def test_the_blank_template_shows_every_setting():
    source = render("my_bot", strategy="blank")["main.py"]
    assert keywords_of(source, "MetaExpert") == {*ExchangeSettings.defaults(), *LogSettings.defaults()}
    assert keywords_of(source, "on_init") == set(StrategySettings.defaults())
    assert keywords_of(source, "run") == set(RunSettings.defaults())


def test_the_blank_template_shows_every_handler():
    from metaexpert.expert import HANDLERS

    tree = ast.parse(render("my_bot", strategy="blank")["main.py"])
    decorators = [
        decorator for node in tree.body if isinstance(node, ast.FunctionDef) for decorator in node.decorator_list
    ]
    shown = {getattr(d.func if isinstance(d, ast.Call) else d, "attr", "") for d in decorators}
    assert shown == set(HANDLERS) - {"signals"}


def test_every_setting_and_handler_of_the_blank_template_has_a_comment():
    source = render("my_bot", strategy="blank")["main.py"]
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in (
            "MetaExpert",
            "on_init",
            "run",
        ):
            for word in node.keywords:
                assert "  # " in lines[word.value.end_lineno - 1], f"{word.arg} has no comment"
        if isinstance(node, ast.FunctionDef):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("market_type", "contract_type"), [("spot", None), ("futures", "linear"), ("futures", "inverse")]
)
def test_what_is_made_is_clean_python(tmp_path, strategy, market_type, contract_type):
    folder = create(
        "my_bot", parent=tmp_path, strategy=strategy, market_type=market_type, contract_type=contract_type
    )
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", str(folder)]
    subprocess.run([*ruff, "check", "--select", "E,F,I,B,UP,D1", "--ignore", "D103", *options], check=True)
    subprocess.run([*ruff, "format", "--check", *options], check=True)


# 6


def test_prints_the_next_commands(cli):
    assert "metaexpert backtest my_bot\n" in cli("new", "my_bot").out


def test_says_how_to_get_data_for_another_exchange(cli):
    out = cli("new", "my_bot", "--exchange", "okx").out
    assert "metaexpert backtest my_bot --exchange demo" in out
    assert "metaexpert data import FILE --exchange okx" in out


# 7 and 8


@pytest.mark.parametrize("name", ["b", "my_bot", "My-Bot2", "a" * 64])
def test_good_names_pass(name):
    check_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("..", "path"),
        (".", "path"),
        ("a/b", "path"),
        ("a\\b", "path"),
        ("../up", "path"),
        ("/tmp/x", "path"),
        ("c:bot", "path"),
        ("2bot", "begin with a letter"),
        ("_bot", "begin with a letter"),
        ("my bot", "letters"),
        ("bot.", "letters"),
        ("böt", "letters"),
        ("bot\n", "letters"),
        ("a" * 65, "64"),
        ("con", "Windows"),
        ("NUL", "Windows"),
        ("com1", "Windows"),
        ("class", "keyword"),
        ("Match", "keyword"),
        ("test", "module"),
        ("signal", "module"),
        ("MetaExpert", "module"),
        ("pandas", "module"),
        ("pandas-ta-classic", "module"),
    ],
)
def test_bad_names_are_refused_with_the_reason(cli, name, reason):
    assert_refused(cli("new", "--", name), reason)


# 9 and 10


def test_an_existing_folder_is_refused(cli):
    Path("my_bot").mkdir()
    outcome = cli("new", "my_bot")
    assert outcome.code == 2
    assert "--force" in outcome.err
    assert files_in(Path("my_bot")) == []


def test_force_writes_over_its_own_files_only(cli):
    cli("new", "my_bot", "--strategy", "ema")
    Path("my_bot/main.py").write_text("old")
    Path("my_bot/helpers.py").write_text("mine")
    Path("my_bot/.env").write_text("BINANCE_API_KEY=k")
    assert cli("new", "my_bot", "--strategy", "rsi", "--force").code == 0
    assert 'indicator("rsi"' in Path("my_bot/main.py").read_text()
    assert Path("my_bot/helpers.py").read_text() == "mine"
    assert Path("my_bot/.env").read_text() == "BINANCE_API_KEY=k"
    assert files_in(Path()) == ["my_bot"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_file_in_the_place_is_refused(cli, force):
    Path("my_bot").write_text("precious")
    assert cli("new", "my_bot", *force).code == 2
    assert Path("my_bot").read_text() == "precious"


def test_a_folder_in_the_place_of_a_file_is_refused(cli):
    Path("my_bot/main.py").mkdir(parents=True)
    outcome = cli("new", "my_bot", "--force")
    assert outcome.code == 2
    assert "is a folder" in outcome.err
    assert files_in(Path("my_bot")) == ["main.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_a_link_in_the_place_is_refused(cli):
    Path("elsewhere").mkdir()
    Path("my_bot").symlink_to("elsewhere")
    outcome = cli("new", "my_bot", "--force")
    assert outcome.code == 2
    assert "link" in outcome.err
    assert files_in(Path("elsewhere")) == []


# 11, 12 and 13


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--exchange", "binanse"], ["'binance'"]),
        (["--strategy", "emma"], ["'ema'"]),
        (["--market-type", "future"], ["'futures'"]),
        (["--market-type", "futures", "--contract-type", "invers"], ["'inverse'"]),
        (["--timeframe", "60m"], ["'1h'"]),
        (["--timeframe", "7m"], ["1m", "1h"]),
        (["--contract-type", "linear"], ["futures"]),
        (["--market-type", "options"], ["options"]),
        (["--market-type", "options", "--contract-type", "linear"], ["contract_type"]),
        (["--exchange", "kucoin", "--market-type", "options"], ["options"]),
        (["--symbol", "???"], ["symbol"]),
        (["--symbol", "BTC/USDT:USDT"], ["market_type"]),
        (["--symbol", 'BTC"USDT'], ["symbol"]),
        (["--market-type", "futures", "--symbol", "BTC/USD:BTC"], ["contract_type"]),
        (["--exchnage", "demo"], ["--exchange"]),
    ],
)
def test_refusals_are_one_line_and_write_nothing(cli, options, words):
    assert_refused(cli("new", "my_bot", *options), *words)


def test_every_exchange_can_be_named():
    for exchange in KNOWN_EXCHANGES:
        assert f'exchange="{exchange}"' in render("my_bot", exchange=exchange)["main.py"]


def test_the_library_call_refuses_as_the_command_does():
    with pytest.raises(ConfigError, match="did you mean 'macd'"):
        render("my_bot", strategy="macd2")


# 14 and 15


@pytest.mark.parametrize("stop_at", FILES)
def test_ctrl_c_while_writing_leaves_nothing(cli, monkeypatch, stop_at):
    write = Path.write_text

    def interrupted(path: Path, *args, **kwargs):
        if path.name == stop_at:
            raise KeyboardInterrupt
        return write(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", interrupted)
    outcome = cli("new", "my_bot")
    assert (outcome.code, outcome.err) == (130, "error: interrupted\n")
    assert files_in(Path()) == []


def test_ctrl_c_while_writing_over_leaves_the_old_files(cli, monkeypatch):
    cli("new", "my_bot", "--strategy", "ema")
    before = {file: Path("my_bot", file).read_bytes() for file in FILES}
    write = Path.write_text

    def interrupted(path: Path, *args, **kwargs):
        if path.name == "README.md":
            raise KeyboardInterrupt
        return write(path, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", interrupted)
    assert cli("new", "my_bot", "--strategy", "rsi", "--force").code == 130
    assert {file: Path("my_bot", file).read_bytes() for file in FILES} == before
    assert files_in(Path()) == ["my_bot"]


def test_a_place_that_cannot_be_written_to_is_said_in_one_line(cli, monkeypatch):
    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    outcome = cli("new", "my_bot")
    assert (outcome.code, outcome.err) == (1, "error: somewhere: Permission denied\n")
    assert files_in(Path()) == []
