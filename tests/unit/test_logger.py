"""MetaLogger: where a record goes, what it looks like, and what never gets into it."""

import io
import json
import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaexpert.config import ExchangeSettings, LogSettings, Secret, build
from metaexpert.errors import ConfigError
from metaexpert.logger import MetaLogger, Redactor
from metaexpert.models import Bar, Position, Side

NEW_YEAR = 1_704_067_200_000  # 2024-01-01 00:00:00 UTC
KEY = "k3Y-of-the-account-77"


class Console(io.StringIO):
    """A stream that can say it is a terminal."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = NEW_YEAR

    def __call__(self) -> int:
        return self.time


def logger(console: io.StringIO | None = None, folder: Path | None = None, **keywords: object) -> MetaLogger:
    secrets = keywords.pop("secrets", ())
    own = ("max_bytes", "backups", "console_level")
    limits = {name: keywords.pop(name) for name in own if name in keywords}
    settings = build(LogSettings, {"log_to_file": folder is not None, **keywords})
    return MetaLogger(
        "expert", settings, now=Clock(), folder=folder, secrets=secrets, stream=console or Console(), **limits
    )


def said(**keywords: object) -> tuple[MetaLogger, Console]:
    console = Console()
    return logger(console, **keywords), console


def only_line(console: io.StringIO) -> str:
    (line,) = console.getvalue().splitlines()
    return line


def read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


# Form


def test_a_line_has_time_level_name_text_and_values():
    log, console = said()
    with log:
        log.info("opened", qty=1, price=42_000.5, symbol="BTC/USDT")
    assert only_line(console) == (
        "2024-01-01 00:00:00Z INFO     expert  opened qty=1 price=42000.5 symbol=BTC/USDT"
    )


def test_json_is_one_object_a_line():
    log, console = said(json_logging=True)
    with log:
        log.trade("filled", side=Side.BUY, qty=np.float64(0.5), count=np.int64(3), levels=(1, None, True))
    assert json.loads(only_line(console)) == {
        "time": "2024-01-01T00:00:00.000Z",
        "level": "TRADE",
        "logger": "expert",
        "event": "filled",
        "side": "buy",
        "qty": 0.5,
        "count": 3,
        "levels": [1, None, True],
    }


def test_json_holds_no_nan():
    log, console = said(json_logging=True)
    with log:
        log.info("x", bad=float("nan"), worse=float("-inf"))
    found = json.loads(only_line(console), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert (found["bad"], found["worse"]) == ("nan", "-inf")


def test_records_of_the_model_become_named_values():
    log, console = said(json_logging=True)
    with log:
        log.info(
            "x", bar=Bar(NEW_YEAR, "A", "1h", 1.0, 2.0, 0.5, 1.5, 9.0), position=Position(symbol="A", qty=-2.0)
        )
    found = json.loads(only_line(console))
    assert found["bar"]["close"] == 1.5
    assert found["position"]["qty"] == -2.0


def test_time_is_that_of_the_clock_and_not_of_the_system():
    console, clock = Console(), Clock()
    with MetaLogger("expert", now=clock, stream=console) as log:
        log.info("one")
        clock.time += 3_599_999
        log.info("two")
    assert [line[:20] for line in console.getvalue().splitlines()] == [
        "2024-01-01 00:00:00Z",
        "2024-01-01 00:59:59Z",
    ]


def test_the_standard_record_carries_the_time_of_the_run():
    seen: list[logging.LogRecord] = []
    log, _ = said()
    log._outlet._handlers[0].addFilter(lambda record: not seen.append(record))
    with log:
        log.trade("x")
    (record,) = seen
    assert (record.created, record.levelno, record.levelname, record.name) == (
        NEW_YEAR / 1000,
        25,
        "TRADE",
        "expert",
    )


def test_positional_arguments_fill_the_text():
    log, console = said()
    with log:
        log.info("%s of %d", "one", 3)
        log.info("100 % sure")
        log.info("no place", 7)  # noqa: PLE1205 - a slip must not lose the record
    assert [line.split("  ")[-1] for line in console.getvalue().splitlines()] == [
        "one of 3",
        "100 % sure",
        "no place 7",
    ]


def test_names_that_the_logger_uses_itself_get_an_underscore():
    log, console = said(json_logging=True)
    with log:
        log.info("x", time=5, level="mine", event="e", logger="l", exception="boom", method_name="m", self="s")
    found = json.loads(only_line(console))
    assert (found["time_"], found["level_"], found["event_"], found["logger_"]) == (5, "mine", "e", "l")
    assert (found["exception_"], found["method_name"], found["self"]) == ("boom", "m", "s")
    assert (found["event"], found["level"], found["logger"]) == ("x", "INFO", "expert")


def test_a_value_can_not_forge_a_line_or_steer_the_terminal():
    log, console = said()
    with log:
        log.info("first\n2024-01-01 00:00:00Z INFO  forged", value="a\n\x1b[2Jb", **{"k\ney": 1})
    line = only_line(console)
    assert "\x1b" not in line
    assert r"first\n2024" in line


def test_values_with_spaces_are_quoted():
    log, console = said()
    with log:
        log.info("x", a="two words", b="", c={"k": [1]}, d="a=b")
    assert only_line(console).endswith('x a="two words" b="" c={"k": [1]} d="a=b"')


def test_an_exception_is_written_with_its_traceback():
    log, console = said()
    with log:
        try:
            int("broken")
        except ValueError as error:
            log.exception("failed", step=1)
            caught = error
        log.error("again", exc_info=caught)
    text = console.getvalue()
    assert text.count("Traceback (most recent call last):") == 2
    assert text.count("ValueError: invalid literal") == 2
    assert "failed step=1\nTraceback" in text


@pytest.mark.parametrize(
    ("terminal", "no_color", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_only_on_a_terminal(terminal: bool, no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    console = Console(terminal=terminal)
    with logger(console) as log:
        log.warning("x")
    assert ("\033[33m" in console.getvalue()) is coloured


def test_what_the_console_can_not_encode_is_escaped():
    raw = io.BytesIO()
    with logger(io.TextIOWrapper(raw, encoding="cp1252", write_through=True)) as log:
        log.info("→ 5 €")
    assert raw.getvalue().rstrip().endswith(b"\\u2192 5 \x80")


# Levels and destinations


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("DEBUG", "debug info trade warning error critical"),
        ("INFO", "info trade warning error critical"),
        ("TRADE", "trade warning error critical"),
        ("WARNING", "warning error critical"),
        ("ERROR", "error critical"),
        ("CRITICAL", "critical"),
    ],
)
def test_level_decides_what_is_shown(level: str, shown: str):
    log, console = said(log_level=level)
    with log:
        for name in ("debug", "info", "trade", "warning", "error", "critical"):
            getattr(log, name)(name)
            assert log.is_enabled(name.upper()) is (name in shown.split())
    assert " ".join(line.split("  ")[-1] for line in console.getvalue().splitlines()) == shown


def test_three_files_each_with_its_own(tmp_path: Path):
    log = logger(folder=tmp_path / "new" / "folder", log_level="ERROR")
    with log:
        for name in ("debug", "info", "trade", "warning", "error", "critical"):
            getattr(log, name)(f"say-{name}")
    folder = tmp_path / "new" / "folder"
    assert [line.split("say-")[1] for line in read(folder, "expert.log").splitlines()] == ["error", "critical"]
    assert [line.split("say-")[1] for line in read(folder, "trades.log").splitlines()] == ["trade"]
    assert [line.split("say-")[1] for line in read(folder, "errors.log").splitlines()] == ["error", "critical"]


def test_the_console_may_be_quieter_than_the_file(tmp_path: Path):
    console = Console()
    with logger(console, tmp_path, console_level="WARNING") as log:
        log.info("quiet")
        log.error("loud")
    assert only_line(console).endswith("loud")
    assert len(read(tmp_path, "expert.log").splitlines()) == 2
    louder, shown = said(console_level="DEBUG", log_level="ERROR")
    with louder:
        louder.warning("not even this")
    assert shown.getvalue() == ""


def test_error_file_keeps_errors_when_the_level_is_critical(tmp_path: Path):
    with logger(folder=tmp_path, log_level="CRITICAL") as log:
        log.error("kept")
    assert "kept" in read(tmp_path, "errors.log")
    assert read(tmp_path, "expert.log") == ""


def test_files_are_appended_and_rotated(tmp_path: Path):
    for _ in range(2):
        with logger(folder=tmp_path, log_to_console=False) as log:
            log.info("once")
    assert len(read(tmp_path, "expert.log").splitlines()) == 2
    with logger(folder=tmp_path, max_bytes=500, backups=2) as log:
        for i in range(40):
            log.info("line", i=i)
    assert sorted(path.name for path in tmp_path.glob("expert.log*")) == [
        "expert.log",
        "expert.log.1",
        "expert.log.2",
    ]
    assert "i=39" in read(tmp_path, "expert.log")


def test_no_file_without_log_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    with logger() as log:
        log.error("x")
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_can_not_be_written_is_refused_at_the_start(tmp_path: Path):
    (tmp_path / "trades.log").mkdir()
    with pytest.raises(ConfigError, match=r"log_trade_file: .*trades\.log can't be written") as caught:
        logger(folder=tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"log_file: .* can't be written"):
        logger(folder=tmp_path / "file")


def test_without_any_destination_records_are_only_counted():
    before = set(threading.enumerate())
    log, console = said(log_to_console=False)
    log.info("x")
    assert set(threading.enumerate()) <= before  # of an earlier test, one may end meanwhile
    assert console.getvalue() == ""
    assert log.metrics.records == {"INFO": 1}


# Asynchronous


def test_a_slow_handler_never_blocks_the_caller():
    log, console = said()
    gate = threading.Event()
    log._outlet._handlers[0].addFilter(lambda _: gate.wait(timeout=60))
    log.info("one")
    log.info("two")
    assert console.getvalue() == ""  # the handler still waits, and we are here already
    gate.set()
    log.close()
    assert len(console.getvalue().splitlines()) == 2


def test_flush_waits_for_the_queue_and_logging_goes_on():
    log, console = said()
    log.info("one")
    log.flush()
    assert "one" in console.getvalue()
    log.info("two")
    log.close()
    assert "two" in console.getvalue()


def test_close_writes_everything_and_may_be_called_twice(tmp_path: Path):
    log = logger(folder=tmp_path)
    for i in range(1000):
        log.info("line", i=i)
    log.close()
    log.close()
    log.flush()
    assert len(read(tmp_path, "expert.log").splitlines()) == 1000


def test_records_after_close_are_counted_as_dropped():
    log, console = said()
    log.close()
    log.info("late")
    assert console.getvalue() == ""
    assert log.metrics.dropped == 1


def test_a_record_that_comes_at_the_moment_of_the_close_is_counted_as_dropped():
    log, console = said()

    queue = log._outlet._queue

    def put(record):
        """The log is closed first, as by another thread."""
        log.close()
        queue.put_nowait(record)

    log._outlet._queue = SimpleNamespace(put_nowait=put, get_nowait=queue.get_nowait)
    log.info("late")
    assert (console.getvalue(), log.metrics.dropped) == ("", 1)


def test_several_threads_lose_nothing():
    log, console = said()
    threads = [threading.Thread(target=lambda: [log.info("x") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert len(console.getvalue().splitlines()) == 800
    assert log.metrics.records == {"INFO": 800}


def test_the_end_of_the_process_writes_what_is_queued(tmp_path: Path):
    code = (
        "from pathlib import Path; from metaexpert.config import LogSettings\n"
        "from metaexpert.logger import MetaLogger\n"
        f"log = MetaLogger('e', LogSettings(log_to_file=True), now=lambda: 0, folder=Path({str(tmp_path)!r}))\n"
        "for i in range(500): log.info('line', i=i)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(read(tmp_path, "expert.log").splitlines()) == 500
    assert len(done.stderr.splitlines()) == 500


def test_two_experts_share_nothing_and_the_global_state_is_left_alone():
    root_handlers, registered = list(logging.getLogger().handlers), set(logging.Logger.manager.loggerDict)
    (one, first), (two, second) = said(secrets=[KEY]), said(log_level="ERROR")
    with one, two:
        one.info("from one", value=KEY)
        two.info("unseen")
        two.error("from two", value=KEY)
    assert "from two" not in first.getvalue()
    assert KEY not in first.getvalue()
    assert "from one" not in second.getvalue()
    assert KEY in second.getvalue()
    assert logging.getLogger().handlers == root_handlers
    assert set(logging.Logger.manager.loggerDict) == registered
    assert logging.getLevelName(25) == "Level 25"


def test_a_mutable_value_is_logged_as_it_was():
    log, console = said()
    gate = threading.Event()
    log._outlet._handlers[0].addFilter(lambda _: gate.wait(timeout=60))
    levels = [1]
    log.info("x", levels=levels)
    levels.append(2)
    gate.set()
    log.close()
    assert "levels=[1]" in console.getvalue()


# bind, log_once, metrics, cost


def test_bound_values_stand_in_every_record_of_the_child():
    log, console = said(json_logging=True)
    with log:
        child = log.bind(symbol="BTC/USDT", time=1)
        child.info("a", qty=1)
        log.info("b")
    first, second = map(json.loads, console.getvalue().splitlines())
    assert (first["symbol"], first["qty"], first["time_"]) == ("BTC/USDT", 1, 1)
    assert "symbol" not in second
    assert log.metrics.records == {"INFO": 2}


def test_log_once_says_it_once_and_counts_on():
    log, console = said()
    with log:
        assert [log.log_once("min_volume", "entry refused", reason="min_volume") for _ in range(3)] == [
            True,
            False,
            False,
        ]
        log.log_once("other", "x", level="DEBUG")
    assert only_line(console).endswith("entry refused reason=min_volume")
    assert log.metrics.once == {"min_volume": 3, "other": 1}
    assert log.metrics.records == {"WARNING": 1}
    with pytest.raises(ConfigError, match="did you mean 'WARNING'"):
        log.log_once("k", "x", level="WARN")


def test_a_disabled_call_costs_next_to_nothing():
    """It calls nothing, be it of Python or of C."""
    log, _ = said()
    called: list[str] = []
    with log:
        sys.setprofile(lambda frame, event, _: called.append(f"{event} {frame.f_code.co_name}"))
        log.debug("x", a=1)
        sys.setprofile(None)
    assert [one for one in called if "test_" not in one] == ["call debug", "return debug"]
    assert log.metrics.records == {}


def test_the_guide_shows_a_line_as_it_is_written():
    console = Console()
    with MetaLogger("my_bot", now=Clock(), stream=console) as log:
        log.info("breakout", symbol="BTC/USDT", price=42_000.0)
    guide = (Path(__file__).parents[2] / "docs/guides/logging.md").read_text(encoding="utf-8")
    assert only_line(console) in guide
    assert all(f"`{name}`" in guide for name in LogSettings.defaults() if name != "json_logging")


# Redaction


def test_keys_of_the_settings_are_masked_wherever_they_stand():
    settings = build(ExchangeSettings, {"exchange": "okx", "api_key": KEY, "api_secret": "s3cr3t/with+signs="})
    console = Console()
    with MetaLogger("e", now=Clock(), secrets=settings.secrets, stream=console) as log:
        log.info(f"key is {KEY}", also=[{"deep": (KEY,)}], **{KEY: 1})
        log.info("url", url="https://x.test/?q=s3cr3t%2Fwith%2Bsigns%3D")
        log.error("failed", exc_info=RuntimeError(f"bad key {KEY}"))
        log.info("settings", settings=settings, raw=b"\x00" + KEY.encode(), error=ValueError(KEY))
        log.info("%s", KEY)
    text = console.getvalue()
    assert KEY not in text
    assert "s3cr3t" not in text
    assert "bad key ***" in text
    assert "exchange" in text


def test_a_secret_that_is_added_later_is_masked_from_then_on():
    log, console = said()
    child = log.bind(a=1)
    log.add_secret(Secret(KEY))
    with log:
        child.info(KEY)
    assert KEY not in console.getvalue()
    assert log.redact(f"x{KEY}y") == "x***y"


def test_a_numeric_secret_is_masked_as_a_number_too():
    log, console = said(secrets=["987654321"])
    with log:
        log.info("x", code=987654321, price=1987654321.5, other=5)
    assert "987654321" not in console.getvalue()
    assert "other=5" in console.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apiKey", "X-MBX-APIKEY", "KC-API-KEY", "secret", "api_secret", "privateKey", "password"),
        *("passphrase", "OK-ACCESS-PASSPHRASE", "signature", "sign", "OK-ACCESS-SIGN", "X-BAPI-SIGN"),
        *("token", "access_token", "Authorization", "listenKey", "Cookie"),
    ],
)
def test_values_under_a_telling_name_are_masked(name: str):
    redactor = Redactor()
    assert redactor.value({"headers": {name: "hunter2"}}) == {"headers": {name: "***"}}
    for text in (f"{name}=hunter2&x=1", f"{name}: hunter2", f'"{name}": "hunter2"', f"'{name}': 'hunter2'"):
        assert "hunter2" not in redactor.text(text)
    assert "hunter2" not in redactor.text(json.dumps(json.dumps({name: "hunter2"})))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /order?symbol=A&signature=abc123&t=1", "GET /order?symbol=A&signature=***&t=1"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("http://me:pa@ss@proxy.test:80/x", "http://***@proxy.test:80/x"),
        ('password="two words" user=me', "password=*** user=me"),
    ],
)
def test_secrets_inside_text_are_masked(text: str, masked: str):
    assert Redactor().text(text) == masked


def test_ordinary_words_are_left_alone():
    values = {"symbol": "BTC/USDT:USDT", "side": "buy", "keys": 3, "design": "x", "tokens": 2, "key": "min_volume"}
    assert Redactor().value(values) == values
    for text in ("time: 12:30", "stop_loss=5, take_profit=6", "https://docs.test/a?b=c", "the secret of trading"):
        assert Redactor().text(text) == text


def test_a_secret_of_stars_or_nothing_is_ignored():
    assert Redactor(["", "***"]).text("a*b***") == "a*b***"


def test_long_text_is_redacted_in_linear_time():
    """Some megabytes take a third of a second; were a pattern quadratic, they would take five minutes and more."""
    text = "a" * 2_000_000 + "token" * 200_000 + "://" * 200_000 + "=:"
    begun = time.thread_time()  # of this thread alone, however busy the machine is
    Redactor([KEY]).text(text)
    assert time.thread_time() - begun < 60.0


def test_values_that_refuse_to_be_shown_do_no_harm():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    loop: list[object] = [1]
    loop.append(loop)
    found = Redactor().value(
        {"broken": Broken(), "loop": loop, "set": {"b", "a"}, "when": datetime(2024, 1, 1, tzinfo=UTC)}
    )
    assert found == {
        "broken": "<Broken that can't be shown>",
        "loop": [1, "…"],
        "set": ["a", "b"],
        "when": "2024-01-01T00:00:00+00:00",
    }


SECRET = st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=4, max_size=20)


@given(st.data(), SECRET.filter(str.strip))
def test_no_registered_secret_gets_through_whatever_the_nesting(data: st.DataObject, secret: str):
    around = st.text(st.sampled_from("x =:&\"'"), max_size=3)
    holder = st.builds(lambda a, b: f"{a}{secret}{b}", around, around)
    leaf = (
        holder | holder.map(str.encode) | holder.map(ValueError) | holder.map(lambda text: SimpleNamespace(a=text))
    )
    nested = st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(holder, inner, max_size=3)
            | inner.map(lambda value: Position(symbol=value))
        ),
        max_leaves=6,
    )
    found = Redactor([secret]).value(data.draw(nested))

    def leaves(value: object) -> list[str]:
        if isinstance(value, dict):
            return [text for key, each in value.items() for text in (key, *leaves(each))]
        return [text for each in value for text in leaves(each)] if isinstance(value, list) else [str(value)]

    assert not [text for text in leaves(found) if secret in text]
    json.dumps(found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_anything_can_be_logged_in_either_form(value: object):
    for as_json in (False, True):
        log, console = said(json_logging=as_json)
        with log:
            log.info("x", value=value)
        assert len(console.getvalue().split("\n")) == 2
