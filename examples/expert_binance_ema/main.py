"""EMA cross on Binance spot: long while the fast average lies over the slow one, flat otherwise."""

from metaexpert import Bar, MetaExpert, crossover, crossunder

expert = MetaExpert(exchange="binance", market_type="spot")
inputs = expert.inputs(fast=12, slow=26)


@expert.on_init(
    symbol="BTCUSDT",
    timeframe="1h",
    warmup_bars=200,  # the averages are settled before the first decision
    size_type="percent_equity",
    size_value=0.95,  # nearly all of the equity; the rest pays fees
    stop_loss_pct=5.0,  # leave 5 % below the entry, whatever the averages say
    slippage_pct=0.02,
)
def init() -> None:
    expert.fast = expert.indicator("ema", length=inputs.fast)
    expert.slow = expert.indicator("ema", length=inputs.slow)


@expert.on_bar
def bar(rates: Bar) -> None:
    if crossover(expert.fast, expert.slow):
        expert.log.info("fast over slow", close=rates.close)
        expert.open_position("long")
    elif crossunder(expert.fast, expert.slow):
        expert.close_position()


if __name__ == "__main__":
    expert.run(
        trade_mode="backtest",
        backtest_start="2018-01-01",
        backtest_end="2020-12-31",
        initial_capital=10_000,
    )
