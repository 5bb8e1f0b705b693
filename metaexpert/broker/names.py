"""Client order ids: 25 letters and digits that say whose order it is, of which run, and the how manieth."""

from __future__ import annotations

import re
from hashlib import sha256

__all__ = ["Names"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_MARK = "me"
_OWNER, _RUN, _NUMBER = 9, 8, 6
_SHAPE = re.compile(rf"{_MARK}([0-9a-z]{{{_OWNER}}})([0-9a-z]{{{_RUN}}})([0-9a-z]{{{_NUMBER}}})")


class Names:
    """The ids of the orders of one run of one expert.

    Equal arguments give equal ids, so that a restart finds by them what it sent; no two runs share one.

    Args:
        name: the expert's.
        strategy_id: marks its orders, as MetaTrader's magic number does.
        run: the run's id, 8 letters and digits.

    Raises:
        ValueError: `run` is no such id.
    """

    def __init__(self, name: str, strategy_id: int, run: str) -> None:
        if not re.fullmatch(rf"[0-9a-z]{{{_RUN}}}", run):
            raise ValueError(f"run must have {_RUN} letters or digits, got {run!r}")
        digest = int.from_bytes(sha256(f"{name}/{strategy_id}".encode()).digest()[:8], "big")
        self.owner = _base36(digest, _OWNER)
        """The part that all orders of the expert have in common."""
        self.run = run

    def name(self, number: int) -> str:
        """The id of the run's order `number`, counted from 1."""
        return f"{_MARK}{self.owner}{self.run}{_base36(number, _NUMBER)}"

    def is_mine(self, order_id: str) -> bool:
        """Is it the id of an order of this expert, of this run or an earlier one?"""
        found = _SHAPE.fullmatch(order_id)
        return found is not None and found[1] == self.owner

    def number(self, order_id: str) -> int:
        """Which order of this run it is the id of; 0 where it is none of them."""
        found = _SHAPE.fullmatch(order_id)
        if found is None or found[1] != self.owner or found[2] != self.run:
            return 0
        return int(found[3], 36)


def _base36(number: int, length: int) -> str:
    """The last `length` digits of `number` in base 36."""
    digits: list[str] = []
    for _ in range(length):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
