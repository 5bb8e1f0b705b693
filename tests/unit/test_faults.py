"""What went wrong at an exchange, in our words."""

import json
from types import SimpleNamespace

import aiohttp
import ccxt.pro  # noqa: TID251
import pytest
from ccxt.base import errors as theirs  # noqa: TID251

from metaexpert import errors
from metaexpert.exchanges import faults, refusals
from metaexpert.exchanges.faults import Aim, Answer, Fault, fault_of, translate
from metaexpert.exchanges.venues import VENUES

BINANCE = VENUES["binance"]


def failing(name="ExchangeError", text="", status=200, headers=None, body=None):
    """A CCXT error as our client raises it: with the answer beside it."""
    error = getattr(theirs, name)(text or body or "")
    if body is not None or status != 200:
        error.answer = Answer(status, headers or {}, body or "")
    return error


def tree(node):
    for name, inner in node.items():
        yield name
        yield from tree(inner)


def test_every_class_of_ccxt_has_its_meaning_and_no_other_has():
    assert set(faults._CLASSES) == set(tree(theirs.error_hierarchy))


@pytest.mark.parametrize("aim", Aim)
@pytest.mark.parametrize("name", sorted(tree(theirs.error_hierarchy)))
@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_every_error_becomes_one_line_of_ours(venue, name, aim):
    error = translate(failing(name, "x\ny https://host/path?signature=abc&k=1"), venue, aim, "do it")
    assert isinstance(error, errors.MetaExpertError)
    assert "\n" not in str(error)
    assert "signature" not in str(error)
    assert str(error).startswith(f"{venue.name}: could not do it: ")


@pytest.mark.parametrize("name", sorted(tree(theirs.error_hierarchy)))
def test_an_order_is_never_called_undone_where_that_is_not_certain(name):
    unsure = {"BaseError", "ExchangeError", "OperationFailed", "NetworkError", "RequestTimeout", "BadResponse",
              "NullResponse", "ExchangeNotAvailable", "CancelPending", "DuplicateOrderId"}  # fmt: skip
    made = translate(failing(name), BINANCE, Aim.ORDER, "send the order")
    if name in unsure:
        assert type(made) is errors.NetworkError
        assert "look" in str(made)


CODES = [
    ("binance", '{"code":-2010,"msg":"Account has insufficient balance for requested action."}', Fault.FUNDS),
    ("binance", '{"code":-2010,"msg":"Duplicate order sent."}', Fault.TWICE),
    ("binance", '{"code":-2010,"msg":"Order would immediately match and take."}', Fault.REJECTED),
    ("binance", '{"code":-4116,"msg":"ClientOrderId is duplicated."}', Fault.TWICE),
    ("binance", '{"code":-1007,"msg":"Timeout waiting for response from backend server."}', Fault.UNSURE),
    ("binance", '{"code":-1008,"msg":"Server is currently overloaded"}', Fault.DOWN),
    ("binance", '{"code":-1003,"msg":"Too many requests"}', Fault.LIMITED),
    ("binance", '{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}', Fault.CLOCK),
    ("binance", '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}', Fault.KEYS),
    ("binance", '{"code":-1013,"msg":"Filter failure: NOTIONAL"}', Fault.REJECTED),
    ("binance", '{"code":-2013,"msg":"Order does not exist."}', Fault.NOT_FOUND),
    ("bybit", '{"retCode":10000,"retMsg":"Server Timeout"}', Fault.UNSURE),
    ("bybit", '{"retCode":10016,"retMsg":"Server error."}', Fault.UNSURE),
    ("bybit", '{"retCode":10429,"retMsg":"System level frequency protection"}', Fault.LIMITED),
    ("bybit", '{"retCode":110072,"retMsg":"OrderLinkedID is duplicate"}', Fault.TWICE),
    ("bybit", '{"retCode":10024,"retMsg":"Compliance rules triggered"}', Fault.BARRED),
    ("bybit", '{"retCode":110043,"retMsg":"Set leverage has not been modified."}', Fault.CHANGED),
    ("okx", '{"code":"50061","msg":"Sub-account rate limit exceeded."}', Fault.LIMITED),
    ("okx", '{"code":"50004","msg":"Endpoint request timeout."}', Fault.UNSURE),
    ("okx", '{"code":"1","data":[{"sCode":"51008","sMsg":"Insufficient balance"}],"msg":""}', Fault.FUNDS),
    ("okx", '{"code":"1","data":[{"sCode":"51016","sMsg":"Client order ID exists."}],"msg":""}', Fault.TWICE),
    ("bitget", '{"code":"40010","msg":"Request timed out"}', Fault.UNSURE),
    ("bitget", '{"code":"40786","msg":"Duplicate clientOid"}', Fault.TWICE),
    ("bitget", '{"code":"40762","msg":"The order amount exceeds the balance"}', Fault.FUNDS),
    ("kucoin", '{"code":"100001","msg":"order_not_exist_or_not_allow_to_be_cancelled"}', Fault.NOT_FOUND),
    ("kucoin", '{"code":"100001","msg":"Quantity parameter error"}', Fault.REFUSED),
    ("kucoin", '{"code":"126044","msg":"The clientOid is repeated"}', Fault.TWICE),
    ("kucoin", '{"code":"500000","msg":"Internal Server Error"}', Fault.UNSURE),
]


