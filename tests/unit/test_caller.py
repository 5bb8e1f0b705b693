"""Requests to an exchange: what is tried again, what never is, and what a person is told."""

import asyncio
import traceback
from weakref import WeakValueDictionary

import pytest
from ccxt.base import errors as theirs  # noqa: TID251

from metaexpert import errors
from metaexpert.config import ExchangeSettings
from metaexpert.exchanges import budget
from metaexpert.exchanges.budget import budget_of
from metaexpert.exchanges.caller import Caller
from metaexpert.exchanges.faults import Answer

KEYS = {"api_key": "thekey", "api_secret": "thesecret"}


class Fake:
    """A client that answers as the test says: an exception is raised, anything else returned."""

    def __init__(self, *answers):
        self.answers, self.calls, self.closed = list(answers), [], False

    async def answer(self, *args):
        self.calls.append(args)
        found = self.answers.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found

    fetch_ticker = create_order = set_leverage = fetch_balance = answer

    async def load_time_difference(self):
        self.calls.append("clock")

    async def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("METAEXPERT_OFFLINE")
    monkeypatch.setattr(budget, "_BUDGETS", WeakValueDictionary())  # what one test was told to wait is no other's


def caller(*answers, **keys):
    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    fake = Fake(*answers)
    made = Caller(ExchangeSettings(exchange="binance", **keys), client=lambda _: fake, sleep=sleep)
    return made, fake, waits


def failing(name, status=None, body="", **headers):
    error = getattr(theirs, name)("binance GET https://api.binance.com/x?signature=abcdef&apiKey=thekey")
    if status is not None:
        error.answer = Answer(status, headers, body)
    return error


def test_orders_are_urgent_and_nothing_else_is():
    told = []

    class Asked(Fake):
        async def answer(self, *args):
            told.append(budget.URGENT.get())
            return {}

        fetch_ticker = create_order = set_leverage = watch_trades = answer

    made = Caller(ExchangeSettings(exchange="binance", **KEYS), client=lambda _: Asked())

    async def run():
        await made.read("x", "fetch_ticker")
        await made.order("x", "create_order")
        await made.set("x", "set_leverage")
        await made.watch("x", "watch_trades")
        return budget.URGENT.get()

    assert asyncio.run(run()) is False
    assert told == [False, True, False, False]


def test_a_read_that_fails_in_passing_is_tried_again_with_growing_pauses():
    made, fake, waits = caller(*[failing("RequestTimeout")] * 4, {"last": 1})
    assert asyncio.run(made.read("fetch the ticker", "fetch_ticker", "BTC/USDT")) == {"last": 1}
    assert fake.calls == [("BTC/USDT",)] * 5
    assert len(waits) == 4
    assert all(0.0 <= wait <= 0.5 * 2**n for n, wait in enumerate(waits))


def test_a_read_gives_up_after_five_tries_with_one_line_and_no_secret():
    made, fake, _ = caller(*[failing("RequestTimeout")] * 9, **KEYS)
    with pytest.raises(errors.NetworkError) as caught:
        asyncio.run(made.read("fetch the ticker", "fetch_ticker"))
    assert len(fake.calls) == 5
    told = "".join(traceback.format_exception(caught.value))
    assert "thekey" not in told
    assert "signature" not in told
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["BadRequest", "AuthenticationError", "BadSymbol", "NotSupported"])
def test_what_will_fail_again_is_not_tried_again(name):
    made, fake, waits = caller(failing(name))
    with pytest.raises(errors.ExchangeError):
        asyncio.run(made.read("x", "fetch_ticker"))
    assert (len(fake.calls), waits) == (1, [])


def test_retry_after_is_honoured_by_every_client_of_the_account():
    made, _, waits = caller(failing("RateLimitExceeded", 429, "{}", **{"Retry-After": "7"}), {"ok": 1})
    shared = budget_of("binance", "real", "")

    async def run():
        answer = await made.read("x", "fetch_ticker")
        return answer, shared.reserve(asyncio.get_running_loop().time(), 0.0)

    answer, held = asyncio.run(run())
    assert answer == {"ok": 1}
    assert waits == [7.0]
    assert 6.0 < held <= 7.0


