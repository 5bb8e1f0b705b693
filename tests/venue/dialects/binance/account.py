"""Binance's accounts: balances, positions, leverage, modes, rights of the key."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Instrument, Kind, fixed, text
from ...news import Cause
from ...orders import Position, Reason, Refusal
from .listing import kind_of
from .market import ROUTES

if TYPE_CHECKING:
    from ...instruments import Tiers
    from ...routes import Call

WEEK = 7 * 86_400_000
INCOMES = {
    Cause.FILL: "REALIZED_PNL", Cause.FEE: "COMMISSION", Cause.FUNDING: "FUNDING_FEE",
    Cause.LIQUIDATION: "INSURANCE_CLEAR", Cause.SETTLEMENT: "DELIVERED_SETTELMENT", Cause.TRANSFER: "TRANSFER",
}  # fmt: skip


@ROUTES.on("GET", "/api/v3/account", signed=True)
def spot(call: Call) -> Any:
    state = call.state
    balances = [
        {
            "asset": coin, "free": fixed(state.balances["spot", coin] - state.locked("spot", coin)),
            "locked": fixed(state.locked("spot", coin)),
        }
        for coin in state.coins("spot")
    ]  # fmt: skip
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000",
        "seller": "0.00000000"},
        "canTrade": "trade" in state.rights, "canWithdraw": "withdraw" in state.rights, "canDeposit": True,
        "brokered": False, "requireSelfTradePrevention": False, "preventSor": False, "updateTime": call.now,
        "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"], "uid": 354937868,
    }  # fmt: skip


@ROUTES.on("GET", "/sapi/v1/account/apiRestrictions", signed=True)
def restrictions(call: Call) -> Any:
    trades = "trade" in call.state.rights
    return {
        "ipRestrict": bool(call.state.addresses), "createTime": 1_698_645_219_000, "enableReading": True,
        "enableWithdrawals": "withdraw" in call.state.rights, "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": trades, "permitsUniversalTransfer": False, "enableVanillaOptions": trades,
        "enableFixApiTrade": False, "enableFixReadOnly": False, "enableSpotAndMarginTrading": trades,
        "enablePortfolioMarginTrading": False,
    }  # fmt: skip


@ROUTES.on("GET", "/sapi/v1/capital/config/getall", signed=True)
def coins(call: Call) -> Any:
    state = call.state
    return [
        {
            "coin": coin, "depositAllEnable": True, "withdrawAllEnable": True, "name": coin,
            "free": fixed(state.free("spot", coin)), "locked": fixed(state.locked("spot", coin)), "freeze": "0",
            "withdrawing": "0", "ipoing": "0", "ipoable": "0", "storage": "0", "isLegalMoney": False,
            "trading": True, "networkList": [],
        }
        for coin in state.coins("spot")
    ]  # fmt: skip


@ROUTES.on("GET", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", signed=True)
def margin_pairs(_: Call) -> Any:
    return []


@ROUTES.on("GET", "/sapi/v1/asset/tradeFee", signed=True)
def trade_fee(call: Call) -> Any:
    name = call.get("symbol")
    asked = [call.state.instrument(name, Kind.SPOT)] if name else call.state.listed(Kind.SPOT)
    return [
        {"symbol": item.id, "makerCommission": text(item.maker), "takerCommission": text(item.taker)}
        for item in asked
    ]


@ROUTES.on("GET", "/fapi/v1/commissionRate", "/dapi/v1/commissionRate", signed=True)
def commission_rate(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    return {"symbol": item.id, "makerCommissionRate": text(item.maker), "takerCommissionRate": text(item.taker)}


@ROUTES.on("GET", "/fapi/v2/account", "/fapi/v3/account", "/dapi/v1/account", signed=True)
def contracts(call: Call) -> Any:
    kind = kind_of(call.path)
    assets = [_asset(call, kind.value, coin) for coin in call.state.coins(kind.value)]
    positions = [_account_position(call, item) for item in call.state.held() if item.instrument.kind is kind]
    if kind is Kind.INVERSE:
        return {
            "assets": assets, "positions": positions, "canDeposit": True, "canTrade": True, "canWithdraw": True,
            "feeTier": 0, "updateTime": call.now,
        }  # fmt: skip
    names = ("initialMargin", "maintMargin", "walletBalance", "unrealizedProfit", "marginBalance",
             "positionInitialMargin", "openOrderInitialMargin", "crossWalletBalance")  # fmt: skip
    dollars = [asset for asset in assets if asset["asset"] in {"USDT", "USDC"}]
    totals = {
        f"total{name[0].upper()}{name[1:]}": fixed(sum((Decimal(asset[name]) for asset in dollars), Decimal(0)))
        for name in names
    }
    free = fixed(sum((Decimal(asset["availableBalance"]) for asset in dollars), Decimal(0)))
    return totals | {
        "totalCrossUnPnl": totals["totalUnrealizedProfit"], "availableBalance": free, "maxWithdrawAmount": free,
        "assets": assets, "positions": positions,
    }  # fmt: skip


def _asset(call: Call, wallet: str, coin: str) -> dict[str, Any]:
    state = call.state
    balance, gains = state.balances[wallet, coin], state.gains(wallet, coin)
    used, locked, free = state.used(wallet, coin), state.locked(wallet, coin), state.free(wallet, coin)
    return {
        "asset": coin, "walletBalance": fixed(balance), "unrealizedProfit": fixed(gains),
        "marginBalance": fixed(balance + gains), "maintMargin": fixed(state.needed(wallet, coin)),
        "initialMargin": fixed(used + locked), "positionInitialMargin": fixed(used),
        "openOrderInitialMargin": fixed(locked),
        "crossWalletBalance": fixed(state.cross_balance(wallet, coin)),
        "crossUnPnl": fixed(sum((state.profit(one) for one in state.crossed(wallet, coin)), Decimal(0))),
        "availableBalance": fixed(free), "maxWithdrawAmount": fixed(free), "updateTime": call.now,
    }  # fmt: skip


def _account_position(call: Call, position: Position) -> dict[str, Any]:
    item, state = position.instrument, call.state
    key = "notionalValue" if item.kind is Kind.INVERSE else "notional"
    isolated = (item.kind, item.id) in state.isolated
    return {
        "symbol": item.id, "positionSide": position.side, "positionAmt": text(position.amount, item.step),
        "unrealizedProfit": fixed(state.profit(position)),
        "isolatedMargin": fixed(position.margin + state.profit(position)) if isolated else "0",
        "isolatedWallet": fixed(position.margin) if isolated else "0",
        key: fixed(_signed_value(call, position)), "initialMargin": fixed(state.margin(position)),
        "maintMargin": fixed(state.maintenance(position)), "updateTime": position.updated,
        "positionInitialMargin": fixed(state.margin(position)), "openOrderInitialMargin": "0",
        "leverage": text(state.leverage(item)), "isolated": isolated, "entryPrice": fixed(position.entry),
        "breakEvenPrice": fixed(position.entry),
    }  # fmt: skip


def _signed_value(call: Call, position: Position) -> Decimal:
    item = position.instrument
    return item.value(position.amount, call.state.price(item, "mark"))


@ROUTES.on("GET", "/fapi/v2/positionRisk", "/fapi/v3/positionRisk", "/dapi/v1/positionRisk", signed=True)
def position_risk(call: Call) -> Any:
    """v3 shows held positions only; v2 and the coin-margined side every instrument."""
    kind, name = kind_of(call.path), call.get("symbol") or call.get("pair")
    shown: list[dict[str, Any]] = []
    for item in call.state.listed(kind):
        if name not in {"", item.id, item.base + item.quote}:
            continue
        sides = ("LONG", "SHORT") if item.kind.value in call.state.hedged else ("BOTH",)
        for side in sides:
            position = call.state.position(item, side)
            if position.amount or "/v3/" not in call.path:
                shown.append(_risk(call, item, position))
    return shown


def _risk(call: Call, item: Instrument, position: Position) -> dict[str, Any]:
    state, value = call.state, _signed_value(call, position)
    isolated = (item.kind, item.id) in state.isolated
    wallet = fixed(position.margin) if isolated else "0"
    row: dict[str, Any] = {
        "symbol": item.id, "positionSide": position.side, "positionAmt": text(position.amount, item.step),
        "entryPrice": fixed(position.entry), "breakEvenPrice": fixed(position.entry),
        "markPrice": fixed(state.price(item, "mark")), "unRealizedProfit": fixed(state.profit(position)),
        "liquidationPrice": fixed(state.liquidation(position)) if position.amount else "0",
        "isolatedMargin": fixed(position.margin + state.profit(position)) if isolated else "0",
        "isolatedWallet": wallet, "updateTime": position.updated,
    }  # fmt: skip
    if "/v3/" in call.path:
        return row | {
            "notional": fixed(value), "marginAsset": item.settle, "initialMargin": fixed(state.margin(position)),
            "maintMargin": fixed(state.maintenance(position)),
            "positionInitialMargin": fixed(state.margin(position)),
            "openOrderInitialMargin": "0", "adl": 2, "bidNotional": "0", "askNotional": "0",
        }  # fmt: skip
    mode = {
        "marginType": "isolated" if isolated else "cross",
        "isAutoAddMargin": "false",
        "leverage": text(state.leverage(item)),
    }
    if item.kind is Kind.INVERSE:
        return row | mode | {"maxQty": "150", "notionalValue": fixed(value)}
    return (
        row
        | mode
        | {"notional": fixed(value), "maxNotionalValue": "10000000", "isolated": isolated, "adlQuantile": 2}
    )


@ROUTES.on("GET", "/eapi/v1/position", signed=True)
def option_positions(call: Call) -> Any:
    return [
        {
            "entryPrice": fixed(position.entry), "symbol": item.id,
            "side": "LONG" if position.amount > 0 else "SHORT",
            "quantity": fixed(position.amount), "reducibleQty": fixed(position.amount),
            "markValue": fixed(_signed_value(call, position)), "ror": "0",
            "unrealizedPNL": fixed(call.state.profit(position)),
            "markPrice": text(call.state.price(item, "mark")), "strikePrice": fixed(item.strike or 0),
            "positionCost": fixed(position.entry * position.amount), "expiryDate": item.expiry, "priceScale": 1,
            "quantityScale": 2, "optionSide": "CALL" if item.call else "PUT", "quoteAsset": item.quote,
            "time": position.updated,
        }
        for position in call.state.held()
        if (item := position.instrument).kind is Kind.OPTION and call.get("symbol") in {"", item.id}
    ]  # fmt: skip


@ROUTES.on("GET", "/eapi/v1/marginAccount", signed=True)
def option_account(call: Call) -> Any:
    state = call.state
    balance = state.balances["option", "USDT"]
    equity = balance + state.worth("option", "USDT")
    asset = {
        "asset": "USDT", "marginBalance": fixed(balance), "equity": fixed(equity),
        "available": fixed(state.free("option", "USDT")), "initialMargin": fixed(state.used("option", "USDT")),
        "maintMargin": "0", "unrealizedPNL": "0", "adjustedEquity": fixed(balance),
    }  # fmt: skip
    return {
        "asset": [asset],
        "greek": [],
        "time": call.now,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
    }


@ROUTES.on("POST", "/fapi/v1/leverage", "/dapi/v1/leverage", signed=True)
def set_leverage(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    try:
        call.state.set_leverage(item, Decimal(call.whole("leverage", 0)))
    except Refusal as refusal:
        if refusal.reason is not Reason.NO_CHANGE:  # Binance answers as if it had changed
            raise
    key = "maxQty" if item.kind is Kind.INVERSE else "maxNotionalValue"
    return {"leverage": call.whole("leverage", 0), key: "1000000", "symbol": item.id}


@ROUTES.on("POST", "/fapi/v1/marginType", "/dapi/v1/marginType", signed=True)
def set_margin_type(call: Call) -> Any:
    item = call.state.instrument(call.need("symbol"), kind_of(call.path))
    call.state.set_isolated(item, call.need("marginType") == "ISOLATED")
    return {"code": 200, "msg": "success"}


@ROUTES.on("POST", "/fapi/v1/positionSide/dual", "/dapi/v1/positionSide/dual", signed=True)
def set_dual(call: Call) -> Any:
    call.state.set_hedged(kind_of(call.path).value, call.need("dualSidePosition") == "true")
    return {"code": 200, "msg": "success"}


@ROUTES.on("GET", "/fapi/v1/positionSide/dual", "/dapi/v1/positionSide/dual", signed=True)
def dual(call: Call) -> Any:
    return {"dualSidePosition": kind_of(call.path).value in call.state.hedged}


@ROUTES.on("GET", "/fapi/v1/multiAssetsMargin", signed=True)
def multi_assets(call: Call) -> Any:
    return {"multiAssetsMargin": call.state.settings.get("multi assets") == "true"}


@ROUTES.on("GET", "/fapi/v1/symbolConfig", signed=True)
def symbol_config(call: Call) -> Any:
    name = call.get("symbol")
    asked = [call.state.instrument(name, Kind.LINEAR)] if name else call.state.listed(Kind.LINEAR)
    return [
        {
            "symbol": item.id,
            "marginType": "ISOLATED" if (item.kind, item.id) in call.state.isolated else "CROSSED",
            "isAutoAddMargin": False, "leverage": int(call.state.leverage(item)), "maxNotionalValue": "100000000",
        }
        for item in asked
    ]  # fmt: skip


@ROUTES.on("GET", "/fapi/v1/leverageBracket", "/dapi/v2/leverageBracket", signed=True)
def brackets(call: Call) -> Any:
    kind, name = kind_of(call.path), call.get("symbol")
    asked = [call.state.instrument(name, kind)] if name else call.state.listed(kind)
    floor, cap = ("qtyFloor", "qtyCap") if kind is Kind.INVERSE else ("notionalFloor", "notionalCap")
    return [{"symbol": item.id, "brackets": _brackets(item.tiers, floor, cap)} for item in asked]


def _brackets(tiers: Tiers, floor: str, cap: str) -> list[dict[str, Any]]:
    edges = [0, *(int(step.cap) for step in tiers.steps)]
    return [
        {
            "bracket": place + 1, "initialLeverage": int(step.leverage), cap: edges[place + 1],
            floor: edges[place],
            "maintMarginRatio": float(step.rate), "cum": float(tiers.at(step.cap)[1]),
        }
        for place, step in enumerate(tiers.steps)
    ]  # fmt: skip


@ROUTES.on("GET", "/fapi/v1/income", "/dapi/v1/income", signed=True)
def income(call: Call) -> Any:
    """Why a wallet has changed, the oldest first."""
    kind, name, sort = kind_of(call.path), call.get("symbol"), call.get("incomeType")
    begin, end = call.whole("startTime", call.now - WEEK), call.whole("endTime", call.now)
    rows = [
        {
            "symbol": one.instrument.id if one.instrument else "", "incomeType": INCOMES[one.cause],
            "income": fixed(one.change), "asset": one.coin, "time": one.time, "info": INCOMES[one.cause],
            "tranId": one.id, "tradeId": "",
        }
        for one in call.state.ledger
        if one.wallet == kind.value and name in {"", one.instrument and one.instrument.id}
        and begin <= one.time <= end
        and sort in {"", INCOMES[one.cause]}
    ]  # fmt: skip
    return rows[: min(call.whole("limit", 100), 1000)]
