"""`metaexpert exchanges` and `metaexpert markets`: what can be traded where."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..exchanges.lookup import Lookup
    from ..exchanges.venues import Venue
    from ..models import Market

__all__ = ["exchanges", "markets", "print_table"]

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
_NAMED = 3  # markets that were left out, by name


def exchanges(as_json: _AsJson = False) -> None:
    """List the exchanges: kinds of market, test networks, and where their keys go."""
    from ..exchanges.venues import VENUES, Segment

    every = [part.value for part in Segment]
    own: list[dict[str, Any]] = [
        {"exchange": "demo", "name": "embedded, synthetic prices", "markets": every, "testnet": [], "keys": []},
        {"exchange": "local", "name": "your imported files", "markets": every, "testnet": [], "keys": []},
    ]
    found = [*own, *map(_described, VENUES.values())]
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    head: list[tuple[str, ...]] = [("exchange", "name", "markets", "test network", "keys (environment or .env)")]
    print_table(head + [_row(one) for one in found])


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    return (one["exchange"], one["name"], *(", ".join(one[key]) or "-" for key in ("markets", "testnet", "keys")))


def _described(venue: Venue) -> dict[str, Any]:
    keys = ("API_KEY", "API_SECRET", *(["API_PASSPHRASE"] if venue.passphrase else []))
    return {
        "exchange": venue.id,
        "name": venue.name,
        "markets": [part.value for part in venue.segments],
        "testnet": [part.value for part in venue.testnet],
        "keys": [f"{venue.id.upper()}_{key}" for key in keys],
    }


def markets(
    exchange: Annotated[str, typer.Argument(help="Such as binance; metaexpert exchanges lists them.")],
    kind: Annotated[
        str | None, typer.Option("--type", help="spot, linear, inverse, futures (both), or option; default: all.")
    ] = None,
    text: Annotated[str | None, typer.Option("--search", help="Only those with these words, such as BTC.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch the list anew, whatever its age.")] = False,
    as_json: _AsJson = False,
) -> None:
    """List or search the markets of an exchange.

    The list is fetched once a day and kept; without a network an older one serves, and its age is told.
    """
    from ..envfile import load_env
    from ..exchanges.lookup import look_up, search

    found = look_up(exchange, kind, refresh=refresh, dotenv=load_env(Path()))
    shown = list(found.markets) if text is None else search(found.markets, text)
    if as_json:
        typer.echo(json.dumps(_as_dict(exchange, found, shown), indent=2))
        return
    if shown:
        _print_markets(shown)
    elif found.markets:
        typer.echo(f"No market of {exchange} matches {text!r}.")
    else:
        typer.echo(f"There are no markets of {exchange} here; import candles of one: metaexpert data import FILE")
    _print_origin(found, len(shown))


def _as_dict(exchange: str, found: Lookup, shown: Sequence[Market]) -> dict[str, Any]:
    from ..exchanges.venues import segment_of

    return {
        "exchange": exchange,
        "fetched": {part.value: _moment(time) for part, time in found.fetched.items()},
        "left_out": {symbol: why for one in found.left_out.values() for symbol, why in one.items()},
        "missing": {part.value: why for part, why in found.missing.items()},
        "markets": [{"kind": segment_of(one).value, **one.as_dict()} for one in shown],
    }


def _print_markets(shown: Sequence[Market]) -> None:
    from ..exchanges.venues import segment_of

    rows: list[tuple[str, ...]] = [
        ("symbol", "id", "kind", "price tick", "qty step", "min qty", "min notional", "maker", "taker", "expires")
    ]
    for one in shown:
        numbers = (one.price_tick, one.qty_step, one.min_qty, one.min_notional)
        fees = (f"{one.maker:.4%}", f"{one.taker:.4%}")
        expires = "" if one.expiry is None else _moment(one.expiry)[:10]
        cells = (*(f"{number:.12g}" for number in numbers), *fees)
        rows.append((one.symbol, one.id, segment_of(one).value, *cells, expires))
    print_table(rows)


def _print_origin(found: Lookup, shown: int) -> None:
    """Say beside the table, for people, how old it is and what it lacks."""
    lists = ", ".join(f"{part} of {_moment(time)} ({_age(time)})" for part, time in found.fetched.items())
    typer.echo(f"{shown} of {len(found.markets)} markets" + (f"; lists: {lists}" if lists else ""), err=True)
    left_out = [why for one in found.left_out.values() for why in one.values()]
    for why in left_out[:_NAMED]:
        typer.echo(f"left out: {why}", err=True)
    if len(left_out) > _NAMED:
        typer.echo(f"left out: {len(left_out) - _NAMED} more; --json names all", err=True)
    for part, why in found.missing.items():
        typer.echo(f"no list of {part} markets: {why}", err=True)


def _age(time_ms: int) -> str:
    from ..clock import WallClock

    hours = max(0, WallClock().now() - time_ms) // 3_600_000
    return f"{hours // 24} days old" if hours >= 48 else f"{hours} hours old" if hours >= 2 else "fresh"


def _moment(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M UTC}"


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Plain text, so that it can be searched and cut in a pipe."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
