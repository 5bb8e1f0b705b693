"""MACD on an OKX linear perpetual, in vectorised form: long while the MACD is over its signal line, else short."""

from pandas import DataFrame, Series

from metaexpert import MetaExpert, cross_above, cross_below

expert = MetaExpert(exchange="okx", market_type="futures", contract_type="linear")
inputs = expert.inputs(fast=12, slow=26, signal=9)


@expert.on_init(
    symbol="BTC-USDT-SWAP",
    timeframe="4h",
    warmup_bars=200,  # the averages are settled before the first decision
    leverage=2,
    size_type="percent_equity",
    size_value=0.25,  # a quarter of the equity as margin: half of it as position
    stop_loss_pct=6.0,
    slippage_pct=0.02,
)
def init() -> None:
    """Nothing to prepare: the signals are computed from the bars."""


@expert.signals
def signals(bars: DataFrame) -> dict[str, Series]:
    lines = bars.ta.macd(fast=inputs.fast, slow=inputs.slow, signal=inputs.signal)
    histogram = lines.iloc[:, 1]  # the MACD minus its signal line
    up, down = cross_above(histogram, 0), cross_below(histogram, 0)
    return {"long_entry": up, "long_exit": down, "short_entry": down, "short_exit": up}


if __name__ == "__main__":
    expert.run(
        trade_mode="backtest",
        backtest_start="2024-01-01",
        backtest_end="2024-12-31",
        initial_capital=10_000,
    )
