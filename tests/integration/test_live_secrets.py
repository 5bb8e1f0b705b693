"""No secret of a live run is written anywhere, whatever goes wrong in it: everything that it wrote is searched."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sqlite3
import traceback
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from contract.gateways import KEYS
from lives import MINUTE, SECOND, START, World, settings_of, world
from venue import Fault
from warp import warped

from metaexpert import MetaExpert
from metaexpert.errors import AuthenticationError
from metaexpert.plan import survey
from metaexpert.status import status_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

WRONG = "wrongSecret99887766"
_EACH = 25  # objects of one class that are looked at


def forms(secret: str) -> tuple[bytes, ...]:
    """What a secret looks like: as it is, in a URL, in base64."""
    return secret.encode(), quote(secret).encode(), base64.b64encode(secret.encode())


def leaks(written: Iterable[tuple[str, bytes]]) -> list[str]:
    """Where which secret stands."""
    return [
        f"{name} in {place}" for place, content in written for name, secret in [*KEYS.items(), ("wrong", WRONG)]
        if any(form in content for form in forms(secret))
    ]  # fmt: skip


def files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below the folders; of a journal each row too, since a page may end within a word."""
    for folder in folders:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            yield str(path), path.read_bytes()
            if path.suffix == ".db":
                with closing(sqlite3.connect(path)) as db:
                    yield f"rows of {path}", "\n".join(db.iterdump()).encode()


def reprs() -> Iterator[tuple[str, bytes]]:
    """What the library's own objects that live now, and the tasks, say of themselves."""
    seen: dict[type, int] = {}
    gc.collect()  # what other tests have left
    for one in [*gc.get_objects(), *asyncio.all_tasks()]:
        kind = type(one)
        if not str(kind.__module__).startswith(("metaexpert", "asyncio", "_asyncio")):
            continue
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= _EACH:
            yield f"repr of {kind.__qualname__}", f"{one!r} {one}".encode(errors="replace")
    assert len(seen) > 60  # the whole of a run is among them


def talkative(place: World, folder: Path, **more: Any) -> MetaExpert:
    """An expert that tells all it knows, trades, and fails in handlers, with secrets in what it says."""
    logs = {name: str(folder / f"{name}.log") for name in ("log_file", "log_trade_file", "log_error_file")}
    told = {**settings_of(place.exchange, place.kind), "log_to_console": True, "log_to_file": True, **logs, **more}
    expert = MetaExpert(**told, log_level="DEBUG")

    @expert.on_init(
        symbol=place.symbol, timeframe="1m", lookback_bars=5, strategy_name="talker", stop_loss_pct=2.0
    )
    def init() -> None:
        expert.log.info("begun", api_key=KEYS["api_key"], note=f"with {KEYS['api_secret']}", who=repr(expert))

    @expert.on_bar
    def bar(one: Any) -> None:
        if one.time == START:
            expert.buy(0.01, tag="first")
        if one.time == START + MINUTE:
            raise ValueError(f"no luck with {KEYS['api_passphrase']}")
        if one.time == START + 3 * MINUTE:
            expert.close_position()

    @expert.on_error
    def error(one: Any) -> None:
        expert.log.error("failed", why=str(one), args=one.args)
        print(one, repr(one), *traceback.format_exception(one))

    @expert.on_order
    def order(one: Any) -> None:
        print(one, expert, expert.account, expert.positions)

    return expert


def test_no_secret_is_written_by_a_run_in_which_everything_goes_wrong(home, tmp_path, capfd):
    logs = tmp_path / "logs"
    logs.mkdir()
    said: list[tuple[str, bytes]] = []

    async def main() -> None:
        async with world("okx", "linear", lambda one: talkative(one, logs)) as place:
            life = place.begin()
            add = place.venue.faults.add
            rules = [add(one, method="GET") for one in (Fault.RESET, Fault.RATE_LIMIT, Fault.EMPTY, Fault.HTML)]
            rules.append(add(Fault.REPLY_LOST, "*order*", method="POST"))
            await place.until(START + 2 * MINUTE + 30 * SECOND)
            assert place.positions == {"BOTH": 0.01}
            assert not any(rule.times for rule in rules)  # all of them have befallen it
            said.extend(reprs())
            run = life.run
            plan = await _plan(place, life)
            said.append(("plan", "\n".join([*plan.lines(), repr(plan)]).encode()))
            said.append(("run", f"{run!r} {run._repr_html_()} {run.summary()} {run.job!r}".encode()))
            found = status_of(run.job.name and _run_of(run.journal))
            said.append(("status", (json.dumps(found.as_dict()) + "\n".join(found.lines())).encode()))
            await place.until(START + 4 * MINUTE + 30 * SECOND)
            await place.stop()

    warped(main())
    printed = capfd.readouterr()
    written = [*said, *files(home, logs), ("stdout", printed.out.encode()), ("stderr", printed.err.encode())]
    assert {"talker-0-okx-linear-live.db", "log_file.log", "log_error_file.log"} <= {
        place.rpartition("/")[2] for place, _ in written
    }
    assert b"with ***" in dict(written)[str(logs / "log_file.log")]  # it did try
    assert "no luck with ***" in printed.out
    assert leaks(written) == []


def _run_of(journal: Path) -> str:
    with closing(sqlite3.connect(journal)) as db:
        return db.execute("SELECT max(id) FROM runs").fetchone()[0]


async def _plan(place: World, life: Any) -> Any:
    async with place.gateway(life.run.job.exchange, life) as gateway:
        return await survey(life.run.job, gateway, (await gateway.market(place.symbol),))


def test_a_key_that_is_refused_is_not_told_in_the_error_that_says_so(home, tmp_path, capfd):
    logs = tmp_path / "logs"
    logs.mkdir()

    async def main() -> BaseException:
        async with world("okx", "linear", lambda one: talkative(one, logs, api_secret=WRONG)) as place:
            life = place.begin()
            with pytest.raises(AuthenticationError) as caught:
                await place.until(START)
            assert "failed" in repr(life.run)
            return caught.value

    error = warped(main())
    told = "".join(traceback.format_exception(error))
    printed = capfd.readouterr()
    said = [("error", f"{error!r} {error} {told}".encode()), ("out", printed.out.encode())]
    assert leaks([*said, *files(home, logs), ("err", printed.err.encode())]) == []


def test_a_leak_would_be_found(tmp_path):
    (tmp_path / "some.log").write_text(f"a {KEYS['api_secret']} b")
    with closing(sqlite3.connect(tmp_path / "some.db")) as db:
        db.execute("CREATE TABLE told (body TEXT)")
        db.execute("INSERT INTO told VALUES (?)", (quote(KEYS["api_passphrase"]),))
        db.commit()
    found = leaks(files(tmp_path))
    assert f"api_secret in {tmp_path / 'some.log'}" in found
    assert f"api_passphrase in rows of {tmp_path / 'some.db'}" in found
    assert leaks([("x", base64.b64encode(KEYS["api_key"].encode()))]) == ["api_key in x"]
