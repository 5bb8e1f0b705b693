"""Locks that a process holds while it runs, and who looks at them."""

import os

import pytest

from metaexpert import files
from metaexpert.errors import ConfigError
from metaexpert.files import claimed, holder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "expert.lock"


def looking(path):
    """Somebody who is at this moment looking who holds a lock."""
    file = path.open("rb+", buffering=0)
    assert files._is_taken(file, shared=True)
    return file


def test_a_lock_is_held_by_one_until_he_lets_go(path):
    assert holder(path) is None
    with claimed(path, "it runs"):
        assert holder(path).startswith(f"process {os.getpid()} on ")
        with pytest.raises(ConfigError, match=rf"it runs \(process {os.getpid()} on .+\): stop that one first"):
            claimed(path, "it runs")
    assert holder(path) is None
    claimed(path, "it runs").close()


@pytest.mark.skipif(os.name == "nt", reason="there are no shared locks of a byte")
def test_who_looks_who_holds_a_lock_keeps_nobody_from_taking_it(path, monkeypatch):
    claimed(path, "it runs").close()
    other = looking(path)
    monkeypatch.setattr(files, "sleep", lambda _: other.close())  # the look is over a moment later
    with claimed(path, "it runs"):
        assert other.closed
        assert holder(path) is not None


@pytest.mark.skipif(os.name == "nt", reason="there are no shared locks of a byte")
def test_two_who_look_at_once_both_see_that_nobody_holds_it(path):
    claimed(path, "it runs").close()
    with looking(path):
        assert holder(path) is None


def test_a_lock_that_may_only_be_read_tells_its_holder(path):
    """That of another user, whose folder is shared."""
    with claimed(path, "taken"):
        path.chmod(0o444)
        assert f"process {os.getpid()} on " in (holder(path) or "")
    assert holder(path) is None
