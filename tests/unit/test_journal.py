"""The journal: all of an event or nothing, one writer, no secrets, no endless growth, damaged files refused."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from metaexpert import journal as module
from metaexpert import journalfile
from metaexpert.errors import ConfigError, JournalError
from metaexpert.journal import Entry, Journal, JournalReader, line_of, path_of
from metaexpert.values import Secret

DAY = 86_400_000
MANIFEST = {"name": "bot", "settings": {"leverage": 2.0}}


@pytest.fixture
def path(home) -> Path:
    return path_of("bot", 7, "demo", "spot", "paper")


def begun(path: Path, time: int = 1000, **options) -> Journal:
    journal = Journal.open(path, **options)
    journal.begin(time, MANIFEST)
    return journal


def used(path: Path) -> int:
    return sum(one.stat().st_size for one in path.parent.iterdir())


# --- what is written is read ----------------------------------------------------------------------------------


def test_what_was_written_is_read_back_in_order(path):
    with Journal.open(path) as journal:
        run = journal.begin(1000, MANIFEST)
        journal.event(1001, "trade", [1000, "BTC/USDT", 0.1 + 0.2])
        journal.log(1001, "fill", {"qty": 1.5, "b": 1, "a": None})
        journal.event(1002, "quote", [1002, "BTC/USDT", 1.0, 2.0])
        journal.commit({"balance": 0.1 + 0.2})
        journal.end(1003, "signal")
    with JournalReader.open(path) as seen:
        assert list(seen.events(run)) == [
            Entry(1001, "trade", [1000, "BTC/USDT", 0.30000000000000004]),
            Entry(1002, "quote", [1002, "BTC/USDT", 1.0, 2.0]),
        ]
        assert list(seen.lines(run)) == ['{"time":1001,"kind":"fill","body":{"a":null,"b":1,"qty":1.5}}']
        assert seen.last_state() == {"balance": 0.30000000000000004}
        (kept,) = seen.runs()
        assert kept == (run, 1000, 1003, "signal", MANIFEST, None, False)


def test_equal_runs_give_equal_lines_whatever_their_id(path):
    with Journal.open(path) as journal:
        runs = []
        for start in (1000, 5000):
            runs.append(journal.begin(start, MANIFEST))
            journal.log(70, "order", {"id": "1", "qty": 2.0})
            journal.commit()
        assert runs[0] != runs[1]
        assert (
            [*journal.lines(runs[0])]
            == [*journal.lines(runs[1])]
            == [line_of(70, "order", {"qty": 2.0, "id": "1"})]
        )


def test_a_line_is_json():
    line = line_of(5, "note", {"text": 'a "quoted"\nword', "value": float("inf")})
    assert "\n" not in line
    assert json.loads(line) == {
        "time": 5,
        "kind": "note",
        "body": {"text": 'a "quoted"\nword', "value": float("inf")},
    }


def test_ids_are_short_sort_by_time_and_never_come_twice(path):
    with Journal.open(path) as journal:
        ids = [journal.begin(time, MANIFEST) for time in (1_795_000_000_000, 1_795_000_000_000, 1_700_000_000_000)]
        assert ids == sorted(set(ids))
        assert [one.id for one in journal.runs()] == ids
    assert {len(one) for one in ids} == {8}
    assert all(one.isalnum() for one in ids)
    assert int(ids[0], 36) == 1_795_000_000_000


def test_names_that_no_file_can_have_stay_apart(home):
    paths = {path_of(name, 0, "demo") for name in ("a b", "a_b", "a/b", "a:b")}
    assert len(paths) == 4
    assert {one.parent for one in paths} == {home / "experts"}


# --- all or nothing -------------------------------------------------------------------------------------------


def test_what_was_not_committed_is_not_there(path):
    with begun(path) as journal:
        journal.event(1001, "trade", [1])
        journal.commit({"n": 1})
        journal.event(1002, "trade", [2])
        journal.log(1002, "fill", {})
        run = journal.run
    with JournalReader.open(path) as seen:
        assert [one.body for one in seen.events(run)] == [[1]]
        assert list(seen.lines(run)) == []
        assert seen.last_state() == {"n": 1}


def test_events_that_nothing_comes_of_are_written_now_and_then(path):
    with begun(path) as journal, JournalReader.open(path) as seen:
        for number in range(module._ROWS):
            journal.event(1000, "quote", [number])
        assert list(seen.events(journal.run)) == []
        journal.event(1000, "quote", [-1])
        assert len(list(seen.events(journal.run))) == module._ROWS
        journal.event(1000 + module._HELD_MS, "quote", [-2])  # a second later
        assert len(list(seen.events(journal.run))) == module._ROWS + 1


def test_a_full_disk_leaves_the_last_whole_state(path):
    journal = begun(path)
    journal.commit({"n": 1})
    pages = journal._one("PRAGMA page_count")
    journal._db.execute(f"PRAGMA max_page_count = {pages}")
    journal.log(1001, "fill", {"text": "x" * 10_000})
    with pytest.raises(JournalError, match=r"can't be kept \(database or disk is full\).*start again") as told:
        journal.commit({"n": 2})
    assert "\n" not in str(told.value)
    assert journal.last_state() == {"n": 1}
    assert list(journal.lines(journal.run)) == []
    journal._db.execute(f"PRAGMA max_page_count = {pages + 100}")
    journal.commit({"n": 2})  # there is room again: nothing was lost, nothing comes twice
    assert journal.last_state() == {"n": 2}
    assert len(list(journal.lines(journal.run))) == 1
    journal.close()


def test_a_process_that_is_killed_leaves_what_it_committed(path):
    code = f"""
