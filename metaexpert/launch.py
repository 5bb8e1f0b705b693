"""What a run of any mode is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .config import ExchangeSettings, RunSettings, StrategySettings
    from .handlers import Handlers
    from .logger import MetaLogger
    from .process import MetaProcess

__all__ = ["Launch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One expert with its settings, ready to run.

    `bind` is told the process that runs, and None when it is over. `file` is the expert's, `code` its digest.
    """

    name: str
    exchange: ExchangeSettings
    strategy: StrategySettings
    run: RunSettings
    handlers: Handlers
    log: Callable[[Callable[[], int]], MetaLogger]
    bind: Callable[[MetaProcess | None], None]
    signals: Callable[[Any], Any] | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    file: Path | None = None
    code: str = ""
    notes: tuple[str, ...] = ()
