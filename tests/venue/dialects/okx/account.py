"""OKX's trading account in futures mode: balances, positions, leverage, modes, rights of the key."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, Kind, text
from ...orders import Position, Reason, Refusal
from .listing import type_of
from .market import ROUTES, asked, wanted
from .trading import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...routes import Call
    from ...state import State

WALLET = "trading"
EMPTY = (
    "baseBal", "baseBorrowed", "baseInterest", "bizRefId", "bizRefType", "clSpotInUseAmt", "deltaBS", "deltaPA",
    "gammaBS", "gammaPA", "interest", "liab", "liabCcy", "maxSpotInUseAmt", "pendingCloseOrdLiabVal", "posCcy",
    "quoteBal", "quoteBorrowed", "quoteInterest", "spotInUseAmt", "spotInUseCcy", "thetaBS", "thetaPA", "vegaBS",
    "vegaPA",
)  # fmt: skip
"""What a position has in other account modes."""


@ROUTES.on("GET", "/api/v5/account/balance", signed=True)
def balance(call: Call) -> Any:
    """Totals are in dollars; each coin stands for itself."""
    named = call.get("ccy").split(",") if call.get("ccy") else call.state.coins(WALLET)
    return [account_of(call.state, named)]


def account_of(state: State, coins: Iterable[str]) -> dict[str, Any]:
    """The account with the details of some coins, whose worth is the total."""
    details = [_coin(state, coin) for coin in coins]
    total = sum((Decimal(row["eqUsd"]) for row in details), Decimal(0))
    return {
        "adjEq": "", "availEq": "", "borrowFroz": "", "details": details, "imr": "", "isoEq": "0", "mgnRatio": "",
        "mmr": "", "notionalUsd": "", "notionalUsdForBorrow": "", "notionalUsdForFutures": "",
        "notionalUsdForOption": "", "notionalUsdForSwap": "", "ordFroz": "", "totalEq": text(total),
        "uTime": str(state.now()), "upl": "",
    }  # fmt: skip


def _coin(state: State, coin: str) -> dict[str, Any]:
    cash, gains, used = state.balances[WALLET, coin], state.gains(WALLET, coin), state.used(WALLET, coin)
    ordered, equity = state.locked(WALLET, coin), cash + gains + state.worth(WALLET, coin)
    free = text(cash + gains - ordered - used)
    return {
        "accAvgPx": "", "availBal": free, "availEq": free, "borrowFroz": "", "cashBal": text(cash), "ccy": coin,
        "clSpotInUseAmt": "", "colBorrAutoConversion": "", "collateralEnabled": False,
        "collateralRestrict": False, "crossLiab": "", "disEq": "0", "eq": text(equity),
        "eqUsd": text(equity * Decimal(str(LEVELS[coin]))), "fixedBal": "0", "frozenBal": text(ordered + used),
        "imr": text(used), "interest": "", "isoEq": "0", "isoLiab": "", "isoUpl": "0", "liab": "", "maxLoan": "",
        "maxSpotInUse": "", "mgnRatio": "", "mmr": text(state.needed(WALLET, coin)), "notionalLever": "0",
        "openAvgPx": "", "ordFrozen": text(ordered), "rewardBal": "", "smtSyncEq": "0", "spotBal": "",
        "spotCopyTradingEq": "0", "spotInUseAmt": "", "spotIsoBal": "0", "spotUpl": "", "spotUplRatio": "",
        "stgyEq": "0", "totalPnl": "", "totalPnlRatio": "", "twap": "0", "uTime": str(state.now()),
        "upl": text(gains), "uplLiab": "",
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/asset/balances", signed=True)
def funding(call: Call) -> Any:
    """The funding account, which a test may fill."""
    return [
        {"availBal": text(amount), "bal": text(amount), "ccy": coin, "frozenBal": "0"}
        for (wallet, coin), amount in call.state.balances.items() if wallet == "funding"
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v5/account/positions", signed=True)
def positions(call: Call) -> Any:
    """What is held; of an instrument that is named also what was closed."""
    kind, names = call.get("instType"), call.get("instId").split(",") if call.get("instId") else []
    for name in names:
        call.state.instrument(name)
    found = [
        one for one in call.state.positions.values()
        if (one.amount or (one.opened and one.instrument.id in names))
        and (not names or one.instrument.id in names) and kind in {"", type_of(one.instrument)}
    ]  # fmt: skip
    return [position_of(call.state, one) for one in found]


def position_of(state: State, position: Position) -> dict[str, Any]:
    """Signed in net mode, else its side tells; an isolated one has a margin of its own."""
    item, amount = position.instrument, position.amount
    mark, size, isolated = state.price(item, "mark"), abs(amount), (item.kind, item.id) in state.isolated
    margin, gain, last = state.margin(position), state.profit(position), state.price(item)
    worth = item.notional(size, mark) * (mark if item.kind is Kind.OPTION else 1)
    ratio = text(gain / margin) if margin else "0"
    side, empty = NAMES[position.side], dict.fromkeys(EMPTY, "")
    return empty | {
        "adl": "1" if size else "", "availPos": text(size), "avgPx": text(position.entry) if size else "",
        "bePx": text(position.entry) if size else "", "cTime": str(position.opened), "ccy": item.settle,
        "closeOrderAlgo": [], "fee": "0", "fundingFee": text(position.funding),
        "idxPx": text(state.price(item, "index"), item.tick),
        "imr": "" if isolated else text(margin), "instId": item.id, "instType": type_of(item),
        "last": text(last, item.tick), "lever": text(state.leverage(item, position.side)) if item.margined else "",
        "liqPenalty": "0", "liqPx": text(state.liquidation(position)) if size and item.margined else "",
        "margin": text(margin) if isolated else "", "markPx": text(mark, item.tick),
        "mgnMode": "isolated" if isolated else "cross", "mgnRatio": "100",
        "mmr": text(state.maintenance(position)), "notionalUsd": text(worth), "pnl": "0",
        "optVal": text(item.value(amount, mark)) if item.kind is Kind.OPTION else "",
        "pos": text(amount if position.side == "BOTH" else size),
        "posId": str(zlib.crc32(f"{item.id} {side}".encode())), "posSide": side,
        "realizedPnl": text(position.realized), "tradeId": str(position.updated), "uTime": str(position.updated),
        "upl": text(gain), "uplLastPx": text(item.profit(amount, position.entry, last)) if size else "0",
        "uplRatio": ratio, "uplRatioLastPx": ratio, "usdPx": text(LEVELS[item.settle]),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v5/account/config", signed=True)
def config(call: Call) -> Any:
    state = call.state
    rights = [name for right, name in (("read", "read_only"), ("withdraw", "withdraw"), ("trade", "trade"))
              if right in state.rights]  # fmt: skip
    return [{
        "acctLv": "2", "autoLoan": False, "ctIsoMode": "automatic", "greeksType": "PA",
        "ip": ",".join(state.addresses), "kycLv": "2", "label": "venue", "level": "Lv1", "levelTmp": "",
        "liquidationGear": "-1", "mainUid": "1001", "mgnIsoMode": "automatic", "opAuth": "0",
        "perm": ",".join(rights), "posMode": "long_short_mode" if WALLET in state.hedged else "net_mode",
        "roleType": "0", "spotOffsetType": "", "spotRoleType": "0", "spotTraderInsts": [], "traderInsts": [],
        "uid": "1001",
    }]  # fmt: skip


@ROUTES.on("POST", "/api/v5/account/set-position-mode", signed=True)
def set_position_mode(call: Call) -> Any:
    """Of the whole account; to choose what is set already is no error."""
    mode = call.need("posMode")
    if mode not in {"long_short_mode", "net_mode"}:
        raise Refusal(Reason.PARAMETER, "posMode")
    hedged = mode == "long_short_mode"
    if hedged != (WALLET in call.state.hedged):
        if any(order.instrument.margined for order in call.state.open_orders()):
            raise Refusal(Reason.BUSY, "position mode")
        call.state.set_hedged(WALLET, hedged)
    return [{"posMode": mode}]


@ROUTES.on("GET", "/api/v5/account/leverage-info", signed=True)
def leverage_info(call: Call) -> Any:
    """Of one margin mode; isolated in hedge mode each side has its row."""
    item, mode = asked(call), call.need("mgnMode")
    sides = ("long", "short") if mode == "isolated" and call.state.is_hedged(item) else ("net",)
    return [
        {
            "ccy": "",
            "instId": item.id,
            "lever": _lever(call, item.id, mode, side),
            "mgnMode": mode,
            "posSide": side,
        }
        for side in sides
    ]


def _lever(call: Call, name: str, mode: str, side: str) -> str:
    settings = call.state.settings
    return settings.get(f"lever {name} {mode} {side}") or settings.get(f"lever {name} {mode}", "10")


@ROUTES.on("POST", "/api/v5/account/set-leverage", signed=True)
def set_leverage(call: Call) -> Any:
    """Each margin mode has its own; it changes the margin of a position that is held in that mode.

    In hedge mode isolated legs have their own too.
    """
    item, mode, lever, leg = asked(call), call.need("mgnMode"), Decimal(call.need("lever")), call.get("posSide")
    if mode not in {"cross", "isolated"} or not item.margined:
        raise Refusal(Reason.PARAMETER, "mgnMode")
    if not 1 <= lever <= item.max_leverage:
        raise Refusal(Reason.LEVERAGE, item.id)
    if leg in {"long", "short"} and (mode != "isolated" or not call.state.is_hedged(item)):
        raise Refusal(Reason.PARAMETER, "posSide")
    legs = (leg,) if leg in {"long", "short"} else ()
    for name in legs or ("long", "short"):
        call.state.settings.pop(f"lever {item.id} {mode} {name}", None)
    call.state.settings[" ".join(("lever", item.id, mode, *legs))] = text(lever)
    key = (item.kind, item.id)
    if (key in call.state.isolated) == (mode == "isolated"):
        call.state.put_leverage(item, lever, *(one.upper() for one in legs))
    return [{"instId": item.id, "lever": text(lever), "mgnMode": mode, "posSide": leg}]


@ROUTES.on("GET", "/api/v5/account/trade-fee", signed=True)
def trade_fee(call: Call) -> Any:
    """Negative rates are paid."""
    call.need("instType")
    item = wanted(call)[0]
    maker, taker = text(-item.maker), text(-item.taker)
    in_usdt = item.margined and item.quote == "USDT"
    return [{
        "category": "1", "delivery": "", "exercise": "", "feeGroup": [], "instType": type_of(item), "level": "Lv1",
        "maker": maker, "makerU": maker if in_usdt else "", "makerUSDC": "", "ruleType": "normal",
        "taker": taker, "takerU": taker if in_usdt else "", "takerUSDC": "", "ts": str(call.now), "fiat": [],
    }]  # fmt: skip


@ROUTES.on("GET", "/api/v5/asset/currencies", signed=True)
def currencies(call: Call) -> Any:
    return [
        {
            "burningFeeRate": "", "canDep": True, "canInternal": True, "canWd": True, "ccy": coin,
            "chain": f"{coin}-Venue", "ctAddr": "", "depEstOpenTime": "", "depQuotaFixed": "",
            "depQuoteDailyLayer2": "", "fee": "0.001", "logoLink": "", "mainNet": True, "maxFee": "0.001",
            "maxFeeForCtAddr": "", "maxWd": "1000000", "minDep": "0.01", "minDepArrivalConfirm": "6",
            "minFee": "0.001", "minFeeForCtAddr": "", "minInternal": "0.01", "minWd": "0.1",
            "minWdUnlockConfirm": "12", "name": coin, "needTag": False, "stablecoinDailyQuota": "0",
            "stablecoinMonthlyQuota": "0", "usedDepQuotaFixed": "", "usedStablecoinDailyQuota": "0",
            "usedStablecoinMonthlyQuota": "0", "usedWdQuota": "0", "wdEstOpenTime": "", "wdQuota": "10000000",
            "wdTickSz": "6",
        }
        for coin in call.state.coins(WALLET)
    ]  # fmt: skip
