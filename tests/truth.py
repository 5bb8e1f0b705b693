"""An expert's books held against the exchange's own: what differs, in words."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lives import World
    from venue.orders import Order as Taken

    from metaexpert.models import Order, Position

__all__ = ["differences", "duplicates", "unprotected"]


def differences(world: World) -> list[str]:
    """What the expert that lives now has otherwise than its exchange; nothing where all is well.

    It is to be asked when nothing is on its way. The account must be the expert's alone.
    """
    run = world.lives[-1].run
    found = [
        *_positions(world, run.positions), *_orders(world, run.orders), *unprotected(world, run.positions),
        *_fills(world), *duplicates(world),
    ]  # fmt: skip
    if not found:
        found += _money(world, run.account.balance if run.account is not None else 0.0)
    return found


def unprotected(world: World, held: list[Position]) -> list[str]:
    """Positions without exactly the stop and the target that they have by our books, at the exchange itself."""
    if world.kind in {"spot", "option"}:
        return []  # watched by the expert
    wanted: Counter[tuple[bool, float, float]] = Counter()
    for one in held:
        for level in (one.stop_loss, one.take_profit):
            if level is not None:
                wanted[one.qty < 0, _round(abs(one.qty)), _round(level)] += 1
    unit = world.item.contract
    stand = Counter(
        (one.buy, _round(float(one.remaining * unit)), _round(float(one.trigger or 0))) for one in world.stops
    )
    if stand == wanted:
        return []
    return [f"protection: wanted {dict(wanted)}, at the exchange {dict(stand)}"]


def duplicates(world: World) -> list[str]:
    """Orders that came more than once under one id of ours."""
    ids = Counter(one.client_id for one in world.all_orders if one.client_id and not one.parent)
    return [f"order {name} came {count} times" for name, count in ids.items() if count > 1]


def _positions(world: World, held: list[Position]) -> list[str]:
    sides = {None: "BOTH", "long": "LONG", "short": "SHORT"}
    ours = {sides[one.position_side]: _round(one.qty) for one in held}
    theirs = {side: _round(qty) for side, qty in world.positions.items()}
    return [] if _are_near(ours, theirs) else [f"positions: ours {ours}, at the exchange {theirs}"]


def _orders(world: World, working: list[Order]) -> list[str]:
    ours = Counter(
        (one.side == "buy", _round(one.remaining), _round(one.price or one.stop_price)) for one in working
    )
    theirs = Counter(_shown(world, one) for one in world.orders if one not in world.stops)
    return [] if ours == theirs else [f"orders: ours {dict(ours)}, at the exchange {dict(theirs)}"]


def _shown(world: World, one: Taken) -> tuple[bool, float, float]:
    price = one.price if one.price is not None else one.trigger
    return one.buy, _round(float(one.remaining * world.item.contract)), _round(float(price or 0))


def _fills(world: World) -> list[str]:
    """Signed quantity, money moved and number of sides of all fills ever, by the journal and by the exchange."""
    ours: dict[str, float] = {"bought": 0.0, "sold": 0.0, "worth": 0.0}
    for body in journaled(world, "fill"):
        side, qty, price = body[4], body[5], body[6]
        ours["bought" if side == "buy" else "sold"] += qty
        ours["worth"] += qty * price
    theirs: dict[str, float] = {"bought": 0.0, "sold": 0.0, "worth": 0.0}
    for one in world.fills:
        theirs["bought" if one.buy else "sold"] += one.qty
        theirs["worth"] += one.qty * one.price
    return [] if _are_near(ours, theirs) else [f"fills: ours {ours}, at the exchange {theirs}"]


def journaled(world: World, kind: str) -> list[Any]:
    """What stands in the journal of all runs, of one kind."""
    with world.journal() as journal:
        lines = [json.loads(line) for run in journal.runs() for line in journal.lines(run.id)]
    return [line["body"] for line in lines if line["kind"] == kind]


def _money(world: World, balance: float) -> list[str]:
    """The balance of a contract account is that of the wallet, and what was paid for options."""
    if world.kind == "spot":
        return []
    theirs = world.balance(world.item.settle)
    if world.kind == "option":
        theirs += sum(float(world.item.value(one.amount, one.entry)) for one in world.state.held(world.item))
    return [] if abs(balance - theirs) <= 1e-6 * theirs else [f"balance: ours {balance}, at the exchange {theirs}"]


def _are_near(ours: dict[str, float], theirs: dict[str, float]) -> bool:
    names = ours.keys() | theirs.keys()
    return all(abs(ours.get(n, 0.0) - theirs.get(n, 0.0)) <= 1e-6 * max(1.0, abs(ours.get(n, 0.0))) for n in names)


def _round(value: float | None) -> float:
    return round(value or 0.0, 9)
