"""What a person reads: the same report as text, on a rich console and as HTML."""

import io

import pytest
from record_maker import INVERSE, START, SYMBOL, candles, fill, market, record, trade
from rich.console import Console

from metaexpert.backtest.catalogue import CATALOGUE
from metaexpert.backtest.report import _duration
from metaexpert.backtest.result import Result
from metaexpert.bars import Quality
from metaexpert.models import ExitReason, Side

HOUR = 3_600_000
TITLES = ["Data", "Run", "Result", "Trades", "Costs", "Risk", "Alarms"]
GAPS = ((START, START + HOUR, 2), (START + 5 * HOUR, START + 9 * HOUR, 5))


def small(**fields):
    rows = [trade(1, pnl=20.0, fees=1.0, exit_reason=ExitReason.TAKE_PROFIT)]
    deals = [fill(1, fee=0.5), fill(2, price=120.0, side=Side.SELL, fee=0.5, slippage=0.25)]
    equity = fields.pop("equity", (100.0, 119.0))
    return Result(record(equity, **{"trades": rows, "fills": deals} | fields))


def console_text(result, **options):
    out = io.StringIO()
    Console(file=out, **options).print(result)
    return out.getvalue()


def test_sections_come_in_their_order_data_first():
    """A reader meets the data before any number, and the doubts at the end."""
    lines = str(small()).splitlines()
    assert [line for line in lines if line in TITLES] == TITLES
    assert lines[0] == "Data"


def test_text_says_which_data_is_real_and_which_synthetic():
    """In plain words, with the source, the bars and the longest gap."""
    quality = Quality(rows=93, timeframe="1h", gaps=GAPS, duplicates=4, source="coinbase.csv")
    text = " ".join(str(small(quality={SYMBOL: quality})).split())
    assert "BTC/USDT on demo: REAL prices, recorded; source: coinbase.csv" in text
    assert "93 bars of 1h; 7 missing in 2 gaps (coverage 93.00 %)" in text
    assert "the longest 5 bars from 2024-01-01 05:00 to 2024-01-01 09:00; 4 duplicated" in text
    synthetic = Quality(rows=93, timeframe="1h", synthetic=True, source="seeded generator")
    text = " ".join(str(small(quality={SYMBOL: synthetic}, notes=("funding is not modelled",))).split())
    assert "SYNTHETIC prices, not a market's history; source: seeded generator" in text
    assert "* funding is not modelled" in text


def test_an_inverse_account_is_explained():
    """The money is in the coin, and holding it is 0 %."""
    run = record(
        (1.1, 1.2), initial=1.0, currency="BTC", markets={INVERSE: market(INVERSE)},
        bars={INVERSE: candles([100.0, 110.0])}, quality={INVERSE: Quality(rows=2, timeframe="1d")},
    )  # fmt: skip
    text = str(Result(run))
    assert "money here is BTC, and buy & hold is 0 %" in " ".join(text.split())
    assert "1.20000000 BTC" in text


def test_the_cost_chain_adds_up_to_the_eye():
    """Gross 20.25 less 1.00 fees and 0.25 slippage is 19.00."""
    text = str(small())
    chain = text[text.index("Gross profit") : text.index("Turnover")].splitlines()
    amounts = [float(line.split()[-2]) for line in chain if line]
    assert amounts == [20.25, 0.0, -1.0, 0.0, -0.25, 0.0, 19.0]
    assert "-0.00" not in text


