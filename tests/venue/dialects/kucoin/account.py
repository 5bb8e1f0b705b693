"""KuCoin's accounts: balances, positions, leverage, modes, rights of the key."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ...instruments import Kind, text
from ...orders import Reason, Refusal
from .codes import is_contracts
from .contracts import margin_mode
from .listing import coin_id, coin_of
from .market import CONTRACTS, ROUTES, contract, pair, settlement

if TYPE_CHECKING:
    from ...orders import Position
    from ...routes import Call
    from ...state import State

SPOT, WALLET = "trade_hf", "contract"


@ROUTES.on("GET", "/api/v1/accounts", signed=True)
def accounts(call: Call) -> Any:
    """Of spot; other types than the one for trading are empty."""
    state, kind, coin = call.state, call.get("type", SPOT), call.get("currency")
    if kind != SPOT:
        return []
    return [
        {
            "id": str(zlib.crc32(name.encode())), "currency": name, "type": SPOT,
            "balance": text(state.balances[SPOT, name]), "available": text(state.free(SPOT, name)),
            "holds": text(state.locked(SPOT, name)),
        }
        for name in state.coins(SPOT) if coin in {"", name}
    ]  # fmt: skip


@ROUTES.on("GET", "/api/v1/account-overview", signed=True)
def overview(call: Call) -> Any:
    """Of contracts, one coin at a time."""
    state, coin = call.state, coin_of(call.get("currency", "XBT"))
    if coin not in {item.settle for item in state.listed(*CONTRACTS)}:
        raise Refusal(Reason.PARAMETER, "currency")
    cash, gains = state.balances[WALLET, coin], state.gains(WALLET, coin)
    used, ordered = state.used(WALLET, coin), state.locked(WALLET, coin)
    free = float(state.free(WALLET, coin))
    return {
        "accountEquity": float(cash + gains), "unrealisedPNL": float(gains), "marginBalance": float(cash),
        "positionMargin": float(used), "orderMargin": float(ordered), "frozenFunds": 0, "availableBalance": free,
        "availableMargin": free, "currency": coin_id(coin), "riskRatio": 0, "maxWithdrawAmount": free,
    }  # fmt: skip


@ROUTES.on("GET", "/api/v1/positions", signed=True)
def positions(call: Call) -> Any:
    coin = coin_of(call.get("currency"))
    return [position_of(call.state, one) for one in call.state.held() if coin in {"", one.instrument.settle}]


@ROUTES.on("GET", "/api/v1/position", signed=True)
def position(call: Call) -> Any:
    """One of a contract, an empty one too."""
    item = contract(call)
    held = call.state.held(item)
    return position_of(call.state, held[0] if held else call.state.position(item, "BOTH"))


def position_of(state: State, held: Position) -> dict[str, Any]:
    """The quantity is signed; costs are in the coin of settlement, negative of an inverse long."""
    item, amount = held.instrument, held.amount
    mark, margin, gain = state.price(item, "mark"), state.margin(held), state.profit(held)
    sign, rate = -1 if item.kind is Kind.INVERSE else 1, float(state.maintenance_rate(held))
    cost = float(sign * item.value(amount, held.entry)) if amount else 0.0
    worth, cross = float(sign * item.value(amount, mark)), margin_mode(state, item) == "CROSS"
    more = {} if cross else {"autoDeposit": False, "riskLimit": 250_000, "posCross": 0, "posComm": 0}
    return {
        "id": str(zlib.crc32(f"{item.id} {held.side}".encode())), "symbol": item.id, "crossMode": cross,
        "maintMarginReq": rate, "delevPercentage": 0.5, "openingTimestamp": held.opened or None,
        "currentTimestamp": state.now(), "currentQty": int(amount), "currentCost": cost, "currentComm": 0.0,
        "unrealisedCost": cost, "realisedGrossCost": 0.0, "realisedCost": 0.0, "isOpen": bool(amount),
        "markPrice": float(mark), "markValue": worth, "posCost": cost, "posInit": float(margin),
        "posMargin": float(margin), "posMaint": float(state.maintenance(held)), "realisedGrossPnl": 0.0,
        "realisedPnl": float(held.realized), "unrealisedPnl": float(gain),
        "unrealisedPnlPcnt": round(float(gain) / abs(cost), 4) if cost else 0.0,
        "unrealisedRoePcnt": round(float(gain / margin), 4) if margin else 0.0,
        "avgEntryPrice": float(held.entry), "liquidationPrice": float(state.liquidation(held)) if amount else 0.0,
        "bankruptPrice": float(held.entry), "settleCurrency": settlement(item),
        "isInverse": item.kind is Kind.INVERSE, "maintainMargin": rate,
        "marginMode": "CROSS" if cross else "ISOLATED", "positionSide": held.side,
        "leverage": float(state.leverage(item)), "dealComm": 0.0, "fundingFee": float(held.funding), "tax": 0,
    } | more  # fmt: skip


@ROUTES.on("GET", "/api/v2/getCrossUserLeverage", signed=True)
def cross_leverage(call: Call) -> Any:
    item = contract(call)
    return {"symbol": item.id, "leverage": f"{Decimal(call.state.settings.get(f'lever {item.id}', '10')):.2f}"}


@ROUTES.on("POST", "/api/v2/changeCrossUserLeverage", signed=True)
def change_cross_leverage(call: Call) -> Any:
    """It counts while the margin mode is cross; isolated orders bring their own."""
    item, leverage = contract(call), Decimal(call.need("leverage"))
    if not 1 <= leverage <= item.max_leverage:
        raise Refusal(Reason.LEVERAGE)
    call.state.settings[f"lever {item.id}"] = text(leverage)
    if margin_mode(call.state, item) == "CROSS":
        call.state.leverages[item.kind, item.id] = leverage
    return {"symbol": item.id, "leverage": f"{leverage:.2f}"}


@ROUTES.on("GET", "/api/v2/position/getMarginMode", signed=True)
def get_margin_mode(call: Call) -> Any:
    item = contract(call)
    return {"symbol": item.id, "marginMode": margin_mode(call.state, item)}


@ROUTES.on("POST", "/api/v2/position/changeMarginMode", signed=True)
def change_margin_mode(call: Call) -> Any:
    """To choose what is chosen already is no error."""
    item, mode = contract(call), call.need("marginMode")
    if mode not in {"ISOLATED", "CROSS"}:
        raise Refusal(Reason.PARAMETER, "marginMode")
    if mode != margin_mode(call.state, item):
        call.state.set_isolated(item, mode == "ISOLATED")
    if mode == "CROSS":
        call.state.leverages[item.kind, item.id] = Decimal(call.state.settings.get(f"lever {item.id}", "10"))
    return {"symbol": item.id, "marginMode": mode}


@ROUTES.on("GET", "/api/v2/position/getPositionMode", signed=True)
def get_position_mode(call: Call) -> Any:
    return {"positionMode": int(WALLET in call.state.hedged)}


@ROUTES.on("POST", "/api/v2/position/switchPositionMode", signed=True)
def switch_position_mode(call: Call) -> Any:
    """Of all contracts; to choose what is chosen already is no error."""
    if (mode := call.need("positionMode")) not in {"0", "1"}:
        raise Refusal(Reason.PARAMETER, "positionMode")
    if (mode == "1") != (WALLET in call.state.hedged):
        if call.state.open_orders(None, *CONTRACTS):
            raise Refusal(Reason.BUSY, "position mode")
        call.state.set_hedged(WALLET, mode == "1")
    return {"positionMode": int(mode)}


@ROUTES.on("GET", "/api/v1/trade-fees", signed=True)
def trade_fees(call: Call) -> Any:
    """Of several pairs, or of one contract."""
    if is_contracts(call):
        return _fees(contract(call))
    rows: list[dict[str, str]] = []
    for name in call.need("symbols").split(","):
        call.args["symbol"] = name
        rows.append(_fees(pair(call)))
    return rows


def _fees(item: Any) -> dict[str, str]:
    return {"symbol": item.id, "takerFeeRate": text(item.taker), "makerFeeRate": text(item.maker)}


@ROUTES.on("GET", "/api/v1/hf/accounts/opened", signed=True)
def opened(_: Call) -> Any:
    return True


@ROUTES.on("GET", "/api/ua/v1/account/mode", signed=True)
def account_mode(_: Call) -> Any:
    return {"selfAccountMode": "CLASSIC", "unifiedSubAccount": [], "classicSubAccount": []}


@ROUTES.on("GET", "/api/v1/user/api-key", signed=True)
def api_key(call: Call) -> Any:
    rights = call.state.rights
    names = ["General"] + ["Spot", "Futures"] * ("trade" in rights) + ["Withdrawal"] * ("withdraw" in rights)
    told = {
        "remark": "venue", "apiKey": "XXXXXX", "apiVersion": 2, "permission": ",".join(names),
        "createdAt": 1_577_836_800_000, "uid": 1001, "isMaster": True,
    }  # fmt: skip
    return told | ({"ipWhitelist": ",".join(call.state.addresses)} if call.state.addresses else {})
