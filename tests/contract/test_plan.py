"""What a live run is about to do, as it is told before anything is sent or changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from gateways import EXCHANGES, KEYS, KINDS, gateway_to, order, request

from metaexpert import MetaExpert
from metaexpert.broker.names import Names
from metaexpert.config import RunSettings, build
from metaexpert.errors import AuthenticationError, ConfigError
from metaexpert.journal import Journal
from metaexpert.plan import plan_of, survey
from metaexpert.wiring import journal_of

if TYPE_CHECKING:
    from metaexpert.plan import Plan
    from metaexpert.wiring import LiveJob

pytestmark = pytest.mark.asyncio


def job_of(exchange: str, kind: str = "linear", settings: Any = (), **run: Any) -> LiveJob:
    """What a live run is given."""
    expert = MetaExpert(exchange=exchange, log_to_console=False, **KINDS[kind][0], **KEYS)
    more = {"daily_loss_limit": 100.0, "stop_loss_pct": 2.0, "size_value": 0.25} | dict(settings)
    expert.on_init(symbol=KINDS[kind][1], timeframe="5m", strategy_name="planner", **more)(lambda: None)
    return replace(expert.start("paper").job, run=build(RunSettings, {"trade_mode": "live", **run}))


async def planned(venue: Any, exchange: str, kind: str = "linear", settings: Any = (), **run: Any) -> Plan:
    async with gateway_to(venue, exchange, kind) as gateway:
        market = await gateway.market(KINDS[kind][1])
        return await survey(job_of(exchange, kind, settings, **run), gateway, (market,))


def row(plan: Plan, name: str) -> str:
    """The line of that name, without it."""
    (line,) = [one for one in plan.lines() if one.strip().startswith(name)]
    return line.strip().removeprefix(name).strip()


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_the_plan_tells_what_is_set_what_is_there_and_changes_nothing(venue, home, exchange):
    since = len(venue.seen)
    plan = await planned(venue, exchange, settings={"leverage": 3, "max_drawdown_pct": 0.2})
    assert [one.method for one in venue.seen[since:] if one.method != "GET"] == []
    assert plan.lines()[0].startswith("planner trades with REAL MONEY on ")
    assert row(plan, "symbols") == "BTC/USDT:USDT on 5m bars"
    there = "" if exchange == "kucoin" else ": BTC/USDT:USDT has leverage "  # there it comes with each order
    assert row(plan, "terms").startswith(f"leverage 3, isolated margin, oneway positions{there}")
    assert row(plan, "terms").endswith(", to be changed first") == bool(there)
    assert row(plan, "size") == "25 % of equity as margin, unless an order says its own"
    assert row(plan, "levels") == "stop 2 %; kept by"
    assert row(plan, "BTC/USDT:USDT").startswith("native: stop and target stand on the exchange")
    assert row(plan, "limits") == "daily loss 100 USDT, drawdown 20 %; then flatten"
    assert row(plan, "lost stop") == "the position is closed at market"
    assert row(plan, "stopping").startswith("entries are cancelled; positions stay")
    assert row(plan, "stands now") == "nothing"
    assert plan.account.equity > 0.0
    assert f"equity {plan.account.equity:,.8g} USDT" in row(plan, "account")


async def test_what_is_doubtful_is_warned_of(venue, home):
    venue.states["okx"].rights |= {"withdraw"}
    bare = {"daily_loss_limit": None, "stop_loss_pct": None}
    plan = await planned(venue, "okx", settings=bare, no_limits=True, adopt=True, on_stop="flatten")
    assert plan.rights is not None
    assert "withdraw" in plan.rights
    for text in (
        "may WITHDRAW funds",
        "no loss limit holds it",
        "give positions no stop",
        "keys are given in the",
    ):
        assert sum(text in warning for warning in plan.warnings) == 1, text
    assert row(plan, "limits") == "NONE"
    assert row(plan, "stopping") == "entries are cancelled and positions closed"
    closing = await planned(venue, "okx", flatten=True)
    assert row(closing, "stopping").startswith("at once, when its own orders are cancelled")
    assert all("hunter2" not in line for line in plan.lines())
    assert all(value not in "\n".join(plan.lines()) for value in KEYS.values())


@pytest.mark.parametrize(
    ("exchange", "kind", "pct", "told"),
    [
        ("binance", "option", None, "market orders, exits too, fill at the best quote or not at all"),
        ("binance", "option", 0.5, "market orders, exits too, fill at most 0.5 % beyond the best quote"),
        ("binance", "linear", 0.5, "market entries fill at most 0.5 % beyond the best quote"),
        ("binance", "linear", None, "market entries take any price"),
    ],
)
async def test_the_plan_says_at_which_prices_market_orders_fill(venue, home, exchange, kind, pct, told):
    more = {} if pct is None else {"max_slippage_pct": pct}
    plan = await planned(venue, exchange, kind, **more)
    assert row(plan, "slippage").startswith(told)


async def test_levels_that_act_only_while_the_expert_runs_are_said_to(venue, home):
    plan = await planned(venue, "binance", "spot")
    assert row(plan, "terms") == "no margin"
    coins = next(one.qty for one in plan.positions if one.symbol == "BTC/USDT")  # a balance, all of it foreign
    assert coins > 0.0
    assert f"BTC/USDT {coins:+.12g} (+0 its own, {coins:+.12g} not its own: left alone)" in row(plan, "stands now")
    assert row(plan, "BTC/USDT").startswith("emulated: the expert watches the price")
    assert "BTC/USDT: its levels act only while the expert runs" in plan.warnings


@pytest.mark.parametrize(("adopt", "fate"), [(False, "left alone"), (True, "taken over")])
async def test_what_stands_on_the_account_is_told_by_whose_it_is(venue, home, adopt, fate):
    own = Names("planner", 0, "abcd1234").name(1)  # of an earlier run
    async with gateway_to(venue, "bybit", "linear") as gateway:
        market = await gateway.market("BTC/USDT:USDT")
        price = (await gateway.ticker(market.symbol)).last
        for name in (own, "somebodyelse1"):
            await gateway.submit(request(order(market, round(price * 0.5), id=name), price))
        bought = order(market, round(price * 1.02), id="somebodyelse2")
        await gateway.submit(request(bought, price))
    kept = journal_with(job_of("bybit"), market.symbol, bought.qty / 2)
    plan = await planned(venue, "bybit", adopt=adopt)
    assert plan.own_orders == {own}
    half = f"{bought.qty / 2:+.12g}"
    assert row(plan, "stands now") == (
        f"{market.symbol} {bought.qty:+.12g} ({half} its own, {half} not its own: {fate}); "
        "1 orders of its own; 1 orders of others, left alone"
    )
    assert plan.journal == kept


def journal_with(job: LiveJob, symbol: str, qty: float) -> Any:
    """A journal whose last run has left a position."""
    holdings = [{"symbol": symbol, "position_side": None, "qty": qty}]
    with Journal.open(journal_of(job)) as journal:
        journal.begin(1, {})
        journal.commit({"broker": {"ledger": {"holdings": holdings}}})
        journal.end(2, "signal")
        return journal.path


async def test_a_plan_is_made_from_a_notebook_too(venue, home):
    job = replace(job_of("kucoin"), gateway=lambda _: gateway_to(venue, "kucoin", "linear"))
    plan = await asyncio.to_thread(plan_of, job)
    assert plan.exchange.exchange == "kucoin"
    refused = replace(job, gateway=lambda _: gateway_to(venue, "kucoin", "linear", api_key="somebodyelses"))
    with pytest.raises(AuthenticationError):
        await asyncio.to_thread(plan_of, refused)
    with pytest.raises(ConfigError, match="only live runs have a plan"):
        plan_of(replace(job, run=RunSettings()))
