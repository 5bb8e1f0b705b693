"""The kernel: `metaexpert.backtest.loop` and the rules it calls, compiled by numba, and how a column is played.

numba compiles copies of the very functions that the event engine calls, with their globals bound to the compiled
ones; there is no second copy of a rule. The machine code is kept on disk beside the package, or where numba keeps
it when that can't be written to. It is found again by a digest of the functions and constants it was made of, so
that the code of an edited rule is never taken for that of the new one.
"""

from __future__ import annotations

import gc
import hashlib
import pickle
import sys
from functools import cache, wraps
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import rules, tiers
from . import held, loop, quiet, sound
from .column import S_ORDERS, S_TRADES, WIDTH, Books, opening_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray

    from .column import Bars, Funding, Signals, Terms

    type Floats = NDArray[np.float64]
    type Ints = NDArray[np.int64]

__all__ = ["Kernel", "Played", "compiled", "extremes", "fixed", "play", "room"]

_MODULES = (rules, tiers, quiet, loop, sound, held)
_ENTRIES = {"run_column": loop, "survey": sound, "extremes": held}
_CALLED = ("_liquidate", "_close_at_mark")  # seldom: inlined, they would only take longer to compile
_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True, "_nrt": False}
_MOST_AT_FIRST, _MORE = 65_536, 64  # orders for which there is room in the log before it grows


class Kernel(NamedTuple):
    """The compiled functions. `note` says what is not as it should be: that their code can't be kept on disk."""

    run_column: Callable[..., int]
    survey: Callable[..., tuple[int, int]]
    extremes: Callable[..., None]
    note: str | None


class Played(NamedTuple):
    """What a column left behind: the last state, the log (`column.WIDTH`, room) and curves (4, bars)."""

    state: Floats
    log: Floats
    curves: Floats

    @property
    def orders(self) -> Floats:
        """The log of the orders and their fills, a place for each."""
        return self.log[:, : int(self.state[S_ORDERS])]

    @property
    def trades(self) -> Floats:
        """The log of the round trips that have ended, a place for each."""
        return self.log[:, : int(self.state[S_TRADES])]


@cache
def compiled() -> Kernel:
    """The kernel; the first call of a process loads it, the first after an installation or an edit compiles it.

    Says on standard error what is being waited for when it has to be compiled.
    """
    digest = _digest()
    try:
        made, note = _build(digest, keep=True), None
    except RuntimeError as error:  # numba found no place for its cache
        made, note = _build(digest, keep=False), f"the compiled kernel can't be kept: {error}"
    kept = [_is_kept(entry) for entry in made.values()] if note is None else [False]  # what is damaged goes
    if not kept[0]:  # the loop; the others take no time, and are made when they are needed
        print("metaexpert: compiling the kernel once, about 10 s", file=sys.stderr)  # noqa: T201
        made = {name: _without_collector(entry) for name, entry in made.items()}
    return Kernel(**made, note=note)


def play(
    run_column: Callable[..., int], terms: Terms, bars: Bars, signals: Signals, funding: Funding, *,
    capital: float, curves: Floats, daily: Floats, log: Floats | None = None,
) -> Played:  # fmt: skip
    """Play one column from its first bar to its last, with `run_column` of the kernel or of the loop itself.

    Args:
        run_column: the compiled loop.
        terms: what stays the same over the run.
        bars: candles; arrays, read-only.
        signals: what is wanted at each bar.
        funding: the funding instants.
        capital: balance at the start.
        curves: filled with what `Books.curves` says, shape (4, n); or (4, 0): not kept.
        daily: filled with equity at the end of each day (`Bars.day_ends`); or (0,): the curve is not summed up.
        log: an array of `room` to write the log into, which then lasts until the next column is; None: a new one.
    """
    state = np.array(opening_state(capital, int(bars.time[0])))
    log = np.empty((WIDTH, room(signals))) if log is None else log
    at, n = 0, len(bars.close)
    while True:
        at = run_column(terms, bars, signals, funding, Books(state, log, curves, daily), at)
        if at >= n:
            break
        longer = np.empty((WIDTH, 2 * log.shape[1]))
        longer[:, : log.shape[1]] = log
        log = longer
    if daily.size:
        quiet.settle(state)
    return Played(state, log, curves)


def extremes(
    low: Floats, high: Floats, first: Ints, last: Ints, lowest: Floats, highest: Floats
) -> tuple[Floats, Floats]:  # fmt: skip
    """Like `metaexpert.backtest.stats.extremes`, which finds the same without the kernel."""
    made = lowest.copy(), highest.copy()
    compiled().extremes(*map(fixed, (low, high, first, last)), *made)
    return made


