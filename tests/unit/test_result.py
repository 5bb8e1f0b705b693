"""`Result`: tables, costs, alarms, manifest, JSON and the saved folder."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from record_maker import DAY, INVERSE, START, SYMBOL, candles, fill, market, record, trade

from metaexpert.backtest import result as result_module
from metaexpert.backtest.alarms import Alarm
from metaexpert.backtest.manifest import plain
from metaexpert.backtest.result import Result
from metaexpert.bars import Quality
from metaexpert.errors import ConfigError
from metaexpert.models import ExitReason, Order, OrderStatus, OrderType, Side, TradeMode

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "statistics.md"
DAYS = 40


def order(number=1, **fields):
    plain_order = {"id": str(number), "symbol": SYMBOL, "side": Side.BUY, "type": OrderType.MARKET, "qty": 1.0}
    return Order(**plain_order | fields)


def sound(**fields):
    """A run of 40 days and 40 trades, alternately +3 and -2, whose equity tells the same: no alarm is due."""
    profits = np.tile([3.0, -2.0], DAYS // 2)
    rows = [trade(i, entry=START + i * DAY, exit_=START + (i + 1) * DAY, pnl=p) for i, p in enumerate(profits)]
    deals = [fill(i, time=START + i * DAY, price=100.0 + i, side=Side.SELL) for i in range(DAYS)]
    equity = 1000.0 + np.cumsum(profits)
    bars = {SYMBOL: candles(np.linspace(100.0, 140.0, DAYS), spread=3.0)}
    plain_run = {"equity": equity, "initial": 1000.0, "trades": rows, "fills": deals, "bars": bars}
    return record(**plain_run | fields)


def codes(run):
    return [alarm.code for alarm in Result(run).alarms]


# --- tables ---


def test_equity_table_has_the_marks_in_utc():
    """One row a bar close, with drawdown as a fraction."""
    frame = Result(record((110.0, 99.0, 120.0))).equity
    assert list(frame.columns) == ["equity", "balance", "drawdown", "exposure"]
    assert frame.index[0] == pd.Timestamp("2024-01-02", tz="UTC")
    assert frame["drawdown"].tolist() == pytest.approx([0.0, -0.1, 0.0])


def test_trades_table_adds_what_the_record_does_not_hold():
    """Net profit, return, excursions and duration; an open trade has no exit."""
    rows = [trade(1, pnl=5.0, fees=1.0, tag="dip"), trade(2, entry=START + DAY, exit_=None)]
    frame = Result(record(trades=rows)).trades
    assert frame["net_pnl"].tolist() == [4.0, 0.0]
    assert frame["return_pct"].tolist() == pytest.approx([4.0, 0.0])
    assert frame["exit_time"].isna().tolist() == [False, True]
    assert frame["entry_time"][0] == pd.Timestamp("2024-01-01", tz="UTC")
    assert frame["duration"][0] == pd.Timedelta(days=1)
    assert frame["exit_reason"].tolist() == ["order", pytest.approx(float("nan"), nan_ok=True)]
    assert type(frame["exit_reason"][0]) is str


@pytest.mark.parametrize("rows", [[], [1]])
def test_tables_have_the_same_columns_with_and_without_rows(rows):
    """A run that traded nothing still has tables one can write code against."""
    run = record(trades=[trade(i) for i in rows], fills=[fill(i) for i in rows], orders=[order(i) for i in rows])
    result = Result(run)
    for name in ("trades", "fills", "orders"):
        assert len(getattr(result, name)) == len(rows)
    assert str(result.trades["entry_time"].dtype) == "datetime64[ms, UTC]"
    assert str(result.fills["time"].dtype) == "datetime64[ms, UTC]"
    assert str(result.orders["created"].dtype) == "datetime64[ms, UTC]"
    assert result.trades["pnl"].dtype == np.float64
    assert result.orders["qty"].dtype == np.float64
    assert list(result.by_symbol.columns)[:3] == ["trades", "win_rate_pct", "net_profit"]


def test_groups_by_hand():
    """Two trades left by a stop, one by a target."""
    rows = [
        trade(1, pnl=-1.0, exit_reason=ExitReason.STOP_LOSS, fees=0.5),
        trade(2, pnl=4.0, exit_reason=ExitReason.TAKE_PROFIT, exit_=START + 3 * DAY, side="short"),
        trade(3, pnl=-2.0, exit_reason=ExitReason.STOP_LOSS, fees=0.5),
        trade(4, exit_=None),
    ]
    result = Result(record(trades=rows))
    stop, target = result.groups("exit_reason")
    assert (stop.name, stop.trades, stop.net_profit, stop.win_rate_pct, stop.fees) == (
        "stop_loss",
        2,
        -4.0,
        0.0,
        1.0,
    )
    assert (target.name, target.profit_factor, target.avg_days) == ("take_profit", None, 3.0)
    assert result.by_side["net_profit"].to_dict() == {"long": -4.0, "short": 4.0}
    assert result.by_symbol["trades"].to_dict() == {SYMBOL: 3}
    assert result.by_exit_reason.loc["stop_loss", "net_profit"] == -4.0
    assert result.by_tag["trades"].to_dict() == {"": 3}


def test_months_follow_the_calendar():
    """31 days of January end at 110, two of February at 99."""
    result = Result(record([100.0] * 30 + [110.0, 110.0, 99.0]))
    assert [(m.name, m.return_pct, m.profit) for m in result.months] == [
        ("2024-01", pytest.approx(10.0), 10.0),
        ("2024-02", pytest.approx(-10.0), -11.0),
    ]
    assert result.stats["best_month_pct"] == pytest.approx(10.0)
    assert result.by_month["profit"].to_dict() == {"2024-01": 10.0, "2024-02": -11.0}


# --- alarms ---


def test_a_sound_run_raises_no_alarm():
    """The base case of the tests below."""
    assert codes(sound()) == []


def with_trades(**fields):
    return sound(trades=[row._replace(**fields) for row in sound().trades])


@pytest.mark.parametrize(
    ("code", "run"),
    [
        ("books", lambda: sound(equity=sound().equity + 1.0)),
        ("ruin", lambda: sound(equity=np.append(sound().equity[:-1], -1.0))),
        ("liquidations", lambda: with_trades(exit_reason=ExitReason.LIQUIDATION)),
        ("stopped", lambda: sound(stop_reason="max_drawdown")),
        ("nothing_traded", lambda: record([100.0] * DAYS)),
        ("few_trades", lambda: sound(trades=sound().trades[:29])),
        ("short_span", lambda: record((100.0, 101.0))),
        ("one_trade", lambda: sound(trades=[sound().trades[0]._replace(pnl=40.0), *sound().trades[1:]])),
        ("profit_factor", lambda: sound(trades=[t._replace(pnl=max(t.pnl, -0.1)) for t in sound().trades])),
        ("win_rate", lambda: with_trades(pnl=1.0)),
        ("cagr", lambda: sound(equity=sound().equity * np.linspace(1.0, 2.0, DAYS))),
        ("costs", lambda: sound(equity=sound().equity - 40.0, fills=[f._replace(fee=1.0) for f in sound().fills])),
        ("ambiguous", lambda: with_trades(ambiguous=True)),
        ("extremes", lambda: sound(fills=[f._replace(price=1e9) for f in sound().fills], bars={SYMBOL: spike()})),
        ("volume", lambda: sound(fills=[f._replace(qty=1001.0) for f in sound().fills])),
        ("gaps", lambda: sound(quality={SYMBOL: Quality(rows=40, timeframe="1d", gaps=((START, START, 3),))})),
    ],
)
def test_each_alarm_sounds_for_its_cause(code, run):
    """One planted fault each; the guide explains the code."""
    assert code in codes(run())
    assert f"| `{code}` |" in GUIDE.read_text(encoding="utf-8")


def spike():
    bars = candles(np.linspace(100.0, 140.0, DAYS))
    bars["high"] = 1e9
    return bars


def test_the_guide_lists_no_alarm_that_does_not_exist():
    """Its table has the codes of the parametrised test above and no others."""
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    (mark,) = [m for m in test_each_alarm_sounds_for_its_cause.pytestmark if m.name == "parametrize"]
    assert sorted(listed) == sorted(code for code, _ in mark.args[1])


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "the expert sent no order in 40 bars"),
        (
            {"refusals": {"min_volume": 3, "trade_hours": 12}},
            "refused: 3 x min_volume, 12 x trade_hours",
        ),
        (
            {"orders": [order(status=OrderStatus.REJECTED, message="qty 0.1 is below 1")]},
            "with: qty 0.1 is below 1",
        ),
        ({"orders": [order(status=OrderStatus.CANCELED)]}, "1 order sent and none filled"),
    ],
)
def test_nothing_traded_says_why(fields, why):
    """The user learns which of the four causes it was."""
    (alarm,) = [a for a in Result(record([100.0] * DAYS, **fields)).alarms if a.code == "nothing_traded"]
    assert why in alarm.message


# --- manifest and JSON ---


def test_manifest_identifies_the_run():
    """Digests, versions, seed and the source of the data; no wall clock."""
    found = Result(sound()).manifest
    assert found["digests"]["code"] == "c0de"
    assert found["digests"]["data"] == "da7a"
    assert re.fullmatch(r"[0-9a-f]{64}", found["digests"]["settings"])
    assert re.fullmatch(r"[0-9a-f]{64}", found["digests"]["result"])
    assert found["versions"].keys() >= {"metaexpert", "python", "numpy", "pandas", "TA-Lib"}
    assert found["seed"] == 7
    assert (found["start"], found["end"]) == ("2024-01-01T00:00:00+00:00", "2024-02-10T00:00:00+00:00")
    assert found["data"][SYMBOL] == {"source": "a file", "synthetic": False, "rows": 40, "missing": 0}


def test_equal_runs_give_equal_bytes():
    """Two records built alike, field by field, print the same JSON and save the same manifest."""
    assert Result(sound()).to_json() == Result(sound()).to_json()


@pytest.mark.parametrize(
    ("fields", "digest"),
    [
        ({"settings": {"symbol": SYMBOL, "leverage": 2.0}}, "settings"),
        ({"inputs": {"fast": 13}}, "settings"),
        ({"markets": {SYMBOL: replace(market(), taker=0.002)}}, "settings"),
        ({"trades": sound().trades[:-1]}, "result"),
        ({"fills": sound().fills[:-1]}, "result"),
        ({"equity": sound().equity + 1e-12}, "result"),
    ],
)
def test_a_change_shows_in_its_digest_alone(fields, digest):
    """A setting changes the digest of settings, another outcome that of the result, neither the other."""
    before, after = Result(sound()).manifest["digests"], Result(sound(**fields)).manifest["digests"]
    assert {name for name in before if before[name] != after[name]} == {digest}


def test_json_holds_the_same_numbers():
    """Statistics, costs, trades and the daily curve come back as they were; undefined is null."""
    result = Result(sound())
    body = json.loads(result.to_json())
    assert body["stats"]["sharpe"] == result.stats["sharpe"]
    assert body["stats"]["win_rate_short_pct"] is None
    assert body["stats"]["start"] == "2024-01-01T00:00:00+00:00"
    assert body["costs"]["net"] == result.costs.net
    assert body["trades"][0]["net_pnl"] == 3.0
    assert body["daily_equity"]["2024-01-02"] == 1001.0
    assert body["manifest"] == result.manifest
    assert len(body["trades"]) == DAYS


def test_json_is_strict():
    """No NaN or Infinity token, which strict readers refuse."""
    run = sound(criterion=float("nan"), settings={"max": float("inf")})
    json.loads(Result(run).to_json(), parse_constant=pytest.fail)


class _Private:
    def __repr__(self):
        return "hunter2"


def test_plain_values_are_stable_and_keep_secrets_unseen():
    """Sets are sorted, enums are words, functions and unknown objects only a name."""
    found = plain(
        {
            "mode": TradeMode.BACKTEST,
            "hours": {3, 1, 2},
            "when": datetime(2024, 1, 1, tzinfo=UTC),
            "n": np.int64(3),
            "x": np.float64("nan"),
            "pair": (1, None),
            "key": _Private(),
            "filter": order,
            "row": Alarm("a", "b"),
        }
    )
    assert found == {
        "mode": "backtest",
        "hours": [1, 2, 3],
        "when": "2024-01-01T00:00:00+00:00",
        "n": 3,
        "x": None,
        "pair": [1, None],
        "key": f"{__name__}._Private",
        "filter": f"{__name__}.order",
        "row": ["a", "b"],
    }


# --- saving ---


def test_save_writes_all_files_and_reads_back(tmp_path):
    """Five files with what the result holds."""
    result = Result(sound(orders=[order()]))
    folder = result.save(tmp_path / "run")
    assert sorted(p.name for p in folder.iterdir()) == [
        "equity.parquet", "manifest.json", "orders.csv", "result.json", "trades.csv",
    ]  # fmt: skip
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8")) == result.manifest
    assert (folder / "result.json").read_text(encoding="utf-8") == result.to_json() + "\n"
    assert len(pd.read_csv(folder / "trades.csv")) == DAYS
    assert pd.read_csv(folder / "orders.csv")["status"].tolist() == ["pending"]
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "equity.parquet"), result.equity, check_freq=False)


def test_save_without_a_folder_goes_to_the_users_runs(home):
    """Named by the run's identity, so that the same run is kept once."""
    first, second = Result(sound()).save(), Result(sound()).save()
    assert first == second
    assert first.parent == home / "runs"
    assert first.name == Result(sound()).manifest["id"]
    assert [p.name for p in first.parent.iterdir()] == [first.name]


