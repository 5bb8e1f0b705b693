"""Candles as DataFrames: one schema, resampling, and what is wrong with a series.

The schema, everywhere in the library: an index `time` of ``datetime64[ms, UTC]`` holding open times, strictly
ascending, and float64 columns `open`, `high`, `low`, `close`, `volume`.
"""

from dataclasses import dataclass

__all__ = ["COLUMNS", "Quality"]

COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What is sound and unsound in one series of candles; times are open times, int ms UTC.

    `gaps` holds (first missing open time, last missing open time, number of missing bars). `duplicates`,
    `disordered`, `not_a_number` and `impossible` count rows of the raw input (0 for a clean series), with the
    open times of the first few in `examples`. A candle is impossible when its high or low does not span its
    open and close, or a price is not positive, or its volume is negative.
    """

    rows: int
    timeframe: str
    start: int | None = None
    end: int | None = None
    gaps: tuple[tuple[int, int, int], ...] = ()
    duplicates: int = 0
    disordered: int = 0
    not_a_number: int = 0
    impossible: int = 0
    misaligned: int = 0
    zero_volume: int = 0
    examples: tuple[tuple[str, int], ...] = ()
    synthetic: bool = False
    source: str = ""

    @property
    def missing(self) -> int:
        """How many bars are missing between the first and the last."""
        return sum(count for _, _, count in self.gaps)

    @property
    def coverage(self) -> float:
        """Bars present as a fraction of the bars expected between the first and the last (1.0 = complete)."""
        return self.rows / (self.rows + self.missing) if self.rows else 0.0
