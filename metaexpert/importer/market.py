"""The market that a file of candles, rates or trades belongs to, and its rules."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, did_you_mean
from ..exchanges.symbols import STABLE, expiry_ms, parse_symbol
from ..models import ContractType, Market, MarketType
from ..series import Kind
from .names import kind_of_symbol

if TYPE_CHECKING:
    from ..store import CandleStore
    from .columns import Recognised
    from .names import Named

__all__ = ["MarketRules", "check_rules", "is_inverse", "market_of", "told", "with_rules"]

_OF_CONTRACTS = (Kind.MARK, Kind.INDEX, Kind.FUNDING)


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


def told(facts: list[tuple[str, str]], what: str, *offers: tuple[str | None, str]) -> str:
    """Take the first offer that says something, and note it with who said it."""
    value, who = next((value, who) for value, who in offers if value is not None)
    facts.append((what, f"{value} ({who})"))
    return value


def market_of(
    read: Recognised,
    named: Named,
    exchange: str,
    symbol: str | None,
    market_type: str | None,
    contract_type: str | None,
    facts: list[tuple[str, str]],
) -> Market:
    """Make the market that a file belongs to, and note in `facts` who told each part of it.

    Raises:
        ConfigError: the symbol can't be told, or such a market can't have such rows.
    """
    pair = "/".join(named.pair) if named.pair else None
    if symbol is None and read.symbol is None and pair is None:
        raise ConfigError(f"{read.name} does not tell its symbol; add --symbol, e.g. --symbol BTC/USDT")
    text = symbol or read.symbol or pair or ""
    by_form = kind_of_symbol(text) or (None, None)
    kinds = (
        (market_type, "given"),
        (by_form[0], "its symbol"),
        (named.market_type, "its name or folder"),
        ("futures", f"default for {read.kind.plural}") if read.kind in _OF_CONTRACTS else ("spot", "default"),
    )
    kind = told(facts, "market type", *kinds)
    if kind == MarketType.SPOT and read.kind in _OF_CONTRACTS:
        raise ConfigError(f"a spot market has no {read.kind.plural}; add --market-type futures, or another --kind")
    contract: str | None = None
    if kind == MarketType.FUTURES:
        contracts = (
            (contract_type, "given"),
            (by_form[1], "its symbol"),
            (named.contract_type, "its name or folder"),
        )
        usual = ("inverse", "default for a pair in USD") if _is_in_usd(text) else ("linear", "default")
        contract = told(facts, "contract type", *contracts, usual)
    elif contract_type is not None:
        raise ConfigError(f"--contract-type is for futures; this is {kind}: leave it out")
    parsed = parse_symbol(
        text, _word(MarketType, kind, "market type"), contract and _word(ContractType, contract, "contract type")
    )
    who = "given" if symbol is not None else "its symbol column" if read.symbol is not None else "its name"
    facts.append(("symbol", f"{parsed.symbol} ({who})"))
    if read.kind is Kind.FUNDING and (parsed.expiry is not None or kind != MarketType.FUTURES):
        raise ConfigError(f"{parsed.symbol} is no perpetual contract: only those have funding rates")
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
        source=read.name,
    )


def is_inverse(named: Named, symbol: str | None, market_type: str | None, contract_type: str | None) -> bool:
    """Tell, before a file is read, whether it is said to be of a future that settles in base."""
    if contract_type is not None or market_type == MarketType.SPOT:
        return contract_type == ContractType.INVERSE
    by_form = kind_of_symbol(symbol or "")
    if by_form is not None:
        return by_form[1] is ContractType.INVERSE
    in_usd = _is_in_usd(symbol or "/".join(named.pair or ()))
    return named.contract_type is ContractType.INVERSE or (market_type == MarketType.FUTURES and in_usd)


def _is_in_usd(symbol: str) -> bool:
    """Tell whether a pair is quoted in plain USD: such futures settle in the coin."""
    try:
        return parse_symbol(symbol).quote == "USD"
    except ConfigError:  # a form that tells more than the pair
        return False


def _word(words: type[MarketType] | type[ContractType], word: str, what: str) -> str:
    known = [member.value for member in words]
    if word not in known:
        raise ConfigError(f"unknown {what} {word!r}{did_you_mean(word, known)}")
    return word


def _defaults(market: Market, price_decimals: int | None) -> dict[str, tuple[float, str]]:
    """Return each rule's default with its reason. Fees are the common lowest tier of the large exchanges."""
    kind = market.contract_type or market.type
    why = f"default for {kind}"
    spot, inverse = market.is_spot, market.is_inverse
    step = 1e-8 if spot else 1.0 if inverse else 0.001
    return {
        "price_tick": (0.01, why)
        if price_decimals is None
        else (float(f"1e-{price_decimals}"), "from the decimals of the prices"),
        "qty_step": (step, why),
        "min_qty": (step, why),
        "min_notional": (5.0 if market.quote in STABLE and not inverse else 0.0, why),
        "maker": (0.001 if spot else 0.0002, why),
        "taker": (0.001 if spot else 0.0005, why),
        "contract_size": (1.0, why),
        "max_leverage": (100.0 if market.type is MarketType.FUTURES else 1.0, why),
    }


def with_rules(
    market: Market, given: MarketRules, read: Recognised, store: CandleStore
) -> tuple[Market, tuple[tuple[str, float, str], ...]]:
    """Complete the market's rules: given ones first, then those in the store, then the defaults.

    Only what was traded tells and sets rules. What else is stored of a market that was never traded here carries
    defaults, which the first import of its candles or trades replaces.
    """
    traded = [info for info in store.series(market.exchange, market.symbol) if info.kind not in _OF_CONTRACTS]
    known = store.markets(market.exchange, market.symbol) if traded else []
    is_traded = read.kind not in _OF_CONTRACTS
    if not is_traded and given != MarketRules():
        raise ConfigError(f"rules of the market belong to its candles; {read.name} holds {read.kind.plural}")
    rules: list[tuple[str, float, str]] = []
    for name, (default, why) in _defaults(market, read.price_decimals if is_traded else None).items():
        value = getattr(given, name)
        if value is not None:
            rules.append((name, float(value), "given"))
        elif known:
            rules.append((name, getattr(known[0], name), "as in the store"))
        else:
            rules.append((name, default, why))
    values: dict[str, Any] = {name: value for name, value, _ in rules}
    base = replace(known[0], source=market.source) if known else market  # it may know more, such as margin tiers
    return replace(base, **values), tuple(rules) if is_traded else ()


def check_rules(rules: MarketRules) -> None:
    """Raise ConfigError where a given rule is none that a market can have."""
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
