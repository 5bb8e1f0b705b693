"""The formulas and the catalogue: hand-computed cases, references by other means, and what must never happen."""

import math
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_maker import DAY, INVERSE, START, SYMBOL, candles, fill, market, record, trade

from metaexpert.backtest import kernel, stats
from metaexpert.backtest.catalogue import CATALOGUE, Statistics
from metaexpert.backtest.sample import Sample
from metaexpert.bars import Quality
from metaexpert.errors import DataError
from metaexpert.models import ContractType, ExitReason, Market, MarketType, Order, OrderStatus, OrderType, Side

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "statistics.md"
HOUR = 3_600_000


def stats_of(*args, **fields):
    return Statistics(Sample(record(*args, **fields)))


def array(*values):
    return np.array(values, dtype=np.float64)


# --- returns ---


def test_daily_returns_start_from_the_initial_capital():
    """100 -> 110 -> 99 -> 120 in three days: +10 %, -10 %, +21.21 %."""
    sample = Sample(record((110.0, 99.0, 120.0)))
    assert sample.returns == pytest.approx([0.1, -0.1, 120 / 99 - 1])


def test_a_mark_at_midnight_belongs_to_the_day_that_it_closes():
    """24 hourly bars are one day, and the 25th begins another."""
    equity = [100.0] * 23 + [110.0, 121.0]
    sample = Sample(record(equity, timeframe="1h"))
    assert sample.daily_path.tolist() == [100.0, 110.0, 121.0]
    assert sample.returns == pytest.approx([0.1, 0.1])


def test_a_day_without_a_candle_has_return_zero():
    """Bars of Monday and Thursday only: Tuesday and Wednesday stand still."""
    marks = np.array([START + DAY, START + 4 * DAY])
    sample = Sample(record((110.0, 121.0), time=marks))
    assert sample.returns == pytest.approx([0.1, 0.0, 0.0, 0.1])


def test_weekly_bars_give_one_return_in_seven_days():
    """The Sharpe ratio of weekly returns of one size in both forms: mean/std x sqrt(365) over days with zeros."""
    weekly = Sample(record((110.0, 99.0), timeframe="1w"))
    assert weekly.returns.size == 14
    assert weekly.returns[[6, 13]] == pytest.approx([0.1, -0.1])
    assert not weekly.returns[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]].any()


def test_ratios_by_hand():
    """Returns +10 %, -10 %, +20 %: every ratio worked out from its definition."""
    returns = array(0.1, -0.1, 0.2)
    mean, deviation = 0.2 / 3, math.sqrt((0.1**2 + 0.1**2 + 0.2**2 - 3 * (0.2 / 3) ** 2) / 2)
    assert stats.sharpe(returns) == pytest.approx(mean / deviation * math.sqrt(365))
    assert stats.sortino(returns) == pytest.approx(mean / math.sqrt(0.01 / 3) * math.sqrt(365))
    assert stats.volatility(returns) == pytest.approx(deviation * math.sqrt(365))
    assert stats.omega(returns) == pytest.approx(3.0)
    assert stats.compound(returns) == pytest.approx((1.1 * 0.9 * 1.2) ** (1 / 3) - 1)


