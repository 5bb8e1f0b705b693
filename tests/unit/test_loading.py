"""Loading an expert's file."""

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from metaexpert.errors import ConfigError, StrategyError
from metaexpert.loading import load_expert

GOOD = """
    from metaexpert import MetaExpert

    expert = MetaExpert()

    @expert.on_init(symbol="BTCUSDT")
    def init():
        pass
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file in the current folder and return its path as a user would type it."""
    monkeypatch.chdir(tmp_path)

    def to_file(text, name="main.py"):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    return to_file


def refusal(path, kind=StrategyError):
    """The message with which `path` is refused: one line."""
    with pytest.raises(kind) as caught:
        load_expert(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def module_of(loaded):
    """The module that the expert's file became."""
    return next(module for module in sys.modules.values() if getattr(module, "__file__", "") == str(loaded.path))


def test_loads_a_file_or_a_folder(write):
    file = write(GOOD, "bot/main.py")
    for path in (file, str(file), "bot", Path("bot")):
        loaded = load_expert(path)
        assert type(loaded.expert).__name__ == "MetaExpert"
        assert loaded.path == file.resolve()
        assert (loaded.run_defaults, loaded.notes) == ({}, ())


def test_the_main_block_is_not_executed(write):
    file = write(GOOD + '\n    if __name__ == "__main__":\n        raise SystemExit("ran")\n')
    assert load_expert(file).expert.is_ready


@pytest.mark.parametrize(
    "call",
    ['getattr(expert, "run")()', "go = expert.run\ngo()", "import asyncio\nasyncio.run(expert.arun())"],
)
def test_a_run_that_only_the_import_tells_is_refused_too(write, call):
    said = refusal(write(dedent(GOOD) + call + "\n"))
    assert said.startswith("main.py:")
    assert "whenever the file is imported" in said


def test_a_changed_file_is_loaded_anew(write):
    for mark in (1, 2):  # same size, same second: a cache of bytecode would miss the change
        loaded = load_expert(write(dedent(GOOD) + f"MARK = {mark}\n"))
        assert mark == module_of(loaded).MARK


# What the file's own run(...) says


def test_run_defaults_are_read_without_running(write):
    text = (
        GOOD
        + """
    START = "2020-01-01"

    if __name__ == "__main__":
        expert.run(trade_mode="backtest", backtest_start=START, backtest_end="2020-12-31", initial_capital=5_000)
    """
    )
    loaded = load_expert(write(text))
    assert loaded.run_defaults == {
        "trade_mode": "backtest",
        "backtest_start": "2020-01-01",
        "backtest_end": "2020-12-31",
        "initial_capital": 5_000,
    }
    assert loaded.notes == ()


def test_the_run_that_backtests_is_read(write):
    text = (
        GOOD
        + """
    if __name__ == "__main__":
        import sys
        if "--live" in sys.argv:
            expert.run(trade_mode="live", initial_capital=1)
        else:
            expert.run(initial_capital=2)
    """
    )
    assert load_expert(write(text)).run_defaults == {"initial_capital": 2}


def test_a_run_in_a_mode_takes_the_settings_of_the_files_own_run_in_that_mode(write, monkeypatch):
    text = (
        GOOD
        + """
    if __name__ == "__main__":
        import sys
        if "--live" in sys.argv:
            expert.run(trade_mode="live", on_stop="flatten", account_daily_loss_limit=50.0)
        expert.run(trade_mode="paper", latency_ms=20, initial_capital=3)
        expert.run(initial_capital=2)
    """
    )
    monkeypatch.setattr("metaexpert.expert.MetaExpert.start", lambda _, mode, **told: told)

    def told(mode, **options):
        return {
            name: one for name, one in load_expert(write(text)).start(mode, **options).items() if name != "path"
        }

    assert told("live") == {"on_stop": "flatten", "account_daily_loss_limit": 50.0}
    assert told("live", on_stop="leave", adopt=None) == {"on_stop": "leave", "account_daily_loss_limit": 50.0}
    assert told("paper") == {"latency_ms": 20, "initial_capital": 3}


def test_values_that_only_running_would_tell_are_noted(write):
    text = (
        GOOD
        + """
    if __name__ == "__main__":
        import os
        expert.run(backtest_start=os.environ["START"], initial_capital=2)
    """
    )
    loaded = load_expert(write(text))
    assert loaded.run_defaults == {"initial_capital": 2}
    (note,) = loaded.notes
    assert note.startswith("main.py:11: backtest_start")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("backtest_strt='2024-05-01'", "unknown setting 'backtest_strt'; did you mean 'backtest_start'?"),
        ("leverage=3", "misplaced setting 'leverage': it belongs in @expert.on_init(...)"),
    ],
)
def test_a_setting_that_a_run_does_not_have_is_refused_with_its_line(write, words, hint):
    file = write(dedent(GOOD) + f'if __name__ == "__main__":\n    expert.run({words})\n')
    with pytest.raises(ConfigError, match=r"^main\.py:\d+: expert\.run") as refused:
        load_expert(file)
    assert str(refused.value).endswith(hint)