import os, signal
from pathlib import Path
from metaexpert.journal import Journal
journal = Journal.open(Path({str(path)!r}))
journal.begin(1000, {{}})
for number in range(100):
    journal.event(1000 + number, "trade", [number])
    journal.log(1000 + number, "fill", {{"n": number}})
    if number < 60:
        journal.commit({{"n": number}})
os.kill(os.getpid(), signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode != 0
    with Journal.open(path) as journal:
        (killed,) = journal.runs()
        assert (killed.ended, killed.reason) == (None, None)
        assert journal.last_state() == {"n": 59}
        assert [one.body[0] for one in journal.events(killed.id)] == list(range(60))
        assert len(list(journal.lines(killed.id))) == 60
        journal.begin(9000, {}, first=journal.last_state())
        first, second = journal.runs()
        assert (first.ended, first.reason) == (1059, "killed")
        assert (second.first, journal.last_state()) == ({"n": 59}, {"n": 59})


def test_a_run_that_begins_afresh_has_no_state_to_go_on_from(path):
    with begun(path) as journal:
        journal.commit({"n": 1})
        journal.begin(2000, MANIFEST)
        assert journal.last_state() is None


# --- one writer, many readers ---------------------------------------------------------------------------------


def test_a_second_process_is_refused_and_told_who_runs_it(path):
    with begun(path):
        with pytest.raises(ConfigError, match=rf"bot-7-demo-spot-paper .*\(process {os.getpid()} on .+\)") as told:
            Journal.open(path)
        assert "\n" not in str(told.value)
    Journal.open(path).close()


def test_anybody_may_read_meanwhile_and_nobody_else_can_write(path):
    with begun(path) as journal, JournalReader.open(path) as seen:
        journal.commit({"n": 1})
        assert seen.last_state() == {"n": 1}
        journal.commit({"n": 2})
        assert seen.last_state() == {"n": 2}
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            seen._db.execute("DELETE FROM state")


def test_nothing_can_be_noted_outside_of_a_run(path):
    with Journal.open(path) as journal:
        with pytest.raises(JournalError, match="before a run has begun"):
            journal.log(1, "fill", {})
        journal.begin(1, MANIFEST)
        journal.end(2, "signal")
        with pytest.raises(JournalError, match="after its end"):
            journal.event(3, "trade", [])


# --- files that are not whole ---------------------------------------------------------------------------------


def test_there_is_nothing_to_read_where_nothing_ran(path):
    with pytest.raises(JournalError, match="there is no journal at"):
        JournalReader.open(path)


def broken(path: Path, how: str) -> None:
    """Damage the journal at `path`."""
    with begun(path) as journal:
        for number in range(200):
            journal.log(number, "fill", {"text": "x" * 100})
        journal.commit({"n": 1})
    whole = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "other":
        path.write_text("not a database at all, but long enough to be taken for one " * 20)
    elif how == "middle":
        path.write_bytes(whole[:8192] + b"\xff" * 8192 + whole[16384:])
    elif how == "foreign":
        path.unlink()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE mine (a)")
        db.close()


@pytest.mark.parametrize("how", ["empty", "half", "other", "middle", "foreign"])
def test_a_damaged_file_is_refused_in_one_line_and_left_as_it_is(path, how):
    broken(path, how)
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"damaged.*nothing is begun anew in its place") as told:
        Journal.open(path)
    assert "\n" not in str(told.value)
    assert path.read_bytes() == before
    with pytest.raises(JournalError, match="damaged"):  # the lock is free again
        Journal.open(path)


