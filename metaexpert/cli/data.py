"""`metaexpert data`: import, download, list and verify candles, and what goes with them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .download import download

if TYPE_CHECKING:
    from ..bars import Quality
    from ..importer import ImportReport
    from ..series import Kind
    from ..store import SeriesInfo, Verdict

__all__ = ["app"]

app = typer.Typer(
    help="Candles, mark prices, funding rates and trades: import, download, list and verify them.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_GAPS_SHOWN = 10
_ADVICE = "Import some: metaexpert data import FILE; or download some: metaexpert data download EXCHANGE SYMBOL"
_KINDS = "candles, mark, index, funding or trades"
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="CSV or Parquet, packed with gzip or zip or not.")],
    kind: Annotated[str | None, typer.Option(help=f"{_KINDS}; default: as its columns or name say.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Whose market it is; default local.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Such as BTCUSDT or BTC/USDT:USDT.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Such as 1h; default: as the times say.")] = None,
    market_type: Annotated[str | None, typer.Option(help="spot, futures or options.")] = None,
    contract_type: Annotated[str | None, typer.Option(help="For futures: linear or inverse.")] = None,
    date_format: Annotated[str | None, typer.Option(help="How to read its dates, such as %d/%m/%Y.")] = None,
    price_tick: Annotated[float | None, typer.Option(help="Smallest step of a price.")] = None,
    qty_step: Annotated[float | None, typer.Option(help="Smallest step of a quantity.")] = None,
    min_qty: Annotated[float | None, typer.Option(help="Smallest quantity of an order.")] = None,
    min_notional: Annotated[float | None, typer.Option(help="Smallest value of an order, in quote.")] = None,
    maker: Annotated[float | None, typer.Option(help="Maker fee rate, 0.001 = 0.1 %.")] = None,
    taker: Annotated[float | None, typer.Option(help="Taker fee rate, 0.001 = 0.1 %.")] = None,
    contract_size: Annotated[float | None, typer.Option(help="Units of quantity in one contract.")] = None,
    max_leverage: Annotated[float | None, typer.Option(help="Highest leverage.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Import a file of candles, mark or index prices, funding rates or trades.

    Shows what was recognised (columns, order, units), mended and left out, and what is missing.
    """
    from ..importer import MarketRules, import_file
    from ..store import CandleStore

    rules = MarketRules(
        price_tick=price_tick,
        qty_step=qty_step,
        min_qty=min_qty,
        min_notional=min_notional,
        maker=maker,
        taker=taker,
        contract_size=contract_size,
        max_leverage=max_leverage,
    )
    report = import_file(
        file,
        CandleStore(),
        kind=kind,
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        market_type=market_type,
        contract_type=contract_type,
        date_format=date_format,
        rules=rules,
    )
    if as_json:
        _print_json(report.as_dict())
    else:
        _print_report(report)


app.command("download")(download)


@app.command("list")
def list_(
    exchange: Annotated[str | None, typer.Option(help="Only those of this exchange.")] = None,
    as_json: _AsJson = False,
) -> None:
    """List what is stored."""
    from ..store import CandleStore

    store = CandleStore()
    series = store.series(exchange)
    if as_json:
        _print_json([_series_dict(info) for info in series])
    elif series:
        _print_series(series)
    else:
        whose = f" of {exchange}" if exchange is not None else ""
        typer.echo(f"No candles{whose} in {store.root} yet. {_ADVICE}")


@app.command("verify")
def verify(
    symbol: Annotated[str | None, typer.Argument(help="Only this symbol, such as BTCUSDT.")] = None,
    exchange: Annotated[str | None, typer.Option(help="Only candles of this exchange.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this timeframe.")] = None,
    kind: Annotated[str | None, typer.Option(help=f"Only this kind: {_KINDS}.")] = None,
    as_json: _AsJson = False,
) -> None:
    """Count what is missing or unsound in the stored files.

    The exit code is 1 when a file is damaged or holds unsound rows; missing ones alone are no fault of a file.
    """
    from ..store import CandleStore

    verdicts = CandleStore().verify_all(exchange, symbol, timeframe, kind)
    if as_json:
        _print_json([_verdict_dict(verdict) for verdict in verdicts])
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
    if not all(verdict.is_sound for verdict in verdicts):
        raise typer.Exit(1)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str))


