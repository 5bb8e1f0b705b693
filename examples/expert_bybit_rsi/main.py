"""RSI reversion on a Bybit inverse perpetual: against what went too far, with stop and target; counted in BTC."""

from metaexpert import Bar, MetaExpert, crossover, crossunder

expert = MetaExpert(exchange="bybit", market_type="futures", contract_type="inverse")
inputs = expert.inputs(length=14, oversold=25, overbought=75)


@expert.on_init(
    symbol="BTCUSD",
    timeframe="1h",
    warmup_bars=200,  # the index is settled before the first decision
    leverage=3,
    size_type="percent_equity",
    size_value=0.1,  # a tenth of the equity as margin: 30 % of it as position
    stop_loss_pct=2.0,
    take_profit_pct=3.0,
    slippage_pct=0.02,
)
def init() -> None:
    expert.rsi = expert.indicator("rsi", length=inputs.length)


@expert.on_bar
def bar(rates: Bar) -> None:
    if expert.position():
        return  # the stop or the target ends it
    if crossover(expert.rsi, inputs.oversold):
        expert.log.info("recovers from oversold", close=rates.close)
        expert.open_position("long", tag="oversold")
    elif crossunder(expert.rsi, inputs.overbought):
        expert.log.info("falls from overbought", close=rates.close)
        expert.open_position("short", tag="overbought")


if __name__ == "__main__":
    expert.run(
        trade_mode="backtest",
        backtest_start="2024-01-01",
        backtest_end="2024-12-31",
        initial_capital=1.0,  # BTC: an inverse contract settles in its base
    )
