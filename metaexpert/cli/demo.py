"""`metaexpert demo`: one expert, synthetic and real prices, no network."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]

_SYNTHETIC = {"symbol": "BTCUSDT", "start": "2024-01-01", "end": "2024-12-31"}
_REAL = {"symbol": "BTC/USD", "start": "2017-08-01", "end": "2019-09-30"}

_CLOSING = """
The first table is from synthetic prices: it shows that the machinery works and says nothing about any market.
The second is from real prices of the past, which promise nothing for the future.

Next:
  metaexpert new my_bot --strategy ema     an expert of your own
  metaexpert backtest my_bot               run it on the synthetic prices
  metaexpert backtest my_bot --symbol BTC/USD --start 2017-08-01 --end 2019-09-30
                                           run it on the real ones"""


def demo(
    folder: Annotated[
        str | None, typer.Option(help="Make the expert in this new folder and keep it.", metavar="FOLDER")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """See it work on synthetic and real prices, offline."""
    if folder is not None:
        _demonstrate(Path(folder), as_json=as_json, kept=True)
        return
    with tempfile.TemporaryDirectory(prefix="metaexpert-demo-") as temporary:
        _demonstrate(Path(temporary) / "demo_expert", as_json=as_json, kept=False)


def _demonstrate(folder: Path, *, as_json: bool, kept: bool) -> None:
    from ..loading import load_expert
    from .backtest import run_file, show
    from .scaffold import create

    create(folder.name, parent=folder.parent, strategy="ema")
    synthetic = run_file(load_expert(folder), **_SYNTHETIC)
    real = run_file(load_expert(folder), **_REAL)
    if as_json:
        runs = {"synthetic": json.loads(synthetic.to_json()), "real": json.loads(real.to_json())}
        typer.echo(json.dumps(runs, sort_keys=True))
        return
    typer.echo("An EMA cross, long only, on hourly bars: first on SYNTHETIC prices of the embedded exchange.\n")
    show(synthetic, as_json=False)
    typer.echo("\nThe same expert on REAL prices: Coinbase BTC/USD, August 2017 to September 2019.\n")
    show(real, as_json=False)
    typer.echo(_CLOSING)
    if kept:
        typer.echo(f"\nThe expert is in {folder}.")
