"""The compiled kernel on disk: never stale, made anew when damaged, done without where it can't be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "metaexpert"
WAITING = "compiling the kernel once"

FEE = """
import gc
from types import SimpleNamespace
from metaexpert import rules, tiers
from metaexpert.backtest import kernel
kernel._MODULES, kernel.Kernel = (rules, tiers), SimpleNamespace
kernel._ENTRIES = {"fee": rules, "slipped": rules}  # the second is never called, and so never compiled
made, collected = kernel.compiled(), []
gc.callbacks.append(lambda phase, _: collected.append(phase))
fee = made.fee(rules.LINEAR, 1.0, 101.0, 0.001)
gc.callbacks.clear()
assert gc.isenabled()  # again, where it was compiled
announced = not hasattr(made.fee, "stats")
assert not announced or len(collected) <= 2, collected  # only after compiling, when it is on again
stats = made.fee.__wrapped__.stats if announced else made.fee.stats
print(fee, len(stats.cache_hits), made.note)
"""  # one rule in the place of the whole loop, which takes much longer to compile and is kept in the same way


@pytest.fixture
def package(tmp_path):
    """A copy of the package, without compiled code."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, tmp_path / "lib" / "metaexpert", ignore=ignore))


def start(package, **environment):
    env = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    env |= {"PYTHONPATH": str(package.parent), **environment}
    command = [sys.executable, "-W", "error", "-c", FEE]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=package.parent, env=env, **pipes)


def finish(process):
    """The fee, how much compiled code was found on disk, the note, and how often compiling was announced."""
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    fee, found, note = said.strip().split(" ", 2)
    return float(fee), int(found), note, errors.count(WAITING)


def run(package, **environment):
    return finish(start(package, **environment))


def test_an_edited_rule_is_never_served_stale(package, tmp_path):
    """One unit at 101, 0.1 %: 0.101; the edited rule takes twice that. Then its code is found."""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    rules = package / "rules.py"
    text = rules.read_text(encoding="utf-8")
    line = "return notional(kind, qty, price) * rate\n"
    assert text.count(line) == 1
    assert run(package, **cache) == (pytest.approx(0.101, rel=1e-12), 0, "None", 1)
    rules.write_text(text.replace(line, line.replace("rate", "rate * 2.0")), encoding="utf-8")
    assert run(package, **cache) == (pytest.approx(0.202, rel=1e-12), 0, "None", 1)
    assert run(package, **cache) == (pytest.approx(0.202, rel=1e-12), 1, "None", 0)


def test_two_processes_that_compile_at_once_leave_sound_code(package, tmp_path):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    both = [start(package, **cache) for _ in range(2)]
    assert [finish(one)[0] for one in both] == [pytest.approx(0.101, rel=1e-12)] * 2
    assert run(package, **cache) == (pytest.approx(0.101, rel=1e-12), 1, "None", 0)


@pytest.mark.parametrize("ending", ["nbc", "nbi"])
def test_damaged_code_is_made_anew(package, tmp_path, ending):
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    run(package, **cache)
    (file,) = (tmp_path / "cache").rglob(f"*.{ending}")
    file.write_bytes(file.read_bytes()[:100])
    assert run(package, **cache)[:3] == (pytest.approx(0.101, rel=1e-12), 0, "None")
    assert run(package, **cache) == (pytest.approx(0.101, rel=1e-12), 1, "None", 0)


def test_where_code_can_t_be_kept_it_is_compiled_each_time_and_said_once(package, tmp_path):
    """Neither beside the package nor in the user's own cache: both are files where a folder should be."""
    blocked = tmp_path / "blocked"
    blocked.write_text("", encoding="utf-8")
    (package / "__pycache__").write_text("", encoding="utf-8")
    home = {"HOME": str(blocked), "XDG_CACHE_HOME": str(blocked), "LOCALAPPDATA": str(blocked)}
    fee, found, note, told = run(package, **home)
    assert (fee, found, told) == (pytest.approx(0.101, rel=1e-12), 0, 1)
    assert note.startswith("the compiled kernel can't be kept: ")
