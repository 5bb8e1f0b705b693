"""One symbol of a live feed: its series, and the tasks that keep its bars, trades and funding complete."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from . import bars as candles_
from .errors import ConfigError, DataError, MetaExpertError, RequestError
from .events import Funding, Notice, PublicTrade
from .liveseries import LiveSeries
from .models import Bar
from .pumps import PASSING, Alarm, Backoff
from .sound import is_sound
from .tails import Longer, Tail, Terms
from .timeframe import floor, next_close, parse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import pandas as pd

    from .clock import LiveClock
    from .events import MarketEvent, Source
    from .gaps import Tape

__all__ = ["Lane", "Link", "refuse_odd"]

_HOUR_MS = 3_600_000
_LAST_LOOK = 10_000  # before a funding instant the rate is asked for once more, ms
_CONFIRMED = 60_000  # after it, what was paid
_SAME_RATE = 5e-9  # what exchanges round


class Link:
    """A market as it is reached from here: its source, its clock, and who hears what there is to say of it.

    Args:
        source: the market.
        clock: ours.
        terms: how long to wait for what.
        random: gives numbers in [0, 1).
    """

    def __init__(self, source: Source, clock: LiveClock, terms: Terms, random: Callable[[], float]) -> None:
        self.source = source
        self.clock = clock
        self.terms = terms
        self.skew = 0
        """How far the market's clock is ahead of ours, ms."""
        self.alarm = Alarm(clock)
        """Rings when there may be something to take."""
        self.notices: deque[Notice] = deque(maxlen=1000)
        self._random = random
        self._told_unsound: dict[str, int] = {}

    def now(self) -> int:
        """The market's time now, ms UTC."""
        return self.clock.now() + self.skew

    async def sleep_until(self, time: int) -> None:
        """Wait until the market's time is `time`."""
        while self.now() < time:
            await self.clock.sleep_until(time - self.skew)

    def backoff(self) -> Backoff:
        """A count of failures of its own."""
        return Backoff(self._random, self.terms.retry, self.terms.longest)

    def tell(self, symbol: str, text: str, error: MetaExpertError | None = None) -> None:
        """Give notice."""
        self.notices.append(Notice(self.now(), symbol, text, error))
        self.alarm.ring()

    def sound[T: MarketEvent](self, symbol: str, events: Sequence[T]) -> Sequence[T]:
        """Those of `events` that can be true; that others are left out is told once an hour."""
        now = self.now()
        if all(is_sound(one, now) for one in events):
            return events
        if now >= self._told_unsound.get(symbol, -inf) + _HOUR_MS:
            self._told_unsound[symbol] = now
            first = next(one for one in events if not is_sound(one, now))
            self.tell(symbol, f"what can't be true is left out, such as {first}")
        return [one for one in events if is_sound(one, now)]

    async def ask[T](self, call: Callable[[], Awaitable[T]], patience: float | None = None) -> T:
        """What the market answers to `call`, made again while it can't be reached.

        Raises:
            ExchangeError: it says no, or can't be reached for `patience` ms (None: that of the terms).
        """
        backoff = self.backoff()
        until = self.clock.now() + (self.terms.patience if patience is None else patience)
        while True:
            try:
                return await call()
            except PASSING as error:
                pause = backoff.pause(error)
                if self.clock.now() + pause > until:
                    raise
                await self.clock.sleep_until(self.clock.now() + pause)

    async def measure(self) -> int:
        """Measure how far the market's clock is ahead; returns how long the answer took, ms.

        A time that lies within the call shows no difference.
        """
        before = self.clock.now()
        told = await self.source.time()
        after = self.clock.now()
        self.skew = 0 if before <= told <= after else told - (before + after) // 2
        return after - before


