"""The doctor against exchanges on this machine that CCXT can't tell from the real ones, and on cut ways."""

import asyncio
import socket
import ssl

import pytest
from venue.faults import Fault
from venue.routes import KEY, PASSPHRASE, SECRET

from metaexpert.doctor import Status, examine_exchange
from metaexpert.doctor.network import Wire
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.venues import VENUES

pytestmark = pytest.mark.asyncio

KEYS = {"api_key": KEY, "api_secret": SECRET, "api_passphrase": PASSPHRASE}
EXCHANGES = tuple(VENUES)


async def one_address(host, port):
    return 1


async def open_way(host, port, context):
    return None


OPEN = Wire(one_address, open_way)


async def look(venue, exchange, kind=None, *, wire=OPEN, keywords=KEYS):
    def client(told):
        made = venue.redirect(connect(told))
        made.rateLimit = 0  # nobody waits for a turn
        made.httpsProxy = made.wssProxy = None  # the way to the venue needs none
        return made

    return await examine_exchange(
        exchange, kind, keywords=keywords, dotenv={}, clock=venue.clock, wire=wire, client=client
    )


def by_name(checkup):
    return {one.name: one for one in checkup.findings}


def failed(checkup):
    return [one for one in checkup.findings if one.status is Status.FAIL]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_all_is_told_of_a_key_that_is_as_it_should_be(venue, exchange):
    venue.states[exchange].addresses = ("198.51.100.7",)
    checkup = await look(venue, exchange)
    found = by_name(checkup)
    assert not failed(checkup)
    assert found["clock"].status == "ok"
    assert found["key: trading"].text == f"it may trade {', '.join(VENUES[exchange].segments)}"
    assert found["key: withdrawals"].text == "it can't withdraw"
    assert found["key: addresses"].status == "ok"
    assert {one.method for one in venue.seen} == {"GET"}  # nothing is changed
    assert not [secret for secret in KEYS.values() if secret in str(checkup)]


async def test_each_host_of_binance_is_reached_and_every_segment_has_its_modes(venue):
    venue.states["binance"].set_hedged("inverse", True)
    checkup = await look(venue, "binance")
    found = by_name(checkup)
    assert [name for name in found if name.startswith("reach")] == [
        "reach api.binance.com", "reach fapi.binance.com", "reach dapi.binance.com", "reach eapi.binance.com",
    ]  # fmt: skip
    assert {"/api/v3/time", "/fapi/v1/time", "/dapi/v1/time", "/eapi/v1/time"} <= {one.path for one in venue.seen}
    assert "DNS" in found["reach api.binance.com"].text
    assert found["modes: inverse"].text == "positions: hedge, a long beside a short"


async def test_a_mode_of_the_whole_account_is_told_once(venue):
    found = by_name(await look(venue, "bybit"))
    assert [name for name in found if name.startswith("modes")] == ["modes: spot, linear, inverse, option"]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_may_withdraw_is_wrong(venue, exchange):
    venue.states[exchange].rights = frozenset({"read", "trade", "withdraw"})
    (wrong,) = failed(await look(venue, exchange, "spot"))
    assert (wrong.name, wrong.text) == ("key: withdrawals", "it may withdraw funds")
    assert "take that right away" in wrong.advice


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_may_only_read_is_warned_of(venue, exchange):
    venue.states[exchange].rights = frozenset({"read"})
    checkup = await look(venue, exchange, "linear")
    assert not failed(checkup)
    assert by_name(checkup)["key: trading"].status == "warn"
    assert by_name(checkup)["key: addresses"].text == "it may be used from anywhere"


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_wrong_key_is_one_finding_and_modes_are_left_out(venue, exchange):
    checkup = await look(venue, exchange, "spot", keywords=KEYS | {"api_key": "someOtherKey99"})
    (wrong,) = failed(checkup)
    assert wrong.name == "key"
    assert "mend the API key" in wrong.text
    assert "someOtherKey99" not in str(checkup)
    assert by_name(checkup)["modes"].status == "skipped"


async def test_without_a_key_its_variables_are_named(venue):
    checkup = await look(venue, "binance", "spot", keywords={})
    assert not failed(checkup)
    assert "BINANCE_API_KEY, BINANCE_API_SECRET" in by_name(checkup)["key, modes"].advice
    assert {one.path for one in venue.seen} == {"/api/v3/time"}


@pytest.mark.parametrize(
    ("skew", "status", "said"),
    [
        (0, "ok", "0 ms behind Bybit"),
        (2_000, "warn", "2000 ms behind Bybit"),
        (-8_000, "fail", "8000 ms ahead of Bybit"),
    ],
)
async def test_the_clock_is_measured(venue, skew, status, said):
    """The venue's clock is ahead by the skew, so this computer's is behind by it."""
    venue.faults.skew = skew
    found = by_name(await look(venue, "bybit", "spot"))["clock"]
    off, _, rest = found.text.partition(" ms ")
    assert abs(int(off) - abs(skew)) <= 500  # half of the latency is taken off
    assert rest.startswith(said.partition(" ms ")[2]) or skew == 0
    assert (found.status, bool(found.advice)) == (status, status != "ok")


