"""How a result is printed: plain text, a rich table, HTML. The data come first, the doubts last.

`sections` says what is printed and in which order; the three renderers only lay it out.
"""

from __future__ import annotations

import textwrap
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from ..models import MarketType
from . import tables
from .alarms import Alarm, counted
from .catalogue import CATALOGUE, Unit, Value
from .manifest import iso

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from ..bars import Quality
    from .catalogue import Statistics
    from .record import Record
    from .sample import Sample

__all__ = ["Row", "Section", "as_html", "as_rich", "as_text", "sections", "summary"]

_WIDTH = 80
_RUN = (
    "start",
    "end",
    "duration_days",
    "bars",
    "exposure_time_pct",
    "orders",
    "orders_rejected",
    "entries_refused",
)
_RESULT = (
    "initial_capital", "final_equity", "equity_peak", "net_profit", "total_return_pct", "buy_hold_return_pct",
    "cagr_pct", "best_day_pct", "worst_day_pct", "days_win", "days_draw", "days_lose", "best_month_pct",
    "worst_month_pct", "open_trades", "open_profit", "criterion",
)  # fmt: skip
_TRADES = (
    "trades", "trades_long", "trades_short", "trades_per_day", "win_rate_pct", "profit_factor",
    "profit_factor_pct", "expectancy", "expectancy_pct", "payoff_ratio", "avg_win_pct", "avg_loss_pct",
    "best_trade_pct", "worst_trade_pct", "avg_trade_days", "max_trade_days", "avg_win_days", "avg_loss_days",
    "max_win_streak", "max_loss_streak", "avg_mae_pct", "avg_mfe_pct", "sqn", "kelly_pct", "p_value",
    "ambiguous_trades",
)  # fmt: skip
_RISK = (
    "sharpe", "sortino", "calmar", "omega", "volatility_pct", "max_drawdown_pct", "max_drawdown_balance_pct",
    "max_drawdown", "avg_drawdown_pct", "max_drawdown_days", "drawdown_start", "drawdown_trough", "drawdown_end",
    "ulcer_index_pct", "recovery_factor", "value_at_risk_pct", "conditional_value_at_risk_pct", "skew", "kurtosis",
    "tail_ratio", "alpha_pct", "beta", "max_exposure_pct", "avg_exposure_pct",
)  # fmt: skip
_COST_SHARES = ("turnover", "turnover_per_year", "maker_share_pct", "cost_bps", "break_even_bps")


class Row(NamedTuple):
    """One line of a table: what, how much, and the n that it rests on."""

    label: str
    value: str
    note: str = ""


class Section(NamedTuple):
    """A titled block: sentences, then rows, or a `table` whose first line holds its headings; all may be empty."""

    title: str
    lines: Sequence[str] = ()
    rows: Sequence[Row] = ()
    table: Sequence[Sequence[str]] = ()


def sections(sample: Sample, values: Statistics, found: Sequence[Alarm]) -> list[Section]:
    """Return the report of one run: Data, Run, Result, Symbols (of several), Trades, Costs, Risk, Alarms."""
    record = sample.record
    doubts = [alarm.message for alarm in found] or ["none: no check found a reason to doubt this result"]
    several = [Section("Symbols", table=_symbol_table(sample))] if len(record.markets) > 1 else []
    return [
        Section("Data", _data_lines(record)),
        Section("Run", _run_lines(record), _rows(record, values, _RUN)),
        Section("Result", (), _rows(record, values, _RESULT)),
        *several,
        Section("Trades", (), _rows(record, values, _TRADES) + _group_rows(sample)),
        Section("Costs", (), _chain_rows(sample) + _rows(record, values, _COST_SHARES)),
        Section("Risk", (), _rows(record, values, _RISK)),
        Section("Alarms", doubts),
    ]


def summary(values: Statistics, found: Sequence[Alarm]) -> str:
    """Return the result in one short line."""
    keys = {"return": "total_return_pct", "max drawdown": "max_drawdown_pct", "trades": "trades"}
    shown = [f"{name} {_shown(values[key], CATALOGUE[key].unit, '', 2)}" for name, key in keys.items()]
    return ", ".join([*shown, f"alarms {len(found)}"])