class Lane:
    """See the module's docstring.

    Args:
        symbol: unified symbol.
        timeframes: of its series; the shortest is watched, the others are made of it.
        link: the market.
        keep: how many bars a series keeps at least.
        moved: is called when bars have closed.
        put: takes a trade to be told; False when there is no room.
    """

    def __init__(
        self, symbol: str, timeframes: Sequence[str], link: Link, keep: int,
        moved: Callable[[], None], put: Callable[[PublicTrade], bool],
    ) -> None:  # fmt: skip
        self.symbol = symbol
        self.timeframes = sorted(timeframes, key=parse)
        self.series: dict[str, LiveSeries] = {}
        self.loaded = candles_.empty()
        """The candles of the shortest timeframe within `start` and `until` (ms UTC)."""
        self.start: float = inf
        self.until = 0
        self.tail: Tail
        self.tape: Tape | None = None
        """Its trades, where they are watched."""
        self.funding: deque[Funding] = deque()
        """Funding that is due, or will be: oldest first."""
        self.is_out = False
        """Do the others no longer wait for it?"""
        self.alarm = Alarm(link.clock)
        self.trades_alarm = Alarm(link.clock)
        self._coming: Funding | None = None
        self._link = link
        self._keep = keep
        self._moved = moved
        self._put = put

    @property
    def shortest(self) -> str:
        """The timeframe that is watched, and in which orders trade."""
        return self.timeframes[0]

    @property
    def is_funded(self) -> bool:
        """Is funding paid on its positions?"""
        return self._coming is not None

    async def close(self) -> None:
        """End what sleeps."""
        await self.alarm.close()
        await self.trades_alarm.close()

    # -- history --------------------------------------------------------------------------------------------------

    async def load(self, opened: int, since: int | None, history: int) -> None:
        """Load `history` closed bars of each series; what closes after `since`, or after `opened`, is told."""
        length = parse(self.shortest)
        self.until = floor(opened if since is None else min(since, opened), length)
        await self.deepen(history)
        last = int(candles_.times(self.loaded)[-1]) + length if len(self.loaded) else 0
        if history and since is None and last < self.until and opened < self.until + self._link.terms.settle:
            self.until -= length  # its last bar may still come
        self.tail = Tail(
            self.symbol, self.shortest, self.until, self._link.terms, opened=opened if since is not None else 0,
            has_traded=lambda time: self.tape is not None and self.tape.has_traded(time),
        )  # fmt: skip
        self.arrange()

    async def deepen(self, history: int) -> None:
        """Load as much of the shortest timeframe as makes up the history of the longest one."""
        longest = parse(self.timeframes[-1])
        start = floor(self.until - history * longest, longest)
        if start >= self.start:
            return
        self.start = start
        if start == self.until:
            return
        bars = await self._link.ask(
            lambda: self._link.source.candles(self.symbol, self.shortest, start, self.until)
        )
        bars = self._link.sound(self.symbol, bars)
        self.loaded = _frame([bar for bar in bars if start <= bar.time < self.until])
        if self.series:
            self.arrange()

    def arrange(self) -> None:
        """Make the series of what is loaded of the shortest one."""
        source, loaded = self.shortest, self.loaded
        first = int(candles_.times(loaded)[0]) if len(loaded) else None
        longer: list[Longer] = []
        for timeframe in self.timeframes:
            made = candles_.coarser(loaded, timeframe, source=source, until=self.until)
            one = self.series.get(timeframe)
            if one is None:
                self.series[timeframe] = LiveSeries(self.symbol, timeframe, made, self._keep)
            elif len(one) < len(made):
                one.load(made)
            if timeframe != source:
                begun = loaded[candles_.times(loaded) >= floor(self.until, parse(timeframe))]
                longer.append(Longer(timeframe, source, _bars(begun, self.symbol, source), first))
        self.tail.longer = tuple(longer)

    def rows(self) -> list[tuple[Any, ...]]:
        """What is loaded: open time (ms UTC), open, high, low, close and volume of each candle."""
        times = candles_.times(self.loaded).tolist()
        return list(zip(times, *self.loaded.to_numpy().T.tolist(), strict=True))

    # -- bars -----------------------------------------------------------------------------------------------------

    def show(self, bars: Sequence[Bar]) -> None:
        """The stream shows candles."""
        tail, now = self.tail, self._link.now()
        before = tail.due(), tail.settled
        for bar in bars:
            tail.show(bar, now)
        if before != (tail.due(), tail.settled):
            self._has_moved()

    async def settle(self) -> None:
        """Ask REST for the bars that the stream does not show in time."""
        link, tail, not_before = self._link, self.tail, 0.0
        failed, waited = link.backoff(), link.backoff()
        while True:
            due = max(tail.due(), not_before)
            if link.now() < due:
                await self.alarm.wait(due - link.skew)
                continue
            asked, settled = link.now(), tail.settled
            try:
                bars = await link.source.candles(
                    self.symbol, self.shortest, settled - tail.length_ms, floor(asked, tail.length_ms)
                )
                tail.answer(link.sound(self.symbol, bars), asked, link.now())
                self._tell_late()
            except PASSING as error:
                not_before = link.now() + failed.pause(error)
                link.alarm.ring()  # who waits for its bars may have lost patience
                continue
            failed.reset()
            if tail.settled == settled:
                not_before = min(link.now() + waited.pause(), tail.verdict(link.now()))
            else:
                waited.reset()
                self._has_moved()

    def _tell_late(self) -> None:
        for bar in self.tail.late:
            text = f"the bar of {_iso(bar.time)} came too late, and is left out"
            self._link.tell(self.symbol, text, DataError(f"{self.symbol}: {text}"))
        self.tail.late.clear()

    def _has_moved(self) -> None:
        """Bars have closed, or REST is needed sooner."""
        self._moved()
        self.alarm.ring()
        self.trades_alarm.ring()

    # -- trades ---------------------------------------------------------------------------------------------------

    def hear(self, trades: Sequence[PublicTrade]) -> None:
        """The stream tells trades."""
        if self.tape is not None:
            self._tell(self.tape.hear(trades))
            if self.tape.waits:
                self.trades_alarm.ring()

    def _tell(self, trades: Sequence[PublicTrade]) -> bool:
        """Tell trades as far as there is room; the rest is as good as missed."""
        tape = self._tape
        for one in trades:
            if tape.is_known(one):
                continue
            if not self._put(one):
                tape.broke()
                self._link.tell(self.symbol, "trades come faster than they are handled: the rest is fetched later")
                self.trades_alarm.ring()
                return False
            tape.note(one)
        self._link.alarm.ring()
        return True

    def knows_trades_to(self, time: int) -> bool:
        """Were all trades before `time` told, as far as they can be had?"""
        tape = self.tape
        if tape is None or tape.known_to < time:
            return tape is None
        reached = not tape.is_joined or (tape.last is not None and tape.last.time >= time)
        return reached or self._link.now() >= time + self._link.terms.close_delay

    async def join(self) -> None:
        """Fetch the trades that the stream has missed, until it continues what is known."""
        tape, link, backoff = self._tape, self._link, self._link.backoff()
        not_before, tried = 0, 0
        while True:
            due = max(self._gap_due(), not_before)
            if link.now() < due:
                await self.trades_alarm.wait(due - link.skew)
                continue
            asked, known_to, error = link.now(), tape.known_to, None
            tried = tried or asked
            answer, limit = tuple[PublicTrade, ...](), link.terms.patience
            try:
                fetched = await link.source.trades(self.symbol, tape.start)
                answer, limit = link.sound(self.symbol, fetched), link.terms.settle
            except PASSING as failed:
                error = failed
            except RequestError:
                limit = 0
            was_told = self._learn(answer, asked, is_final=asked >= tried + limit)
            if was_told and tape.known_to > known_to:
                not_before = tried = 0
                backoff.reset()
            else:
                not_before = link.now() + backoff.pause(error)

    def _gap_due(self) -> float:
        """When trades have to be asked for: at once where some wait, else now and then, and when a bar closes."""
        tape, terms = self._tape, self._link.terms
        if tape.is_joined:
            return inf
        if tape.waits:
            return 0
        known_to = int(tape.known_to)
        closes = max(self.tail.boundary, next_close(known_to, self.tail.length_ms))
        return terms.close_delay + min(closes, known_to + terms.settle)

    def _learn(self, answer: Sequence[PublicTrade], asked: int, *, is_final: bool) -> bool:
        """Tell what REST knew; False when there was no room for it."""
        tape, missed = self._tape, self._tape.missed
        trades = tape.learn(answer, asked - self._link.terms.close_delay, is_final=is_final)
        if tape.missed > missed:
            self._link.tell(self.symbol, "trades are missing that can't be had: bars stand for them")
        fetched = sum(one.is_backfilled for one in trades)
        if fetched:
            self._link.tell(self.symbol, f"{fetched} trades were missed, and fetched")
        return self._tell(trades)

    @property
    def _tape(self) -> Tape:
        if self.tape is None:
            raise MetaExpertError(f"{self.symbol}: its trades are not watched")
        return self.tape

    # -- funding --------------------------------------------------------------------------------------------------

    async def load_funding(self, since: int | None) -> None:
        """Load what was paid since `since`, and what comes next."""
        source, link = self._link.source, self._link
        with suppress(RequestError):
            if since is not None:
                self.funding.extend(await link.ask(lambda: source.paid(self.symbol, since, link.now())))
            coming = await link.ask(lambda: source.funding(self.symbol))
            known = max(link.now() - _CONFIRMED, self.funding[-1].time if self.funding else 0)
            if coming is not None and coming.time > known:  # else it was paid long ago
                self.funding.append(coming)
            self._coming = coming

    async def fund(self) -> None:
        """Know the next funding, and its rate, in time."""
        link, coming = self._link, self._coming
        while coming is not None:
            while (left := coming.time - link.now()) > _LAST_LOOK:
                await link.sleep_until(coming.time - max(_LAST_LOOK, left - _HOUR_MS))
                coming = await self._renewed(coming)
            await link.sleep_until(coming.time + _CONFIRMED)
            await self._confirm(coming)
            coming = await self._following(coming)
            if coming is not None:
                self.funding.append(coming)
                self._moved()

    async def _following(self, last: Funding) -> Funding | None:
        """The funding after `last`, as soon as it is told; None of a contract that has ended."""
        link = self._link
        while True:
            told = await link.ask(lambda: link.source.funding(self.symbol), inf)
            if told is None or told.time > last.time:
                return told
            await link.sleep_until(link.now() + _CONFIRMED)  # an old answer

    async def _renewed(self, coming: Funding) -> Funding:
        """The next funding as it is known now; `coming` where nobody can tell."""
        with suppress(*PASSING):
            told = await self._link.source.funding(self.symbol)
            is_due = bool(self.funding) and self.funding[-1] is coming
            if is_due and told is not None and told.time > self._link.now():
                self.funding[-1] = coming = told
                self._moved()
        return coming

    async def _confirm(self, told: Funding) -> None:
        """Say it when another rate was paid than was told."""
        link, paid = self._link, list[Funding]()
        with suppress(RequestError):
            paid = await link.ask(lambda: link.source.paid(self.symbol, told.time, told.time + 1), inf)
        for one in paid:
            if abs(one.rate - told.rate) > _SAME_RATE:
                self._link.tell(
                    self.symbol, f"the funding of {_iso(told.time)} was {one.rate:.6%}, not {told.rate:.6%}"
                )


