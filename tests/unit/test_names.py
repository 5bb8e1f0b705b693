"""Client order ids."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.broker.names import Names

RUN = "mh1x2y3z"


def test_an_id_is_the_same_whenever_it_is_computed():
    assert Names("bot", 7, RUN).name(12) == Names("bot", 7, RUN).name(12)


@given(st.integers(1, 36**6 - 1), st.text(min_size=1, max_size=20), st.integers(0, 10**9))
def test_an_id_is_what_every_exchange_takes(number: int, name: str, strategy_id: int):
    assert re.fullmatch(r"[A-Za-z0-9]{1,32}", Names(name, strategy_id, RUN).name(number))


def test_ids_differ_by_expert_run_and_number():
    ids = {
        Names(name, number, run).name(sent)
        for name in ("bot", "other")
        for number in (0, 1)
        for run in (RUN, "mh1x2y40")
        for sent in (1, 2, 36, 37)
    }
    assert len(ids) == 32


def test_an_expert_knows_its_own_orders_of_all_its_runs_and_no_others():
    names = Names("bot", 7, RUN)
    assert names.is_mine(Names("bot", 7, "aaaaaaaa").name(3))
    assert not names.is_mine(Names("bot", 8, RUN).name(3))
    assert not names.is_mine(Names("other", 7, RUN).name(3))
    assert not names.is_mine("web_1234")
    assert not names.is_mine("")


@pytest.mark.parametrize("run", ["", "short", "UPPERCAS", "mh1x2y3z9", "mh1x2y3-"])
def test_a_run_has_an_id(run: str):
    with pytest.raises(ValueError, match="8 letters or digits"):
        Names("bot", 7, run)