def test_growth_uses_years_of_365_and_a_quarter_days():
    """Doubling in 365.25 days is 100 % a year; in half that time 300 %."""
    year = int(365.25 * DAY)
    assert stats.cagr(100.0, 200.0, year) == pytest.approx(1.0)
    assert stats.cagr(100.0, 200.0, year // 2) == pytest.approx(3.0)
    assert stats.cagr(100.0, 0.0, year) == -1.0
    assert stats.cagr(100.0, -5.0, year) is None
    assert stats.cagr(100.0, 200.0, DAY - 1) is None
    assert stats.cagr(1e-300, 1e300, DAY) is None


def test_moments_match_pandas():
    """Skew and kurtosis are the bias-corrected ones that pandas gives."""
    returns = np.random.default_rng(3).standard_t(4, 200)
    assert stats.skew(returns) == pytest.approx(pd.Series(returns).skew())
    assert stats.kurtosis(returns) == pytest.approx(pd.Series(returns).kurt())


def test_tails_by_hand():
    """Days -10 ... +10 % in steps of 1 %: the quantiles are 9 % out, the mean of the worse days -9.5 %."""
    returns = np.arange(-10, 11) / 100
    assert stats.value_at_risk(returns) == pytest.approx(-0.09)
    assert stats.conditional_value_at_risk(returns) == pytest.approx(-0.095)
    assert stats.tail_ratio(returns) == pytest.approx(1.0)
    assert stats.value_at_risk(returns[:19]) is None


def test_alpha_and_beta_by_hand():
    """Returns that are twice the market's plus 0.1 % a day have beta 2 and alpha 36.5 %."""
    market_returns = array(0.01, -0.02, 0.03, 0.0)
    returns = 2.0 * market_returns + 0.001
    assert stats.beta(returns, market_returns) == pytest.approx(2.0)
    assert stats.alpha(returns, market_returns) == pytest.approx(0.365)
    assert stats.correlation(returns, market_returns) == pytest.approx(1.0)
    assert stats.beta(returns, np.zeros(4)) is None


def test_probabilistic_sharpe_of_normal_like_returns():
    """Symmetric two-valued returns have g3 = 0 and g4 = 1, so the formula reduces to Phi(SR * sqrt(n - 1))."""
    returns = array(0.3, -0.1, 0.3, -0.1)
    daily = 0.1 / (0.2 * math.sqrt(4 / 3))
    assert stats.probabilistic_sharpe(returns) == pytest.approx(
        0.5 * (1 + math.erf(daily * math.sqrt(3) / math.sqrt(2)))
    )


@pytest.mark.parametrize(
    ("profits", "expected"),
    [
        (array(1.0, 2.0), 0.20483276469913345),  # n = 2: Cauchy, 1 - 2 atan(3) / pi
        (array(1.0, 2.0, 3.0), 0.07417990022744858),  # n = 3: 1 - t / sqrt(t^2 + 2), t = sqrt(12)
    ],
)
def test_p_value_has_its_closed_form_for_one_and_two_degrees_of_freedom(profits, expected):
    """Student's distribution is elementary there."""
    assert stats.p_value(profits) == pytest.approx(expected, rel=1e-12)


def test_p_value_nears_the_normal_distribution():
    """With 4,000 trades and t = 2.5 the p-value is 0.0124 as the normal law has it."""
    profits = np.tile([-1.0, 1.0], 2000)
    profits = profits + 2.5 * profits.std(ddof=1) / math.sqrt(profits.size)
    assert stats.p_value(profits) == pytest.approx(math.erfc(2.5 / math.sqrt(2)), rel=0.01)


def test_trade_ratios_by_hand():
    """Three wins of 4 and one loss of 2: W = 0.75, payoff 2."""
    profits = array(4.0, 4.0, -2.0, 4.0)
    assert stats.payoff(profits) == 2.0
    assert stats.kelly(profits) == pytest.approx(0.75 - 0.25 / 2.0)
    assert stats.expectancy_ratio(profits) == pytest.approx(3.0 * 0.75 - 1.0)
    assert stats.sqn(profits) == pytest.approx(2.0 * 2.5 / 3.0)
    assert stats.longest_run(profits > 0.0) == 2
    assert stats.current_streak(profits) == 1
    assert stats.current_streak(array(1.0, -1.0, -3.0)) == -2
    assert stats.current_streak(array(1.0, 0.0)) == 0


# --- drawdowns ---


def test_drawdowns_by_hand():
    """100 120 90 110 120 130 104: two spells, -25 % recovered after three points and -20 % that goes on."""
    path = array(100, 120, 90, 110, 120, 130, 104)
    found = stats.drawdowns(stats.drawdown(path))
    assert found.peak.tolist() == [1, 5]
    assert found.end.tolist() == [4, 6]
    assert found.depth == pytest.approx([-0.25, -0.2])
    assert found.recovered.tolist() == [True, False]
    assert stats.ulcer(array(100, 90, 100)) == pytest.approx(math.sqrt(0.01 / 3))


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60))
def test_drawdowns_cover_exactly_the_points_under_the_peak(values):
    """Each point below the running peak lies in one spell, no other does, and the deepest is the minimum."""
    below = stats.drawdown(np.array(values))
    found = stats.drawdowns(below)
    covered = np.zeros(below.size, dtype=bool)
    for peak, end, recovered in zip(found.peak, found.end, found.recovered, strict=True):
        covered[peak + 1 : end + (not recovered)] = True
    assert (covered == (below < 0.0)).all()
    assert (below <= 0.0).all()
    assert found.depth.tolist() == [
        below[peak : end + 1].min() for peak, end in zip(found.peak, found.end, strict=True)
    ]
    assert min(found.depth, default=0.0) == below.min()


