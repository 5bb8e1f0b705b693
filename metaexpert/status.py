"""How an expert stands, by its journal: while it runs, in whatever process, and after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .broker.ledger import Ledger
from .broker.protection import Guard
from .broker.sentries import Protected
from .files import holder
from .journal import JournalReader
from .kept import find
from .models import Account, Fill, MarginMode, Market, Order, OrderStatus, Position, Rejection
from .risk import DAY_IS_LOST, LossLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from .journal import Entry, Run

__all__ = ["LimitUse", "Status", "status_of"]

_SHOWN = 5  # fills, refusals and notices each


class LimitUse(NamedTuple):
    """A limit, and how much of it is used up: an amount of money, or for drawdowns a fraction."""

    name: str
    used: float
    limit: float

    @property
    def share(self) -> float:
        """The part of the limit that is used up; 1 where it is reached."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How an expert stands on one account. Times are ms UTC.

    `holder` is the process that runs it, None where none does. `reason` says why the run ended, None where it did
    not say: it runs, or was killed. `heard` is the time of the last thing that it heard. `halted` is the limit
    that keeps it from trading. `unknown` are the ids of orders of which it is not known whether they arrived,
    `protection` tells of live positions how each of their levels is kept. `fills`, `refusals` and `notices` are
    the last few, newest last.
    """

    name: str
    file: str | None
    journal: Path
    run: str
    mode: str
    market: str
    started: int
    ended: int | None
    reason: str | None
    holder: str | None
    heard: int
    account: Account | None = None
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    protection: tuple[Protected, ...] = ()
    unknown: tuple[str, ...] = ()
    limits: tuple[LimitUse, ...] = ()
    halted: str | None = None
    fills: tuple[Entry, ...] = ()
    refusals: tuple[Entry, ...] = ()
    notices: tuple[Entry, ...] = ()

    @property
    def is_running(self) -> bool:
        """Does a process run it now?"""
        return self.holder is not None

    def as_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "journal": str(self.journal),
            "running": self.is_running,
            "account": None if self.account is None else {n: getattr(self.account, n) for n in _OF_ACCOUNT},
            "positions": [{name: getattr(one, name) for name in _OF_POSITION} for one in self.positions],
            "protection": [one._asdict() for one in self.protection],
            "orders": [one.as_dict() for one in self.orders],
            "limits": [{**one._asdict(), "share": one.share} for one in self.limits],
            **{name: [one._asdict() for one in getattr(self, name)] for name in ("fills", "refusals", "notices")},
        }

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{self.name}: {self.mode} on {self.market}, {self._state()}",
            f"  run      {self.run} since {_moment(self.started)}, last heard of the market {_moment(self.heard)}",
            f"  journal  {self.journal}",
            *self._of_account(),
            *_part("positions", map(self._position, self.positions), "flat"),
            *_part("working orders", map(self._order, self.orders), "none"),
            *_part("limits", map(_limit, self.limits), "none is set"),
            *_part("last fills", map(_fill, self.fills)),
            *_part("last refusals", map(_refusal, self.refusals)),
            *_part("last notices", map(_notice, self.notices)),
        ]

    def _state(self) -> str:
        if self.holder is not None:
            return f"running ({self.holder})"
        if self.reason is None or self.reason == "killed":
            return "NOT running: its process has ended without a word; start it again and it goes on from here"
        return f"ended {'' if self.ended is None else _moment(self.ended)} ({self.reason})"

    def _position(self, one: Position) -> str:
        kept = {
            str(told.part): _KEPT[told.status] if told.status != "watched" or self.is_running else _NOT_WATCHED
            for told in self.protection if (told.symbol, told.position_side) == (one.symbol, one.position_side)
        }  # fmt: skip
        words = [
            f"{one.symbol}  {one.position_side or one.side} {abs(one.qty):.12g} at {_number(one.entry_price)}",
            f"mark {_number(one.mark_price)}",
            f"profit {one.unrealized_pnl:+,.8g}",
        ]
        for word, level in (("stop", one.stop_loss), ("target", one.take_profit)):
            if level is not None:
                words.append(f"{word} {level:.8g}" + (f" ({kept[word]})" if word in kept else ""))
            elif word == "stop":
                words.append("NO stop")
        if one.liquidation_price is not None:
            words.append(f"liquidation {one.liquidation_price:.8g}")
        return ", ".join(words)

    def _order(self, one: Order) -> str:
        levels = ("stop", one.stop_price), ("at", one.price)
        price = "".join(f" {word} {value:.8g}" for word, value in levels if value is not None)
        filled = f", {one.filled:.12g} filled" if one.filled else ""
        state = "on its way" if one.status is OrderStatus.PENDING else "open"
        if one.id in self.unknown:
            state = "UNKNOWN whether it arrived"
        return f"{one.id}  {one.symbol}  {one.type} {one.side} {one.qty:.12g}{price}{filled}, {state}"

    def _of_account(self) -> Iterator[str]:
        account = self.account
        if account is None:
            yield "  nothing is known of the account: it has not got as far"
            return
        yield (
            f"  account  equity {account.equity:,.8g} {account.currency}, balance {account.balance:,.8g}, "
            f"margin used {account.margin_used:,.8g}, free {account.margin_free:,.8g}"
        )
        if self.halted is not None:
            until = "until 00:00 UTC" if self.halted.endswith(DAY_IS_LOST.reason) else "until: metaexpert resume"
            yield f"  HALTED   {self.halted} was reached: it opens nothing {until}"


_KEPT = {
    "stands": "on the exchange",
    "moving": "on the exchange at another level, and being moved",
    "sent": "on its way to the exchange",
    "unknown": "UNKNOWN whether it is on the exchange",
    "missing": "MISSING on the exchange",
    "watched": "watched by the expert",
    "closing": "the position is being closed",
    "leaving": "being replaced",
    "sought": "being looked for on the exchange",
    "ended": "MISSING on the exchange",
}
_NOT_WATCHED = "NOT watched while the expert does not run"
_PLAIN = (
    "name", "file", "run", "mode", "market", "started", "ended", "reason", "holder", "heard", "unknown", "halted",
)  # fmt: skip
_OF_ACCOUNT = ("currency", "balance", "equity", "unrealized_pnl", "margin_used", "margin_free", "time")
_OF_POSITION = (
    "symbol", "position_side", "qty", "entry_price", "mark_price", "unrealized_pnl", "realized_pnl", "margin",
    "leverage", "liquidation_price", "stop_loss", "take_profit", "trailing_stop", "opened",
)  # fmt: skip


def status_of(text: str, mode: str | None = None) -> Status:
    """How the expert stands that `text` means, by its journal; nothing is changed, and no exchange is asked.

    Args:
        text: the expert's file or folder: what it ran last; or a run's id, or the beginning of it.
        mode: ``"paper"`` or ``"live"``: in that mode; None: in whichever it ran last.

    Raises:
        JournalError: it has not run, or its journal can't be read.
    """
    path = find(text, mode).journal
    who = holder(path.with_suffix(".lock"))
    with JournalReader.open(path) as journal:
        run, state = journal.runs()[-1], journal.last_state()
        told = {"journal": path, "holder": who, **_told(journal, run)}
        known = {} if state is None else _known(run.manifest, state, _prices(journal))
    return Status(**told, **known)


def _told(journal: JournalReader, run: Run) -> dict[str, Any]:
    """What stands in the journal beside the state."""
    manifest, exchange = run.manifest, run.manifest["exchange"]
    words = (exchange["exchange"], "testnet" if exchange["testnet"] else "", exchange["contract_type"])
    last = next(journal.tail("market", 1), None)
    of_market = _last(journal.tail("market"), "Notice")
    of_account = _last(journal.tail("log"), "notice")
    return {
        "name": manifest["name"],
        "file": manifest["file"],
        "run": run.id,
        "mode": manifest["mode"],
        "market": " ".join(filter(None, (*words, exchange["market_type"]))),
        "started": run.started,
        "ended": run.ended,
        "reason": run.reason,
        "heard": run.started if last is None else max(last.time, run.started),
        "fills": _last(journal.tail("log"), "fill"),
        "refusals": _last(journal.tail("log"), "rejection"),
        "notices": tuple(sorted((*of_market, *of_account), key=lambda one: one.time)[-_SHOWN:]),
    }


def _last(entries: Iterable[Entry], kind: str) -> tuple[Entry, ...]:
    """The first few of a kind, turned round."""
    found: list[Entry] = []
    for entry in entries:
        if entry.kind == kind:
            found.append(entry)
            if len(found) == _SHOWN:
                break
    return tuple(reversed(found))


def _prices(journal: JournalReader) -> dict[str, float]:
    """The last price of each symbol that traded lately."""
    found: dict[str, float] = {}
    for entry in journal.tail("market", 2_000):
        if entry.kind == "PublicTrade":
            _, symbol, _, price, *_ = entry.body
            found.setdefault(symbol, price)
    return found


def _known(manifest: Mapping[str, Any], state: Mapping[str, Any], prices: Mapping[str, float]) -> dict[str, Any]:
    """What the state tells, its positions marked at `prices`."""
    ledger, broker, trader = _ledger(manifest), state["broker"], state["trader"]
    ledger.restore(broker["ledger"])
    for held in ledger.legs():
        held.mark = prices.get(held.market.symbol, held.mark)
    time, live = state["time"], broker.get("live")
    equity = ledger.equity() - (0.0 if live is None else live["shown"]["external"])
    own = _limits(manifest["strategy"], "", trader["limits"], equity, time)
    used = own.used(time, equity)
    more = _live(live, manifest["run"], trader, time)
    orders = [Order.from_dict(one["order"]) for one in broker["working"]]
    return {
        "account": ledger.account(time),
        "positions": tuple(_positions(ledger, broker["guards"])),
        "orders": tuple(sorted(orders, key=lambda one: one.created)),
        **more,
        "halted": trader["stopped"] or trader["blocked"] or _lost_day(own, time) or more.get("halted"),
        "limits": tuple(LimitUse(name, *use) for name, use in (used | more.get("limits", {})).items()),
    }


def _live(
    live: Mapping[str, Any] | None, run: Mapping[str, Any], trader: Mapping[str, Any], time: int
) -> dict[str, Any]:
    """What is known of a live account only."""
    if live is None:
        return {}
    shown = live["shown"]
    equity = shown["account_equity"]
    account = _limits(run, "account_", trader["account_limits"], equity, time)
    lost, limits = _lost_day(account, time), account.used(time, equity)
    return {
        "halted": None if lost is None else f"account_{lost}",
        "unknown": tuple(shown["unknown"]),
        "protection": tuple(Protected(*one) for one in shown["protected"]),
        "limits": {f"account_{name}": use for name, use in limits.items()},
    }


def _limits(
    settings: Mapping[str, Any], whose: str, state: Mapping[str, Any] | None, equity: float, time: int
) -> LossLimits:
    """The loss limits that stand in settings, as they were left; None: they count from `equity` on."""
    values = (settings[f"{whose}{name}"] for name in ("daily_loss_limit", "max_drawdown_pct"))
    made = LossLimits(*values, equity=equity, time=time)
    if state is not None:
        made.restore(state)
    return made


def _ledger(manifest: Mapping[str, Any]) -> Ledger:
    markets = {one["symbol"]: Market.from_dict(one) for one in manifest["markets"]}
    exchange, leverage = manifest["exchange"], manifest["strategy"]["leverage"]
    margin_mode = MarginMode(exchange["margin_mode"] or MarginMode.ISOLATED)
    return Ledger(0.0, markets, leverage, margin_mode, hedge=exchange["position_mode"] == "hedge")


def _positions(ledger: Ledger, guards: Iterable[Mapping[str, Any]]) -> Iterator[Position]:
    """The open positions with their levels."""
    levels = {ledger.leg(one["symbol"], one["position_side"]): one for one in guards}
    for held in ledger.legs():
        if held.qty == 0.0:
            continue
        position, told = ledger.position(held.market.symbol, held.position_side), levels.get(held)
        yield position if told is None else Guard.restored(told, held.market.price_tick, None).on(position)


def _lost_day(limits: LossLimits, time: int) -> str | None:
    refusal = limits.refusal(time)
    return None if refusal is None else refusal.reason


# --- words ------------------------------------------------------------------------------------------------------


def _part(title: str, lines: Iterable[str], none: str = "") -> Iterator[str]:
    found = list(lines)
    if found or none:
        yield f"  {title}" if found else f"  {title}: {none}"
    yield from (f"    {line}" for line in found)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.8g}"


def _limit(one: LimitUse) -> str:
    form = ".2%" if one.name.endswith("_pct") else ",.8g"
    return f"{one.name}  {one.used:{form}} of {one.limit:{form}} used ({one.share:.0%})"


def _fill(entry: Entry) -> str:
    fill = Fill(*entry.body)
    pnl = f", profit {fill.pnl:+,.8g}" if fill.pnl else ""
    what = f"{fill.symbol}  {fill.side} {fill.qty:.12g} at {fill.price:.8g}"
    return f"{_moment(fill.time)}  {what}, fee {fill.fee:,.8g}{pnl}, {fill.reason}"


def _refusal(entry: Entry) -> str:
    told = Rejection(*entry.body)
    return f"{_moment(told.time)}  {told.symbol}  {told.reason}: {told.message}"


def _notice(entry: Entry) -> str:
    _, symbol, text, error, *_ = entry.body
    return f"{_moment(entry.time)}  {' '.join(filter(None, (symbol, text)))}" + (f" ({error[1]})" if error else "")


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S UTC}"
