"""The curves of a run: made of notes, in parts, they equal those that are marked at every step."""

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metaexpert import marks
from metaexpert.broker.ledger import Ledger
from metaexpert.models import ContractType, ExitReason, MarginMode, Market, MarketType, Side

SYMBOL = "BTC/USDT:USDT"
MARKET = Market(
    symbol=SYMBOL, exchange="x", type=MarketType.FUTURES, contract_type=ContractType.LINEAR, base="BTC",
    quote="USDT", settle="USDT",
)  # fmt: skip


class Closes:
    """A feed that knows nothing but closes."""

    def __init__(self, closes):
        self._closes = np.array(closes)

    def closes(self, symbol, steps):
        """The closes of the one symbol."""
        assert symbol == SYMBOL
        return self._closes[:steps]


@given(
    walk=st.lists(st.tuples(st.sampled_from([None, Side.BUY, Side.SELL]), st.floats(50.0, 150.0)), min_size=1),
    at_once=st.integers(1, 9),
    again=st.booleans(),
)
def test_curves_made_in_parts_of_any_size_equal_those_that_are_marked_at_every_step(walk, at_once, again):
    """At some steps one coin is bought or sold at the close, at the others nothing happens."""
    ledger = Ledger(1_000.0, {SYMBOL: MARKET}, 2.0, MarginMode.ISOLATED)
    every, notes = marks.Tally(ledger), marks.Notes(ledger)
    (held,) = ledger.legs()
    for step, (side, close) in enumerate(walk):
        if side is not None:
            ledger.apply(
                held, side, 1.0, close, fee=0.5, slippage=0.0, time=step, reason=ExitReason.ORDER, tag=None
            )
            notes.mark(step)
        held.mark = close
        every.mark(step)
    if again:  # as at the end of a run that closes what is open
        notes.mark(len(walk) - 1)
    feed = Closes([close for _, close in walk])
    with patch.object(marks, "_AT_ONCE", at_once):
        made = notes.curves(feed, len(walk))
    for mine, theirs in zip(made, every.curves(feed, len(walk)), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_the_curves_of_no_step_are_empty():
    """A run that ended before its first bar."""
    notes = marks.Notes(Ledger(1_000.0, {SYMBOL: MARKET}, 2.0, MarginMode.ISOLATED))
    assert [curve.size for curve in notes.curves(Closes([]), 0)] == [0, 0, 0]