def as_text(blocks: Sequence[Section]) -> str:
    """Lay `blocks` out as plain text, at most 80 columns wide."""
    out: list[str] = []
    for block in blocks:
        out += ["", block.title, "-" * len(block.title)]
        for line in block.lines:
            out += textwrap.wrap(line, _WIDTH, initial_indent="* ", subsequent_indent="  ")
        out += [_text_row(row) for row in block.rows] + _text_table(block.table)
    return "\n".join(out[1:])


def as_rich(blocks: Sequence[Section]) -> RenderableType:
    """Lay `blocks` out for a rich console; it leaves colours out where the output is no terminal."""
    from rich.console import Group as Stack
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    parts: list[RenderableType] = []
    for block in blocks:
        style = "bold yellow" if block.title == "Alarms" else "bold cyan"
        parts.append(Padding(Text(block.title, style=style), (1, 0, 0, 0)))
        lines = Table.grid(padding=(0, 1))
        for line in block.lines:
            lines.add_row("*", Text(line, style="bold red" if "SYNTHETIC" in line else ""))
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=40, no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(style="dim", no_wrap=True)
        for row in block.rows:
            colour = "red" if row.value.startswith("-") else ""
            table.add_row(Text(row.label), Text(row.value, style=colour), Text(row.note))
        parts += [part for part in (lines, table, _rich_table(block.table)) if part.row_count]
    return Stack(*parts)


def as_html(blocks: Sequence[Section]) -> str:
    """Lay `blocks` out as an HTML fragment; every text is escaped."""
    out = ['<div class="metaexpert-result">']
    for block in blocks:
        out.append(f"<h4>{escape(block.title)}</h4>")
        if block.lines:
            out.append("<ul>" + "".join(f"<li>{escape(line)}</li>" for line in block.lines) + "</ul>")
        if block.rows:
            cells = (
                f"<tr><td>{escape(row.label)}</td><td style='text-align:right'>{escape(row.value)}</td>"
                f"<td>{escape(row.note)}</td></tr>"
                for row in block.rows
            )
            out.append("<table>" + "".join(cells) + "</table>")
        if block.table:
            head, *body = ("".join(f"<td>{escape(cell)}</td>" for cell in line) for line in block.table)
            lines = "".join(f"<tr>{line}</tr>" for line in body)
            out.append(f"<table><tr>{head.replace('td>', 'th>')}</tr>{lines}</table>")
    return "\n".join([*out, "</div>"])


def _text_row(row: Row) -> str:
    return f"{row.label:<42} {row.value:>22}  {row.note}".rstrip()


