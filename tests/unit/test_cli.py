"""The command line itself: help, version, errors, exit codes."""

import json
import subprocess
import sys

import pytest
import typer

from metaexpert import __version__
from metaexpert.cli import main
from metaexpert.cli.app import app
from metaexpert.cli.backtest import parse_changes
from metaexpert.errors import ConfigError, DataError, StrategyError

COMMANDS = (
    "new",
    "backtest",
    "replay",
    "run",
    "resume",
    "status",
    "demo",
    "doctor",
    "data",
    "exchanges",
    "markets",
    "help",
)


@pytest.fixture
def cli(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main(words)
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


@pytest.fixture
def failing(monkeypatch, cli):
    """A command line whose command raises a given error."""

    def run(error, *words):
        def invoke(_):
            raise error

        monkeypatch.setattr("metaexpert.cli._invoke", invoke)
        return cli(*words)

    return run


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_help_lists_every_command(cli, words):
    code, out, err = cli(*words)
    assert (code, err) == (0, "")
    for command in COMMANDS:
        assert f"  {command} " in out


def test_there_are_no_commands_of_a_later_version():
    assert sorted(typer.main.get_command(app).commands) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "command", [("new",), ("backtest",), ("demo",), ("data",), ("data", "import"), ("data", "list")]
)
def test_help_of_a_command_is_the_same_by_all_three_ways(cli, command):
    by_word = cli("help", *command)
    assert by_word[0] == 0
    assert f"metaexpert {' '.join(command)}" in by_word[1]
    assert by_word == cli(*command, "--help") == cli(*command, "-h")


def test_a_group_without_a_command_shows_its_help(cli):
    assert cli("data") == cli("data", "--help")


def test_version(cli):
    assert cli("--version") == (0, f"metaexpert {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("backtset",), "'backtest'"),
        (("help", "bactest"), "'backtest'"),
        (("data", "improt"), "'import'"),
        (("backtest", "x.py", "--strat", "2024-01-01"), "'--start'"),
        (("--vresion",), "'--version'"),
        (("backtest",), "PATH"),
        (("backtest", "x.py", "--capital", "much"), "--capital"),
        (("zzz",), "metaexpert --help"),
    ],
)
def test_wrong_usage_is_one_line_that_helps_and_exit_code_2(cli, words, said):
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("bad setting"), 2, "error: bad setting\n"),
        (DataError("no\ncandles"), 1, "error: no candles\n"),
        (StrategyError("main.py:3: broken"), 1, "error: main.py:3: broken\n"),
        (PermissionError(13, "Permission denied", "x.parquet"), 1, "error: x.parquet: Permission denied\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (typer.Abort(), 130, "error: interrupted\n"),
        (SystemExit(0), 1, "error: the expert ended the process (SystemExit: 0); use expert.stop() instead\n"),
        (GeneratorExit("x"), 1, "error: unexpected GeneratorExit: x; run again with --debug to see where\n"),
        (DataError("a\x1b[31m.csv is empty"), 1, "error: a\\x1b[31m.csv is empty\n"),
        (
            ZeroDivisionError("x / 0"),
            1,
            "error: unexpected ZeroDivisionError: x / 0; run again with --debug to see where\n",
        ),
    ],
)
def test_every_error_is_one_line_with_its_exit_code(failing, error, code, line):
    assert failing(error, "demo") == (code, "", line)


@pytest.mark.parametrize("words", [("--debug", "demo"), ("demo", "--debug")])
def test_debug_shows_the_traceback_before_the_line(failing, words):
    code, _, err = failing(DataError("no candles"), *words)
    assert code == 1
    assert err.startswith("Traceback")
    assert err.endswith("\nerror: no candles\n")


def test_a_traceback_shows_no_key_of_a_source_line(failing):
    api_key = "AKIA123456"
    code, _, err = failing(DataError(f"MetaExpert(api_key={api_key!r})"), "demo", "--debug")
    assert code == 1
    assert "api_key=***" in err.partition("\nerror: ")[0]
    assert api_key not in err.partition("\nerror: ")[0]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of its own")
def test_a_closed_output_is_no_error():
    command = (
        f"{sys.executable} -m metaexpert --version >&-; echo $? 1>&2; {sys.executable} -m metaexpert help >&-"
    )
    ended = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "0\n")


@pytest.mark.parametrize("text", ["-" * 20_000 + "1", "{[]: 1}", "(" * 300])
def test_a_value_that_is_no_literal_stays_text(text):
    assert parse_changes([f"fast={text}"], ["fast"]) == ({"fast": text}, {})


def test_a_reader_that_leaves_early_is_no_error():
    script = (
        "import sys\nfrom metaexpert import cli\n"
        "def invoke(_):\n    for _ in range(100_000): print('a line that fills the pipe')\n"
        "cli._invoke = invoke\ncli.main([])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 0


def test_python_dash_m_is_the_same_command():
    outcome = subprocess.run(
        [sys.executable, "-m", "metaexpert", "--version"], capture_output=True, text=True, check=True
    )
    assert outcome.stdout == f"metaexpert {__version__}\n"


def test_changes_are_dealt_out_to_inputs_and_settings():
    inputs, settings = parse_changes(
        [
            "fast=20",
            "stop_loss_pct = 2.5",
            "symbol=ETHUSDT",
            "trend_filter=true",
            "allowed_days=[1, 2]",
            "fee_taker=none",
        ],
        ["fast", "slow"],
    )
    assert inputs == {"fast": 20}
    assert settings == {
        "stop_loss_pct": 2.5,
        "symbol": "ETHUSDT",
        "trend_filter": True,
        "allowed_days": [1, 2],
        "fee_taker": None,
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [("fats=20", "'fast'"), ("stop_los_pct=2", "'stop_loss_pct'"), ("fast", "NAME=VALUE"), ("=3", "NAME")],
)
def test_a_change_of_nothing_known_is_refused_with_the_nearest(change, said):
    with pytest.raises(ConfigError, match=said):
        parse_changes([change], ["fast", "slow"])


def test_json_on_stdout_is_json_only(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli("new", "my_bot", "--strategy", "ema")
    code, out, err = cli("backtest", "my_bot", "--end", "2024-01-31", "--json", "--no-save")
    assert (code, err) == (0, "")
    assert isinstance(json.loads(out), dict)