def refuse_odd(symbol: str, timeframes: Sequence[str]) -> None:
    """Refuse timeframes that the shortest of a symbol can't make up.

    Raises:
        ConfigError: there is one, or none at all.
    """
    if not timeframes:
        raise ConfigError(f"{symbol}: a live feed needs at least one timeframe")
    shortest = min(timeframes, key=parse)
    for timeframe in timeframes:
        if parse(timeframe) % parse(shortest):
            raise ConfigError(
                f"{symbol}: {shortest} bars can't make up {timeframe} ones; ask for a multiple of {shortest}"
            )


def _frame(bars: Sequence[Bar]) -> pd.DataFrame:
    """Bars as candles."""
    values = np.array([bar[3:] for bar in bars]).reshape(-1, len(candles_.COLUMNS))
    return candles_.frame(np.array([bar.time for bar in bars], dtype=np.int64), list(values.T))


def _bars(candles: pd.DataFrame, symbol: str, timeframe: str) -> list[Bar]:
    """Candles as bars."""
    rows = zip(candles_.times(candles).tolist(), candles.to_numpy().tolist(), strict=True)
    return [Bar(time, symbol, timeframe, *values) for time, values in rows]


def _iso(time: int) -> str:
    import pandas as pd

    return f"{pd.Timestamp(time, unit='ms', tz='UTC'):%Y-%m-%d %H:%M}"
