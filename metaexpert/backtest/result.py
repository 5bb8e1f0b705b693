"""`Result`: one backtest as a person reads it and as a file keeps it, derived lazily from its `Record`."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from contextlib import suppress
from errno import EEXIST, ENOTEMPTY
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError
from ..files import home
from . import report, tables
from .alarms import Alarm, alarms
from .catalogue import Statistics
from .manifest import iso, manifest, plain
from .sample import Costs, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from rich.console import RenderableType

    from ..bars import Quality
    from .record import Record
    from .tables import Group, Month

__all__ = ["Result"]

_ATTEMPTS = 20  # to put a run in place while other processes do the same
_NAME_BYTES = 150  # of the 255 that file systems allow; temporary names add to it
_GROUPINGS = ("symbol", "side", "exit_reason", "tag")


class Result:
    """The outcome of a backtest.

    Everything is derived from `record` when it is first read. Money is in the settlement currency
    (`record.currency`), times are UTC. ``print(result)`` gives a plain table, a notebook an HTML one.
    """

    def __init__(self, record: Record) -> None:
        """Wrap the outcome of a run.

        Raises:
            DataError: the run saw no bar.
        """
        self.record = record
        self._sample = Sample(record)

    @cached_property
    def stats(self) -> Statistics:
        """The statistics by key, e.g. ``result.stats["sharpe"]``; None where undefined."""
        return Statistics(self._sample)

    @property
    def costs(self) -> Costs:
        """The chain from gross to net profit."""
        return self._sample.costs

    @property
    def quality(self) -> Mapping[str, Quality]:
        """What is sound and unsound in the candles of each symbol."""
        return self.record.quality

    @cached_property
    def alarms(self) -> tuple[Alarm, ...]:
        """What makes this result doubtful; empty when nothing was found."""
        return alarms(self._sample, self.stats)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Columns equity, balance, drawdown (a fraction <= 0), exposure; one row a bar close, index UTC."""
        return tables.equity(self._sample)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row a trade; an open trade has no exit_time."""
        return tables.trades(self._sample)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order, in its last state."""
        return tables.orders(self._sample)

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill."""
        return tables.fills(self._sample)

    @property
    def by_symbol(self) -> pd.DataFrame:
        """The closed trades of each symbol: number, win rate, profit and more."""
        return tables.frame(self.groups("symbol"))

    @property
    def by_side(self) -> pd.DataFrame:
        """The closed trades, long and short."""
        return tables.frame(self.groups("side"))

    @property
    def by_exit_reason(self) -> pd.DataFrame:
        """The closed trades by why they were left."""
        return tables.frame(self.groups("exit_reason"))

    @property
    def by_tag(self) -> pd.DataFrame:
        """The closed trades by the tag of their entry."""
        return tables.frame(self.groups("tag"))

    @property
    def by_month(self) -> pd.DataFrame:
        """Return and profit of each UTC month, from equity."""
        return tables.frame(self.months)

    @property
    def months(self) -> list[Month]:
        """Return and profit of each UTC month, as plain rows."""
        return tables.months(self._sample)

    def groups(self, by: Literal["symbol", "side", "exit_reason", "tag"]) -> list[Group]:
        """Return the closed trades that share one field, as plain rows."""
        return tables.groups(self._sample, by)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What identifies this run: digests of code, data, settings and result, versions, seed."""
        return manifest(self.record, start=self._sample.start, end=self._sample.end)

    def to_json(self) -> str:
        """Return the result as JSON: manifest, statistics, costs, data quality, alarms, tables and trades.

        Equal runs give equal text: keys are sorted, an undefined number is null, no wall-clock time is in it.
        """
        costs = plain(self.costs) | {
            "fees": self.costs.fees,
            "paid_bps": self.costs.paid_bps,
            "break_even_bps": self.costs.break_even_bps,
        }
        body = {
            "manifest": self.manifest,
            "stats": dict(self.stats),
            "costs": costs,
            "quality": {symbol: _quality_row(quality) for symbol, quality in self.quality.items()},
            "alarms": [alarm._asdict() for alarm in self.alarms],
            "notes": self.record.notes,
            "refusals": self.record.refusals,
            "stop_reason": self.record.stop_reason,
            "groups": {by: [row._asdict() for row in self.groups(by)] for by in _GROUPINGS},
            "months": [month._asdict() for month in self.months],
            "daily_equity": tables.daily_equity(self._sample),
            "trades": self._trade_rows(),
        }
        return json.dumps(plain(body), sort_keys=True, indent=2, allow_nan=False)

    def save(self, folder: str | Path | None = None) -> Path:
        """Write manifest.json, result.json, trades.csv, orders.csv and equity.parquet; return the folder.

        All files appear at once: they are written beside the folder, which is then put in place. A folder that
        holds an earlier run is replaced. Without `folder` it is ``runs/<id>`` in the user's data folder.

        Raises:
            ConfigError: the folder holds something else than a run, or cannot be written.
        """
        target = home() / "runs" / _file_name(self.manifest["id"]) if folder is None else Path(folder)
        target = target.absolute()
        if _holds_something_else(target):
            raise ConfigError(f"{target} holds something else than a run: choose another folder to save in")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                self._write(draft)
                _put_in_place(draft, target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        except OSError as error:
            raise ConfigError(f"can't save the run in {target}: {error.strerror or error}") from error
        return target

    def _write(self, folder: Path) -> None:
        files = {
            "manifest.json": json.dumps(self.manifest, sort_keys=True, indent=2, allow_nan=False) + "\n",
            "result.json": self.to_json() + "\n",
            "trades.csv": self.trades.to_csv(index=False, lineterminator="\n"),
            "orders.csv": self.orders.to_csv(index=False, lineterminator="\n"),
        }
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        self.equity.to_parquet(folder / "equity.parquet", compression="zstd")
        folder.chmod(0o755)

    def _trade_rows(self) -> list[dict[str, Any]]:
        arrays = self._sample.trades
        extra = zip(
            arrays.net.tolist(), arrays.returns.tolist(), arrays.mae.tolist(), arrays.mfe.tolist(), strict=True
        )
        return [
            trade._asdict()
            | {"entry_time": iso(trade.entry_time), "exit_time": iso(trade.exit_time), "net_pnl": net}
            | {"return_pct": 100.0 * gain, "mae_pct": 100.0 * mae, "mfe_pct": 100.0 * mfe}
            for trade, (net, gain, mae, mfe) in zip(self.record.trades, extra, strict=True)
        ]

    def _sections(self) -> list[report.Section]:
        return report.sections(self._sample, self.stats, self.alarms)

    def __repr__(self) -> str:
        return f"<Result {self.record.name}: {report.summary(self.stats, self.alarms)}>"

    def __str__(self) -> str:
        return report.as_text(self._sections())

    def __rich__(self) -> RenderableType:
        return report.as_rich(self._sections())

    def _repr_html_(self) -> str:
        return report.as_html(self._sections())


def _quality_row(quality: Quality) -> dict[str, Any]:
    return plain(quality) | {"missing": quality.missing, "coverage": quality.coverage}


def _file_name(text: str) -> str:
    """`text` with everything but letters, digits, dot, dash and underscore replaced, fit for any file system.

    A name too long for one is cut before its last dash, so that the digest of a run's id stays.
    """
    name, dash, digest = re.sub(r"[^\w.-]+", "-", text).rpartition("-")
    return (name.encode()[:_NAME_BYTES].decode(errors="ignore") + dash + digest).strip(".-")


def _holds_something_else(folder: Path) -> bool:
    try:
        before = folder.stat()
        names = {entry.name for entry in folder.iterdir()}
        moved = not os.path.samestat(before, folder.stat())
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    if moved:  # another save puts its own run there; what was seen may be half of the earlier one
        return _holds_something_else(folder)
    return bool(names) and "manifest.json" not in names


def _put_in_place(draft: Path, target: Path) -> None:
    """Rename `draft` to `target`; an earlier run there is moved aside first and removed after.

    Another process may save there at the same moment: then one of the two runs stays, whole.
    """
    for attempt in range(_ATTEMPTS):
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        try:
            with suppress(FileNotFoundError):
                target.replace(aside / "run")
            draft.replace(target)
        except BaseException as error:
            taken = isinstance(error, OSError) and error.errno in (ENOTEMPTY, EEXIST)
            if not taken and (aside / "run").exists():
                (aside / "run").replace(target)
            if not taken or attempt == _ATTEMPTS - 1:
                raise
        else:
            return
        finally:
            shutil.rmtree(aside, ignore_errors=True)