def test_a_ban_of_an_hour_is_told_at_once():
    made, _, waits = caller(failing("DDoSProtection", 418, "{}", **{"Retry-After": "3600"}))
    with pytest.raises(errors.UnavailableError, match="try again later") as caught:
        asyncio.run(made.read("x", "fetch_ticker"))
    assert waits == []
    assert caught.value.retry_after == 3600.0


@pytest.mark.parametrize(
    "name", ["RequestTimeout", "ExchangeNotAvailable", "RateLimitExceeded", "InvalidNonce", "ExchangeError"]
)
def test_an_order_is_sent_once_whatever_happens(name):
    made, fake, waits = caller(failing(name), **KEYS)
    with pytest.raises(errors.ExchangeError):
        asyncio.run(made.order("send order 1", "create_order", "BTC/USDT"))
    assert [call for call in fake.calls if call != "clock"] == [("BTC/USDT",)]
    assert waits == []


@pytest.mark.parametrize(
    "odd", [KeyError("id"), TypeError("'NoneType' object is not subscriptable"), ValueError("x")]
)
def test_an_answer_that_ccxt_stumbles_over_leaves_an_order_open(odd):
    made, _, _ = caller(odd, **KEYS)
    with pytest.raises(errors.NetworkError, match="look it up"):
        asyncio.run(made.order("send order 1", "create_order"))


def test_the_clock_is_measured_before_the_first_private_request_and_after_a_complaint():
    made, fake, _ = caller({}, {}, failing("InvalidNonce"), {}, **KEYS)

    async def run():
        for _ in range(3):
            await made.read("fetch the balance", "fetch_balance", private=True)

    asyncio.run(run())
    assert fake.calls == ["clock", (), (), (), "clock", ()]


def test_a_clock_that_differs_does_not_send_an_order_again():
    made, fake, _ = caller(failing("InvalidNonce"), {"id": 1}, **KEYS)

    async def run():
        with pytest.raises(errors.ClockError):
            await made.order("send order 1", "create_order")
        return await made.order("send order 2", "create_order")

    assert asyncio.run(run()) == {"id": 1}
    assert fake.calls == ["clock", (), "clock", ()]


def test_a_setting_that_is_so_already_is_fine():
    made, _, _ = caller(failing("NoChange"), **KEYS)
    asyncio.run(made.set("set the leverage", "set_leverage", 3))


def test_missing_keys_are_named_before_anything_is_sent():
    made, fake, _ = caller()
    with pytest.raises(errors.AuthenticationError, match="BINANCE_API_KEY and BINANCE_API_SECRET"):
        asyncio.run(made.read("fetch the balance", "fetch_balance", private=True))
    assert fake.calls == []


def test_offline_means_that_nothing_is_dialled(monkeypatch):
    monkeypatch.setenv("METAEXPERT_OFFLINE", "1")
    made, fake, waits = caller({})
    with pytest.raises(errors.UnavailableError, match="METAEXPERT_OFFLINE is set"):
        asyncio.run(made.read("fetch the ticker", "fetch_ticker"))
    assert (fake.calls, waits) == ([], [])


def test_closing_closes_the_client_and_another_is_made_when_needed():
    made, fake, _ = caller({}, {})

    async def run():
        await made.read("x", "fetch_ticker")
        await made.close()
        await made.close()
        await made.read("x", "fetch_ticker")

    asyncio.run(run())
    assert fake.closed
    assert len(fake.calls) == 2


def test_an_order_that_would_wait_for_a_ban_to_end_is_refused_and_not_sent_late():
    made, fake, _ = caller({"id": 1}, {"free": 1}, **KEYS)
    shared = budget_of("binance", "real", "thekey")

    async def run():
        now = asyncio.get_running_loop().time()
        shared.close_until(now + 30.0)
        with pytest.raises(
            errors.UnavailableError, match=r"could not send order 1: .* in \d+ s; nothing"
        ) as caught:
            await made.order("send order 1", "create_order")
        assert 29.0 < caught.value.retry_after <= 30.0
        await made.read("fetch the balance", "fetch_balance", private=True)  # which may wait
        shared.close_until(now + 3600.0)
        with pytest.raises(errors.UnavailableError, match="nothing was done"):
            await made.read("fetch the balance", "fetch_balance", private=True)

    asyncio.run(run())
    assert fake.calls == ["clock", ()]
