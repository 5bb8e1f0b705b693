"""The error tree and the hint for a mistyped name."""

import ast
from pathlib import Path

import pytest

from metaexpert import errors
from metaexpert.errors import did_you_mean

CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "did_you_mean"]


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (errors.ConfigError, errors.MetaExpertError),
        (errors.DataError, errors.MetaExpertError),
        (errors.StrategyError, errors.MetaExpertError),
        (errors.JournalError, errors.MetaExpertError),
        (errors.ExchangeError, errors.MetaExpertError),
        (errors.OrderRejected, errors.ExchangeError),
        (errors.InsufficientFunds, errors.OrderRejected),
        (errors.RequestError, errors.ExchangeError),
        (errors.OrderNotFound, errors.ExchangeError),
        (errors.UnavailableError, errors.ExchangeError),
        (errors.UnprotectedError, errors.ExchangeError),
        (errors.ClockError, errors.ExchangeError),
        (errors.AuthenticationError, errors.ExchangeError),
        (errors.AccessDenied, errors.ExchangeError),
        (errors.NetworkError, errors.ExchangeError),
    ],
)
def test_each_error_hangs_where_the_drawing_shows_it(error, parent):
    assert error.__bases__ == (parent,)


def test_the_drawing_names_every_error_and_no_other():
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert {*drawn, "MetaExpertError"} == {error.__name__ for error in CLASSES}


def test_all_lists_every_class_of_the_module():
    tree = ast.parse(Path(errors.__file__).read_text(encoding="utf-8"))
    assert {node.name for node in tree.body if isinstance(node, ast.ClassDef)} == {e.__name__ for e in CLASSES}


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_prints_its_message_and_nothing_else(error):
    assert str(error("no candles of BTC/USDT: import some")) == "no candles of BTC/USDT: import some"


def test_a_network_error_is_no_rejection():
    assert not issubclass(errors.NetworkError, errors.OrderRejected)
    assert not issubclass(errors.AuthenticationError, errors.OrderRejected)


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("binanse", ["binance", "bybit"], "; did you mean 'binance'?"),
        ("BYBIT", ["binance", "bybit"], "; did you mean 'bybit'?"),
        ("rsi", ["EMA", "RSI"], "; did you mean 'RSI'?"),
        ("kraken", ["okx", "bybit"], "; use one of bybit, okx"),
        (
            "zzz",
            [f"name{i}" for i in range(12)],
            f"; use one of {', '.join(sorted(f'name{i}' for i in range(12)))}",
        ),
        ("zzz", [f"name{i}" for i in range(13)], ""),
        ("zzz", [], ""),
        ("", ["okx"], "; use one of okx"),
    ],
)
def test_a_hint_names_the_nearest_or_all_of_a_few(word, known, hint):
    assert did_you_mean(word, known) == hint


def test_a_hint_takes_any_iterable():
    assert did_you_mean("lgo", (name for name in ("log", "run"))) == "; did you mean 'log'?"