def test_what_is_left_of_another_file_is_never_taken_in(path):
    begun(path).close()
    path.with_name(path.name + "-wal").write_bytes(b"old")
    path.unlink()
    with pytest.raises(JournalError, match=r"paper.db-wal lies there without .*paper.db: put that back"):
        Journal.open(path)


def test_a_newer_version_is_refused(path):
    begun(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    for opener in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match=r"newer metaexpert .version 99.*update metaexpert"):
            opener(path)


def test_an_older_version_is_brought_to_the_newest_with_what_it_holds(path, monkeypatch):
    with begun(path) as journal:
        journal.commit({"n": 1})
    step = "ALTER TABLE runs ADD COLUMN note TEXT;"
    monkeypatch.setattr(journalfile, "_SCHEMA", (*journalfile._SCHEMA, step))
    with Journal.open(path) as journal:
        assert journal.last_state() == {"n": 1}
        assert journal._one("PRAGMA user_version") == 3
        assert journal._one("SELECT count(*) FROM runs WHERE note IS NULL") == 1


def test_a_step_that_fails_leaves_the_older_version(path, monkeypatch):
    begun(path).close()
    steps = (*journalfile._SCHEMA, "CREATE TABLE more (a); ALTER TABLE none ADD COLUMN b;")
    monkeypatch.setattr(journalfile, "_SCHEMA", steps)
    with pytest.raises(JournalError):
        Journal.open(path)
    monkeypatch.undo()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        assert not db.execute("SELECT * FROM sqlite_master WHERE name = 'more'").fetchall()
    db.close()


# --- intents --------------------------------------------------------------------------------------------------


def test_an_intent_is_there_at_once_and_until_a_state_stands_for_it(path):
    with begun(path) as journal, JournalReader.open(path) as seen:
        journal.intent("me02", {"id": "me02", "qty": 2.0})
        journal.intent("me01", {"id": "me01", "qty": 1.0})
        assert seen.intents() == [{"id": "me01", "qty": 1.0}, {"id": "me02", "qty": 2.0}]
        journal.event(1001, "Quote", [1])
        journal.commit()  # without a state, in which they could stand
        assert len(seen.intents()) == 2
        journal.commit({"sent": 2})
        assert (seen.intents(), seen.last_state()) == ([], {"sent": 2})


def test_an_intent_outlives_a_kill_and_the_beginning_of_the_next_run(path):
    begun(path).close()
    with Journal.open(path) as journal:
        journal.begin(2000, MANIFEST, {"sent": 0})
        journal.intent("me01", {"id": "me01"})
    with Journal.open(path) as journal:
        run = journal.begin(3000, MANIFEST, journal.last_state())
        assert journal.intents() == [{"id": "me01"}]
        journal.begin_from({"sent": 1})
        assert journal.intents() == []
        assert next(one.first for one in journal.runs() if one.id == run) == {"sent": 1}
    with JournalReader.open(path) as seen:
        assert seen.last_state() == {"sent": 1}


def test_one_id_is_never_meant_twice(path):
    with begun(path) as journal:
        journal.intent("me01", {"id": "me01"})
        with pytest.raises(JournalError, match="can't be kept"):
            journal.intent("me01", {"id": "me01"})


def test_a_state_is_revised_between_two_runs_and_its_intents_stay(path):
    with begun(path) as journal:
        journal.commit({"stopped": "max_drawdown"})
        journal.intent("me01", {"id": "me01"})
    with Journal.open(path) as journal:
        journal.revise({"stopped": None})
        assert (journal.last_state(), journal.intents()) == ({"stopped": None}, [{"id": "me01"}])


@pytest.mark.skipif(sys.platform == "win32", reason="an open file can't be moved there")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_journal_that_is_taken_away_while_it_is_written_is_missed_at_once(path, how):
    with begun(path) as journal:
        journal.commit({"a": 1})
        path.rename(path.with_suffix(".old"))
        if how == "replaced":
            path.write_bytes(b"")
        with pytest.raises(JournalError, match="was moved, replaced or deleted"):
            journal.intent("7", {})
        with pytest.raises(JournalError, match="was moved, replaced or deleted"):
            journal.commit({"a": 2})