def _series_dict(info: SeriesInfo) -> dict[str, Any]:
    return {**asdict(info), "path": str(info.path)}


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    quality = verdict.quality
    return {
        "path": str(verdict.path),
        "sound": verdict.is_sound,
        "error": verdict.error,
        "series": None if verdict.info is None else _series_dict(verdict.info),
        "quality": None if quality is None else asdict(quality) | {"missing": quality.missing},
    }


def _print_report(report: ImportReport) -> None:
    from ..importer import when

    quality = report.quality
    what = _what(report.kind, report.timeframe)
    typer.echo(f"{report.file}: {report.market.exchange} {report.market.symbol} {what}")
    _print_pairs("Recognised", [*report.facts])
    if report.rules:
        _print_pairs("Market rules", [(name, f"{value:.10g} ({why})") for name, value, why in report.rules])
    _print_lines("Mended", report.mended)
    _print_lines("Left out", report.left_out)
    _print_gaps(report.kind, quality)
    span = f"{when(quality.start or 0)} to {when(quality.end or 0)} UTC"
    typer.echo(
        f"Stored: {quality.rows} of {report.rows_read} rows, {span}; {report.added} new, {report.total} in all"
    )


def _print_pairs(title: str, pairs: list[tuple[str, str]]) -> None:
    typer.echo(f"{title}:")
    for name, value in pairs:
        typer.echo(f"  {name:<15} {value}")


def _print_lines(title: str, lines: tuple[str, ...]) -> None:
    typer.echo(f"{title}:" if lines else f"{title}: nothing")
    for line in lines:
        typer.echo(f"  {line}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _what(kind: Kind, timeframe: str | None) -> str:
    """Name a series for people: ``1h``, ``mark 1h``, ``funding``."""
    return timeframe if kind == "candles" and timeframe else f"{kind} {timeframe or ''}".strip()


def _print_gaps(kind: Kind, quality: Quality) -> None:
    from ..importer import when

    if kind == "trades":  # nobody knows how many there should be
        return
    if not quality.gaps:
        typer.echo("Missing: nothing")
        return
    missing, gaps = _count(quality.missing, kind.noun), _count(len(quality.gaps), "gap")
    every = f"of {quality.timeframe} " if kind.has_timeframe else ""
    typer.echo(f"Missing: {missing} {every}in {gaps} ({quality.coverage:.3%} are there)")
    longest = sorted(quality.gaps, key=lambda gap: -gap[2])[:_GAPS_SHOWN]
    for first, last, count in sorted(longest):
        typer.echo(f"  {when(first)} to {when(last)}: {count}")
    if len(quality.gaps) > _GAPS_SHOWN:
        typer.echo(f"  the {_GAPS_SHOWN} longest are shown; --json lists all")


def _print_series(series: list[SeriesInfo]) -> None:
    from ..importer import when

    rows = [("exchange", "symbol", "series", "rows", "first", "last (UTC)", "source")]
    for info in series:
        sources = ", ".join(source.name for source in reversed(info.sources))
        first, last = when(info.start)[:10], when(info.end - 1)[:10]
        what = _what(info.kind, info.timeframe)
        rows.append((info.exchange, info.symbol, what, f"{info.rows:,}", first, last, sources))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # plain text, so that it can be searched and cut in a pipe
        cells = [
            cell.rjust(width) if at == 3 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo("  ".join(cells).rstrip())


def _print_verdict(verdict: Verdict) -> None:
    from ..importer import when
    from ..timeframe import parse

    info, quality = verdict.info, verdict.quality
    if info is None or quality is None:
        typer.echo(f"DAMAGED {verdict.error}")
        return
    length = 1 if info.timeframe is None else parse(info.timeframe)
    span = f"{when(info.start)} to {when(info.end - length)} UTC"  # open times, as the import says it
    what = _what(info.kind, info.timeframe)
    typer.echo(f"{info.exchange} {info.symbol} {what}: {_count(quality.rows, info.kind.noun)}, {span}")
    found = [
        ("duplicates", quality.duplicates),
        ("out of order", quality.disordered),
        ("not a number", quality.not_a_number),
        ("impossible", quality.impossible),
    ]
    if info.kind.has_timeframe:
        found.append(("off the grid", quality.misaligned))
    if info.kind == "candles":
        found.append(("without volume", quality.zero_volume))
    typer.echo("  " + ", ".join(f"{name} {count}" for name, count in found))
    for kind, time in quality.examples:
        typer.echo(f"  {kind} at {when(time)}")
    _print_gaps(info.kind, quality)
