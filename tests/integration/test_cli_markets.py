"""`metaexpert exchanges` and `metaexpert markets`: what can be traded where, with a network and without."""

import json
import subprocess
import sys

import ccxt  # noqa: TID251
import pytest

from metaexpert.exchanges import listing
from metaexpert.exchanges.venues import VENUES, Segment

HOUR = 3_600_000
LONG_AGO = 1_700_000_000_000  # 2023-11-14 22:13 UTC


def raw(symbol="BTC/USDT", kind="spot", **more):
    base, quote = symbol.partition(":")[0].split("/")
    return {
        "id": f"{base}{quote}", "symbol": symbol, "base": base, "quote": quote, "type": kind, "contractSize": 1,
        "settle": symbol.partition(":")[2] or None, "inverse": symbol.endswith(f":{base}"),
        "precision": {"amount": 0.00001, "price": 0.01}, "limits": {"cost": {"min": 5}},
        "maker": 0.001, "taker": 0.001, "info": {},
    } | more  # fmt: skip


class Client:
    """CCXT's client as far as market lists go; what it is asked for is counted."""

    def __init__(self, settings, answers):
        self.settings, self.answers = settings, answers
        self.has, self.asked = {}, 0

    async def fetch_markets(self, params):
        self.asked += 1
        kind = self.settings.contract_type or self.settings.market_type
        answer = self.answers.get(str(kind), [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self):
        pass


@pytest.fixture
def online(monkeypatch):
    """Let the command line reach an exchange that gives these answers by kind; tell the clients that it made."""
    monkeypatch.delenv("METAEXPERT_OFFLINE")

    def answer(**answers):
        made = []

        def connect(settings):
            made.append(Client(settings, answers))
            return made[-1]

        monkeypatch.setattr("metaexpert.exchanges.caller.connect", connect)
        return made

    return answer


@pytest.fixture
def kept():
    listing.save("binance", Segment.SPOT, [raw("WBTC/BTC"), raw(), raw("ETH/USDT")], LONG_AGO)


def test_every_exchange_is_listed_with_its_kinds_and_the_names_of_its_keys(cli):
    outcome = cli("exchanges", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    found = {one["exchange"]: one for one in json.loads(outcome.out)}
    assert list(found) == ["demo", "local", *VENUES]
    assert found["okx"]["keys"] == ["OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE"]
    assert found["binance"]["markets"] == ["spot", "linear", "inverse", "option"]
    assert found["binance"]["testnet"] == ["spot", "linear", "inverse"]
    assert (found["kucoin"]["testnet"], found["bitget"]["markets"]) == ([], ["spot", "linear", "inverse"])


def test_the_table_of_exchanges_has_a_line_for_each(cli):
    lines = cli("exchanges").out.splitlines()
    assert [line.split()[0] for line in lines] == ["exchange", "demo", "local", *VENUES]
    assert "BYBIT_API_KEY, BYBIT_API_SECRET" in next(line for line in lines if line.startswith("bybit"))


@pytest.mark.usefixtures("kept")
def test_a_kept_list_is_searched_without_a_network(cli):
    outcome = cli("markets", "binance", "--search", "btc", "--type", "spot", "--json")
    found = json.loads(outcome.out)
    assert (outcome.code, outcome.err) == (0, "")
    assert [market["symbol"] for market in found["markets"]] == ["BTC/USDT", "WBTC/BTC"]  # that base first
    assert (found["fetched"], found["missing"]) == ({"spot": "2023-11-14 22:13 UTC"}, {})
    assert found["markets"][0] | {"kind": "spot", "price_tick": 0.01, "min_notional": 5.0} == found["markets"][0]


@pytest.mark.usefixtures("kept")
def test_lists_that_are_not_there_are_named_beside_the_one_that_is(cli):
    outcome = cli("markets", "binance", "--search", "ETH")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["symbol", "ETH/USDT"]
    assert "spot of 2023-11-14 22:13 UTC" in outcome.err
    assert "days old" in outcome.err
    for part in ("linear", "inverse", "option"):
        assert f"no list of {part} markets: Binance can't be asked" in outcome.err


@pytest.mark.usefixtures("kept")
def test_the_kept_list_is_told_by_a_process_that_loads_neither_ccxt_nor_pandas():
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'ccxt', 'pandas', 'numpy'} & set(sys.modules)), file=sys.stderr))\n"
        "from metaexpert.cli import main\n"
        "main(['markets', 'binance', '--search', 'BTC', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
    assert len(json.loads(done.stdout)["markets"]) == 2