def _text_table(table: Sequence[Sequence[str]]) -> list[str]:
    """The first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in table
    ]


def _rich_table(table: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for number, heading in enumerate(table[0] if table else ()):
        made.add_column(Text(heading), justify="right" if number else "left", no_wrap=True)
    for line in table[1:]:
        made.add_row(*(Text(cell, style="red" if cell.startswith("-") else "") for cell in line))
    return made


def _data_lines(record: Record) -> list[str]:
    lines: list[str] = []
    for symbol, quality in record.quality.items():
        kind = _origin(quality, record.exchange)
        source = f"; source: {quality.source}" if quality.source else ""
        lines += [f"{symbol} on {record.exchange}: {kind}{source}", f"{symbol}: {_quality_line(quality)}"]
        if record.markets[symbol].is_inverse:
            lines.append(f"{symbol} settles in its coin: money here is {record.currency}, and buy & hold is 0 %")
    return [*lines, *record.notes]


def _origin(quality: Quality, exchange: str) -> str:
    """What the prices are, as far as we can know: we vouch for the embedded ones only."""
    if quality.synthetic:
        return "SYNTHETIC prices, not a market's history"
    return "REAL prices, recorded" if exchange == "demo" else "the candles that were imported"


def _quality_line(quality: Quality) -> str:
    parts = [f"{quality.rows:,} bars of {quality.timeframe}"]
    if quality.missing:
        first, last, count = max(quality.gaps, key=lambda gap: gap[2])
        coverage = f"coverage {100.0 * quality.coverage:.2f} %"
        parts.append(
            f"{quality.missing:,} missing in {counted(len(quality.gaps), 'gaps')} ({coverage}), "
            f"the longest {count:,} bars from {_moment(first)} to {_moment(last)}"
        )
    else:
        parts.append("none missing")
    counts: Mapping[str, int] = {
        "duplicated": quality.duplicates,
        "out of order": quality.disordered,
        "not a number": quality.not_a_number,
        "impossible": quality.impossible,
        "misaligned": quality.misaligned,
        "without volume": quality.zero_volume,
    }
    return "; ".join([*parts, *(f"{count:,} {name}" for name, count in counts.items() if count)])


def _run_lines(record: Record) -> list[str]:
    symbols = ", ".join(record.markets)
    kinds = sorted({_kind(market.type, market.is_inverse) for market in record.markets.values()})
    lines = [f"{record.name}: {symbols} {record.timeframe} on {record.exchange} ({', '.join(kinds)})"]
    if record.inputs:
        lines.append("inputs: " + ", ".join(f"{name} = {value}" for name, value in record.inputs.items()))
    if record.refusals:
        refused = sorted(record.refusals.items(), key=lambda item: (-item[1], item[0]))
        lines.append("entries refused: " + ", ".join(f"{count:,} x {reason}" for reason, count in refused))
    return lines


def _kind(kind: MarketType, is_inverse: bool) -> str:
    return f"{'inverse' if is_inverse else 'linear'} futures" if kind is MarketType.FUTURES else str(kind)


def _rows(record: Record, values: Statistics, keys: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    for row, value in ((CATALOGUE[key], values[key]) for key in keys):
        if row.key == "criterion" and value is None:
            continue  # the expert declares no criterion: nothing is undefined
        count = values[row.rests_on] if row.rests_on else None
        note = counted(count, row.rests_on) if isinstance(count, int) else ""
        rows.append(Row(row.label, _shown(value, row.unit, record.currency, _digits(record)), note))
    return rows


def _chain_rows(sample: Sample) -> list[Row]:
    """From gross to net, one line a cost."""
    costs = sample.costs
    chain = {
        "Gross profit, before costs": costs.gross,
        "- fees, maker": -costs.fees_maker,
        "- fees, taker": -costs.fees_taker,
        "- fees, liquidation": -costs.fees_liquidation,
        "- slippage": -costs.slippage,
        "+ funding (received > 0)": costs.funding,
        "= net profit": costs.net,
    }
    return [Row(label, _money(sample.record, value)) for label, value in chain.items()]


def _group_rows(sample: Sample) -> list[Row]:
    """The net profit of each exit reason."""
    return [
        Row(f"Net profit, exit {group.name}", _money(sample.record, group.net_profit), f"{group.trades:,} trades")
        for group in tables.groups(sample, "exit_reason")
    ]


def _symbol_table(sample: Sample) -> list[list[str]]:
    """What each symbol has made, open trades at their last price: the profits add up to the account's."""
    groups, digits = tables.groups(sample, "symbol"), _digits(sample.record)
    rows = [["Symbol", "Trades", "Open", "Won", "Net profit", "Fees", "Funding"]]
    for one in groups:
        money = (one.net_profit + one.open_profit, one.fees, one.funding)
        won = _shown(one.win_rate_pct, "%", "", digits)
        shown = [_shown(value + 0.0, "currency", "", digits) for value in money]
        rows.append([one.name, f"{one.trades:,}", f"{one.open_trades:,}", won, *shown])
    return rows


def _money(record: Record, value: float) -> str:
    return _shown(value + 0.0, "currency", record.currency, _digits(record))  # + 0.0 turns -0.0 into 0.0


def _digits(record: Record) -> int:
    """Decimals of money: cents, but satoshis for an account held in a coin."""
    return 8 if any(market.is_inverse for market in record.markets.values()) else 2


def _shown(value: Value, unit: Unit, currency: str, digits: int) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if unit == "currency":
        return f"{value:,.{digits}f} {currency}".strip()
    if unit == "days":
        return _duration(float(value))
    formats = {"%": f"{value:,.2f} %", "bps": f"{value:,.2f} bps", "count": f"{value:,}"}
    return formats.get(unit) or f"{value:,.3f}"


def _duration(days: float) -> str:
    minutes = round(days * 1440)
    whole, rest = divmod(minutes, 1440)
    hours, left = divmod(rest, 60)
    parts = [(whole, "d"), (hours, "h"), (left if not whole else 0, "m")]
    return " ".join(f"{count} {name}" for count, name in parts if count) or "0 m"


def _moment(time_ms: int) -> str:
    return (iso(time_ms) or "")[:16].replace("T", " ")
