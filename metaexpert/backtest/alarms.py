"""What makes a result doubtful, said beside it: each alarm is one line with its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..models import ExitReason, OrderStatus
from ..timeframe import DAY_MS
from . import stats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalogue import Statistics
    from .sample import Sample

__all__ = ["Alarm", "alarms", "counted"]

_FEW_TRADES = 30
_FEW_DAYS = 30
_ONE_TRADE = 0.5  # of the net profit
_SUSPECT_SHARE = 0.05  # of trades or fills
_PROFIT_FACTOR = 10.0
_WIN_RATE_PCT = 95.0
_CAGR_PCT = 1000.0
_ROUNDING = 1e-9  # of capital and turnover: what sums of floats may be off by

_SUSPECT = "too good; suspect look-ahead, too little data or too much leverage"


class Alarm(NamedTuple):
    """One doubt: a stable `code` and a `message` for people."""

    code: str
    message: str


def counted(count: int, nouns: str) -> str:
    """Return ``"1 trade"`` or ``"2 trades"``, for `nouns` whose plural ends in s."""
    return f"{count:,} {nouns.removesuffix('s') if count == 1 else nouns}"


def alarms(sample: Sample, values: Statistics) -> tuple[Alarm, ...]:
    """Return all doubts about one run, the gravest first; empty when there is none."""
    checks = (_books, _ruin, _stopped, _nothing_traded, _samples, _too_good, _costs, _fills, _data)
    return tuple(alarm for check in checks for alarm in check(sample, values))


def _books(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    by_trades = float(s.trades.net.sum())
    limit = _ROUNDING * (s.record.initial_capital + s.costs.turnover)
    if s.record.trades and abs(by_trades - s.costs.net) > limit:
        yield Alarm(
            "books",
            f"the trades' profit {by_trades!r} and the change of equity {s.costs.net!r} differ: "
            "please report this as a bug",
        )


def _ruin(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    if float(s.path.min()) <= 0.0:
        yield Alarm("ruin", f"equity fell to {float(s.path.min()):,.2f} {s.record.currency}: the account was lost")
    count = sum(trade.exit_reason is ExitReason.LIQUIDATION for trade in s.record.trades)
    if count:
        yield Alarm("liquidations", f"{count} of {len(s.record.trades)} trades ended in liquidation")


def _stopped(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    if s.record.stop_reason != "backtest_end":
        yield Alarm("stopped", f"the run stopped before the end of the data: {s.record.stop_reason}")


def _nothing_traded(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    if s.record.fills:
        return
    rejected = [order for order in s.record.orders if order.status is OrderStatus.REJECTED]
    if rejected:
        first = rejected[0].message or "no reason given"
        why = f"{len(rejected)} of {len(s.record.orders)} orders were rejected, the first with: {first}"
    elif s.record.orders:
        why = f"{counted(len(s.record.orders), 'orders')} sent and none filled: their prices were never reached"
    elif s.record.refusals:
        why = f"every entry was refused: {_refused(s)}"
    else:
        why = f"the expert sent no order in {len(s.record.time):,} bars: its entry condition never came true"
    yield Alarm("nothing_traded", f"nothing was traded: {why}")


def _samples(s: Sample, values: Statistics) -> Iterator[Alarm]:
    count = s.closed.net.size
    if s.record.fills and count < _FEW_TRADES:
        few = counted(count, "closed trades")
        yield Alarm("few_trades", f"{few}: under {_FEW_TRADES} say little about the next one")
    if s.span < _FEW_DAYS * DAY_MS:
        length = f"{s.span / DAY_MS:.1f} days"
        yield Alarm("short_span", f"{length}: annual figures from under {_FEW_DAYS} days mean little")
    profit, best = float(s.closed.net.sum()), values["best_trade"]
    if isinstance(best, float) and count > 1 and profit > 0.0 and best > _ONE_TRADE * profit:
        yield Alarm("one_trade", f"one trade made {100.0 * best / profit:.0f} % of the profit of all {count}")


def _too_good(s: Sample, values: Statistics) -> Iterator[Alarm]:
    factor, rate, growth = (_number(values, key) for key in ("profit_factor", "win_rate_pct", "cagr_pct"))
    if factor is not None and factor > _PROFIT_FACTOR:
        yield Alarm("profit_factor", f"profit factor {factor:,.1f}, above {_PROFIT_FACTOR:.0f}: {_SUSPECT}")
    if rate is not None and rate > _WIN_RATE_PCT:
        yield Alarm("win_rate", f"{rate:.1f} % of {counted(s.closed.net.size, 'trades')} won: {_SUSPECT}")
    if growth is not None and growth > _CAGR_PCT:
        yield Alarm("cagr", f"CAGR {growth:,.0f} %, above {_CAGR_PCT:,.0f} %: {_SUSPECT}")


def _costs(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    costs = s.costs
    if costs.gross > 0.0 >= costs.net and costs.turnover > 0.0:
        yield Alarm("costs", f"costs turn a gross profit of {costs.gross:,.2f} into {costs.net:,.2f}")


def _fills(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    ambiguous, extreme = stats.share(s.trades.ambiguous), stats.share(s.fills.at_extreme)
    if ambiguous is not None and ambiguous > _SUSPECT_SHARE:
        yield Alarm(
            "ambiguous",
            f"{100.0 * ambiguous:.0f} % of trades reached stop and target in one bar (the stop was counted): "
            "use a shorter timeframe or wider levels",
        )
    if extreme is not None and extreme > _SUSPECT_SHARE:
        yield Alarm("extremes", f"{100.0 * extreme:.0f} % of fills were at the best price of their bar")
    large = stats.count(s.fills.volume_share > 1.0)
    if large:
        yield Alarm("volume", f"{large} of {len(s.record.fills)} fills were larger than the volume of their bar")


def _data(s: Sample, _values: Statistics) -> Iterator[Alarm]:
    for symbol, quality in s.record.quality.items():
        if quality.missing:
            longest = max(count for _, _, count in quality.gaps)
            missing = f"{counted(quality.missing, 'bars')} missing in {counted(len(quality.gaps), 'gaps')}"
            yield Alarm("gaps", f"{symbol}: {missing}, at most {longest:,} in one")


def _number(values: Statistics, key: str) -> float | None:
    value = values[key]
    return float(value) if isinstance(value, int | float) else None


def _refused(s: Sample) -> str:
    return ", ".join(f"{count} x {reason}" for reason, count in sorted(s.record.refusals.items()))
