"""`metaexpert demo`: real and synthetic said plainly, nothing left behind, no network."""

import json
import socket
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Any attempt to reach the network fails."""

    def refuse(*_, **__):
        raise AssertionError("the demonstration reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_says_which_data_is_real_and_what_to_type_next(cli, monkeypatch, tmp_path, home):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    outcome = cli("demo")
    assert (outcome.code, outcome.err) == (0, "")
    synthetic, _, rest = outcome.out.partition("REAL prices")
    assert "SYNTHETIC prices" in synthetic
    assert "Sharpe" in synthetic
    assert "Coinbase" in rest
    assert "Sharpe" in rest
    assert rest.index("The first table is from synthetic prices") < rest.index("metaexpert new my_bot")
    assert list(temporary.iterdir()) == []
    assert list(Path().iterdir()) == []
    assert list(home.iterdir()) == []


def test_json_holds_both_results(cli):
    outcome = cli("demo", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    runs = json.loads(outcome.out)
    assert sorted(runs) == ["real", "synthetic"]
    assert runs["real"] != runs["synthetic"]


def test_the_folder_is_kept_when_asked_for(cli):
    outcome = cli("demo", "--folder", "shown")
    assert outcome.code == 0
    assert outcome.out.endswith("The expert is in shown.\n")
    assert cli("backtest", "shown", "--end", "2024-01-31", "--no-save").code == 0


@pytest.mark.parametrize(("folder", "code"), [("there", 2), ("con", 2), ("no/such/place", 1)])
def test_a_folder_that_cannot_be_made_is_refused(cli, folder, code):
    Path("there").mkdir()
    outcome = cli("demo", "--folder", folder)
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.count("\n") == 1


def test_the_commands_that_it_names_work(cli):
    out = cli("demo").out
    commands = [line.split("  ")[1].strip() for line in out.splitlines() if line.startswith("  metaexpert ")]
    assert len(commands) == 3
    for command in commands:
        assert cli(*command.split()[1:]).code == 0