def test_drawdown_of_equity_and_of_balance():
    """Equity dips by 20 % below the initial capital while the balance only loses 5 %."""
    values = stats_of((80.0, 100.0, 95.0), balance=array(100.0, 100.0, 95.0))
    assert values["max_drawdown_pct"] == pytest.approx(-20.0)
    assert values["max_drawdown"] == pytest.approx(-20.0)
    assert values["max_drawdown_balance_pct"] == pytest.approx(-5.0)
    assert values["drawdown_start"] == datetime(2024, 1, 1, tzinfo=UTC)
    assert values["drawdown_trough"] == datetime(2024, 1, 2, tzinfo=UTC)
    assert values["drawdown_end"] == datetime(2024, 1, 3, tzinfo=UTC)
    assert values["max_drawdown_days"] == pytest.approx(2.0)
    assert values["drawdowns"] == 2
    assert values["drawdowns_recovered"] == 1
    assert values["time_underwater_pct"] == pytest.approx(200 / 3)


# --- excursions ---


BOTH = pytest.mark.parametrize("extremes", [stats.extremes, kernel.extremes], ids=["numpy", "kernel"])


def excursions(extremes, low, high, first, last, entry, exit_, sign):
    """MAE and MFE of trades that hold the candles from `first` until before `last`."""
    prices = extremes(low, high, first, last, np.minimum(entry, exit_), np.maximum(entry, exit_))
    return stats.excursions(*prices, entry, sign)


@BOTH
def test_excursions_by_hand(extremes):
    """A long and a short over the same candles, and the exit candle counts with its exit price only."""
    low, high = array(98, 95, 90, 50), array(103, 108, 104, 200)
    one = np.array([0])
    mae, mfe = excursions(extremes, low, high, one, np.array([3]), array(100), array(97), np.array([1]))
    assert mae == pytest.approx([-0.10])
    assert mfe == pytest.approx([0.08])
    mae, mfe = excursions(extremes, low, high, one, np.array([3]), array(100), array(97), np.array([-1]))
    assert mae == pytest.approx([-0.08])
    assert mfe == pytest.approx([0.10])


@BOTH
def test_a_trade_within_one_candle_has_only_its_own_prices(extremes):
    """Entered and left in the candle 95-108 at 100 and 97: nothing more is known than those two prices."""
    mae, mfe = excursions(
        extremes, array(95), array(108), np.array([0]), np.array([0]), array(100), array(97), np.array([1])
    )
    assert mae == pytest.approx([-0.03])
    assert mfe == pytest.approx([0.0])


