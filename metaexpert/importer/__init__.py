"""Import a file of candles into the store: recognise it, say what it is, and keep what is sound."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import KNOWN_EXCHANGES
from ..errors import ConfigError, did_you_mean
from ..exchanges.symbols import STABLE, expiry_ms, parse_symbol
from ..models import ContractType, Market, MarketType
from ..store import Source
from ..timeframe import parse
from .moments import when
from .names import kind_of_symbol, read_names
from .recognise import Recognised, read_candles

if TYPE_CHECKING:
    from ..bars import Quality
    from ..store import CandleStore
    from .names import Named

__all__ = ["ImportReport", "MarketRules", "Recognised", "import_file", "read_candles", "when"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """The rules of an imported market that the user gives; None keeps the stored one, else takes the default.

    The units are those of `metaexpert.models.Market`.
    """

    price_tick: float | None = None
    qty_step: float | None = None
    min_qty: float | None = None
    min_notional: float | None = None
    maker: float | None = None
    taker: float | None = None
    contract_size: float | None = None
    max_leverage: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import recognised, mended, left out and stored.

    `facts` holds (what, value) pairs of the file; `rules` (name, value, why) of the market. `added` counts candles
    that were not in the store before, `total` those that are there now.
    """

    file: str
    digest: str
    market: Market
    timeframe: str
    rows_read: int
    quality: Quality
    facts: tuple[tuple[str, str], ...]
    mended: tuple[str, ...]
    left_out: tuple[str, ...]
    rules: tuple[tuple[str, float, str], ...]
    added: int
    total: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        report = asdict(self)
        report["quality"] |= {"missing": self.quality.missing, "coverage": self.quality.coverage}
        report["facts"] = dict(self.facts)
        return report


def import_file(
    path: Path | str,
    store: CandleStore,
    *,
    exchange: str | None = None,
    symbol: str | None = None,
    timeframe: str | None = None,
    market_type: str | None = None,
    contract_type: str | None = None,
    date_format: str | None = None,
    rules: MarketRules | None = None,
) -> ImportReport:
    """Import one file of candles.

    What is not given is taken from the file: the timeframe from its times, the symbol from a column or its name,
    exchange and kind of market from its name and folders; without any the exchange is ``local`` and the kind spot.

    Raises:
        ConfigError: an argument is wrong, or the symbol can't be told.
        DataError: no candles can be recognised in the file, or the store can't be written.
    """
    path = Path(path)
    given = rules or MarketRules()
    _check_rules(given)
    if timeframe is not None:
        parse(timeframe)
    if exchange is not None and (exchange not in KNOWN_EXCHANGES or exchange == "demo"):
        importable = [name for name in KNOWN_EXCHANGES if name != "demo"]
        raise ConfigError(f"can't import for exchange {exchange!r}{did_you_mean(exchange, importable)}")
    named = read_names(path)
    if named.not_trades and (exchange is None or symbol is None):
        raise ConfigError(
            f"{path.name} seems to hold {named.not_trades} prices, not traded candles; "
            "to import it all the same, give --exchange and --symbol"
        )
    candles = read_candles(path, timeframe=timeframe, date_format=date_format)
    facts = [*candles.facts]
    exchange = _told(
        facts, "exchange", (exchange, "given"), (named.exchange, "its name or folder"), ("local", "default")
    )
    market = _market(candles, named, exchange, symbol, market_type, contract_type, facts)
    market, shown = _with_rules(market, given, candles, store)
    said = "given" if timeframe is not None else "its times"
    differs = (
        f"; its name says {named.timeframe}" if named.timeframe not in (None, candles.quality.timeframe) else ""
    )
    facts.append(("timeframe", f"{candles.quality.timeframe} ({said}{differs})"))
    facts += _replaced(store, market, candles)
    source = Source(candles.name, candles.digest)
    added = store.append(market, candles.quality.timeframe, candles.candles, source=source)
    total = store.info(exchange, market.symbol, candles.quality.timeframe).rows
    return ImportReport(
        file=candles.name,
        digest=candles.digest,
        market=market,
        timeframe=candles.quality.timeframe,
        rows_read=candles.rows_read,
        quality=candles.quality,
        facts=tuple(facts),
        mended=candles.mended,
        left_out=candles.left_out,
        rules=shown,
        added=added,
        total=total,
    )


def _replaced(store: CandleStore, market: Market, candles: Recognised) -> list[tuple[str, str]]:
    """Say how many stored candles this import overwrites with other values, and where those came from."""
    frame = candles.quality.timeframe
    stored = [info for info in store.series(market.exchange, market.symbol) if info.timeframe == frame]
    if not stored:
        return []
    old, new = store.read(market.exchange, market.symbol, frame).align(candles.candles, join="inner")
    differ = int((old != new).any(axis=1).sum())
    names = ", ".join(source.name for source in stored[0].sources)
    return [("replaced", f"{differ} candles with other values, from {names}")] if differ else []