@pytest.mark.parametrize(("exchange", "body", "fault"), CODES)
def test_the_exchanges_own_codes_come_before_ccxts_class(exchange, body, fault):
    assert fault_of(failing("ExchangeError", body=body), exchange) is fault
    assert fault_of(failing("AuthenticationError", body=body), exchange) is fault


@pytest.mark.parametrize(("exchange", "body", "fault"), CODES)
def test_a_code_is_found_in_the_text_where_no_answer_was_kept(exchange, body, fault):
    assert fault_of(failing("ExchangeError", f"{exchange} {body}"), exchange) is fault


REASONS = [
    ("binance", '{"code":-2010,"msg":"Order would immediately match and take."}', "post_only_would_cross"),
    ("binance", '{"code":-2021,"msg":"Order would immediately trigger."}', "stop_reached"),
    ("binance", '{"code":-1013,"msg":"Filter failure: NOTIONAL"}', "below_min_notional"),
    ("binance", '{"code":-1013,"msg":"Filter failure: PERCENT_PRICE_BY_SIDE"}', "price_out_of_band"),
    ("binance", '{"code":-4061,"msg":"Order\'s position side does not match."}', "wrong_position_side"),
    ("bybit", '{"retCode":110093,"retMsg":"expect Falling, but trigger_price"}', "stop_reached"),
    ("bybit", '{"retCode":10001,"retMsg":"position idx not match position mode"}', "wrong_position_side"),
    ("okx", '{"code":"1","data":[{"sCode":"51121","sMsg":"multiple of the lot size"}]}', "invalid_qty"),
    ("okx", '{"code":"1","data":[{"sCode":"51169","sMsg":"no positions to reduce"}]}', "reduce_only"),
    ("bitget", '{"code":"22002","msg":"No position to close"}', "reduce_only"),
    ("bitget", '{"code":"40917","msg":"Stop price for long positions please < mark price"}', "stop_reached"),
    ("kucoin", '{"code":"600100","msg":"Order size increment invalid."}', "invalid_qty"),
    ("kucoin", '{"code":"400100","msg":"Order size below the minimum requirement."}', "below_min_qty"),
    ("kucoin", '{"code":"400100","msg":"Unsupported trading pair."}', "rejected"),
]


@pytest.mark.parametrize(("exchange", "body", "reason"), REASONS)
def test_a_refused_order_has_the_reason_as_a_word(exchange, body, reason):
    """Codes that CCXT files under errors of another kind are refusals all the same."""
    name = "BadRequest" if reason == "rejected" else "ExchangeError"
    made = translate(failing(name, body=body), VENUES[exchange], Aim.ORDER, "send order 7")
    assert (type(made), made.reason) == (errors.OrderRejected, reason)


@pytest.mark.parametrize(
    ("exchange", "code"), [("binance", -2019), ("okx", 51008), ("bitget", 40762), ("kucoin", 300003)]
)
def test_what_the_account_cannot_carry_is_insufficient_margin(exchange, code):
    made = translate(failing(body=f'{{"code":"{code}","msg":"x"}}'), VENUES[exchange], Aim.ORDER, "send it")
    assert (type(made), made.reason) == (errors.InsufficientFunds, "insufficient_margin")


def test_no_code_is_a_refusal_here_and_something_else_there():
    for exchange, reasons in refusals._CODES.items():
        assert not reasons.keys() & faults._CODES[exchange].keys(), exchange


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("-1", 0.0), ("259200", 259_200.0), ("259201", 300.0), ("inf", 300.0)]
)
def test_nobody_waits_longer_than_the_longest_ban(text, seconds):
    """Binance bans for three days at most, 259,200 s; what is beyond is no ban that anybody has heard of."""
    assert Answer(418, {"Retry-After": text}, "").retry_after == seconds


