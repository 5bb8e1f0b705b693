"""Find a run that was kept, load the expert that it ran, and play it again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from . import liverun, paper
from .config import LIVE_ONLY, LogSettings
from .errors import JournalError
from .journal import JournalReader
from .kept import find
from .loading import load_expert
from .logger import MetaLogger
from .models import Market, TradeMode
from .replay import Lines, ReplayFeed, replay
from .script import digest_of
from .wiring import named, wanted_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .journal import Run as Kept
    from .kept import Found
    from .live import LiveProcess
    from .loading import Loaded
    from .replay import Comparison, Recording
    from .wiring import LiveJob

__all__ = ["Rebuilt", "Rerun", "rerun"]

_FUNCTIONS = ("trend_filter", "volatility_filter")
"""Settings that may be functions, of which only the name is kept."""
_OF_RUN = {
    TradeMode.PAPER: ("initial_capital", "paper_fills", "latency_ms"),
    TradeMode.LIVE: tuple(name for name in LIVE_ONLY if name != "adopt"),
}
"""What decides how a run went, beside what it heard."""


class Rerun(NamedTuple):
    """What came of it: the run, its log beside that of the replay, and what may explain a difference."""

    found: Found
    comparison: Comparison
    notes: tuple[str, ...]


def rerun(text: str) -> Rerun:
    """Play a run again with the expert's file as it is now, and compare what it does with what it did.

    Handlers run again, with all that they do beside trading. What they decide by other things than what the market
    told (random numbers, files, the computer's clock) may differ.

    Args:
        text: the run's id or the beginning of it, or the expert's file or folder: its last run.

    Raises:
        JournalError: there is no such run, or no whole record of it.
        ConfigError: the expert's file is gone, or its settings are wrong now.
        StrategyError: the expert's file fails.
    """
    found = find(text)
    manifest = found.run.manifest
    if manifest.get("file") is None:
        raise JournalError(f"run {found.run.id} was typed in, not loaded from a file: it can't be loaded again")
    loaded = load_expert(manifest["file"])
    started = loaded.start(
        manifest["mode"],
        settings={name: value for name, value in manifest["strategy"].items() if _is_value(name, value)},
        inputs=manifest["inputs"],
        **{name: manifest["exchange"][name] for name in ("exchange", "market_type", "contract_type")},
        **{name: manifest["run"][name] for name in _OF_RUN[manifest["mode"]]},
    )
    with JournalReader.open(found.journal) as journal, loaded.importing(), started.inputs():
        comparison = asyncio.run(Rebuilt(started.job, found.run).replay(journal))
    return Rerun(found, comparison, tuple(_explanations(loaded, manifest)))


def _is_value(name: str, value: Any) -> bool:
    """Can a setting be taken from the manifest? Of a function it has no more than the name."""
    return value is not None and not (name in _FUNCTIONS and isinstance(value, str))


def _explanations(loaded: Loaded, manifest: dict[str, Any]) -> Iterator[str]:
    from .__version__ import __version__

    if digest_of(loaded.path) != manifest["code"]:
        yield f"{loaded.path} has changed since the run"
    if manifest["metaexpert"] != __version__:
        yield f"the run was made by metaexpert {manifest['metaexpert']}, this is {__version__}"


class Rebuilt:
    """A run as it was wired, over what it heard.

    Args:
        job: the same as the run's, with handlers of an expert that is made anew.
        run: the run.
    """

    def __init__(self, job: LiveJob, run: Kept) -> None:
        self._job = job
        self._run = run

    async def replay(self, journal: JournalReader) -> Comparison:
        """Play it.

        Raises:
            JournalError: there is no whole record of it.
        """
        silent = LogSettings(log_to_console=False, log_to_file=False)
        self._log = MetaLogger(self._job.name, silent, now=lambda: 0, secrets=self._job.exchange.secrets)
        try:
            return await replay(journal, self._run, self._build)
        finally:
            self._job.bind(None)

    async def _build(self, recording: Recording) -> tuple[LiveProcess, Lines]:
        job, run = self._job, self._run
        markets = named(job, [Market.from_dict(one) for one in run.manifest["markets"]])
        feed = ReplayFeed(recording, wanted_of(job, markets), lookback=job.strategy.lookback_bars)
        await feed.open(recording.beginning["history"])
        lines = Lines(feed, job.exchange.secrets)
        if run.manifest["mode"] == TradeMode.LIVE:
            process = liverun.rebuilt(job, markets, feed, lines, self._log, run)
        else:
            process = paper.process_of(job, markets, feed, lines, self._log, run.first)
        feed.on_stop = process.stop
        job.bind(process)
        return process, lines