def _told(facts: list[tuple[str, str]], what: str, *offers: tuple[str | None, str]) -> str:
    """Take the first offer that says something, and note it with who said it."""
    value, who = next((value, who) for value, who in offers if value is not None)
    facts.append((what, f"{value} ({who})"))
    return value


def _market(
    candles: Recognised,
    named: Named,
    exchange: str,
    symbol: str | None,
    market_type: str | None,
    contract_type: str | None,
    facts: list[tuple[str, str]],
) -> Market:
    pair = "/".join(named.pair) if named.pair else None
    if symbol is None and candles.symbol is None and pair is None:
        raise ConfigError(f"{candles.name} does not tell its symbol; add --symbol, e.g. --symbol BTC/USDT")
    text = symbol or candles.symbol or pair or ""
    by_form = kind_of_symbol(text) or (None, None)
    kinds = (
        (market_type, "given"),
        (by_form[0], "its symbol"),
        (named.market_type, "its name or folder"),
        ("spot", "default"),
    )
    kind = _told(facts, "market type", *kinds)
    contract: str | None = None
    if kind == MarketType.FUTURES:
        contracts = (
            (contract_type, "given"),
            (by_form[1], "its symbol"),
            (named.contract_type, "its name or folder"),
        )
        contract = _told(facts, "contract type", *contracts, ("linear", "default"))
    elif contract_type is not None:
        raise ConfigError(f"--contract-type is for futures; this is {kind}: leave it out")
    parsed = parse_symbol(
        text, _word(MarketType, kind, "market type"), contract and _word(ContractType, contract, "contract type")
    )
    who = "given" if symbol is not None else "its symbol column" if candles.symbol is not None else "its name"
    facts.append(("symbol", f"{parsed.symbol} ({who})"))
    return Market(
        symbol=parsed.symbol,
        exchange=exchange,
        type=MarketType(kind),
        base=parsed.base,
        quote=parsed.quote,
        settle=parsed.settle,
        contract_type=None if contract is None else ContractType(contract),
        expiry=None if parsed.expiry is None else expiry_ms(parsed.expiry),
        strike=parsed.strike,
        option_type=parsed.option_type,
        source=candles.name,
    )


def _word(words: type[MarketType] | type[ContractType], word: str, what: str) -> str:
    known = [member.value for member in words]
    if word not in known:
        raise ConfigError(f"unknown {what} {word!r}{did_you_mean(word, known)}")
    return word


def _defaults(market: Market, price_decimals: int) -> dict[str, tuple[float, str]]:
    """Return each rule's default with its reason. Fees are the common lowest tier of the large exchanges."""
    kind = market.contract_type or market.type
    why = f"default for {kind}"
    spot, inverse = market.is_spot, market.is_inverse
    step = 1e-8 if spot else 1.0 if inverse else 0.001
    return {
        "price_tick": (float(f"1e-{price_decimals}"), "from the decimals of the prices"),
        "qty_step": (step, why),
        "min_qty": (step, why),
        "min_notional": (5.0 if market.quote in STABLE and not inverse else 0.0, why),
        "maker": (0.001 if spot else 0.0002, why),
        "taker": (0.001 if spot else 0.0005, why),
        "contract_size": (1.0, why),
        "max_leverage": (100.0 if market.type is MarketType.FUTURES else 1.0, why),
    }


def _with_rules(
    market: Market, given: MarketRules, candles: Recognised, store: CandleStore
) -> tuple[Market, tuple[tuple[str, float, str], ...]]:
    """Complete the market's rules: given ones first, then those in the store, then the defaults."""
    known = [old for old in store.markets(market.exchange) if old.symbol == market.symbol]
    rules: list[tuple[str, float, str]] = []
    for name, (default, why) in _defaults(market, candles.price_decimals).items():
        value = getattr(given, name)
        if value is not None:
            rules.append((name, float(value), "given"))
        elif known:
            rules.append((name, getattr(known[0], name), "as in the store"))
        else:
            rules.append((name, default, why))
    values: dict[str, Any] = {name: value for name, value, _ in rules}
    return replace(market, **values), tuple(rules)


def _check_rules(rules: MarketRules) -> None:
    for field in fields(rules):
        value = getattr(rules, field.name)
        option = "--" + field.name.replace("_", "-")
        if value is None:
            continue
        if field.name in ("price_tick", "qty_step", "contract_size", "max_leverage") and not 0 < value < float(
            "inf"
        ):
            raise ConfigError(f"{option} must be above 0, not {value}")
        if field.name in ("min_qty", "min_notional") and not 0 <= value < float("inf"):
            raise ConfigError(f"{option} must be 0 or more, not {value}")
        if field.name in ("maker", "taker") and not -0.01 <= value <= 0.05:
            raise ConfigError(f"{option} is a rate (0.001 = 0.1 %) from -0.01 to 0.05, not {value}")