@BOTH
@given(st.data())
def test_excursions_match_a_plain_loop(extremes, data):
    """Overlapping trades in any order, some held to the end, against a slice for each."""
    n = data.draw(st.integers(1, 12))
    low = np.array(data.draw(st.lists(st.floats(50, 100), min_size=n, max_size=n)))
    high = low + 5.0
    spans = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n)), min_size=1, max_size=6))
    first = np.array([a for a, _ in spans])
    last = np.array([max(a, b) for a, b in spans])
    entry, exit_, sign = np.full(first.size, 80.0), np.full(first.size, 81.0), np.ones(first.size, dtype=np.int64)
    mae, mfe = excursions(extremes, low, high, first, last, entry, exit_, sign)
    for i, (a, b) in enumerate(zip(first, last, strict=True)):
        assert mae[i] == pytest.approx(min([80.0, *low[a:b]]) / 80.0 - 1.0)
        assert mfe[i] == pytest.approx(max([81.0, *high[a:b]]) / 80.0 - 1.0)


def test_an_open_trade_is_measured_to_the_last_candle():
    """Bought at 100, the last candle of three falls to 69."""
    bars = candles([100.0, 100.0, 70.0])
    sample = Sample(record(bars={SYMBOL: bars}, trades=[trade(exit_=None)]))
    assert sample.trades.mae == pytest.approx([-0.31])
    closing = trade(exit_=START + 3 * DAY, pnl=-30.0)
    sample = Sample(record(bars={SYMBOL: bars}, trades=[closing]))
    assert sample.trades.mae == pytest.approx([-0.31]), "closed at the end: the last candle was held as a whole"


# --- trades, fills, costs ---


def test_trade_statistics_are_net_of_fees_and_funding():
    """+5 with a fee of 2 and funding -1 is a win of 2; +1 with a fee of 3 a loss of 2."""
    rows = [
        trade(1, exit_=START + DAY, pnl=5.0, fees=2.0, funding=-1.0),
        trade(2, entry=START + DAY, exit_=START + 3 * DAY, pnl=1.0, fees=3.0, side="short"),
        trade(3, entry=START + 2 * DAY, exit_=None, pnl=7.0),
    ]
    values = stats_of((102.0, 100.0, 107.0), trades=rows)
    assert (values["trades"], values["wins"], values["losses"], values["open_trades"]) == (2, 1, 1, 1)
    assert values["profit_factor"] == pytest.approx(1.0)
    assert values["profit_long"] == pytest.approx(2.0)
    assert values["profit_short"] == pytest.approx(-2.0)
    assert values["win_rate_pct"] == pytest.approx(50.0)
    assert values["win_rate_long_pct"] == pytest.approx(100.0)
    assert values["open_profit"] == pytest.approx(7.0)
    assert values["avg_trade_days"] == pytest.approx(1.5)
    assert values["max_win_days"] == pytest.approx(1.0)
    assert values["last_exit"] == datetime(2024, 1, 4, tzinfo=UTC)


def test_streaks_follow_the_order_of_exits():
    """Listed by entry win, loss, win; left in the order loss, win, win."""
    rows = [
        trade(1, entry=START, exit_=START + 3 * DAY, pnl=1.0),
        trade(2, entry=START, exit_=START + 1 * DAY, pnl=-1.0),
        trade(3, entry=START, exit_=START + 2 * DAY, pnl=1.0),
    ]
    values = stats_of(trades=rows)
    assert values["max_win_streak"] == 2
    assert values["current_streak"] == 2


def test_cost_chain_by_hand():
    """Gross 20, maker fee 1, taker fee 2, liquidation fee 4, slippage 3, funding -5: net 5."""
    fills = [
        fill(1, price=100.0, fee=1.0, is_maker=True),
        fill(2, price=100.0, fee=2.0, slippage=3.0, side=Side.SELL),
        fill(3, price=100.0, fee=4.0, reason=ExitReason.LIQUIDATION, side=Side.SELL),
    ]
    costs = Sample(record((100.0, 105.0), fills=fills, trades=[trade(funding=-5.0)])).costs
    assert (costs.fees_maker, costs.fees_taker, costs.fees_liquidation) == (1.0, 2.0, 4.0)
    assert costs.gross == pytest.approx(20.0)
    assert costs.gross - costs.fees - costs.slippage + costs.funding == pytest.approx(costs.net)
    assert costs.turnover == pytest.approx(300.0)
    assert costs.maker_share == pytest.approx(1 / 3)
    assert costs.paid_bps == pytest.approx(10.0 / 300.0 * 1e4)
    assert costs.break_even_bps == pytest.approx(15.0 / 300.0 * 1e4)


