"""Settings of a person as CCXT's configuration."""

import _thread
import asyncio
import gc
import inspect
import logging
from contextlib import suppress
from threading import Barrier, Lock, Thread
from weakref import WeakValueDictionary

import pytest
from aiohttp import WSMessage, WSMsgType
from ccxt import NetworkError  # noqa: TID251 - what CCXT tells itself

from metaexpert.config import ExchangeSettings, exchange_settings
from metaexpert.errors import ConfigError
from metaexpert.exchanges.bridge import Bridge
from metaexpert.exchanges.budget import Budget, budget_of
from metaexpert.exchanges.client import quiet_logger
from metaexpert.exchanges.connection import address_of, check_connection, config_of, connect
from metaexpert.exchanges.venues import VENUES
from metaexpert.values import Secret

KEYS = {"api_key": "thekey", "api_secret": "thesecret", "api_passphrase": "thephrase"}


def settings(exchange, kind="spot", **more):
    market, contract = {"option": ("options", None)}.get(kind, ("futures", kind))
    where = {"market_type": "spot"} if kind == "spot" else {"market_type": market, "contract_type": contract}
    return ExchangeSettings(exchange=exchange, **where, **more)


CELLS = [(venue.id, segment.value) for venue in VENUES.values() for segment in venue.segments]


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
def test_a_client_is_made_for_every_exchange_and_kind_without_a_request(exchange, kind):
    client = connect(settings(exchange, kind, **KEYS))
    assert (client.apiKey, client.secret) == ("thekey", "thesecret")
    assert client.password == "thephrase"
    assert client.options["maxRetriesOnFailure"] == 0
    assert client.options["fetchMarkets"]["types"] == VENUES[exchange].listed[kind]["types"]
    assert client.markets is None
    for name, value in VENUES[exchange].options.items():
        assert client.options[name] == value


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
def test_the_test_network_is_entered_or_refused(exchange, kind):
    venue = VENUES[exchange]
    if kind not in venue.testnet:
        with pytest.raises(ConfigError, match=r"test network.*paper"):
            connect(settings(exchange, kind, testnet=True))
        return
    plain, test = connect(settings(exchange, kind)), connect(settings(exchange, kind, testnet=True))
    assert (test.urls["api"], test.headers, test.options) != (plain.urls["api"], plain.headers, plain.options)


@pytest.mark.parametrize(("exchange", "kind"), CELLS)
def test_base_url_replaces_the_host_of_its_own_kind_alone(exchange, kind):
    client = connect(settings(exchange, kind, base_url="https://mirror.example"))
    found = str(client.urls["api"])
    host = VENUES[exchange].hosts[kind]
    assert "https://mirror.example" in found
    assert f"'https://{host}" not in found


@pytest.mark.parametrize("testnet", [False, True])
@pytest.mark.parametrize(("exchange", "kind"), CELLS)
def test_the_address_that_is_told_is_the_one_that_is_used(exchange, kind, testnet):
    if testnet and kind not in VENUES[exchange].testnet:
        return
    told = settings(exchange, kind, testnet=testnet)
    client = connect(told)
    used = {client.implode_hostname(url) for url in texts(client.urls["api"])}
    assert any(url.startswith(address_of(told)) for url in used)
    other = address_of(settings(exchange, kind, testnet=not testnet))
    assert other == address_of(told) or not any(url.startswith(other) for url in used)


def texts(urls):
    return [urls] if isinstance(urls, str) else [text for one in urls.values() for text in texts(one)]


def test_a_base_url_is_the_address():
    assert address_of(settings("okx", base_url="https://mirror.example:8443/")) == "https://mirror.example:8443"


def test_a_base_url_and_the_test_network_contradict():
    with pytest.raises(ConfigError, match="base_url contradicts testnet"):
        connect(settings("binance", testnet=True, base_url="https://mirror.example"))


def test_a_sub_account_by_name_is_refused():
    with pytest.raises(ConfigError, match="API keys of its own"):
        connect(settings("bybit", subaccount="second"))


@pytest.mark.parametrize("exchange", ["okx", "bitget", "kucoin"])
def test_a_missing_passphrase_is_named_with_its_variable(exchange):
    with pytest.raises(ConfigError, match=f"{exchange.upper()}_API_PASSPHRASE"):
        check_connection(settings(exchange, api_key="k", api_secret="s"))


