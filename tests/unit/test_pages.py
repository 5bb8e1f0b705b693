"""The steps in which a span of time is walked through."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metaexpert.exchanges.pages import _windows


def test_a_span_of_17_days_in_weeks():
    """Two weeks that touch, and what is left, without an end: what happens meanwhile belongs to it."""
    assert list(_windows(3, 20, 7)) == [(3, 10), (10, 17), (17, None)]


@given(since=st.integers(0, 10_000), span=st.integers(-100, 5_000), width=st.integers(1, 500))
def test_no_moment_is_between_two_windows_and_none_is_too_wide(since, span, width):
    found = list(_windows(since, since + span, width))
    assert found[0][0] == since
    assert all(end == begin for (_, end), (begin, _) in pairwise(found))
    assert all(end - begin == width for begin, end in found[:-1])
    begin, end = found[-1]
    assert end is None
    assert since + span - begin <= width
