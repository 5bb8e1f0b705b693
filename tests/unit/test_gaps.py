"""The trades of one symbol over gaps: each once, in order, and what stands for those that can't be had."""

from metaexpert.events import PublicTrade
from metaexpert.gaps import Tape
from metaexpert.models import Bar

MINUTE = 60_000


def trade(time: int, price: float = 100.0, qty: float = 1.0, number: str | None = None) -> PublicTrade:
    return PublicTrade(time, "A", str(time) if number is None else number, price, qty, 1)


def noted(tape: Tape, trades: list[PublicTrade]) -> list[int]:
    """Tell trades as a lane does; returns the times of the new ones."""
    told = []
    for one in trades:
        if not tape.is_known(one):
            tape.note(one)
            told.append(one.time)
    return told


def broken(*times: int) -> Tape:
    """A tape that has told trades and then lost its stream."""
    tape = Tape(0, MINUTE)
    noted(tape, list(tape.hear([trade(time) for time in times])))
    tape.broke()
    return tape


def test_what_came_live_waits_for_what_is_missing():
    """Told 1 and 2, then a break; 5 and 6 come live; REST knows 2 to 6: 3 and 4 are told, then 5 and 6."""
    tape = broken(1, 2)
    assert list(tape.hear([trade(5), trade(6)])) == []
    assert (tape.waits, tape.start) == (True, 2)
    told = tape.learn([trade(time) for time in (2, 3, 4, 5, 6)], 10, is_final=False)
    assert [(one.time, one.is_backfilled) for one in told] == [(3, True), (4, True), (5, False), (6, False)]
    assert noted(tape, told) == [3, 4, 5, 6]
    assert (tape.is_joined, tape.missed) == (True, 0)


def test_an_answer_that_lags_is_asked_again():
    """It ends at 3, before the 5 that came live: 3 is told, 5 waits on; the next answer has all."""
    tape = broken(1, 2)
    tape.hear([trade(5)])
    assert noted(tape, tape.learn([trade(2), trade(3)], 10, is_final=False)) == [3]
    assert not tape.is_joined
    assert noted(tape, tape.learn([trade(3), trade(4), trade(5)], 12, is_final=False)) == [4, 5]
    assert (tape.is_joined, tape.missed) == (True, 0)


def test_an_answer_without_the_last_trade_is_not_up_to_date():
    """REST says nothing at all of a tape that has told something: asked again, and given up at last."""
    tape = broken(1, 2)
    assert tape.learn([], 10, is_final=False) == []
    assert (tape.known_to, tape.missed) == (2, 0)
    tape.learn([], 20, is_final=True)
    assert (tape.known_to, tape.missed) == (20, 1)


def test_trades_without_ids_go_by_their_time():
    """After the last moment that was told; of the moment of the first that waits, the live ones count."""
    tape = Tape(0, MINUTE)
    noted(tape, list(tape.hear([trade(1, number=""), trade(2, number="")])))
    tape.broke()
    tape.hear([trade(5, number="")])
    answer = [trade(time, number="") for time in (2, 3, 4, 5)]
    assert noted(tape, tape.learn(answer, 10, is_final=False)) == [3, 4, 5]


def test_a_stretch_of_an_inverse_contract_counts_volume_in_base():
    """Bar of 10 in base; 200 USD at 100 are 2 of it: 8 are left for what is missing."""
    tape = Tape(0, MINUTE, is_inverse=True)
    noted(tape, [trade(1_000, 100.0, 200.0)])
    tape.broke()
    tape.learn([], 50_000, is_final=True)
    stretch = tape.stretch(Bar(0, "A", "1m", 100.0, 105.0, 95.0, 101.0, 10.0))
    assert stretch == (1_000, "A", "1m", 100.0, 105.0, 95.0, 101.0, 8.0)


def test_a_bar_that_lies_wholly_in_a_gap_is_walked_whole():
    """Its open is where it begins, not where the gap does."""
    tape = broken(1_000)
    tape.learn([], 4 * MINUTE, is_final=True)
    bar = Bar(2 * MINUTE, "A", "1m", 100.0, 105.0, 95.0, 101.0, 10.0)
    assert tape.stretch(bar) == bar
    assert tape.stretch(bar._replace(time=5 * MINUTE)) is None


def test_what_it_remembers_is_bounded():
    """A day of trades, ten a second and no bar of them for an hour: ids and spans are let go."""
    tape = Tape(0, MINUTE)
    for number in range(50_000):
        tape.note(trade(number * 100))
        if number % 600 == 599:
            tape.stretch(Bar(number * 100 // MINUTE * MINUTE, "A", "1m", 100.0, 100.0, 100.0, 100.0, 1.0))
    assert len(tape._ids) == len(tape._order) == 20_000
    assert len(tape._spans) <= 1
    assert tape._holes == []
