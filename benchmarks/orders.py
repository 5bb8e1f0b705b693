"""How long an order takes from `expert.buy()` to the bytes on the wire, beside bare CCXT in the same run.

Run it as `.venv/bin/python benchmarks/orders.py [--orders N] [--json FILE]`. A live expert, wired as users'
are, and a task with a bare CCXT client trade at an exchange in the same process and event loop
(`tests/venue`: Binance's USD-M futures over TLS on the loopback interface), each in a market of its own. The
clock starts when the order is asked for, `expert.buy(...)` or `client.create_order(...)`, and stops when the
call that gives the request with that order to the operating system returns. Ours has by then sized and
checked the order and written it to its journal, in which it outlasts a power cut: that wait for the disk is
part of the time, and is told apart as well. Orders come slowly enough that none waits for the exchange's rate
limit. All times are the wall's.
"""

from __future__ import annotations

import argparse
import asyncio
import asyncio.sslproto
import os
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING, Any

from common import BARE, CHECKOUT, OURS, Row, save

sys.path.insert(0, str(CHECKOUT / "tests"))

from venue import Venue
from venue.server import credentials

from metaexpert import MetaExpert
from metaexpert.clock import WallClock
from metaexpert.exchanges.connection import connect
from metaexpert.exchanges.gateway import Gateway
from metaexpert.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Generator

OURS_IN, BARE_IN = "BTC/USDT:USDT", "ETH/USDT:USDT"
QTY = {OURS_IN: 0.01, BARE_IN: 0.1}
PULSE, PAUSE = 0.1, 0.25  # seconds
MARK = b"newClientOrderId"


class Watch:
    """Takes the time of orders: from `begin` to the moment at which one was given to the operating system.

    `disk` is how much of it went by while the order was written to the journal.
    """

    def __init__(self, warm: int) -> None:
        self._warm = warm  # orders that don't count
        self.times: list[float] = []
        self.disk: list[float] = []
        self.writing = 0.0
        self._begun: float | None = None

    def begin(self) -> None:
        """An order is asked for now."""
        self.writing = 0.0
        self._begun = perf_counter()

    def saw(self, at: float) -> None:
        """An order has left."""
        if self._begun is not None:
            self.times.append(at - self._begun)
            self.disk.append(self.writing)
            self._begun = None

    def row(self, who: str) -> Row:
        """Its figures."""
        cuts = quantiles(self.times[self._warm :], n=100, method="inclusive")
        disk = median(self.disk[self._warm :])
        return {
            "of": "orders", "who": who, "orders": len(self.times) - self._warm, "p50": cuts[49], "p99": cuts[98],
            "disk": disk,
        }  # fmt: skip


@contextmanager
def overheard(watches: dict[bytes, Watch]) -> Generator[None]:
    """Tell each watch of the orders in its market (the exchange's name of it) as they are written to a socket."""
    transport = asyncio.sslproto._SSLProtocolTransport  # noqa: SLF001 - the last place where it can be read
    plain = {name: getattr(transport, name) for name in ("write", "writelines")}

    def writing(name: str) -> Any:
        def write(self: Any, data: Any) -> None:
            plain[name](self, data)
            told = bytes(data) if name == "write" else b"".join(bytes(one) for one in data)
            if MARK in told:
                at = perf_counter()
                for market, watch in watches.items():
                    if market in told:
                        watch.saw(at)

        return write

    def intent(self: Journal, *values: Any) -> None:
        begun = perf_counter()
        kept(self, *values)
        for watch in watches.values():
            watch.writing += perf_counter() - begun

    kept, Journal.intent = Journal.intent, intent
    for name in plain:
        setattr(transport, name, writing(name))
    try:
        yield
    finally:
        Journal.intent = kept
        for name, method in plain.items():
            setattr(transport, name, method)


def trader(watch: Watch, orders: int, done: asyncio.Event) -> MetaExpert:
    """An expert that buys and closes by turns, each when all before it is done; of purchases the time is taken."""
    keys = dict(zip(("api_key", "api_secret"), credentials("binance").values(), strict=False))
    expert = MetaExpert(
        exchange="binance", market_type="futures", contract_type="linear", log_to_console=False, **keys
    )

    @expert.on_init(symbol=OURS_IN, timeframe="1m", lookback_bars=2, strategy_name="orders", leverage=5.0)
    def init() -> None:
        pass

    @expert.on_timer(PAUSE)
    def timer() -> None:
        if expert.orders:
            return
        if expert.position():
            expert.close_position()
        elif len(watch.times) == orders:
            done.set()
        else:
            watch.begin()
            expert.buy(QTY[OURS_IN])

    return expert


async def bare(client: Any, watch: Watch, orders: int) -> None:
    """CCXT and a loop."""
    await client.load_markets()
    for number in range(orders):
        await asyncio.sleep(PAUSE)
        watch.begin()
        side = "buy" if number % 2 == 0 else "sell"
        name = {"newClientOrderId": f"bare{number}"}
        await client.create_order(BARE_IN, "market", side, QTY[BARE_IN], None, name)


async def beat(venue: Venue) -> None:
    """Let the exchange do what there is to do."""
    while True:
        await asyncio.sleep(PULSE)
        venue.pulse()


async def measure(orders: int) -> list[Row]:
    """Both at once, each in a market of its own."""
    warm = min(orders, 10)
    ours, theirs, done = Watch(warm), Watch(warm), asyncio.Event()
    orders += warm
    async with Venue(WallClock(), exchanges=("binance",)) as venue:
        pulse = asyncio.create_task(beat(venue))
        run = trader(ours, orders, done).start("live", no_limits=True)
        run.job = replace(
            run.job, gateway=lambda told: Gateway(told, client=lambda one: venue.redirect(connect(one)))
        )
        client = venue.client("binance")(credentials("binance"))
        client.has["fetchCurrencies"] = False
        with overheard({b"BTCUSDT": ours, b"ETHUSDT": theirs}):
            task = asyncio.ensure_future(ended(run.begin()))
            both = asyncio.gather(bare(client, theirs, orders), done.wait())
            await asyncio.wait([task, both], return_when=asyncio.FIRST_COMPLETED)
            if not both.done():
                both.cancel()
                raise SystemExit(f"the run has ended before all orders were sent: {await task}")
            run.stop()
            await task
            await both
        pulse.cancel()
        await client.close()
    return [theirs.row(BARE), ours.row(OURS)]


async def ended(run: Any) -> str:
    """A live run to its end; returns why it has ended."""
    return await run


def main() -> None:
    """Measure, show and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=200, help="orders of each (default: 200)")
    parser.add_argument("--json", type=Path, help="the file of figures to add to")
    options = parser.parse_args()
    os.environ.pop("METAEXPERT_OFFLINE", None)  # every name leads to this machine
    with tempfile.TemporaryDirectory() as home:
        os.environ["METAEXPERT_HOME"] = home
        rows = asyncio.run(measure(options.orders))
    for one in rows:
        print(
            f"{one['who']}: {one['orders']} orders, p50 {one['p50'] * 1e3:.2f} ms, p99 {one['p99'] * 1e3:.2f} ms"
        )
    save(rows, options.json)


if __name__ == "__main__":
    main()