def test_a_run_of_something_else_is_not_taken_for_the_experts(write):
    text = (
        GOOD
        + """
    if __name__ == "__main__":
        import subprocess
        subprocess.run(["true"], check=False)
    """
    )
    assert load_expert(write(text)).run_defaults == {}


@pytest.mark.parametrize(
    "call", ["expert.run()", "def go():\n    expert.run()\ngo()", "if True:\n    print(expert.run())"]
)
def test_a_file_that_runs_when_imported_is_refused(write, call):
    file = write(dedent(GOOD) + call + "\n")
    message = refusal(file)
    assert "main.py:" in message
    assert '__name__ == "__main__"' in message


def test_a_function_that_runs_only_when_called_is_fine(write):
    text = (
        GOOD
        + """
    def main():
        expert.run(initial_capital=3)

    if __name__ == "__main__":
        main()
    """
    )
    assert load_expert(write(text)).run_defaults == {"initial_capital": 3}


# Modules beside the file


def test_modules_beside_the_file_can_be_imported_and_do_not_clash(write):
    for name, number in (("one", 1), ("two", 2)):
        write(f"NUMBER = {number}", f"{name}/helpers.py")
        write("from helpers import NUMBER\n" + dedent(GOOD) + "expert.inputs(number=NUMBER)\n", f"{name}/main.py")
    one, two = load_expert("one"), load_expert("two")
    for loaded, number in ((one, 1), (two, 2)):
        module = sys.modules[
            next(n for n, m in sys.modules.items() if getattr(m, "__file__", "") == str(loaded.path))
        ]
        assert number == module.NUMBER
    assert "helpers" not in sys.modules
    assert not [entry for entry in sys.path if Path(entry) in {Path.cwd() / "one", Path.cwd() / "two"}]


def test_a_module_beside_the_file_can_be_imported_later(write):
    write("NUMBER = 7", "bot/late_helper.py")
    write(dedent(GOOD) + "def late():\n    from late_helper import NUMBER\n    return NUMBER\n", "bot/main.py")
    loaded = load_expert("bot")
    late = module_of(loaded).late
    with pytest.raises(ModuleNotFoundError):
        late()
    with loaded.importing():
        assert late() == 7
    assert "late_helper" not in sys.modules


def test_a_module_of_the_same_name_elsewhere_is_left_alone(write, monkeypatch):
    write("NUMBER = 1", "bot/helpers.py")
    write("from helpers import NUMBER\nassert NUMBER == 1\n" + dedent(GOOD), "bot/main.py")
    other = object()
    monkeypatch.setitem(sys.modules, "helpers", other)
    load_expert("bot")
    assert sys.modules["helpers"] is other


def test_a_data_folder_named_like_a_package_does_no_harm(write):
    import pandas as pd

    write("a,b\n", "bot/pandas/candles.csv")
    write("import pandas\n" + dedent(GOOD), "bot/main.py")
    load_expert("bot")
    assert sys.modules["pandas"] is pd


def test_the_path_is_restored_after_a_failure(write):
    before = list(sys.path)
    refusal(write("1 / 0\n"))
    assert sys.path == before


# Refusals


def test_a_missing_file_names_the_nearest(write):
    write(GOOD, "my_bot/main.py")
    assert "did you mean 'my_bot'?" in refusal("my_bto", ConfigError)


def test_a_folder_without_main_is_said_so(write):
    write("", "empty/readme.txt")
    assert "no main.py" in refusal("empty", ConfigError)