def test_what_must_outlast_a_power_cut_waits_for_the_disk(path):
    with Journal.open(path) as journal:
        assert journal._one("PRAGMA synchronous") == 1  # NORMAL
    with Journal.open(path, durable=True) as journal:
        assert journal._one("PRAGMA synchronous") == 2  # FULL


def test_a_journal_from_before_there_were_intents_is_read_and_written_on(path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(journalfile, "_SCHEMA", journalfile._SCHEMA[:1])
        begun(path).close()
    with JournalReader.open(path) as seen:
        assert (len(seen.runs()), seen.intents()) == (1, [])
    with Journal.open(path) as journal:
        journal.begin(2000, MANIFEST)
        journal.intent("me01", {"id": "me01"})
        assert journal.intents() == [{"id": "me01"}]


def test_no_secret_gets_in_by_an_intent(path):
    with Journal.open(path, secrets=[Secret("k3y/of+the=account")]) as journal:
        journal.begin(1000, MANIFEST)
        with pytest.raises(JournalError, match="a key or secret of the settings"):
            journal.intent("me01", {"tag": "k3y/of+the=account"})
        assert journal.intents() == []


# --- secrets --------------------------------------------------------------------------------------------------


def test_no_secret_gets_in(path):
    secret = "k3y/of+the=account"
    with Journal.open(path, secrets=[Secret(secret)]) as journal:
        journal.begin(
            1000,
            {"settings": {"api_key": secret, "note": f"mine is {secret}"}, "proxy": f"http://me:{secret}@host"},
        )
        journal.event(1001, "notice", {"text": f"GET /x?key={secret}"})
        journal.log(1001, "error", {"text": f"refused: {secret}"})
        journal.commit()
        with pytest.raises(JournalError, match="secret of the settings stands in the state") as told:
            journal.commit({"orders": [{"tag": secret}]})
        assert secret not in str(told.value)
        with pytest.raises(JournalError, match="stands in the state"):
            journal.begin(2000, {}, first={"tag": secret})
        written = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert secret.encode() not in written
    assert b"refused: ***" in written


# --- growth ---------------------------------------------------------------------------------------------------


def test_runs_that_ended_long_ago_go_with_all_that_they_wrote(path):
    with Journal.open(path, keep_days=2) as journal:
        old = journal.begin(DAY, MANIFEST)
        journal.event(DAY, "trade", [1])
        journal.log(DAY, "fill", {})
        journal.end(DAY + 5, "signal")
        new = journal.begin(3 * DAY + 5, MANIFEST)  # two days after its end, to the millisecond
        assert [one.id for one in journal.runs()] == [old, new]
        journal.end(3 * DAY + 6, "signal")
        last = journal.begin(3 * DAY + 7, MANIFEST)
        assert [one.id for one in journal.runs()] == [new, last]
        assert journal._one("SELECT count(*) FROM market") == journal._one("SELECT count(*) FROM log") == 0


def test_a_run_without_end_does_not_fill_the_disk(path):
    most = 2_000_000
    with Journal.open(path, max_bytes=most) as journal:
        first = journal.begin(1000, MANIFEST)
        journal.event(1000, "trade", [0])
        journal.end(1001, "signal")
        run = journal.begin(2000, MANIFEST)
        for number in range(60_000):  # some 5 MB
            journal.event(2000 + number, "quote", [2000 + number, "BTC/USDT:USDT", 43_000.1, 43_000.2, 1.5, 2.5])
        journal.commit({"n": 1})
        assert [one.id for one in journal.runs()] == [run]  # the one before went first
        assert first != run
        assert journal.runs()[0].is_trimmed
        kept = [one.time for one in journal.events(run)]
        assert kept == list(range(kept[0], 62_000))  # the newest stay
        assert journal.last_state() == {"n": 1}
        assert journal._size() < 1.5 * most
    assert used(path) < 2 * most


def test_a_journal_that_can_not_be_opened_says_what_that_takes(path):
    """As where its folder is another user's, so that SQLite can't put its own files there."""
    begun(path).close()
    path.with_name(f"{path.name}-wal").mkdir()
    with pytest.raises(JournalError, match=r"can't be opened: .* as the user who runs the expert$"):
        JournalReader.open(path)
