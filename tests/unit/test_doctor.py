"""What the doctor finds without a network: this computer, and what exchanges say of keys and accounts."""

import asyncio
import os
import re
import tomllib
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from metaexpert.doctor import examine
from metaexpert.doctor.findings import Finding, Status, checked
from metaexpert.doctor.machine import PACKAGES, TESTED_CCXT, data_folder, env_file, network_allowed, packages
from metaexpert.errors import ConfigError, DataError
from metaexpert.exchanges.keys import KeyRights, rights_of, rights_request
from metaexpert.exchanges.modes import modes_of, modes_requests
from metaexpert.exchanges.venues import VENUES, Segment
from metaexpert.values import Secret

ROOT = Path(__file__).resolve().parents[2]
SPOT, LINEAR, INVERSE, OPTION = Segment
FUTURES = frozenset((SPOT, LINEAR, INVERSE))


# --- how a check is run ---------------------------------------------------------------------------------------


def run(check, **more):
    return asyncio.run(checked("it", check, **more))


def test_a_check_that_never_ends_is_given_up():
    async def never():
        await asyncio.Event().wait()

    assert run(never(), limit=0.01) == [
        Finding("it", Status.FAIL, "no answer within 0.01 s", "check the internet connection, or try again later")
    ]


def test_an_error_of_ours_is_the_finding():
    async def fail():
        raise DataError("nothing there; import it")

    assert run(fail()) == [Finding("it", Status.FAIL, "nothing there; import it")]


def test_a_check_that_breaks_is_told_without_secrets():
    async def fail():
        raise KeyError("odd\nanswer with verysecret123")

    (found,) = run(fail(), secrets=[Secret("verysecret123")])
    assert found.status is Status.FAIL
    assert "this check broke: KeyError" in found.text
    assert "verysecret123" not in str(found)
    assert "\n" not in found.text


# --- this computer --------------------------------------------------------------------------------------------


def names_in(requirements):
    return {re.split(r"[<>=]", one)[0] for one in requirements}


def test_the_packages_that_are_looked_for_are_those_that_are_needed():
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(PACKAGES) == names_in(needed)