def test_a_file_that_is_no_python_is_said_so(write):
    assert "Python file" in refusal(write("", "data.csv"), ConfigError)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("x = 1\ndef broken(:\n", "main.py:2", "SyntaxError"),
        ("  x = 1\n y = 2\n", "main.py:", "Indentation"),
        ("x = 1\n\nx = 1 / 0\n", "main.py:3", "ZeroDivisionError: division by zero"),
        ("import nothing_of_this_name\n", "main.py:1", "No module named 'nothing_of_this_name'; install it"),
        ("import sys\nsys.exit(3)\n", "main.py:2", "SystemExit: 3"),
        ("raise ValueError('two\\nlines')\n", "main.py:1", "ValueError: two lines"),
        ("def f():\n    return undefined\nf()\n", "main.py:2", "NameError"),
        ("x = 1\n", "main.py", "makes no MetaExpert"),
    ],
)
def test_a_file_that_fails_is_refused_with_file_and_line(write, text, where, what):
    path = Path("main.py")
    path.write_text(text)
    message = refusal(path)
    assert message.startswith(where)
    assert what in message


def test_a_file_outside_the_current_folder_is_named_in_full(write, tmp_path, monkeypatch):
    file = write("1 / 0\n").resolve()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert refusal(file).startswith(f"{file}:1: ZeroDivisionError")


def test_a_file_that_cannot_be_read_is_said_so(write, monkeypatch):
    file = write(GOOD)

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert refusal(file, ConfigError) == "main.py: can't be read: Permission denied"


def test_an_error_in_a_module_beside_the_file_names_that_module(write):
    write("import helpers\n" + dedent(GOOD), "bot/main.py")
    write("x = 1\nx.nothing\n", "bot/helpers.py")
    assert refusal("bot").startswith(f"{Path('bot/helpers.py')}:2: AttributeError")


def test_source_that_is_no_text_is_refused(write):
    Path("main.py").write_bytes(b"x = '\xff\xfe'\n")
    assert "main.py" in refusal("main.py")


def test_a_wrong_setting_in_the_file_keeps_its_kind_and_gains_its_place(write):
    message = refusal(
        write('from metaexpert import MetaExpert\n\nexpert = MetaExpert(exchnage="demo")\n'), ConfigError
    )
    assert message.startswith("main.py:3: ")
    assert "'exchange'" in message


def test_two_experts_are_refused_with_their_lines(write):
    message = refusal(write(dedent(GOOD) + "second = MetaExpert()\n"))
    assert "2 MetaExperts" in message
    assert "'expert' in line 3" in message
    assert "'second' in line 8" in message


def test_one_expert_under_two_names_is_one(write):
    assert load_expert(write(dedent(GOOD) + "same = expert\n")).expert.is_ready


def test_an_expert_without_on_init_is_refused_with_its_line(write):
    message = refusal(write("from metaexpert import MetaExpert\n\nexpert = MetaExpert()\n"))
    assert message.startswith("main.py:3: expert has no on_init")


@pytest.mark.parametrize("error", ["GeneratorExit", "BaseException", "SystemExit(0)"])
def test_whatever_the_file_raises_is_one_line(write, error):
    assert refusal(write(f"\nraise {error}\n")).startswith("main.py:1: ")


def test_ctrl_c_while_the_file_is_loaded_stays_ctrl_c(write):
    with pytest.raises(KeyboardInterrupt):
        load_expert(write("raise KeyboardInterrupt\n"))


@pytest.mark.parametrize("text", ["x = " + "-" * 100_000 + "1", "x = " + "+".join(["1"] * 50_000)])
def test_a_file_that_is_nested_too_deeply_is_refused(write, text):
    assert refusal(write(text)) == "main.py: an expression in it is nested too deeply for Python"


def test_a_module_that_hides_a_package_of_the_library_is_named(write):
    write("", "rich.py")
    assert refusal(write(GOOD)) == "rich.py hides the package rich: give the file another name"


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among files")
def test_a_pipe_is_no_expert_and_is_not_waited_for(write):
    write(GOOD)
    os.mkfifo("pipe.py")
    assert refusal(Path("pipe.py"), ConfigError).startswith("pipe.py: an expert is a Python file")


def test_a_broken_link_is_not_its_own_nearest_name(write):
    path = write(GOOD).with_name("loop.py")
    path.symlink_to("loop.py")
    assert "'loop.py'" not in refusal(path, ConfigError)
