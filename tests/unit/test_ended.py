"""What becomes of contracts that ended while nobody ran."""

from __future__ import annotations

import json

import pytest
from desk import LINEAR, OTHER
from floor import FILLED, START, Floor
from test_live_options import option

from metaexpert.broker.ended import settled
from metaexpert.errors import ConfigError
from metaexpert.events import MarkPrice
from metaexpert.reports import Send


def left_by(floor: Floor, *symbols: str) -> tuple[dict[str, object], list[str]]:
    """What is left of a state once these contracts have ended."""
    markets = {symbol: floor.ledger.holdings[symbol].market for symbol in symbols}
    return settled(json.loads(json.dumps(floor.broker.state())), markets)


def test_a_future_that_ended_is_left_at_its_last_mark_price_and_all_that_belonged_to_it_goes() -> None:
    """1.5 bought at 100, and a mark price of 104: 6 more. The other position stays as it is."""
    floor = Floor(LINEAR, OTHER, protection={"stop_loss_pct": 5.0})
    for symbol in (LINEAR, OTHER):
        name = floor.send(1.5, symbol=symbol)
        floor.fill(name)
        floor.report(name, FILLED)
        for stop in [
            one.order for one in floor.new() if isinstance(one, Send) and one.order.stop_price is not None
        ]:
            floor.report(stop.id)
    floor.send(1.0, price=90.0, after=10_000)
    list(floor.broker.on_mark(MarkPrice(START, LINEAR, 104.0, None)))
    before = floor.ledger.balance
    state, notes = left_by(floor, LINEAR)
    (note,) = notes
    assert f"{LINEAR} has ended, and its position of 1.5 was settled while nobody ran" in note
    assert "left at 104, by the prices that were known last, for +6" in note
    with pytest.raises(ConfigError, match=r"a position of 1.5 in BTC/USDT:USDT is open"):
        Floor(OTHER, state=floor.broker.state())
    later = Floor(OTHER, state=state, protection={"stop_loss_pct": 5.0}, run="run00002")
    assert later.ledger.balance == before + 6.0
    assert (later.qty, later.broker.position(OTHER).stop_loss, later.broker.working()) == (1.5, 95.0, [])
    assert [one.level for one in later.broker.shield.report()] == [95.0]


def test_an_option_that_ended_is_worth_what_its_underlying_makes_of_it() -> None:
    """Half a call of 60,000 sold at 100, the underlying at 60,130: 15 less."""
    floor = option()
    symbol = floor.symbols[0]
    list(floor.broker.on_mark(MarkPrice(START, symbol, 100.0, 60_130.0)))
    name = floor.send(-0.5)
    floor.fill(name)
    floor.report(name, FILLED)
    state, (note,) = left_by(floor, symbol)
    assert "left at 130" in note
    assert state["ledger"]["balance"] == floor.ledger.balance - 15.0  # type: ignore[index]
    assert state["ledger"]["holdings"] == []  # type: ignore[index]


def test_a_state_without_such_contracts_stays_as_it_is() -> None:
    floor = Floor()
    floor.held(1.0)
    state = json.loads(json.dumps(floor.broker.state()))
    assert settled(state, {}) == (state, [])
