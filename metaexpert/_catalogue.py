"""What `metaexpert.indicators` serves: each name, where it comes from and how it may be called.

Three sources. `ROWS` are served by TA-Lib or by a few lines of our own. `CLASSIC` names come from
pandas-ta-classic, which also serves a name of `ROWS` when a call uses a parameter that the row lacks
(``atr(mamode="sma")``). `REFUSED` names are known and not served, each with its reason. Values at a bar depend on
that bar and earlier ones only, for every name and parameter served here; the tests prove it for each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

__all__ = ["BOUNDS", "CHOICES", "CLASSIC", "FIXED", "HIDDEN", "NAMES", "REFUSED", "ROWS", "SERIES", "Row"]


class Row(NamedTuple):
    """How TA-Lib or our own code serves one name.

    `run` is the name of a TA-Lib function, called with the input columns and the parameters in order, or our own
    ``run(talib, bars, *inputs, *parameters)`` giving one array per column. `params` maps parameters to defaults
    (an int means whole numbers from 1, a float means positive numbers); `columns` are templates over them.
    `swaps` says that `fast` and `slow` change places when fast > slow, in the values and in the column names.
    """

    run: str | Callable[..., Any]
    inputs: str
    params: dict[str, Any]
    columns: str
    swaps: bool = False


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _accbands(ta: Any, _bars: Any, high: Floats, low: Floats, close: Floats, length: int) -> list[Floats]:
    upper, middle, lower = ta.ACCBANDS(high, low, close, length)
    return [lower, middle, upper]


def _adx(ta: Any, _bars: Any, high: Floats, low: Floats, close: Floats, length: int) -> list[Floats]:
    functions = (ta.ADX, ta.PLUS_DI, ta.MINUS_DI)
    return [function(high, low, close, length) for function in functions]


def _apo(ta: Any, _bars: Any, close: Floats, fast: int, slow: int) -> Floats:
    return ta.APO(close, fast, slow, 0)


def _aroon(ta: Any, _bars: Any, high: Floats, low: Floats, length: int) -> list[Floats]:
    down, up = ta.AROON(high, low, length)
    return [down, up, ta.AROONOSC(high, low, length)]


def _bbands(ta: Any, _bars: Any, close: Floats, length: int, std: float) -> list[Floats]:
    """Bands of `std` population standard deviations (ddof 0), bandwidth in percent, position as a fraction."""
    import numpy as np

    upper, middle, lower = ta.BBANDS(close, length, std, std, 0)
    width = upper - lower
    inside = np.where(width > 0.0, (close - lower) / width, np.nan)
    return [lower, middle, upper, 100.0 * width / middle, inside]


def _hma(ta: Any, _bars: Any, close: Floats, length: int) -> Floats:
    """Hull's average: WMA(2 WMA(n/2) - WMA(n), sqrt(n)), both lengths rounded down."""
    raw = 2.0 * ta.WMA(close, max(1, length // 2)) - ta.WMA(close, length)
    return ta.WMA(raw, math.isqrt(length))


def _ht_trendmode(ta: Any, _bars: Any, close: Floats) -> Floats:
    """1 in a trend, 0 in a cycle; NaN until known (TA-Lib itself says 0 there)."""
    import numpy as np

    return np.where(np.isnan(ta.HT_TRENDLINE(close)), np.nan, ta.HT_TRENDMODE(close))


def _macd(ta: Any, _bars: Any, close: Floats, fast: int, slow: int, signal: int) -> list[Floats]:
    line, signal_line, histogram = ta.MACD(close, fast, slow, signal)
    return [line, histogram, signal_line]


def _ppo(ta: Any, _bars: Any, close: Floats, fast: int, slow: int, signal: int) -> list[Floats]:
    line = ta.PPO(close, fast, slow, 0)
    signal_line = ta.EMA(line, signal)
    return [line, line - signal_line, signal_line]


def _stoch(ta: Any, _bars: Any, high: Floats, low: Floats, close: Floats, k: int, d: int, smooth: int) -> Any:
    return ta.STOCH(high, low, close, k, smooth, 0, d, 0)


def _stochf(ta: Any, _bars: Any, high: Floats, low: Floats, close: Floats, fastk: int, fastd: int) -> Any:
    return ta.STOCHF(high, low, close, fastk, fastd, 0)


def _stochrsi(ta: Any, _bars: Any, close: Floats, length: int, rsi_length: int, k: int, d: int) -> Any:
    rsi = ta.RSI(close, rsi_length)
    return ta.STOCH(rsi, rsi, rsi, length, k, 0, d, 0)


def _trix(ta: Any, _bars: Any, close: Floats, length: int, signal: int) -> list[Floats]:
    line = ta.TRIX(close, length)
    return [line, ta.SMA(line, signal)]


def _supertrend(
    ta: Any, _bars: Any, high: Floats, low: Floats, close: Floats, length: int, multiplier: float
) -> list[Floats]:
    """Olivier Seban's Supertrend on Wilder's ATR: line, direction (+1, -1), line when long, line when short.

    The bands are (high + low) / 2 -+ multiplier x ATR. The lower one only rises while the direction is up, the
    upper one only falls while it is down. A close above the bar before's upper band turns it up, one below the
    bar before's lower band turns it down; it starts up. All columns are NaN until the ATR is known.
    """
    import numpy as np

    middle, width = (high + low) / 2.0, multiplier * ta.ATR(high, low, close, length)
    bands = zip((middle + width).tolist(), (middle - width).tolist(), close.tolist(), strict=True)
    upper = lower = math.nan
    up = True
    lines: list[float] = []
    ups: list[bool] = []
    for raw_upper, raw_lower, price in bands:  # comparisons with NaN are False: nothing turns in the warm-up
        if price > upper or price < lower:
            up = price > upper
            upper, lower = raw_upper, raw_lower
        else:
            upper = upper if not up and upper < raw_upper else raw_upper
            lower = lower if up and lower > raw_lower else raw_lower
        lines.append(lower if up else upper)
        ups.append(up)
    line, is_up = np.array(lines, dtype=np.float64), np.array(ups, dtype=np.bool_)
    direction = np.where(np.isnan(line), np.nan, np.where(is_up, 1.0, -1.0))
    return [line, direction, np.where(is_up, line, np.nan), np.where(is_up, np.nan, line)]


def _vwap(
    _ta: Any, bars: pd.DataFrame, high: Floats, low: Floats, close: Floats, volume: Floats, anchor: str
) -> Floats:
    """Sum of typical price x volume over sum of volume, from 00:00 UTC of the day, Monday or first of the month.

    NaN while nothing has traded in the session.
    """
    import numpy as np
    import pandas as pd

    if not isinstance(bars.index, pd.DatetimeIndex):
        raise DataError("vwap needs bars with a time index: it starts anew each day")
    naive = bars.index if bars.index.tz is None else bars.index.tz_convert("UTC").tz_localize(None)
    session = naive.to_period(anchor).asi8
    sums = pd.DataFrame({"value": (high + low + close) / 3.0 * volume, "volume": volume})
    totals = sums.groupby(session).cumsum().to_numpy()
    return np.divide(totals[:, 0], totals[:, 1], out=np.full(len(totals), np.nan), where=totals[:, 1] > 0.0)


_N: dict[str, Any] = {"length": 10}
_N14: dict[str, Any] = {"length": 14}
_HLC, _HLCV, _OHLC = "high low close", "high low close volume", "open high low close"

_PATTERNS = _words("""
    2crows 3blackcrows 3inside 3linestrike 3outside 3starsinsouth 3whitesoldiers abandonedbaby advanceblock
    belthold breakaway closingmarubozu concealbabyswall counterattack darkcloudcover dojistar dragonflydoji
    engulfing eveningdojistar eveningstar gapsidesidewhite gravestonedoji hammer hangingman harami haramicross
    highwave hikkake hikkakemod homingpigeon identical3crows inneck invertedhammer kicking kickingbylength
    ladderbottom longleggeddoji longline marubozu matchinglow mathold morningdojistar morningstar onneck
    piercing rickshawman risefall3methods separatinglines shootingstar shortline spinningtop stalledpattern
    sticksandwich takuri tasukigap thrusting tristar unique3river upsidegap2crows xsidegap3methods
""")

ROWS: dict[str, Row] = {
    **{f"cdl_{word}": Row(f"CDL{word.upper()}", _OHLC, {}, f"CDL_{word.upper()}") for word in _PATTERNS},
    "accbands": Row(_accbands, _HLC, {"length": 20}, "ACCBL_{length} ACCBM_{length} ACCBU_{length}"),
    "ad": Row("AD", _HLCV, {}, "AD"),
    "adosc": Row("ADOSC", _HLCV, {"fast": 3, "slow": 10}, "ADOSC_{fast}_{slow}"),
    "adx": Row(_adx, _HLC, _N14, "ADX_{length} DMP_{length} DMN_{length}"),
    "apo": Row(_apo, "close", {"fast": 12, "slow": 26}, "APO_{fast}_{slow}", swaps=True),
    "aroon": Row(_aroon, "high low", _N14, "AROOND_{length} AROONU_{length} AROONOSC_{length}"),
    "atr": Row("ATR", _HLC, _N14, "ATRr_{length}"),
    "avgprice": Row("AVGPRICE", _OHLC, {}, "AVGPRICE"),
    "bbands": Row(
        _bbands,
        "close",
        {"length": 5, "std": 2.0},
        "BBL_{length}_{std} BBM_{length}_{std} BBU_{length}_{std} BBB_{length}_{std} BBP_{length}_{std}",
    ),
    "bop": Row("BOP", _OHLC, {}, "BOP"),
    "cci": Row("CCI", _HLC, _N14, "CCI_{length}_0.015"),
    "cmo": Row("CMO", "close", _N14, "CMO_{length}"),
    "dema": Row("DEMA", "close", _N, "DEMA_{length}"),
    "dx": Row("DX", _HLC, _N14, "DX_{length}"),
    "ema": Row("EMA", "close", _N, "EMA_{length}"),
    "hma": Row(_hma, "close", _N, "HMA_{length}"),
    "ht_dcperiod": Row("HT_DCPERIOD", "close", {}, "HT_DCPERIOD"),
    "ht_dcphase": Row("HT_DCPHASE", "close", {}, "HT_DCPHASE"),
    "ht_phasor": Row("HT_PHASOR", "close", {}, "HT_PHASOR_INPHASE HT_PHASOR_QUAD"),
    "ht_sine": Row("HT_SINE", "close", {}, "HT_SINE HT_LEADSINE"),
    "ht_trendline": Row("HT_TRENDLINE", "close", {}, "HT_TRENDLINE"),
    "ht_trendmode": Row(_ht_trendmode, "close", {}, "HT_TRENDMODE"),
    "kama": Row("KAMA", "close", _N, "KAMA_{length}_2_30"),
    "linreg": Row("LINEARREG", "close", _N14, "LR_{length}"),
    "linregangle": Row("LINEARREG_ANGLE", "close", _N14, "LRa_{length}"),
    "linregintercept": Row("LINEARREG_INTERCEPT", "close", _N14, "LRb_{length}"),
    "linregslope": Row("LINEARREG_SLOPE", "close", _N14, "LRm_{length}"),
    "macd": Row(
        _macd,
        "close",
        {"fast": 12, "slow": 26, "signal": 9},
        "MACD_{fast}_{slow}_{signal} MACDh_{fast}_{slow}_{signal} MACDs_{fast}_{slow}_{signal}",
        swaps=True,
    ),
    "mama": Row(
        "MAMA",
        "close",
        {"fastlimit": 0.5, "slowlimit": 0.05},
        "MAMA_{fastlimit}_{slowlimit} FAMA_{fastlimit}_{slowlimit}",
    ),
    "medprice": Row("MEDPRICE", "high low", {}, "MEDPRICE"),
    "mfi": Row("MFI", _HLCV, _N14, "MFI_{length}"),
    "midpoint": Row("MIDPOINT", "close", {"length": 2}, "MIDPOINT_{length}"),
    "midprice": Row("MIDPRICE", "high low", {"length": 2}, "MIDPRICE_{length}"),
    "minus_dm": Row("MINUS_DM", "high low", _N14, "MINUS_DM_{length}"),
    "mom": Row("MOM", "close", _N, "MOM_{length}"),
    "natr": Row("NATR", _HLC, _N14, "NATR_{length}"),
    "obv": Row("OBV", "close volume", {}, "OBV"),
    "plus_dm": Row("PLUS_DM", "high low", _N14, "PLUS_DM_{length}"),
    "ppo": Row(
        _ppo,
        "close",
        {"fast": 12, "slow": 26, "signal": 9},
        "PPO_{fast}_{slow}_{signal} PPOh_{fast}_{slow}_{signal} PPOs_{fast}_{slow}_{signal}",
        swaps=True,
    ),
    "roc": Row("ROC", "close", _N, "ROC_{length}"),
    "rocp": Row("ROCP", "close", _N, "ROCP_{length}"),
    "rocr": Row("ROCR", "close", _N, "ROCR_{length}"),
    "rocr100": Row("ROCR100", "close", _N, "ROCR100_{length}"),
    "rsi": Row("RSI", "close", _N14, "RSI_{length}"),
    "sar": Row("SAR", "high low", {"af": 0.02, "max_af": 0.2}, "SAR_{af}_{max_af}"),
    "sma": Row("SMA", "close", _N, "SMA_{length}"),
    "stdev": Row("STDDEV", "close", {"length": 30}, "STDEV_{length}"),
    "stoch": Row(
        _stoch,
        _HLC,
        {"k": 14, "d": 3, "smooth_k": 3},
        "STOCHk_{k}_{d}_{smooth_k} STOCHd_{k}_{d}_{smooth_k}",
    ),
    "stochf": Row(_stochf, _HLC, {"fastk": 5, "fastd": 3}, "STOCHFk_{fastk}_{fastd} STOCHFd_{fastk}_{fastd}"),
    "stochrsi": Row(
        _stochrsi,
        "close",
        {"length": 14, "rsi_length": 14, "k": 3, "d": 3},
        "STOCHRSIk_{length}_{rsi_length}_{k}_{d} STOCHRSId_{length}_{rsi_length}_{k}_{d}",
    ),
    "supertrend": Row(
        _supertrend,
        _HLC,
        {"length": 7, "multiplier": 3.0},
        "SUPERT_{length}_{multiplier} SUPERTd_{length}_{multiplier} "
        "SUPERTl_{length}_{multiplier} SUPERTs_{length}_{multiplier}",
    ),
    "t3": Row("T3", "close", {"length": 10, "a": 0.7}, "T3_{length}_{a}"),
    "tema": Row("TEMA", "close", _N, "TEMA_{length}"),
    "trima": Row("TRIMA", "close", _N, "TRIMA_{length}"),
    "trix": Row(_trix, "close", {"length": 30, "signal": 9}, "TRIX_{length}_{signal} TRIXs_{length}_{signal}"),
    "true_range": Row("TRANGE", _HLC, {}, "TRUERANGE_1"),
    "tsf": Row("TSF", "close", _N14, "TSF_{length}"),
    "typprice": Row("TYPPRICE", _HLC, {}, "TYPPRICE"),
    "uo": Row("ULTOSC", _HLC, {"fast": 7, "medium": 14, "slow": 28}, "UO_{fast}_{medium}_{slow}"),
    "variance": Row("VAR", "close", {"length": 30}, "VAR_{length}"),
    "vwap": Row(_vwap, _HLCV, {"anchor": "D"}, "VWAP_{anchor}"),
    "wcp": Row("WCLPRICE", _HLC, {}, "WCP"),
    "willr": Row("WILLR", _HLC, _N14, "WILLR_{length}"),
    "wma": Row("WMA", "close", _N, "WMA_{length}"),
}

CLASSIC = frozenset(
    _words("""
    aberration adxr alma amat ao aobv avolume beta bias brar cdl_doji cdl_inside cdl_z ce cfo cg chop
    cksp cmf coppock correl cpr cti cvi decay decreasing dm donchian dpo drawdown dsp ebsw edecay efi emv entropy
    eom er eri fisher fosc fwma ha hilo hl2 hlc3 hvol hwc hwma ichimoku increasing inertia jma kc kdj kst kurtosis
    kvo log_return lrsi mad marketfi massi mavp mcgd md median mmar msw nvi ohlc4 pdist percent_return pgo pmax po
    psar psl pvi pvo pvol pvr pvt pwma qqe qstick quantile rainbow rma rsx rvgi rvi sinwma skew slope smc_sweep smi
    squeeze squeeze_pro ssf stc stderr swma td_seq thermo trixh tsi ttm_trend ui vhf vidya vortex vosc vwma
    vwmacd wad zlma zscore
    """)
)

NAMES = tuple(sorted(CLASSIC | ROWS.keys()))

_SIGNALS = "it works on signals, not on bars; use cross_above and cross_below"
_AHEAD = "it looks ahead"
REFUSED = {
    "cdl_pattern": "ask for the pattern by its own name (cdl_engulfing, cdl_hammer, ...)",
    "long_run": _SIGNALS,
    "ma": "ask for the average by its own name (ema, sma, hma, ...)",
    "macdext": "it differs from TA-Lib's; use macd",
    "macdfix": "it differs from TA-Lib's; use macd",
    "sarext": "it differs from TA-Lib's; use sar or psar",
    "short_run": _SIGNALS,
    "tos_stdevall": f"{_AHEAD}: its line is fitted to the whole history",
    "tsignals": _SIGNALS,
    "vfi": "it is 0 on almost every series; use efi, kvo or cmf",
    "vp": f"{_AHEAD}: it is one profile of the whole history, not a value a bar",
    "xsignals": _SIGNALS,
}

FIXED: dict[str, dict[str, Any]] = {
    "cpr": {"virgin_cpr": False},
    "dpo": {"centered": False},
    "ichimoku": {"include_chikou": False, "append_span": False, "as_dataframe": True},
}
"""Arguments that the user can't change, because another value looks ahead or changes the kind of result."""

SERIES = {"beta": ("benchmark",), "correl": ("benchmark",), "mavp": ("periods",)}
"""Series besides the bars' columns that must be given: by the name of a column, or as a Series."""

HIDDEN = frozenset(
    _words("""
    asc offset talib accbands.drift cdl_z.ddof cfo.drift chop.drift cmo.drift cmo.scalar cpr.interval
    decay.kind decreasing.asint decreasing.drift
    increasing.asint increasing.drift inertia.drift kst.drift kvo.drift mavp.mamode mavp.minperiod rsx.drift
    slope.as_angle slope.to_degrees slope.vertical squeeze.use_tr squeeze_pro.use_tr
    """)
)
"""Parameters of pandas-ta-classic that aren't passed on: `offset` is ours; the rest it ignores, misreads or
computes by another formula than TA-Lib."""

_AVERAGES = (
    *("dema", "ema", "fwma", "hma", "linreg", "midpoint", "pwma", "rma", "sinwma", "sma", "swma", "t3", "tema"),
    *("trima", "vidya", "wma", "zlma"),
)
CHOICES: dict[str, tuple[str, ...]] = {
    "mamode": _AVERAGES,
    "squeeze.mamode": ("ema", "sma"),
    "squeeze_pro.mamode": ("ema", "sma"),
    "zlma.mamode": tuple(sorted(set(_AVERAGES) - {"fwma", "midpoint", "pwma", "sinwma", "zlma"})),
    "vwap.anchor": ("D", "W", "M"),
    "decay.mode": ("linear", "exp"),
    "cpr.method": ("classic", "camarilla", "fibonacci", "woodie"),
    "cpr.levels": ("basic", "standard", "extended", "all"),
    "cpr.timeframe": ("intraday", "daily", "weekly"),
}
"""The words that a parameter takes, by ``"parameter"`` or ``"name.parameter"``."""

_MOST = 100_000  # TA-Lib's longest length
_LEAST = math.nextafter(0.0, 1.0)
_UNIT = (_LEAST, math.nextafter(1.0, 0.0))  # between 0 and 1, without them
_TWO_OR_MORE = _words("""
    accbands.length adosc.fast adosc.slow adx.length apo.fast apo.slow aroon.length bbands.length beta.length
    cci.length cfo.length chop.length cmo.length correl.length cti.length dx.length fosc.length hvol.length
    inertia.length linreg.length linregangle.length linregintercept.length linregslope.length macd.fast macd.slow
    mfi.length midpoint.length midprice.length msw.period po.length ppo.fast ppo.slow rsi.length stderr.length
    stdev.length stochrsi.rsi_length tsf.length variance.length willr.length zscore.length
""")
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_TWO_OR_MORE, (2, _MOST)),
    "alma.distribution_offset": (_LEAST, 1.0),
    "cdl_doji.factor": (_LEAST, 100.0),
    "ddof": (0, 1),
    "decreasing.percent": (_LEAST, 100.0),
    "ebsw.length": (39, _MOST),
    "hwc.na": _UNIT,
    "hwc.nb": _UNIT,
    "hwc.nc": _UNIT,
    "hwc.nd": _UNIT,
    "hwma.na": _UNIT,
    "hwma.nb": _UNIT,
    "hwma.nc": _UNIT,
    "increasing.percent": (_LEAST, 100.0),
    "jma.length": (1.0, _MOST),
    "jma.phase": (-100.0, 100.0),
    "kurtosis.length": (4, _MOST),
    "lrsi.gamma": _UNIT,
    "mama.fastlimit": (0.01, 0.99),
    "mama.slowlimit": (0.01, 0.99),
    "mavp.maxperiod": (3, _MOST),
    "mcgd.c": (_LEAST, 1.0),
    "offset": (0, _MOST),
    "quantile.q": _UNIT,
    "skew.length": (3, _MOST),
    "ssf.poles": (2, 3),
    "t3.a": _UNIT,
    "zscore.std": (1.0, math.inf),
}
"""Least and greatest value of a number; elsewhere whole numbers go from 1 to 100000 and others are positive."""