@pytest.mark.parametrize("exchange", VENUES)
@pytest.mark.parametrize("name", ["api_key", "api_secret"])
def test_half_a_key_is_refused_with_the_variable_that_lacks(exchange, name):
    other = {"api_key": "api_secret", "api_secret": "api_key"}[name]
    with pytest.raises(
        ConfigError, match=f"asks for {other} beside {name}: set {exchange.upper()}_{other.upper()}"
    ):
        check_connection(settings(exchange, **{name: "k"}))


@pytest.mark.parametrize("exchange", VENUES)
def test_every_variable_of_the_environment_reaches_the_client(exchange):
    """By exchange in capitals and setting in capitals; one exchange never sees another's."""
    prefix = exchange.upper()
    environ = {
        f"{prefix}_API_KEY": "k", f"{prefix}_API_SECRET": "s", f"{prefix}_API_PASSPHRASE": "p",
        f"{prefix}_PROXY": "http://one:1", f"{prefix}_BASE_URL": "https://mirror.example",
    }  # fmt: skip
    client = connect(exchange_settings({"exchange": exchange}, environ=environ))
    assert (client.apiKey, client.secret, client.password) == ("k", "s", "p")
    assert (client.httpsProxy, client.wssProxy) == ("http://one:1", "http://one:1")
    assert "https://mirror.example" in str(client.urls["api"])
    other = connect(exchange_settings({"exchange": "bybit" if exchange == "okx" else "okx"}, environ=environ))
    assert (other.apiKey, other.httpsProxy) == (None, None)
    told = exchange_settings({"exchange": exchange}, environ={f"{prefix}_SUBACCOUNT": "second"})
    with pytest.raises(ConfigError, match="keys of its own"):
        connect(told)


def test_the_test_network_is_asked_for_by_a_variable_and_refused_where_there_is_none():
    for exchange, venue in VENUES.items():
        told = exchange_settings({"exchange": exchange}, environ={f"{exchange.upper()}_TESTNET": "yes"})
        assert told.testnet is True
        if venue.testnet:
            check_connection(told)
            continue
        with pytest.raises(ConfigError, match=r"KuCoin has no test network.*trade_mode='paper'"):
            check_connection(told)


def test_a_socks_proxy_without_its_package_is_refused_with_the_command(monkeypatch):
    monkeypatch.setattr("metaexpert.exchanges.connection.find_spec", lambda _: None)
    for proxy in ("socks5://one:1", {"https": "http://one:1", "ws": "socks5h://one:1"}):
        with pytest.raises(ConfigError, match=r"pip install 'metaexpert\[socks\]'"):
            check_connection(settings("binance", proxy=proxy))
    check_connection(settings("binance", proxy="http://one:1"))


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        ("http://one:1", {"httpsProxy": "http://one:1", "wssProxy": "http://one:1"}),
        ("socks5://one:1", {"socksProxy": "socks5://one:1", "wsSocksProxy": "socks5://one:1"}),
        (
            {"https": "http://one:1", "ws": "http://two:2"},
            {"httpsProxy": "http://one:1", "wssProxy": "http://two:2"},
        ),
        ({"http": "http://one:1"}, {"httpsProxy": "http://one:1", "wssProxy": "http://one:1"}),
    ],
)
def test_a_proxy_serves_rest_and_websockets_together(proxy, expected):
    config = config_of(settings("binance", proxy=proxy))
    assert {name: value for name, value in config.items() if "roxy" in name} == expected


def test_ccxts_debug_messages_are_never_passed_on(caplog):
    logger = quiet_logger()
    logging.getLogger("ccxt").setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        logger.debug("headers with thekey")
        logger.warning("something is odd")
    assert caplog.messages == ["something is odd"]


def test_a_repr_of_the_settings_shows_no_key():
    assert "thekey" not in repr(settings("binance", **KEYS))
    assert isinstance(settings("binance", **KEYS).api_key, Secret)


# --- the budget -----------------------------------------------------------------------------------------------


