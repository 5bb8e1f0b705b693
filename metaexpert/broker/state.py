"""What a broker goes on from after a restart, as JSON can hold it, to the last bit.

What the market offers (quotes, the book) is left out: it is another one by then. What was done is left out too:
fills, round trips and finished orders are counted here, and stand in the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, JournalError
from .book import Working
from .data import Latest
from .protection import Guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import BaseBroker
    from .data import MarketData
    from .holding import Holding

__all__ = ["leg_of", "restore", "state_of"]

_VERSION = 1


def state_of(broker: BaseBroker) -> dict[str, Any]:
    """The account, the positions with their levels and everything that works, between two events.

    Raises:
        JournalError: there is news that nobody has been told yet.
    """
    if broker.news:
        raise JournalError("a broker can't be saved within an event: its news is not told yet")
    guards = [
        {"symbol": held.market.symbol, "position_side": held.position_side, **guard.state()}
        for held, guard in broker.execution.guards.items()
    ]
    return {
        "version": _VERSION,
        "ledger": broker.ledger.state(),
        "fills": broker.execution.filled,
        "sent": broker.book.sent,
        "working": [working.state() for working in broker.book.by_age()],
        "guards": guards,
        "unsettled": broker.expiry.state(),
        "data": {symbol: _known(data) for symbol, data in broker.data.items()},
    }


def restore(broker: BaseBroker, state: Mapping[str, Any]) -> None:
    """Give a broker that has done nothing yet the `state` of another one.

    Raises:
        ConfigError: the settings have no place for what is held or works.
        JournalError: the state was written by another version.
    """
    if state.get("version") != _VERSION:
        raise JournalError(
            f"the state is of version {state.get('version')}, which this metaexpert can't read: go on with the "
            "one that wrote it, or begin anew"
        )
    broker.ledger.restore(state["ledger"])
    broker.execution.filled, broker.book.sent = state["fills"], state["sent"]
    for one in state["working"]:
        _put_to_work(broker, one)
    for one in state["guards"]:
        held = broker.ledger.leg(one["symbol"], one["position_side"])
        leaving = None if one["leaving"] is None else broker.book.find(one["leaving"])
        broker.execution.guards[held] = Guard.restored(one, held.market.price_tick, leaving)
    broker.expiry.restore(state["unsettled"])
    for symbol, known in state["data"].items():
        if symbol in broker.data:
            _tell(broker.data[symbol], known)


def _put_to_work(broker: BaseBroker, state: Mapping[str, Any]) -> None:
    """Let an order work on, without news of it."""
    order = state["order"]
    working = Working.restored(state, leg_of(broker, order["id"], order["symbol"], order.get("position_side")))
    broker.book.add(working)


def leg_of(broker: BaseBroker, order_id: str, symbol: str, position_side: str | None) -> Holding:
    """The position that an order of before a restart works on.

    Raises:
        ConfigError: the settings have no place for it.
    """
    if symbol not in broker.ledger.holdings or (position_side is not None) != broker.ledger.hedge:
        raise ConfigError(
            f"order {order_id} in {symbol} still works, for which the settings leave no place now: "
            "give the symbols and the position_mode that the run had, such as to cancel it (live: --flatten), or "
            "begin a new paper account (--fresh)"
        )
    return broker.ledger.leg(symbol, position_side)


def _known(data: MarketData) -> dict[str, Any]:
    """What time has changed of the things that are known beside prices."""
    return {
        "funding": None if data.funding is None else data.funding.taken,
        "mark": data.marks.price if isinstance(data.marks, Latest) else None,
        "underlying": data.underlying.price if isinstance(data.underlying, Latest) else None,
    }


def _tell(data: MarketData, known: Mapping[str, Any]) -> None:
    if data.funding is not None:
        data.funding.resume(known["funding"])
    if isinstance(data.marks, Latest):
        data.marks.price = known["mark"]
    if isinstance(data.underlying, Latest):
        data.underlying.price = known["underlying"]
