"""`metaexpert doctor`: readable with no keys and no network, exit code 1 where something is wrong."""

import json
from pathlib import Path

import pytest


def test_with_no_name_no_key_and_no_network_it_says_what_to_do(cli):
    outcome = cli("doctor")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split()[0] for line in lines[:4]] == ["ok"] * 4
    assert "skipped  exchanges: no API key is set for any" in lines
    assert "         -> to check the way to an exchange, name it: metaexpert doctor binance" in lines
    assert lines[-1] == "All that could be checked is well."


def test_an_exchange_that_may_not_be_dialled_shows_settings_and_what_it_can(cli):
    outcome = cli("doctor", "okx", "--type", "futures")
    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert "api_passphrase  -      default  OKX_API_PASSPHRASE" in lines
    assert "skipped  reach, clock, key, modes: METAEXPERT_OFFLINE is set" in lines
    assert next(line for line in lines if line.startswith("orders")).split() == ["orders", "linear", "inverse"]
    _, _, _, linear, note, inverse, same = next(
        line for line in lines if line.startswith("market by cost")
    ).split()
    assert (linear, inverse, note) == ("-", "-", same)
    assert f"{note} only spot purchases are sized by what they cost" in lines


def test_json_holds_all_of_it_and_no_secret(cli):
    Path(".env").write_text("BYBIT_API_KEY=averysecretkey\nBYBIT_API_SECRET=averysecretone\nBYBIT_TESTNET=true\n")
    Path(".env").chmod(0o600)
    outcome = cli("doctor", "bybit", "--json")
    told = json.loads(outcome.out)
    assert (outcome.code, outcome.err, told["well"]) == (0, "", True)
    assert [one["name"] for one in told["machine"]] == ["python", "packages", "data folder", "env file", "network"]
    (found,) = told["exchanges"]
    lines = {one["name"]: one for one in found["settings"]}
    assert lines["api_key"] == {
        "name": "api_key", "value": "***", "source": ".env", "variable": "BYBIT_API_KEY",
    }  # fmt: skip
    assert (lines["testnet"]["value"], lines["testnet"]["source"]) == ("True", ".env")
    cell = next(
        one for one in found["capabilities"] if (one["segment"], one["feature"]) == ("option", "market_by_cost")
    )
    assert cell["support"] == "refused"
    assert "averysecret" not in outcome.out


def test_what_is_wrong_is_marked_and_makes_the_exit_code_1(cli):
    Path(".env").write_text("KUCOIN_TESTNET=true\n")
    Path(".env").chmod(0o600)
    outcome = cli("doctor", "kucoin")
    assert outcome.code == 1
    assert "fail     settings: spot, linear, inverse: testnet: KuCoin has no test network" in outcome.out
    assert outcome.out.splitlines()[-1] == "Something is wrong."


@pytest.mark.parametrize("exchange", ["demo", "local"])
def test_an_exchange_without_a_network_is_well(cli, exchange):
    outcome = cli("doctor", exchange)
    assert outcome.code == 0
    assert "it needs no network and no keys" in outcome.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("binanc",), "unknown exchange 'binanc'; did you mean 'binance'?"),
        (("bitget", "--type", "option"), "Bitget has no option markets: use one of spot, linear, inverse"),
    ],
)
def test_wrong_words_are_refused_in_one_line(cli, words, said):
    outcome = cli("doctor", *words)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {said}\n")
