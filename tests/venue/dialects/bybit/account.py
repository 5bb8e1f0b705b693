"""Bybit's unified account: balances, positions, leverage, modes, rights of the key."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import LEVELS, Kind, text
from ...orders import Reason, Refusal
from .market import ROUTES, asked, kind_of, listing
from .trading import INDEX

if TYPE_CHECKING:
    from ...orders import Position
    from ...routes import Call
    from ...state import State

WALLET = "unified"
MODES = {"ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN"}


@ROUTES.on("GET", "/v5/account/wallet-balance", signed=True)
def wallet_balance(call: Call) -> Any:
    if call.need("accountType") != "UNIFIED":
        raise Refusal(Reason.PARAMETER, "accountType only support UNIFIED")
    return {"list": [wallet(call.state, call.get("coin").split(",") if call.get("coin") else None)]}


def wallet(state: State, named: list[str] | None = None) -> dict[str, Any]:
    """Some coins, or all, with totals in dollars; what is free of a coin follows from the rest."""
    coins = [_coin(state, coin) for coin in named or state.coins(WALLET)]
    names = ("equity", "walletBalance", "unrealisedPnl", "totalPositionIM", "totalOrderIM", "totalPositionMM")
    worth = [(row, _worth(row["coin"])) for row in coins]
    dollars = {name: sum((Decimal(row[name]) * dollar for row, dollar in worth), Decimal(0)) for name in names}
    initial = dollars["totalPositionIM"] + dollars["totalOrderIM"]
    return {
        "totalEquity": text(dollars["equity"]), "accountIMRate": text(initial / (dollars["equity"] or 1)),
        "totalMarginBalance": text(dollars["equity"]), "totalInitialMargin": text(initial),
        "accountType": "UNIFIED", "totalAvailableBalance": text(dollars["equity"] - initial),
        "accountMMRate": text(dollars["totalPositionMM"] / (dollars["equity"] or 1)),
        "totalPerpUPL": text(dollars["unrealisedPnl"]), "totalWalletBalance": text(dollars["walletBalance"]),
        "accountLTV": "0", "totalMaintenanceMargin": text(dollars["totalPositionMM"]), "coin": coins,
    }  # fmt: skip


def _worth(coin: str) -> Decimal:
    return Decimal(str(LEVELS[coin]))


def _coin(state: State, coin: str) -> dict[str, Any]:
    balance, gains, used = state.balances[WALLET, coin], state.gains(WALLET, coin), state.used(WALLET, coin)
    spot, equity = state.locked(WALLET, coin, Kind.SPOT), balance + gains + state.worth(WALLET, coin)
    return {
        "availableToBorrow": "", "bonus": "0", "accruedInterest": "0", "availableToWithdraw": "",
        "totalOrderIM": text(state.locked(WALLET, coin) - spot), "equity": text(equity),
        "totalPositionMM": text(state.needed(WALLET, coin)), "usdValue": text(equity * _worth(coin)),
        "unrealisedPnl": text(gains), "collateralSwitch": True, "spotHedgingQty": "0", "spotBorrow": "0",
        "borrowAmount": "0", "totalPositionIM": text(used), "walletBalance": text(balance), "cumRealisedPnl": "0",
        "locked": text(spot), "marginCollateral": True, "coin": coin,
    }  # fmt: skip


@ROUTES.on("GET", "/v5/position/list", signed=True)
def positions(call: Call) -> Any:
    """By symbol empty ones too, one a side; by coin of settlement only what is held."""
    kind, coin, name = kind_of(call), call.get("settleCoin"), call.get("symbol")
    if kind is Kind.LINEAR and not coin and not name:
        raise Refusal(Reason.PARAMETER, "symbol or settleCoin")
    if name:
        item = asked(call)
        sides = ("LONG", "SHORT") if call.state.is_hedged(item) else ("BOTH",)
        found = [call.state.position(item, side) for side in sides]
    else:
        found = [held for held in call.state.held() if held.instrument.kind is kind]
    rows = [position_row(call.state, one) for one in found if coin in {"", one.instrument.settle}]
    return listing(call, rows, 200)


def position_row(state: State, position: Position) -> dict[str, Any]:
    item, size = position.instrument, abs(position.amount)
    held = bool(size)
    mark, margin = state.price(item, "mark"), state.margin(position)
    row = {
        "positionIdx": INDEX[position.side], "riskId": 1, "riskLimitValue": "2000000", "symbol": item.id,
        "side": "" if not held else "Buy" if position.amount > 0 else "Sell", "size": text(size),
        "avgPrice": text(position.entry), "positionValue": text(item.value(size, position.entry)) if held else "",
        "tradeMode": 0, "positionStatus": "Normal", "autoAddMargin": 0, "adlRankIndicator": 2 if held else 0,
        "leverage": text(state.leverage(item, position.side)) if item.margined else "", "positionBalance": "0",
        "markPrice": text(mark), "liqPrice": text(state.liquidation(position)) if held and item.margined else "",
        "bustPrice": "", "positionMM": text(state.maintenance(position)), "positionIM": text(margin),
        "tpslMode": "Full", "takeProfit": "", "stopLoss": "", "trailingStop": "0",
        "unrealisedPnl": text(state.profit(position)) if held else "", "curRealisedPnl": text(position.realized),
        "cumRealisedPnl": text(position.realized), "seq": position.updated, "isReduceOnly": False,
        "mmrSysUpdatedTime": "", "leverageSysUpdatedTime": "", "sessionAvgPrice": "", "breakEvenPrice": "",
        "positionIMByMp": text(margin), "positionMMByMp": "0", "liqPriceByMp": "",
        "createdTime": str(position.opened), "updatedTime": str(position.updated),
    }  # fmt: skip
    names = {"StopLoss": "stopLoss", "TakeProfit": "takeProfit", "TrailingStop": "trailingStop"}
    for order in state.open_orders(item):
        if order.side == position.side and (label := order.raw.get("stop", "")) in names:
            row[names[label]] = text(order.trigger if order.trigger is not None else order.trailing_gap or 0)
    return row


@ROUTES.on("POST", "/v5/position/set-leverage", signed=True)
def set_leverage(call: Call) -> Any:
    """In hedge mode each leg may have its own."""
    item, buy, sell = asked(call), Decimal(call.need("buyLeverage")), Decimal(call.need("sellLeverage"))
    state = call.state
    if buy == sell and buy == state.leverage(item, "LONG") == state.leverage(item, "SHORT"):
        raise Refusal(Reason.NO_CHANGE, "leverage")
    if not 1 <= min(buy, sell) <= max(buy, sell) <= item.max_leverage or (
        buy != sell and not state.is_hedged(item)
    ):
        raise Refusal(Reason.LEVERAGE, item.id)
    if buy == sell:
        state.put_leverage(item, buy)
        return {}
    state.put_leverage(item, buy, "LONG")
    state.put_leverage(item, sell, "SHORT")
    return {}


@ROUTES.on("POST", "/v5/position/switch-mode", signed=True)
def switch_mode(call: Call) -> Any:
    """Of one symbol, or of all that settle in a coin."""
    hedged = call.need("mode") == "3"
    if call.get("symbol"):
        call.state.set_hedged(call.state.scope_of(asked(call)), hedged)
        return {}
    for item in call.state.listed(kind_of(call)):
        if item.settle == call.need("coin"):
            call.state.set_hedged(call.state.scope_of(item), hedged)
    return {}


@ROUTES.on("POST", "/v5/account/set-margin-mode", signed=True)
def set_margin_mode(call: Call) -> Any:
    mode = call.need("setMarginMode")
    if mode not in MODES:
        raise Refusal(Reason.PARAMETER, "setMarginMode")
    call.state.settings["margin mode"] = mode
    return {"reasons": []}


@ROUTES.on("GET", "/v5/account/info", signed=True)
def info(call: Call) -> Any:
    return {
        "marginMode": call.state.settings.get("margin mode", "REGULAR_MARGIN"), "updatedTime": str(call.now),
        "unifiedMarginStatus": 5, "dcpStatus": "OFF", "timeWindow": 0, "smpGroup": 0, "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }  # fmt: skip


@ROUTES.on("GET", "/v5/account/fee-rate", signed=True)
def fee_rate(call: Call) -> Any:
    items = [asked(call)] if call.get("symbol") else call.state.listed(kind_of(call))
    rows = [
        {"symbol": item.id, "takerFeeRate": text(item.taker), "makerFeeRate": text(item.maker)} for item in items
    ]
    return {"category": call.get("category"), "list": rows}


@ROUTES.on("GET", "/v5/user/query-api", signed=True)
def query_api(call: Call) -> Any:
    trades = "trade" in call.state.rights
    return {
        "id": "13770661", "note": "venue", "apiKey": "XXXXXX", "readOnly": 0 if trades else 1, "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"] if trades else [], "Spot": ["SpotTrade"] if trades else [],
            "Wallet": ["AccountTransfer", "Withdraw"] if "withdraw" in call.state.rights else [],
            "Options": ["OptionsTrade"] if trades else [], "Derivatives": ["DerivativesTrade"] if trades else [],
            "CopyTrading": [], "BlockTrade": [], "Exchange": [], "NFT": [], "Affiliate": [],
        },
        "ips": list(call.state.addresses) or ["*"], "type": 1, "deadlineDay": 66,
        "expiredAt": "2036-12-22T07:20:25Z",
        "createdAt": "2022-10-16T02:24:40Z", "unified": 0, "uta": 1, "userID": 24617703, "inviterID": 0,
        "vipLevel": "No VIP", "mktMakerLevel": "0", "affiliateID": 0, "rsaPublicKey": "", "isMaster": True,
        "parentUid": "0", "kycLevel": "LEVEL_DEFAULT", "kycRegion": "",
    }  # fmt: skip


@ROUTES.on("GET", "/v5/asset/coin/query-info", signed=True)
def coins(call: Call) -> Any:
    chain = {
        "chainType": "Venue", "confirmation": "6", "withdrawFee": "0.001", "depositMin": "0",
        "withdrawMin": "0.01",
        "chain": "VENUE", "chainDeposit": "1", "chainWithdraw": "1", "minAccuracy": "8",
        "withdrawPercentageFee": "0", "contractAddress": "", "safeConfirmNumber": "65",
    }  # fmt: skip
    rows = [
        {"name": coin, "coin": coin, "remainAmount": "1000000", "chains": [chain]}
        for coin in call.state.coins(WALLET)
    ]
    return {"rows": rows}