def test_requests_over_the_limit_wait_for_their_turn():
    budget = Budget(burst=1.0)
    assert [budget.reserve(100.0, 0.5) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert budget.reserve(110.0, 0.5) == 0.0


def test_an_order_waits_for_orders_alone_and_reads_for_all():
    """A burst of 1 s, requests of 0.5 s each: five reads are told to wait 0, 0, 0, 0.5 and 1 s.

    The three orders that may go at once and the fourth, after half a second, count as well: the next read waits
    for nine before it, less the burst: 3.5 s.
    """
    budget = Budget(burst=1.0)
    assert [budget.reserve(100.0, 0.5) for _ in range(5)] == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert [budget.reserve(100.0, 0.5, is_urgent=True) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert budget.reserve(100.0, 0.5) == 3.5


def test_an_order_waits_as_well_where_the_exchange_lets_nothing_in():
    budget = Budget()
    budget.close_until(107.0)
    assert budget.reserve(100.0, 0.1, is_urgent=True) == pytest.approx(7.0)


def test_a_closed_budget_lets_nothing_out_before_its_time():
    budget = Budget()
    budget.close_until(107.0)
    assert budget.reserve(100.0, 0.1) == pytest.approx(7.0)


def test_one_account_has_one_budget_as_long_as_somebody_uses_it():
    first = budget_of("binance", "real", "k")
    assert budget_of("binance", "real", "k") is first
    assert budget_of("binance", "test", "k") is not first
    first.close_until(1e9)
    del first
    gc.collect()
    assert budget_of("binance", "real", "k").reserve(0.0, 0.0) == 0.0


def test_two_clients_of_one_account_share_their_budget(monkeypatch):
    """Which no other test finds closed."""
    monkeypatch.setattr("metaexpert.exchanges.budget._BUDGETS", WeakValueDictionary())
    waited = []

    async def both():
        clients = [connect(settings("bybit", **KEYS)) for _ in range(2)]
        loop = asyncio.get_running_loop()
        budget_of("bybit", "real", "thekey").close_until(loop.time() + 3600)
        for client in clients:
            task = asyncio.ensure_future(client.throttle(1))
            await asyncio.sleep(0)
            waited.append(not task.done())
            task.cancel()

    asyncio.run(both())
    assert waited == [True, True]


# --- the bridge -----------------------------------------------------------------------------------------------


async def answer(value):
    await asyncio.sleep(0)
    return value


def test_a_coroutine_runs_for_a_sync_caller_also_inside_a_running_loop():
    bridge = Bridge()
    assert bridge.run(answer(1)) == 1

    async def cell():
        return bridge.run(answer(2))

    assert asyncio.run(cell()) == 2
    bridge.close()
    assert bridge.run(answer(3)) == 3
    bridge.close()


def test_an_error_arrives_and_the_bridge_goes_on():
    async def fail():
        raise ConfigError("no")

    bridge = Bridge()
    with pytest.raises(ConfigError, match="no"):
        bridge.run(fail())
    assert bridge.run(answer(1)) == 1
    bridge.close()


def test_a_time_out_of_the_coroutine_s_own_is_passed_on():
    async def late():
        raise TimeoutError("mine")

    bridge = Bridge()
    with pytest.raises(TimeoutError, match="mine"):
        bridge.run(late())
    bridge.close()


def test_ctrl_c_lets_the_coroutine_put_away_what_it_has():
    kept = []

    async def work():
        _thread.interrupt_main()
        try:
            await asyncio.Event().wait()
        finally:
            kept.append("stored")

    bridge = Bridge()
    with pytest.raises(KeyboardInterrupt):
        bridge.run(work())
    assert kept == ["stored"]
    bridge.close()


def test_a_forgotten_bridge_ends_its_thread():
    bridge = Bridge()
    bridge.run(answer(1))
    loop = bridge._loop
    del bridge
    gc.collect()
    assert loop.is_closed()


def test_a_coroutine_that_waits_for_its_own_bridge_is_told_so_instead_of_hanging():
    bridge = Bridge()

    async def nested():
        return bridge.run(answer(1))

    with pytest.raises(RuntimeError, match="await what it calls"):
        bridge.run(nested())
    assert bridge.run(answer(2)) == 2
    bridge.close()


def test_a_bridge_whose_thread_is_gone_starts_another():
    """So it is in a forked process."""
    bridge = Bridge()
    bridge.run(answer(1))
    loop, thread = bridge._loop, bridge._thread
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert bridge.run(answer(2)) == 2
    bridge.close()


def test_closing_lets_what_was_begun_see_to_its_end_whatever_the_rest_fails_with():
    bridge, told, ready = Bridge(), [], Barrier(4)

    async def begun():
        await asyncio.to_thread(ready.wait, 60)
        await asyncio.sleep(60)

    async def stubborn():
        try:
            await begun()
        finally:
            await asyncio.sleep(0)
            told.append("ended")

    async def failing():
        try:
            await begun()
        finally:
            raise ConfigError("no")

    callers = [Thread(target=_silently, args=(bridge, one)) for one in (failing, failing, stubborn)]
    for caller in callers:
        caller.start()
    ready.wait(60)
    loop = bridge._loop
    bridge.close()
    for caller in callers:
        caller.join(60)
    assert (told, loop.is_closed()) == (["ended"], True)
    assert not any(caller.is_alive() for caller in callers)


def test_what_runs_is_cancelled_by_a_close_at_the_moment_when_it_begins():
    bridge = Bridge()

    class Meddled:
        """A lock after whose first release another thread closes the bridge."""

        def __enter__(self):
            pass

        def __exit__(self, *_):
            bridge._lock = Lock()
            closer = Thread(target=bridge.close)
            closer.start()
            closer.join(60)

    bridge._lock = Meddled()
    with pytest.raises(asyncio.CancelledError):
        bridge.run(asyncio.sleep(60))


def test_ctrl_c_at_the_moment_when_a_coroutine_begins_ends_it():
    """And is not lost, after which the coroutine would go on with nobody waiting for it."""
    bridge, work = Bridge(), asyncio.sleep(60)

    class Interrupted:
        """A lock at whose first release Ctrl-C is heard."""

        def __enter__(self):
            pass

        def __exit__(self, *_):
            bridge._lock = Lock()
            raise KeyboardInterrupt

    bridge._lock = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        bridge.run(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED
    bridge.close()


def test_ctrl_c_before_there_is_a_thread_leaves_nothing_behind():
    bridge, work = Bridge(), answer(1)

    class Interrupted:
        """A lock that Ctrl-C doesn't let anybody have."""

        def __enter__(self):
            raise KeyboardInterrupt

        def __exit__(self, *_):
            pass

    bridge._lock = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        bridge.run(work)
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


def test_a_bridge_that_ends_in_its_own_thread_does_not_wait_for_itself(caplog):
    """So it is where the garbage that holds it happens to be collected there."""
    bridge = Bridge()
    bridge.run(answer(1))
    loop, thread = bridge._loop, bridge._thread
    loop.call_soon_threadsafe(bridge._end)
    thread.join(60)
    assert (loop.is_closed(), caplog.messages) == (True, [])


def _silently(bridge, coroutine):
    with suppress(BaseException):
        bridge.run(coroutine())


@pytest.mark.parametrize("exchange", VENUES)
def test_what_nobody_waits_for_fails_in_silence(exchange):
    """A connection breaks, or a login fails, while two things are awaited on it, one of them by nobody."""
    said: list[str] = []

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda _, told: said.append(told["message"]))
        client = connect(settings(exchange, **KEYS))
        connection = client.client("wss://nowhere.example")
        awaited, _ = connection.future("awaited"), connection.future("forgotten")
        connection.reject(ConnectionError("it broke"))
        with pytest.raises(ConnectionError):
            await awaited
        await client.close()
        del client, connection, awaited, _
        gc.collect()
        await asyncio.sleep(0)

    asyncio.run(work())
    gc.collect()
    assert said == []


@pytest.mark.parametrize("exchange", VENUES)
def test_a_ping_is_answered_and_one_that_comes_as_the_connection_closes_is_not_told_of(exchange):
    said: list[str] = []
    answered: list[bytes] = []

    class Closing:
        async def pong(self, data):
            answered.append(data)
            raise ConnectionResetError("cannot write to a closing transport")

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda _, told: said.append(told["message"]))
        client = connect(settings(exchange, **KEYS))
        connection = client.client("wss://nowhere.example")
        connection.connection = Closing()
        connection.handle_message(WSMessage(WSMsgType.PING, b"1", None))
        await asyncio.sleep(0)
        connection.connection = None
        waits = connection.future("waits")
        connection.handle_message(WSMessage(WSMsgType.PING, b"2", None))
        with pytest.raises(NetworkError, match="can't be read"):
            await waits
        await client.close()

    asyncio.run(work())
    gc.collect()
    assert (answered, said) == ([b"1"], [])