def fixed(array: NDArray[Any]) -> Any:
    """A view in one piece that can't be written to: the kernel is compiled for such ones alone."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def room(signals: Signals) -> int:
    """How many orders a log has room for at first; it grows when there are more.

    One for each signal, and some for exits at a level, which no signal asks for: to grow is to copy everything.
    """
    return min(len(signals.at) + len(signals.at) // 4, _MOST_AT_FIRST) + _MORE


# --- compiling ------------------------------------------------------------------------------------------------


def _build(digest: str, *, keep: bool) -> dict[str, Any]:
    """Compile copies of all functions of the modules, bound to one another; returns the entries."""
    numba: Any = import_module("numba")
    made: dict[Any, Any] = {}
    spaces = {module: {name: _typed(value) for name, value in vars(module).items()} for module in _MODULES}
    for module in _MODULES:
        for name, function in _functions(module).items():
            copy = FunctionType(function.__code__, spaces[module], name, function.__defaults__)
            options = dict(_OPTIONS)
            if name in _ENTRIES:
                copy.__qualname__ = f"{name}_{digest}"
                options["cache"] = keep
            else:
                options |= {"no_cpython_wrapper": True, "forceinline": name not in _CALLED}
            made[function] = numba.njit(**options)(copy)
    made[quiet.ahead] = _ahead()
    for space in spaces.values():
        space.update(
            {
                name: made[value]
                for name, value in space.items()
                if isinstance(value, FunctionType) and value in made
            }
        )
    return {name: made[getattr(module, name)] for name, module in _ENTRIES.items()}


def _without_collector(entry: Any) -> Any:
    """`entry`, compiled without the garbage collector, which would look through all that numba makes."""

    @wraps(entry)
    def call(*given: Any) -> Any:
        if entry.signatures or not gc.isenabled():
            return entry(*given)
        gc.disable()
        try:
            return entry(*given)
        finally:
            gc.enable()

    return call


def _typed(value: object) -> object:
    """A whole number as one of numpy: for each one of Python, numba would compile what it is given to anew."""
    return np.int64(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _ahead() -> Any:
    """`quiet.ahead` as an instruction; it may point beyond the end, for it reads nothing by itself."""
    extending: Any = import_module("numba.extending")
    types: Any = import_module("numba.core.types")
    ir: Any = import_module("llvmlite.ir")

    def generated(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        place = builder.bitcast(builder.gep(data, [given[1]]), ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, flag, flag, flag])
        hint = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(hint, [place, flag(0), flag(3), flag(1)])  # to be read, kept, data
        return context.get_dummy_value()

    @extending.intrinsic
    def ahead(_typing: Any, values: Any, _i: Any) -> Any:
        return types.void(values, types.intp), generated

    return ahead


def _functions(module: ModuleType) -> dict[str, FunctionType]:
    """The functions that a module defines itself."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    }


def _digest() -> str:
    """What names the code: it changes with every function and every constant that it is made of.

    Made from what is loaded, not from the files: these may have been edited since.
    """
    digest = hashlib.sha256(repr(sorted(_OPTIONS.items())).encode())
    for module in _MODULES:
        for name, value in sorted(vars(module).items()):
            if isinstance(value, int | float | tuple):
                digest.update(f"{name}={value!r}\n".encode())
        for name, function in sorted(_functions(module).items()):
            code = function.__code__
            digest.update(f"{name}{code.co_varnames}{code.co_names}{code.co_consts}{_CALLED}\n".encode())
            digest.update(code.co_code)
    return digest.hexdigest()[:16]


def _is_kept(entry: Any) -> bool:
    """Is there code of these sources on disk? What can't be read is removed: numba would stumble over it."""
    stats = getattr(entry, "stats", None)  # None with NUMBA_DISABLE_JIT
    if stats is None:
        return True
    files = [file for file in Path(stats.cache_path).glob(f"*{entry.__qualname__}*.nb[ci]") if _is_readable(file)]
    return any(file.suffix == ".nbc" for file in files)


def _is_readable(file: Path) -> bool:
    """Can numba read this file? Removes it when not."""
    try:
        with file.open("rb") as stored:
            while stored.peek(1):
                pickle.load(stored)  # noqa: S301 - what numba itself is about to do
    except FileNotFoundError:  # another process has just removed it
        return False
    except Exception:  # noqa: BLE001 - damaged pickles fail in any way
        file.unlink(missing_ok=True)
        return False
    return True