def test_estimates_show_how_many_values_they_rest_on():
    """The n of days and of trades stands beside the ratio."""
    lines = {line[:42].strip(): line for line in str(small()).splitlines()}
    assert lines[CATALOGUE["sharpe"].label].endswith("2 days")
    assert lines["Win rate (net > 0)"].endswith("1 trade")
    assert "n/a" in lines["Profit factor (money, net)"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal(width):
    """Also where a terminal is narrow, and plain text is never over 80 columns."""
    long = small(notes=("a remark that is " + "very " * 40 + "long",), name="x" * 100)
    assert max(map(len, console_text(long, width=width).splitlines())) <= width
    assert max(map(len, str(small()).splitlines())) <= 80


def test_colour_only_on_a_terminal():
    """A pipe gets text without escape codes, a terminal gets colour."""
    assert "\x1b[" not in console_text(small(), width=80)
    assert "\x1b[" in console_text(small(), width=80, force_terminal=True, color_system="standard")


def test_markup_in_names_is_shown_and_not_obeyed():
    """A symbol or note with brackets or HTML reaches the reader as it is."""
    result = small(notes=("[bold]not markup[/bold] <script>alert(1)</script>",))
    assert "[bold]not markup[/bold]" in console_text(result, width=120)
    page = result._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_html_holds_the_sections_and_the_numbers():
    """The notebook shows what the terminal shows."""
    page = small()._repr_html_()
    assert [title for title in TITLES if f"<h4>{title}</h4>" in page] == TITLES
    assert "119.00 USDT" in page
    assert page.count("<tr>") == page.count("</tr>") > 80


def test_repr_is_one_short_line():
    """For the debugger and the log."""
    assert repr(small()) == "<Result trial: return 19.00 %, max drawdown 0.00 %, trades 1, alarms 4>"


def several():
    """20 - 1 made with BTC; ETH still open at 7 - 2 + 0.5, SOL never traded: 19 + 5.5 = 24.5."""
    symbols = (SYMBOL, "ETH/USDT", "SOL/USDT")
    still = trade(2, symbol="ETH/USDT", pnl=7.0, fees=2.0, funding=0.5, exit_=None)
    done = trade(1, pnl=20.0, fees=1.0, exit_reason=ExitReason.TAKE_PROFIT)
    markets = {symbol: market(symbol) for symbol in symbols}
    return small(
        equity=(100.0, 124.5), trades=[done, still], markets=markets,
        bars={symbol: candles([100.0, 110.0]) for symbol in symbols},
    )  # fmt: skip


def test_several_symbols_have_a_table_of_their_own():
    """Its profits add up to the account's, open trades at their last price; what was not traded is there."""
    text = str(several())
    lines = text[text.index("Symbols\n") :].splitlines()[2:6]
    assert [line.split() for line in lines] == [
        ["Symbol", "Trades", "Open", "Won", "Net", "profit", "Fees", "Funding"],
        ["BTC/USDT", "1", "0", "100.00", "%", "19.00", "1.00", "0.00"],
        ["ETH/USDT", "0", "1", "n/a", "5.50", "2.00", "0.50"],
        ["SOL/USDT", "0", "0", "n/a", "0.00", "0.00", "0.00"],
    ]
    assert max(map(len, lines)) == len(lines[0])
    assert "Symbols" not in str(small())


def test_the_table_of_symbols_is_on_the_console_and_in_html_too():
    result = several()
    assert "ETH/USDT  " in console_text(result, width=100)
    assert max(map(len, console_text(result, width=60).splitlines())) <= 60
    page = result._repr_html_()
    assert "<tr><th>Symbol</th><th>Trades</th>" in page
    assert "<tr><td>ETH/USDT</td><td>0</td><td>1</td><td>n/a</td><td>5.50</td>" in page


def test_profits_by_symbol_add_up_to_the_result():
    """19 + 5.5 + 0, of which 19 is closed."""
    table = several().by_symbol
    assert table.index.tolist() == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    assert table["net_profit"].tolist() == [19.0, 0.0, 0.0]
    assert table["open_profit"].tolist() == [0.0, 5.5, 0.0]
    assert table["open_trades"].tolist() == [0, 1, 0]


def test_exit_reasons_have_their_own_rows():
    """Which exits made the money."""
    assert "Net profit, exit take_profit" in str(small())


def test_refusals_and_inputs_are_in_the_run():
    """What kept entries back, most frequent first, and what the inputs were."""
    text = str(small(refusals={"trade_hours": 2, "min_volume": 9}))
    assert "entries refused: 9 x min_volume, 2 x trade_hours" in text
    assert "inputs: fast = 12" in text


def test_the_criterion_is_shown_when_there_is_one():
    """Without on_backtest there is no such row."""
    assert "Criterion" not in str(small())
    assert "Criterion of on_backtest" in str(small(criterion=1.5))


@pytest.mark.parametrize(
    ("days", "text"), [(0.0, "0 m"), (0.5 / 24, "30 m"), (1.5 / 24, "1 h 30 m"), (2.25, "2 d 6 h"), (40.0, "40 d")]
)
def test_durations_read_as_people_say_them(days, text):
    """The two largest units are enough."""
    assert _duration(days) == text


def test_imported_candles_are_called_that():
    """We can't vouch for a file of the user's: it is not called a market's history."""
    text = str(small(exchange="local"))
    assert "BTC/USDT on local: the candles that were imported" in text