def test_a_name_cannot_leave_the_folder_of_runs(home):
    """An expert's name with separators becomes one plain folder name."""
    folder = Result(sound(name="../../evil name")).save()
    assert folder.parent == home / "runs"
    assert re.fullmatch(r"[\w.-]+", folder.name)


def test_saving_twice_replaces_the_earlier_run(tmp_path):
    """The folder then holds the later run and nothing of the earlier one."""
    Result(record()).save(tmp_path / "run")
    (tmp_path / "run" / "leftover.txt").write_text("x")
    folder = Result(sound()).save(tmp_path / "run")
    assert json.loads((folder / "manifest.json").read_text())["bars"] == DAYS
    assert not (folder / "leftover.txt").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["run"]


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    """Saving over somebody's files is refused with one line."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds something else than a run"):
        Result(sound()).save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_failed_save_leaves_the_earlier_run_whole(tmp_path, monkeypatch):
    """An error while writing, or while putting the new folder in place, costs nothing."""
    folder = Result(record()).save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(ConfigError, match=r"can't save the run in .*: No space left on device"):
        Result(sound()).save(folder)
    monkeypatch.undo()
    original = Path.replace

    def fail_for_draft(self, target):
        return fail() if Path(target) == folder and self.name != "run" else original(self, target)

    monkeypatch.setattr(result_module.Path, "replace", fail_for_draft)
    with pytest.raises(ConfigError, match="No space left"):
        Result(sound()).save(folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["run"]


def test_saved_files_are_readable_by_others(tmp_path):
    """The folder has the usual rights, not those of a private temporary one."""
    folder = Result(sound()).save(tmp_path / "run")
    assert os.name == "nt" or folder.stat().st_mode & 0o777 == 0o755


def test_inverse_runs_save_too(tmp_path):
    """Money in BTC, small numbers, no loss of digits in JSON."""
    run = record(
        (1.0 + 1e-12, 1.1), initial=1.0, currency="BTC", markets={INVERSE: market(INVERSE)},
        bars={INVERSE: candles([100.0, 110.0])}, quality={},
    )  # fmt: skip
    folder = Result(run).save(tmp_path / "run")
    assert json.loads((folder / "result.json").read_text())["daily_equity"]["2024-01-01"] == 1.0 + 1e-12


def test_saving_one_run_at_the_same_time_leaves_it_whole(tmp_path):
    result = Result(record())
    result.save(tmp_path / "run")
    with ThreadPoolExecutor(4) as pool:
        saved = [pool.submit(result.save, tmp_path / "run") for _ in range(60)]
    assert {future.result() for future in saved} == {tmp_path / "run"}
    assert len(list((tmp_path / "run").iterdir())) == 5
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["run"]


def test_a_run_removed_by_another_save_is_not_taken_for_something_else(tmp_path, monkeypatch):
    result, folder = Result(record()), tmp_path / "run"
    result.save(folder)
    original = Path.iterdir

    def halfway(self):
        """The other save has put its run in place and removes the earlier one, of which little is left."""
        monkeypatch.setattr(Path, "iterdir", original)
        folder.rename(tmp_path / "earlier")
        result.save(folder)
        return iter([tmp_path / "earlier" / "trades.csv"])

    monkeypatch.setattr(Path, "iterdir", halfway)
    assert result.save(folder) == folder


def test_ctrl_c_while_a_run_is_put_in_place_keeps_the_earlier_one(tmp_path, monkeypatch):
    folder = Result(record()).save(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    original = Path.replace

    def interrupted(self, target):
        if Path(target) == folder and self.name != "run":
            raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Result(sound()).save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_long_name_of_any_script_is_cut_for_the_file_system():
    long = replace(record(), name="漢" * 100)
    folder = Result(long).save()
    assert folder.name.startswith("漢" * 50 + "-")
    assert folder.name.endswith(Result(long).manifest["id"][-12:])
    assert len(list(folder.iterdir())) == 5
