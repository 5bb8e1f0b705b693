"""What the other experts on an account hold, by their own journals: so that nobody takes theirs for his."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from .errors import JournalError
from .files import holder
from .journal import JournalReader
from .reports import HeldByOther

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .config import ExchangeSettings

__all__ = ["Siblings", "account_mark"]


def account_mark(exchange: ExchangeSettings) -> str:
    """What tells one account from another in a journal, and nobody what its key is.

    Experts with the same key trade on the same account. Two keys of one account are not known to be that.
    """
    key = "" if exchange.api_key is None else exchange.api_key.reveal()
    told = "/".join((exchange.exchange, key, exchange.subaccount or "", str(exchange.testnet)))
    return sha256(told.encode()).hexdigest()[:16]


class Siblings:
    """The other live experts on one account, in markets of one kind.

    What is missing on the account is missing with one expert alone, so all of them have to rank themselves alike:
    first come those that do not run, whose record is an old one, then those that began later.

    Args:
        own: the journal of the expert who asks.
        run: the id of his run.
        manifest: that of his run.
    """

    def __init__(self, own: Path, run: str, manifest: Mapping[str, Any]) -> None:
        self._own = own
        self._run = run
        self._manifest = manifest

    def __call__(self) -> tuple[HeldByOther, ...]:
        """What they hold now."""
        return tuple(
            HeldByOther(one["symbol"], one["position_side"], one["qty"], is_first)
            for state, is_first in self._states()
            for one in state["broker"]["ledger"]["holdings"] if one["qty"] != 0.0
        )  # fmt: skip

    def _states(self) -> Iterator[tuple[Mapping[str, Any], bool]]:
        for path in sorted(self._own.parent.glob("*.db")):
            if path == self._own:
                continue
            with (
                suppress(JournalError),
                JournalReader.open(path) as journal,
            ):  # a damaged one is its owner's affair
                manifest, state, run = journal.last_manifest(), journal.last_state(), journal.last_run()
                if manifest and state is not None and run is not None and self._is_sibling(manifest):
                    yield state, self._is_first(path, *run)

    def _is_first(self, path: Path, run: str, ended: str | None) -> bool:
        is_over = ended is not None or holder(path.with_suffix(".lock")) is None
        return is_over or (run, path) > (self._run, self._own)

    def _is_sibling(self, manifest: Mapping[str, Any]) -> bool:
        if manifest.get("mode") != "live" or manifest.get("account") != self._manifest["account"]:
            return False
        return all(manifest["exchange"][name] == self._manifest["exchange"][name] for name in _SAME)


_SAME = ("exchange", "testnet", "market_type", "contract_type")