@pytest.mark.parametrize(
    ("status", "name", "expected"),
    [
        (429, "RateLimitExceeded", errors.UnavailableError),
        (418, "DDoSProtection", errors.UnavailableError),
        (451, "ExchangeNotAvailable", errors.AccessDenied),
        (403, "ExchangeNotAvailable", errors.AccessDenied),
        (502, "ExchangeNotAvailable", errors.NetworkError),
        (200, "BadResponse", errors.NetworkError),
    ],
)
@pytest.mark.parametrize("aim", Aim)
def test_http_statuses(status, name, expected, aim):
    answer = failing(name, status=status, headers={"Retry-After": "7"}, body="<html>sorry</html>")
    made = translate(answer, BINANCE, aim, "x")
    assert type(made) is expected
    assert "web page" in str(made)
    if isinstance(made, errors.UnavailableError):
        assert made.retry_after == 7.0


def test_a_block_by_place_is_told_by_its_status_also_where_the_answer_is_json():
    body = '{"code":0,"msg":"Service unavailable from a restricted location"}'
    made = translate(failing("ExchangeNotAvailable", status=451, body=body), BINANCE, Aim.ORDER, "x")
    assert type(made) is errors.AccessDenied


def test_an_empty_success_leaves_the_outcome_open():
    made = translate(failing("BadResponse", body=" "), BINANCE, Aim.ORDER, "send order 7")
    assert type(made) is errors.NetworkError
    assert str(made) == (
        "Binance: could not send order 7: no certain answer: an empty answer, HTTP 200; "
        "whether it was done is not known: look it up"
    )


def test_the_exchanges_sentence_is_shown_with_its_code():
    body = json.dumps({"code": -2019, "msg": "Margin is insufficient."})
    made = translate(failing("ExchangeError", body=body), BINANCE, Aim.ORDER, "send order 7")
    assert type(made) is errors.InsufficientFunds
    assert "Margin is insufficient. (code -2019)" in str(made)


def test_no_secret_is_shown_whoever_says_it():
    body = json.dumps({"code": -2014, "msg": "API-key s3cr3tkey is malformed"})
    made = translate(failing(body=body), BINANCE, Aim.READ, "fetch s3cr3tkey", secrets=("s3cr3tkey", ""))
    assert "s3cr3tkey" not in str(made)
    assert "***" in str(made)


def test_no_half_of_a_secret_is_left_where_a_long_sentence_is_cut():
    for length in range(170, 201):
        body = json.dumps({"code": -2014, "msg": "x" * length + "s3cr3tkey was sent"})
        made = translate(failing(body=body), BINANCE, Aim.READ, "fetch it", secrets=("s3", "s3cr3tkey"))
        assert "s3" not in str(made)
        assert "cr3t" not in str(made)


@pytest.mark.parametrize("text", ["Wed, 21 Oct 2026 07:28:00 GMT", "", "soon", "nan"])
def test_a_retry_after_that_is_no_number_says_nothing(text):
    assert Answer(429, {"retry-after": text}, "").retry_after is None


@pytest.mark.parametrize(
    "body", ['{"code":', "[]", "null", "{}", '{"code":null}', '"text"', "{" * 50, '{"data":[1]}']
)
def test_strange_answers_are_survived(body):
    assert translate(failing(body=body), BINANCE, Aim.READ, "x")


def test_the_codes_of_every_exchange_are_known():
    assert set(faults._CODES) == set(VENUES)
    assert ccxt.pro.exchanges


def test_an_answer_that_broke_off_is_no_refusal():
    error = theirs.ExchangeError("binance GET https://api.binance.com/api/v3/klines?x=1")
    error.__cause__ = aiohttp.ClientPayloadError("Response payload is not completed")
    assert fault_of(error, "binance") is Fault.UNSURE
    assert isinstance(translate(error, BINANCE, Aim.READ, "fetch candles"), errors.NetworkError)


def test_an_exchange_that_is_not_reached_is_told_from_one_that_gives_no_certain_answer():
    error = theirs.ExchangeNotAvailable("binance GET https://api.binance.com/api/v3/exchangeInfo")
    error.__cause__ = aiohttp.ClientConnectorDNSError(SimpleNamespace(ssl=None), OSError("no address"))
    assert str(translate(error, BINANCE, Aim.READ, "load the markets")) == (
        "Binance: could not load the markets: it can't be reached from here, is there a network or a proxy? "
        "(ClientConnectorDNSError); try again"
    )
    assert "no certain answer" in str(translate(error, BINANCE, Aim.ORDER, "send order 7"))