def test_offline_and_nothing_kept_is_one_line_and_a_failure(cli):
    outcome = cli("markets", "okx")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "error: OKX can't be asked: METAEXPERT_OFFLINE is set; unset it to use the network\n"


def test_a_list_is_fetched_once_and_anew_on_request(cli, online):
    made = online(spot=[raw()], linear=[raw("BTC/USDT:USDT", "swap"), raw("X/USDT:USDT", "swap", precision={})])
    first = cli("markets", "bitget", "--type", "linear", "--json")
    assert [market["symbol"] for market in json.loads(first.out)["markets"]] == ["BTC/USDT:USDT"]
    assert list(json.loads(first.out)["left_out"]) == ["X/USDT:USDT"]
    again = cli("markets", "bitget", "--type", "linear")
    assert len(made) == 1
    assert "left out: bitget: X/USDT:USDT: its type or the steps" in again.err
    assert "(fresh)" in again.err
    assert cli("markets", "bitget", "--type", "linear", "--refresh").code == 0
    assert len(made) == 2


def test_one_segment_that_fails_leaves_the_others(cli, online):
    refused = ccxt.AuthenticationError("bitget no")
    online(spot=[raw()], linear=refused, inverse=[raw("BTC/USD:BTC", "swap")])
    outcome = cli("markets", "bitget", "--json")
    found = json.loads(outcome.out)
    assert outcome.code == 0
    assert [market["kind"] for market in found["markets"]] == ["spot", "inverse"]
    assert list(found["missing"]) == ["linear"]


def test_a_test_network_has_a_list_of_its_own(cli, online, monkeypatch, home):
    online(spot=[raw()])
    assert cli("markets", "bybit", "--type", "spot").code == 0
    monkeypatch.setenv("BYBIT_TESTNET", "true")
    online(spot=[raw("TEST/USDT")])
    assert "TEST/USDT" in cli("markets", "bybit", "--type", "spot").out
    monkeypatch.delenv("BYBIT_TESTNET")
    assert "TEST/USDT" not in cli("markets", "bybit", "--type", "spot").out
    assert (home / "markets" / "bybit-spot@testnet.json").is_file()


def test_another_address_has_a_list_of_its_own_and_its_name_holds_no_password(cli, online, monkeypatch, home):
    monkeypatch.setenv("OKX_BASE_URL", "https://eea.okx.example:8443/api")
    online(spot=[raw()])
    assert cli("markets", "okx", "--type", "spot").code == 0
    names = sorted(path.name for path in (home / "markets").iterdir())
    assert names == ["okx-spot@eea.okx.example-8443.json", "okx-spot@eea.okx.example-8443.raw.json.gz"]


def test_futures_are_linear_and_inverse(cli):
    found = json.loads(cli("markets", "demo", "--type", "futures", "--search", "BTC", "--json").out)
    assert [(one["symbol"], one["kind"]) for one in found["markets"]] == [
        ("BTC/USDT:USDT", "linear"),
        ("BTC/USD:BTC", "inverse"),
    ]


def test_the_markets_of_the_embedded_exchange_and_of_ones_own_files(cli):
    demo, local = cli("markets", "demo", "--search", "eth usdt"), cli("markets", "local")
    assert demo.out.splitlines()[1].split()[0] == "ETH/USDT"
    assert (local.code, local.out) == (
        0, "There are no markets of local here; import candles of one: metaexpert data import FILE\n",
    )  # fmt: skip


def test_nothing_that_matches_is_said_so(cli):
    outcome = cli("markets", "demo", "--search", "nonsense")
    assert (outcome.code, outcome.out) == (0, "No market of demo matches 'nonsense'.\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("binanc",), "unknown exchange 'binanc'; did you mean 'binance'?"),
        (("binance", "--type", "linaer"), "unknown kind of market 'linaer'; did you mean 'linear'?"),
        (("bitget", "--type", "option"), "Bitget has no option markets: use one of spot, linear, inverse"),
        (("demo", "--refresh"), "the markets of demo can't be refreshed: they come from no network"),
    ],
)
def test_wrong_words_are_refused_in_one_line(cli, words, said):
    outcome = cli("markets", *words)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {said}\n")