def test_the_release_of_ccxt_that_is_called_tested_is_the_locked_one():
    assert f"ccxt=={TESTED_CCXT} " in (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    def version(name):
        if name == "pyarrow":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    assert packages(version) == Finding(
        "packages", Status.FAIL, "missing: pyarrow", "python -m pip install pyarrow"
    )


def test_another_release_of_ccxt_is_told_beside_the_tested_one():
    found = packages(lambda name: "4.9.9" if name == "ccxt" else "1.0")
    assert found.status is Status.OK
    assert f"ccxt 4.9.9 (tested with {TESTED_CCXT}), greenlet 1.0" in found.text


def disk(free):
    return lambda _: namedtuple("Usage", "free")(free)


@pytest.mark.parametrize(
    ("free", "status", "said"),
    [(5 * 2**30, "ok", "5.0 GB free"), (600 * 2**20, "warn", "600 MB free"), (2**20, "fail", "1 MB free")],
)
def test_room_for_data_is_measured(home, monkeypatch, free, status, said):
    monkeypatch.setattr("shutil.disk_usage", disk(free))
    found = data_folder()
    assert (found.status, found.text) == (status, f"{home}, writable, {said}")
    assert bool(found.advice) == (status != "ok")


def test_a_data_folder_that_is_not_there_yet_is_not_made_by_looking(tmp_path, monkeypatch):
    monkeypatch.setenv("METAEXPERT_HOME", str(tmp_path / "deep" / "down"))
    found = data_folder()
    assert "made when it is first needed" in found.text
    assert not (tmp_path / "deep").exists()


def test_a_data_folder_that_can_not_be_written_to_is_wrong(home, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    found = data_folder()
    assert (found.status, found.text) == ("fail", f"{home} can't be written to (Permission denied)")
    assert "METAEXPERT_HOME" in found.advice


@pytest.mark.skipif(os.name != "posix", reason="rights of files are those of POSIX")
def test_keys_that_others_can_read_are_warned_of(tmp_path):
    (none,) = env_file(tmp_path)
    assert none.text.startswith("none in")
    path = tmp_path / ".env"
    path.write_text("A=b")
    path.chmod(0o644)
    (found,) = env_file(tmp_path)
    assert (found.status, found.advice) == ("warn", f"chmod 600 {path}")
    path.chmod(0o600)
    assert env_file(tmp_path) == [Finding("env file", Status.OK, str(path))]


def test_being_offline_is_told(monkeypatch):
    assert network_allowed().status == "skipped"
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    assert network_allowed().status == "ok"


# --- what exchanges say of a key ------------------------------------------------------------------------------

BYBIT = {"readOnly": 0, "ips": ["*"], "expiredAt": "2026-12-22T07:20:25Z"}
RIGHTS = [
    (
        "binance",
        {
            "ipRestrict": True, "enableReading": True, "enableSpotAndMarginTrading": True,
            "enableWithdrawals": False,
        },
        KeyRights(frozenset((SPOT,)), False, ("some",), None, "enableReading, enableSpotAndMarginTrading"),
    ),
    (
        "binance",
        {
            "ipRestrict": False, "enableReading": True, "enableFutures": True, "enableVanillaOptions": True,
            "enableWithdrawals": True, "tradingAuthorityExpirationTime": 1628985600000,
        },
        KeyRights(
            frozenset((LINEAR, INVERSE, OPTION)), True, (), 1_628_985_600_000,
            "enableReading, enableFutures, enableVanillaOptions, enableWithdrawals",
        ),
    ),
    (
        "bybit",  # 2026-12-22 07:20:25 UTC is 20 809 days and 26 425 s after 1970
        {"result": BYBIT | {"permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"], "Options": []}}},
        KeyRights(frozenset((SPOT,)), False, (), (20_809 * 86_400 + 26_425) * 1000, "SpotTrade, AccountTransfer"),
    ),
    (
        "bybit",
        {
            "result": BYBIT
            | {"readOnly": 1, "ips": ["1.2.3.4"], "expiredAt": "1970-01-01T00:00:00Z"}
            | {"permissions": {"ContractTrade": ["Order", "Position"], "Wallet": ["Withdraw"]}}
        },
        KeyRights(frozenset(), False, ("1.2.3.4",), None, "Order, Position, Withdraw"),
    ),
    (
        "bybit",
        {
            "result": BYBIT
            | {"expiredAt": "", "permissions": {"Derivatives": ["DerivativesTrade"], "Wallet": ["Withdraw"]}}
        },
        KeyRights(frozenset((LINEAR, INVERSE, OPTION)), True, (), None, "DerivativesTrade, Withdraw"),
    ),
    (
        "okx",
        {"data": [{"perm": "read_only,withdraw,trade", "ip": ""}]},
        KeyRights(frozenset(Segment), True, (), None, "read_only, withdraw, trade"),
    ),
    (
        "okx",
        {"data": [{"perm": "read_only", "ip": "1.2.3.4,5.6.7.8"}]},
        KeyRights(frozenset(), False, ("1.2.3.4", "5.6.7.8"), None, "read_only"),
    ),
    (
        "bitget",
        {"data": {"authorities": ["trade", "readonly"], "ips": "1.2.3.4"}},
        KeyRights(FUTURES, False, ("1.2.3.4",), None, "readonly, trade"),
    ),
    (
        "bitget",
        {"data": {"authorities": ["stow", "coor", "wwow"], "ips": ""}},
        KeyRights(frozenset((SPOT,)), True, (), None, "coor, stow, wwow"),
    ),
    (
        "bitget",  # a word that nobody explains may be the right to withdraw
        {"data": {"authorities": ["coow", "what"], "ips": ""}},
        KeyRights(frozenset((LINEAR, INVERSE)), None, (), None, "coow, what"),
    ),
    ("bitget", {"data": {"authorities": ["what"]}}, KeyRights(None, None, None, None, "what")),
    (
        "kucoin",
        {"data": {"permission": "General,Spot,Futures", "ipWhitelist": "1.2.3.4", "expiredAt": 1790000000000}},
        KeyRights(FUTURES, False, ("1.2.3.4",), 1_790_000_000_000, "General, Spot, Futures"),
    ),
    (
        "kucoin",
        {"data": {"permission": "General,Transfer"}},
        KeyRights(frozenset(), True, (), None, "General, Transfer"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "raw", "rights"), RIGHTS)
def test_the_rights_of_a_key(exchange, raw, rights):
    assert rights_of(exchange, raw, SPOT) == rights


@pytest.mark.parametrize("exchange", VENUES)
def test_an_answer_that_tells_nothing_promises_nothing(exchange):
    for raw in ({}, {"data": []}, {"result": None}, {"data": [{}]}):
        assert rights_of(exchange, raw, SPOT) == KeyRights(None, None, None)


def test_on_the_test_network_of_binance_the_account_is_asked():
    assert rights_request("binance", SPOT, testnet=False) == "sapiGetAccountApiRestrictions"
    assert rights_request("binance", INVERSE, testnet=True) == "dapiPrivateGetAccount"
    assert rights_of("binance", {"canTrade": True}, INVERSE) == KeyRights(frozenset((LINEAR, INVERSE)), None, None)
    assert rights_of("binance", {"canTrade": False}, SPOT).trades == frozenset()
    assert rights_of("binance", {"assets": []}, LINEAR).trades is None


def test_every_request_of_the_doctor_is_one_that_ccxt_has():
    import ccxt.pro  # noqa: TID251

    for exchange, venue in VENUES.items():
        client = getattr(ccxt.pro, exchange)
        for part in venue.segments:
            methods = [one.method for one in modes_requests(exchange, part)]
            methods += [rights_request(exchange, part, testnet=test) for test in (False, True)]
            methods.append(venue.times.get(part, "fetch_time"))
            assert all(hasattr(client, method) for method in methods), methods


# --- what exchanges say of an account -------------------------------------------------------------------------

MODES = [
    ("hedged", {"hedged": False}, LINEAR, ["positions: one-way"], []),
    ("hedged", {"hedged": True}, LINEAR, ["positions: hedge, a long beside a short"], []),
    ("multi_assets", {"multiAssetsMargin": False}, LINEAR, ["margin: single-asset mode"], []),
    ("multi_assets", {"multiAssetsMargin": True}, LINEAR, [], ["margin: multi-assets mode, in which"]),
    (
        "bybit",
        {"result": {"unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN"}},
        SPOT,
        ["account: unified", "margin: cross, for the whole account; position modes are kept by contract"],
        [],
    ),
    ("bybit", {"result": {"unifiedMarginStatus": 1}}, SPOT, [], ["account: classic"]),
    ("okx", {"data": [{"acctLv": "1"}]}, SPOT, ["account mode: spot"], []),
    ("okx", {"data": [{"acctLv": "1"}]}, LINEAR, [], ["account mode: spot, in which no contracts are traded"]),
    (
        "okx",
        {"data": [{"acctLv": "2", "posMode": "long_short_mode"}]},
        INVERSE,
        ["account mode: futures", "positions: hedge, a long beside a short"],
        [],
    ),
    (
        "okx", {"data": [{"acctLv": "3", "opAuth": "0"}]}, OPTION,
        ["account mode: multi-currency margin"], ["options: not"],
    ),
    (
        "bitget",
        {"data": {"posMode": "one_way_mode", "marginMode": "crossed"}},
        LINEAR,
        ["positions: one-way", "margin: cross, of BTC"],
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "raw", "part", "texts", "hindrances"), MODES)
def test_the_modes_of_an_account(reader, raw, part, texts, hindrances):
    found = modes_of(reader, raw, part)
    assert [one.text for one in found if not one.hindrance] == texts
    hindered = [one for one in found if one.hindrance]
    assert len(hindered) == len(hindrances)
    for one, start in zip(hindered, hindrances, strict=True):
        assert one.hindrance.startswith(start)
        assert one.advice


# --- the whole ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exchange", "kind", "said"),
    [
        ("binanc", None, "unknown exchange 'binanc'; did you mean 'binance'?"),
        ("binance", "linaer", "unknown kind of market 'linaer'; did you mean 'linear'?"),
        ("kucoin", "option", "KuCoin has no option markets: use one of spot, linear, inverse"),
    ],
)
def test_wrong_words_are_refused(exchange, kind, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        examine(exchange, kind)


def test_keywords_win_over_the_environment_and_every_source_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("OKX_API_KEY", "environmentkey1")
    monkeypatch.setenv("OKX_PROXY", "http://user:password1@proxy.example:8080")
    (tmp_path / ".env").write_text(
        "OKX_API_KEY=filekey12\nOKX_API_SECRET=filesecret1\nOKX_API_PASSPHRASE=phrase1234\n"
    )
    found = examine("okx", "spot", keywords={"testnet": True}, folder=tmp_path)
    lines = {line.name: (line.value, line.source) for line in found.exchanges[0].settings}
    assert lines == {
        "api_key": ("***", "env"),
        "api_secret": ("***", ".env"),
        "api_passphrase": ("***", ".env"),
        "subaccount": ("", "default"),
        "base_url": ("", "default"),
        "testnet": ("True", "keyword"),
        "proxy": ("***", "env"),
    }
    told = str(found) + str(found.as_dict())
    assert not [
        secret
        for secret in ("environmentkey1", "filekey12", "filesecret1", "phrase1234", "password1")
        if secret in told
    ]
    assert found.is_well


def test_without_a_name_every_exchange_with_a_key_is_looked_at(tmp_path):
    (tmp_path / ".env").write_text("BYBIT_API_KEY=k\nBYBIT_API_SECRET=s\nKUCOIN_API_KEY=k\n")
    found = examine(folder=tmp_path)
    assert [one.exchange for one in found.exchanges] == ["bybit", "kucoin"]
    assert [one.exchange for one in examine(kind="option", folder=tmp_path).exchanges] == ["bybit"]
    (half,) = [one for one in found.exchanges[1].findings if one.status is Status.FAIL]
    assert half.name == "settings: spot, linear, inverse"
    assert half.text == "KuCoin asks for api_secret beside api_key: set KUCOIN_API_SECRET"
    assert not found.is_well


def test_a_test_network_that_is_not_there_is_a_finding(tmp_path):
    (tmp_path / ".env").write_text("KUCOIN_TESTNET=true\nBINANCE_TESTNET=true\n")
    kucoin, binance = (examine(name, folder=tmp_path).exchanges[0].findings for name in ("kucoin", "binance"))
    assert (kucoin[0].status, "use trade_mode='paper'" in kucoin[0].text) == ("fail", True)
    assert (binance[0].name, binance[0].status) == ("settings: option", "skipped")  # the others have one
    assert examine("binance", "option", folder=tmp_path).exchanges[0].findings[0].status == "fail"


def test_a_value_that_makes_no_sense_is_a_finding_with_its_place(tmp_path):
    (tmp_path / ".env").write_text("BYBIT_TESTNET=maybe\n")
    found = examine("bybit", "spot", folder=tmp_path).exchanges[0].findings[0]
    assert (found.status, found.text) == ("fail", "BYBIT_TESTNET in .env must be True or False, got 'maybe'")


def test_a_file_of_keys_that_can_not_be_read_stops_nothing(tmp_path):
    (tmp_path / ".env").write_text("BYBIT_API_KEY=k\nnonsense without sense = = '\n")
    found = examine("bybit", "spot", folder=tmp_path)
    assert next(one.text for one in found.machine if one.status is Status.FAIL).endswith(
        "line 2: write NAME=value, one a line"
    )
    assert found.exchanges[0].abilities


@pytest.mark.parametrize("exchange", ["demo", "local"])
def test_what_has_no_network_is_well(exchange):
    found = examine(exchange)
    assert found.is_well
    assert found.exchanges[0].findings == (Finding("network", Status.OK, "it needs no network and no keys"),)
