"""`metaexpert doctor`: what is well, what is wrong, and what to do about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from .exchanges import print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..doctor import Ability, ExchangeCheckup, Finding

__all__ = ["doctor"]

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}
_MARKS = {"native": "yes", "emulated": "emulated", "refused": "-"}


def doctor(
    exchange: Annotated[
        str | None, typer.Argument(help="Such as binance; default: every one whose API key is set.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="spot, linear, inverse, futures (both), or option; default: all.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON only.")] = False,
) -> None:
    """Check this computer, the way to an exchange, its clock, your key and account, and show what it can do.

    Nothing is changed and no order is sent. Exit code 0: all that could be checked is well; 1: something is wrong.
    """
    from ..doctor import examine

    found = examine(exchange, kind)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _print_findings(found.machine)
        for one in found.exchanges:
            _print_exchange(one)
        typer.echo("\nAll that could be checked is well." if found.is_well else "\nSomething is wrong.")
    if not found.is_well:
        raise typer.Exit(1)


def _print_exchange(one: ExchangeCheckup) -> None:
    typer.secho(f"\n{one.exchange}", bold=True)
    if one.settings:
        head = ("setting", "value", "from", "variable")
        print_table([head, *((line.name, line.value or "-", line.source, line.variable) for line in one.settings)])
        typer.echo()
    _print_findings(one.findings)
    if one.abilities:
        typer.echo()
        _print_abilities(one.abilities)


def _print_findings(findings: Iterable[Finding]) -> None:
    for one in findings:
        mark = typer.style(f"{one.status:<8}", fg=_COLOURS.get(one.status))
        typer.echo(f"{mark} {one.name}: {one.text}")
        if one.advice:
            typer.echo(f"{'':8} -> {one.advice}")


def _print_abilities(abilities: Iterable[Ability]) -> None:
    """One row a feature, one column a segment; reasons below, each once."""
    parts: list[str] = []
    rows: dict[str, list[str]] = {}
    notes: dict[str, int] = {}
    for one in abilities:
        if one.segment not in parts:
            parts.append(one.segment)
        number = f" {notes.setdefault(one.why, len(notes) + 1)})" if one.why else ""
        rows.setdefault(one.feature.replace("_", " "), []).append(f"{_MARKS[one.support]}{number}")
    print_table([("orders", *parts), *((name, *cells) for name, cells in rows.items())])
    typer.echo("yes: by the exchange itself; emulated: by MetaExpert; -: refused")
    for why, number in notes.items():
        typer.echo(f"{number}) {why}")
