"""`metaexpert new NAME`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["new"]


def new(
    name: Annotated[str, typer.Argument(help="The name of the expert and of its new folder.", metavar="NAME")],
    exchange: Annotated[
        str, typer.Option(help="demo, local, binance, bybit, okx, bitget or kucoin.", show_default=True)
    ] = "demo",
    market_type: Annotated[str, typer.Option(help="spot or futures.", show_default=True)] = "spot",
    contract_type: Annotated[
        str | None, typer.Option(help="For futures: linear (settles in quote) or inverse (in base).")
    ] = None,
    strategy: Annotated[
        str, typer.Option(help="blank (every setting and handler), ema, rsi, macd or signals.", show_default=True)
    ] = "blank",
    symbol: Annotated[str | None, typer.Option(help="The symbol, such as BTCUSDT or BTC/USDT.")] = None,
    timeframe: Annotated[str, typer.Option(help="The bars, such as 15m, 1h or 1d.", show_default=True)] = "1h",
    force: Annotated[bool, typer.Option("--force", help="Write over the files of an existing folder.")] = False,
) -> None:
    """Make a new expert in the folder NAME."""
    from .scaffold import FILES, create

    folder = create(
        name,
        force=force,
        exchange=exchange,
        market_type=market_type,
        contract_type=contract_type,
        strategy=strategy,
        symbol=symbol,
        timeframe=timeframe,
    )
    typer.echo(f"Made {folder} with {', '.join(FILES)}.\n\nNext:")
    if exchange == "demo":
        typer.echo(f"  metaexpert backtest {folder}")
        typer.echo(f"  metaexpert run {folder} --speed 60    # on paper, at sixty times the world's pace")
    else:
        typer.echo(f"  metaexpert backtest {folder} --exchange demo    # synthetic prices, at once")
        typer.echo(f"  metaexpert data import FILE --exchange {exchange}    # candles of your own, then")
        typer.echo(f"  metaexpert backtest {folder}")
    typer.echo(f"  edit {folder / 'main.py'}")