def test_at_the_break_even_cost_net_is_zero():
    """Charging the break-even cost on the turnover leaves nothing."""
    costs = Sample(record((100.0, 112.0), fills=[fill(fee=3.0), fill(2, fee=1.0, side=Side.SELL)])).costs
    assert costs.gross + costs.funding - costs.turnover * costs.break_even_bps / 1e4 == pytest.approx(0.0)


def test_fills_are_set_against_their_candles():
    """A buy at the low is marked, one at an open that is the low is not; 2,000 coins exceed a volume of 1,000."""
    bars = candles([100.0, 110.0, 120.0])
    bars.loc[bars.index[2], "low"] = 110.0
    fills = [
        fill(1, time=START + DAY, price=99.0),
        fill(2, time=START + DAY, price=111.0, side=Side.SELL),
        fill(3, time=START + 2 * DAY, price=110.0),
        fill(4, time=START + DAY + HOUR, price=105.0, qty=2000.0),
    ]
    values = stats_of(fills=fills, bars={SYMBOL: bars})
    assert values["fills_at_extreme"] == 2
    assert values["fills_over_volume"] == 1


# --- buy & hold ---


def test_buy_and_hold_splits_equally():
    """One symbol doubles, the other loses half: 1.25 of the start; bought at the first open."""
    bars = {
        SYMBOL: candles([200.0] * 3, opens=[100.0, 200.0, 200.0]),
        "ETH/USDT": candles([50.0] * 3, opens=[100.0] * 3),
    }
    values = stats_of(bars=bars, markets={SYMBOL: market(), "ETH/USDT": market("ETH/USDT")})
    assert values["buy_hold_return_pct"] == pytest.approx(25.0)
    assert values["outperformance_pct"] == pytest.approx(20.0 - 25.0)


def test_buy_and_hold_of_an_inverse_contract_is_the_coin_itself():
    """The account is in BTC, so holding it earns nothing in BTC, whatever the price does."""
    values = stats_of(bars={INVERSE: candles([100.0, 150.0, 300.0])}, markets={INVERSE: market(INVERSE)})
    assert values["buy_hold_return_pct"] == 0.0
    assert values["beta"] is None


def test_inverse_fills_have_their_notional_in_the_coin():
    """5,000 USD at 50,000 are 0.1 BTC."""
    bars = {INVERSE: candles([50_000.0] * 3)}
    deal = fill(qty=5000.0, price=50_000.0, symbol=INVERSE)
    values = stats_of(fills=[deal], bars=bars, markets={INVERSE: market(INVERSE)})
    assert values["turnover"] == pytest.approx(0.1)


# --- undefined ---


def test_a_run_without_trades_has_undefined_ratios():
    """None for what has no denominator, 0 for what is counted, and never inf, NaN or -100."""
    values = dict(stats_of((100.0, 100.0, 100.0)))
    for key in ("sharpe", "sortino", "calmar", "profit_factor", "win_rate_pct", "sqn", "p_value", "kelly_pct",
                "break_even_bps", "recovery_factor", "expectancy", "maker_share_pct", "first_entry"):  # fmt: skip
        assert values[key] is None, key
    for key in (
        "trades",
        "wins",
        "max_win_streak",
        "net_profit",
        "max_drawdown_pct",
        "volatility_pct",
        "days_win",
    ):
        assert values[key] == 0, key


def test_a_lost_account_has_no_ratios_but_a_result():
    """Once equity is 0 or less no return is defined; the losses still are."""
    values = dict(stats_of((50.0, -10.0, -10.0)))
    assert values["sharpe"] is None
    assert values["cagr_pct"] is None
    assert values["total_return_pct"] == pytest.approx(-110.0)
    assert values["max_drawdown_pct"] == pytest.approx(-110.0)


