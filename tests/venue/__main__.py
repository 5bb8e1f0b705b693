"""The venue by hand: `python -m tests.venue`, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from metaexpert.clock import WallClock
from metaexpert.errors import ConfigError, MetaExpertError

from .clock import FastClock
from .dialects import DIALECTS
from .instruments import DAY
from .prices import Prices
from .server import Venue
from .tape import Tape, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .prices import Source

NAMES = [dialect.NAME for dialect in DIALECTS]
PULSE = 0.1
"""Seconds between two pulses."""
SNIPPET = """\
import asyncio
import ccxt.pro
from {package}.clock import FastClock
from {package}.server import credentials, lead

async def main():
    client = ccxt.pro.{exchange}(credentials("{exchange}"))
    lead(client, {port}, FastClock({begin}, {speed:g}))
    try:
        print(await client.watch_trades("BTC/USDT"))
    finally:
        await client.close()

asyncio.run(main())
"""


def main(words: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.venue", description="Exchanges on this machine.")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast its clock runs (1)")
    parser.add_argument("--port", type=int, default=0, help="where it listens (any free port)")
    parser.add_argument("--seed", type=int, default=7, help="of the prices (7)")
    parser.add_argument("--exchange", nargs="+", choices=NAMES, default=NAMES, metavar="NAME",
                        help=f"which ones: {', '.join(NAMES)} (all)")  # fmt: skip
    parser.add_argument("--play", nargs="+", type=Path, default=[], metavar="FILE",
                        help="candles or trades, as `metaexpert data import` reads them")  # fmt: skip
    told = parser.parse_args(words)
    if told.speed < 1:
        parser.error(f"--speed {told.speed:g}: at least 1")
    try:
        told.prices = source(told.play, told.exchange, Prices(told.seed), WallClock().now())
    except MetaExpertError as error:
        parser.error(str(error))
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(_until_stopped(told))
    except OSError as error:
        parser.error(f"--port {told.port}: {error.strerror or error}")
    return 0


def source(files: Sequence[Path], exchanges: Sequence[str], rest: Prices, now: int) -> Source:
    """Prices, of the pairs that were recorded those that were; the first of them is played within the day.

    Whole days later than it was recorded, so that candles of every length begin where they began.

    Raises:
        ConfigError, DataError: a file can't be played, two hold the same pair, or nobody lists it.
    """
    if not files:
        return rest
    found = [read(path) for path in files]
    recordings = dict(found)
    if len(recordings) < len(found):
        raise ConfigError("--play: two files hold the same pair: play one of them")
    items = [item for one in DIALECTS if one.NAME in exchanges for item in one.instruments(now)]
    listed = {(item.kind, item.base, item.quote) for item in items if item.expiry is None}
    for kind, base, quote in recordings.keys() - listed:
        raise ConfigError(f"--play: {base}/{quote} ({kind}) is not listed at {', '.join(exchanges)}")
    begin = min(int(one.time[0]) for one in recordings.values())
    return Tape(recordings, shift=(now - begin) // DAY * DAY, rest=rest)


async def _until_stopped(told: argparse.Namespace) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows, where Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(one, stop.set)
    await serve(told.port, told.speed, told.exchange, told.prices, stop)


async def serve(
    port: int, speed: float, exchanges: Sequence[str], prices: Source, stop: asyncio.Event
) -> None:  # fmt: skip
    """Serve until `stop` is set; tells how it is reached."""
    clock = FastClock(WallClock().now(), speed)
    async with Venue(clock, prices=prices, exchanges=exchanges, port=port) as venue:
        print(_told(venue, exchanges, clock), flush=True)
        while not stop.is_set():
            venue.pulse()
            _report(venue)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PULSE)
    print("stopped", flush=True)


def _told(venue: Venue, exchanges: Sequence[str], clock: FastClock) -> str:
    state = venue.states[exchanges[0]]
    host = next(one for one in DIALECTS if exchanges[0] == one.NAME).HOSTS[0]
    package = __package__ or "venue"
    snippet = SNIPPET.format(
        exchange=exchanges[0], port=venue.port, begin=clock.begin, speed=clock.speed, package=package
    )
    return (
        f"{', '.join(exchanges)} at 127.0.0.1:{venue.port}, time {clock.speed:g} times as fast; "
        f"{len(state.instruments)} instruments at {exchanges[0]}. Ctrl-C stops.\n\n"
        f"curl -k --connect-to ::127.0.0.1:{venue.port} https://api.{host}/…\n\n{snippet}"
    )


def _report(venue: Venue) -> None:
    """Show what came in and what broke, and forget it."""
    for one in venue.seen:
        print(f"{one.exchange} {one.method} {one.host}{one.path}", flush=True)
    for error in venue.broken:
        print(f"the venue itself broke down: {error!r}", file=sys.stderr, flush=True)
    venue.seen.clear()
    venue.broken.clear()


if __name__ == "__main__":
    sys.exit(main())
