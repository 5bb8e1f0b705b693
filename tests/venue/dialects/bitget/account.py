"""Bitget's accounts: balances, positions, leverage, modes, rights of the key."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, Kind, text
from ...orders import Reason, Refusal
from .contracts import choose_mode, settled_in
from .listing import contract, product, product_of
from .market import ROUTES, pair

if TYPE_CHECKING:
    from ...orders import Position
    from ...routes import Call
    from ...state import State

RIGHTS = {"trade": ("coow", "cpow", "stow"), "read": ("coor", "cpor", "stor"), "withdraw": ("wwow",)}


@ROUTES.on("GET", "/api/v2/spot/account/assets", signed=True)
def assets(call: Call) -> Any:
    state = call.state
    coins = [call.get("coin").upper()] if call.get("coin") else state.coins("SPOT")
    return [
        {
            "coin": coin, "available": text(state.free("SPOT", coin)), "frozen": text(state.locked("SPOT", coin)),
            "locked": "0", "limitAvailable": "0", "uTime": str(call.now),
        }
        for coin in coins
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v2/spot/account/info", signed=True)
def info(call: Call) -> Any:
    return {
        "userId": "1001", "inviterId": "", "ips": ",".join(call.state.addresses), "parentId": 1001,
        "authorities": [one for right, names in RIGHTS.items() if right in call.state.rights for one in names],
        "traderType": "not_trader", "channelCode": "", "channel": "", "regisTime": "1577836800000",
    }  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/account/accounts", signed=True)
def accounts(call: Call) -> Any:
    """The coins that a product type settles in."""
    wallet = product(call)
    coins = {item.settle for item in call.state.listed(Kind.LINEAR, Kind.INVERSE) if product_of(item) == wallet}
    return [
        _account(call, wallet, coin) | {
            "unionTotalMargin": "", "unionAvailable": "", "unionMm": "", "assetList": [],
        }
        for coin in sorted(coins)
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/account/account", signed=True)
def account(call: Call) -> Any:
    """The same for one contract, with its leverage and modes."""
    item = contract(call)
    settled_in(item, call.need("marginCoin"))
    isolated = (item.kind, item.id) in call.state.isolated
    told, name = call.state.settings, f"lever {product_of(item)} {item.id}"
    cross, alone = (told.get(f"{name} {mode}", "10") for mode in ("crossed", "isolated"))
    legs = [int(Decimal(told.get(f"{name} isolated {leg}", alone))) for leg in ("long", "short")]
    return _account(call, product_of(item), item.settle) | {
        "crossedMarginLeverage": int(Decimal(cross)), "isolatedLongLever": legs[0],
        "isolatedShortLever": legs[1], "marginMode": "isolated" if isolated else "crossed",
        "posMode": mode_of(call.state, product_of(item)), "grant": "",
    }  # fmt: skip


def mode_of(state: State, wallet: str) -> str:
    """The position mode, which all contracts of a product type share."""
    return "hedge_mode" if wallet in state.hedged else "one_way_mode"


def _account(call: Call, wallet: str, coin: str) -> dict[str, Any]:
    """What is free does not count gains that are still open."""
    state = call.state
    equity, gains = state.balances[wallet, coin] + state.gains(wallet, coin), state.gains(wallet, coin)
    dollars, free = equity * Decimal(str(LEVELS[coin])), text(state.free(wallet, coin))
    crossed = sum((state.profit(one) for one in state.crossed(wallet, coin)), Decimal(0))
    alone = state.balances[wallet, coin] - state.cross_balance(wallet, coin)
    return {
        "marginCoin": coin, "locked": text(state.locked(wallet, coin)), "available": free,
        "crossedMaxAvailable": free, "isolatedMaxAvailable": free, "maxTransferOut": free,
        "accountEquity": text(equity), "usdtEquity": text(dollars),
        "btcEquity": text(dollars / Decimal(str(LEVELS["BTC"]))), "crossedRiskRate": "0",
        "unrealizedPL": text(gains), "coupon": "0", "crossedUnrealizedPL": text(crossed),
        "isolatedUnrealizedPL": text(gains - crossed), "assetMode": "single", "isolatedMargin": text(alone),
        "crossedMargin": text(state.used(wallet, coin) - alone),
    }  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/position/all-position", signed=True)
def positions(call: Call) -> Any:
    """What is held of a product type, in one margin coin where that is told."""
    wallet, coin = product(call), call.get("marginCoin").upper()
    return [
        _position(call, one) for one in call.state.held()
        if product_of(one.instrument) == wallet and coin in {"", one.instrument.settle}
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v2/mix/position/single-position", signed=True)
def position(call: Call) -> Any:
    item = contract(call)
    settled_in(item, call.need("marginCoin"))
    return [_position(call, one) for one in call.state.held(item)]


def _position(call: Call, held: Position) -> dict[str, Any]:
    item, state, size = held.instrument, call.state, abs(held.amount)
    mark, margin = state.price(item, "mark"), state.margin(held)
    isolated = (item.kind, item.id) in state.isolated
    return {
        "marginCoin": item.settle, "symbol": item.id, "holdSide": "long" if held.amount > 0 else "short",
        "openDelegateSize": "0", "marginSize": text(margin), "available": text(size), "locked": "0",
        "total": text(size), "leverage": text(state.leverage(item, held.side)),
        "achievedProfits": text(held.realized),
        "openPriceAvg": text(held.entry), "marginMode": "isolated" if isolated else "crossed",
        "posMode": mode_of(call.state, product_of(item)), "unrealizedPL": text(state.profit(held)),
        "liquidationPrice": text(state.liquidation(held)), "keepMarginRate": text(state.maintenance_rate(held)),
        "markPrice": text(mark, item.tick), "marginRatio": "0.001", "breakEvenPrice": text(held.entry),
        "totalFee": "", "deductedFee": "0", "grant": "", "takeProfit": "", "stopLoss": "", "takeProfitId": "",
        "stopLossId": "", "assetMode": "single", "autoMargin": "off", "cTime": str(held.opened),
        "uTime": str(held.updated),
    }  # fmt: skip


@ROUTES.on("POST", "/api/v2/mix/account/set-leverage", signed=True)
def set_leverage(call: Call) -> Any:
    """Of the margin mode that the contract is in; to choose what is set already is no error.

    In hedge mode isolated legs have their own.
    """
    item, leg = contract(call), call.get("holdSide")
    settled_in(item, call.need("marginCoin"))
    leverage = Decimal(call.get("longLeverage") or call.need("leverage"))
    if not 1 <= leverage <= item.max_leverage:
        raise Refusal(Reason.LEVERAGE, item.id)
    key = (item.kind, item.id)
    mode = "isolated" if key in call.state.isolated else "crossed"
    legs = (leg,) if leg and mode == "isolated" and call.state.is_hedged(item) else ()
    name = f"lever {product_of(item)} {item.id} {mode}"
    for each in legs or ("long", "short"):
        call.state.settings.pop(f"{name} {each}", None)
    call.state.settings[" ".join((name, *legs))] = text(leverage)
    call.state.put_leverage(item, leverage, *(one.upper() for one in legs))
    return {
        "symbol": item.id, "marginCoin": item.settle, "longLeverage": text(leverage),
        "shortLeverage": text(leverage), "crossMarginLeverage": text(leverage), "marginMode": mode,
    }  # fmt: skip


@ROUTES.on("POST", "/api/v2/mix/account/set-margin-mode", signed=True)
def set_margin_mode(call: Call) -> Any:
    item, mode = contract(call), call.need("marginMode")
    settled_in(item, call.need("marginCoin"))
    choose_mode(call, item, mode)
    lever = text(call.state.leverage(item))
    return {
        "symbol": item.id, "marginCoin": item.settle, "longLeverage": lever, "shortLeverage": lever,
        "marginMode": mode,
    }  # fmt: skip


@ROUTES.on("POST", "/api/v2/mix/account/set-position-mode", signed=True)
def set_position_mode(call: Call) -> Any:
    """Of all contracts of a product type; to choose what is set already is no error."""
    wallet, mode = product(call), call.need("posMode")
    if mode not in {"hedge_mode", "one_way_mode"}:
        raise Refusal(Reason.PARAMETER, "posMode")
    if mode != mode_of(call.state, wallet):
        if any(product_of(order.instrument) == wallet for order in call.state.open_orders()):
            raise Refusal(Reason.BUSY, "position mode")
        call.state.set_hedged(wallet, mode == "hedge_mode")
    return {"posMode": mode}


@ROUTES.on("GET", "/api/v2/common/trade-rate", signed=True)
def trade_rate(call: Call) -> Any:
    if (business := call.need("businessType")) not in {"spot", "mix"}:
        raise Refusal(Reason.PARAMETER, "businessType")
    kinds = (Kind.LINEAR, Kind.INVERSE) if business == "mix" else (Kind.SPOT,)
    item = call.state.instrument(call.need("symbol"), *kinds) if business == "mix" else pair(call)
    return {"makerFeeRate": text(item.maker), "takerFeeRate": text(item.taker)}