@given(
    st.lists(st.just(0.0) | st.floats(1e-6, 1e9), min_size=1, max_size=40),
    st.lists(st.floats(-1e6, 1e6), max_size=12),
    st.sampled_from(["1h", "1d", "1w"]),
)
def test_every_statistic_is_a_finite_number_a_moment_or_none(equity, profits, timeframe):
    """Whatever the run, nothing is inf or NaN and nothing raises."""
    rows = [trade(i, exit_=START + (i + 1) * HOUR, pnl=p) for i, p in enumerate(profits)]
    for key, value in stats_of(equity, timeframe=timeframe, trades=rows).items():
        assert value is None or isinstance(value, datetime) or math.isfinite(value), key


@given(st.lists(st.integers(50, 200), min_size=2, max_size=30), st.floats(0.01, 1000.0))
def test_scaling_the_money_leaves_the_ratios_unchanged(equity, factor):
    """The unit of money does not matter to a ratio or a percentage."""
    plain = stats_of(equity)
    scaled = stats_of(np.array(equity) * factor, initial=100.0 * factor)
    for key in ("total_return_pct", "max_drawdown_pct", "sharpe", "sortino", "volatility_pct", "ulcer_index_pct"):
        if plain[key] is None:
            assert scaled[key] is None, key
        else:
            assert scaled[key] == pytest.approx(plain[key], rel=1e-6, abs=1e-9), key


# --- the catalogue ---


def test_an_unknown_statistic_names_the_nearest():
    """A typo gets the right key in the message."""
    with pytest.raises(KeyError, match="did you mean 'sharpe'"):
        stats_of()["sharp"]
    assert stats_of().get("sharp") is None
    assert "sharpe" in stats_of()
    assert "sharp" not in stats_of()
    assert len(stats_of()) == len(CATALOGUE)
    assert "total_return_pct" in repr(stats_of())


def test_statistics_are_plain_python_values():
    """A count is an int, a ratio a float: nothing of numpy leaks into JSON."""
    rows = [trade(1, pnl=1.0), trade(2, pnl=-1.0)]
    order = Order(id="1", symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, qty=1.0, status=OrderStatus.FILLED)
    for key, value in stats_of(trades=rows, fills=[fill()], orders=[order], refusals={"min_volume": 2}).items():
        expected = {"count": (int,), "time": (datetime, type(None))}.get(CATALOGUE[key].unit, (float, type(None)))
        assert type(value) in expected, key


def test_labels_are_short_and_unlike():
    """A label fits beside its value in 80 columns, and no two are the same."""
    labels = [row.label for row in CATALOGUE.values()]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 42
    for key in ("sharpe", "sortino", "volatility_pct"):
        assert "365" in CATALOGUE[key].label


def test_the_guide_explains_exactly_the_statistics_that_exist():
    """One table row for each key, with its unit."""
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| .+ \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    assert {key: unit.strip() for key, unit in rows.items()} == {row.key: row.unit for row in CATALOGUE.values()}


def test_a_record_without_bars_is_refused():
    """An empty run has no statistics: one line says so."""
    with pytest.raises(DataError, match="trial: the backtest saw no bar"):
        Sample(record(()))


def test_an_exotic_market_still_has_statistics():
    """A dated linear future and a quality report beside it: the plain linear path."""
    future = Market(
        symbol=SYMBOL, exchange="demo", type=MarketType.FUTURES, base="BTC", quote="USDT", settle="USDT",
        contract_type=ContractType.LINEAR, expiry=START + 30 * DAY,
    )  # fmt: skip
    quality = Quality(rows=3, timeframe="1d", gaps=((START, START, 1),))
    values = stats_of(markets={SYMBOL: future}, quality={SYMBOL: quality}, fills=[fill(qty=2.0)])
    assert values["turnover"] == pytest.approx(200.0)