async def test_a_name_that_is_not_found_stops_there(venue, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:8080")

    async def unknown(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    checkup = await look(venue, "binance", "spot", wire=Wire(unknown, open_way))
    (wrong,) = failed(checkup)
    assert wrong.text == "DNS: the name api.binance.com is not found (Name or service not known)"
    assert "HTTPS_PROXY is set but not used: set BINANCE_PROXY" in wrong.advice
    assert by_name(checkup)["key, modes"].text == "Binance is not reached"
    assert not venue.seen


async def test_a_certificate_that_is_not_accepted_is_told(venue):
    async def refuse(host, port, context):
        assert context.verify_mode is ssl.CERT_REQUIRED
        error = ssl.SSLCertVerificationError(1, "")
        error.verify_message = "self-signed certificate"
        raise error

    (wrong,) = failed(await look(venue, "bybit", "spot", wire=Wire(one_address, refuse)))
    assert wrong.text == "TLS: the certificate of api.bybit.com is not accepted (self-signed certificate)"


async def test_a_port_that_refuses_is_told_and_where_it_is(venue):
    async def refuse(host, port, context):
        assert (host, port) == ("mirror.example", 8443)
        raise ConnectionRefusedError(111, "Connection refused")

    keywords = {"base_url": "https://mirror.example:8443"}
    (wrong,) = failed(await look(venue, "okx", "spot", wire=Wire(one_address, refuse), keywords=keywords))
    assert wrong.text == "TLS: no connection to mirror.example (Connection refused)"


async def test_a_proxy_takes_the_first_steps_itself(venue):
    async def never(*_):
        raise AssertionError

    keywords = {"proxy": "http://proxy.example:1"}
    checkup = await look(venue, "bybit", "spot", wire=Wire(never, never), keywords=keywords)
    assert not failed(checkup)
    assert by_name(checkup)["reach api.bybit.com"].text.startswith("through the proxy, HTTP answers in")


@pytest.mark.parametrize(
    "fault", [Fault.SERVER_ERROR, Fault.HTML, Fault.GEO_BLOCK, Fault.MAINTENANCE, Fault.RESET]
)
async def test_an_exchange_that_is_down_is_asked_once(venue, fault):
    venue.faults.add(fault, "*/time", times=9)
    checkup = await look(venue, "bybit", "spot")
    (wrong,) = failed(checkup)
    assert wrong.text.startswith("HTTP: Bybit: could not ask for the time")
    assert len(venue.seen) <= 2  # after a reset aiohttp knocks once more by itself


async def test_one_host_that_is_down_hides_nothing_of_the_others(venue):
    venue.faults.add(Fault.SERVER_ERROR, "/fapi/v1/time", times=9)
    checkup = await look(venue, "binance")
    assert [one.name for one in failed(checkup)] == ["reach fapi.binance.com"]
    assert by_name(checkup)["key"].text == "accepted"


async def test_an_answer_that_never_comes_is_given_up(venue, monkeypatch):
    monkeypatch.setattr("metaexpert.doctor.network._PATIENCE", 0.01)

    async def never(host, port):
        await asyncio.Event().wait()

    (wrong,) = failed(await look(venue, "bybit", "spot", wire=Wire(never, open_way)))
    assert wrong.text == "DNS: no answer from api.bybit.com within 0.01 s"


async def test_test_environments_with_keys_of_their_own_are_told_apart(venue):
    keywords = KEYS | {"testnet": True}
    both = await look(venue, "binance", keywords=keywords)
    found = by_name(both)
    assert found["settings: option"].status == "skipped"
    assert found["key: trading"].text == "it may trade spot"
    assert found["key: elsewhere"].advice == "to check it: metaexpert doctor binance --type linear"
    assert not [name for name in found if name.startswith("modes: ")]
    futures = by_name(await look(venue, "binance", "inverse", keywords=keywords))
    assert futures["modes: inverse"].text == "positions: one-way"
    assert {one.host for one in venue.seen} == {
        "testnet.binance.vision", "demo-fapi.binance.com", "demo-dapi.binance.com", "demo-api.binance.com",
    }  # fmt: skip
    assert not failed(both)


async def test_a_proxy_that_lets_nothing_through_is_named(venue):
    venue.faults.add(Fault.SERVER_ERROR, "*/time", times=9)
    keywords = {"proxy": "http://user:pass1234@proxy.example:1"}
    checkup = await look(venue, "bybit", "spot", keywords=keywords)
    (wrong,) = failed(checkup)
    assert wrong.advice == "check the proxy, which everything goes through"
    assert "pass1234" not in str(checkup)


async def test_an_answer_without_a_time_is_a_finding(venue, monkeypatch):
    async def silent(self, doing, method, *args, private=False):
        return {} if method == "fapiPublicGetTime" else None

    monkeypatch.setattr("metaexpert.exchanges.caller.Caller.read", silent)
    for kind in ("spot", "linear"):
        (wrong,) = failed(await look(venue, "binance", kind))
        assert wrong.text == "HTTP: the answer holds no time; try again"
