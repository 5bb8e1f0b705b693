"""Writes the measured figures into the documents, so that none of them is typed by hand.

Run it as `.venv/bin/python benchmarks/report.py [--json FILE] [--check]`. What stands between the lines
`<!-- benchmarks -->` and `<!-- /benchmarks -->` of README.md and docs/benchmarks.md is made from the file that
`benchmarks/run` wrote; `--check` only says whether it still is.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
FIGURES = HERE / "figures.json"
OURS, BARE = "metaexpert", "bare"
NAMES = {OURS: "MetaExpert", BARE: "bare loop", "backtesting": "backtesting.py"}
MARKED = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- /benchmarks -->)", re.DOTALL)


class Figures:
    """The rows of one file, by what they measure."""

    def __init__(self, path: Path) -> None:
        read = json.loads(path.read_text(encoding="utf-8"))
        self.about: Row = read["about"]
        self.rows: list[Row] = read["rows"]

    def of(self, heading: str) -> list[list[Row]]:
        """The comparisons under a heading: the rows of one case together, ours first."""
        cases: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            if row["of"] == heading:
                key = (row.get("bars", 0), row.get("passes", 0), row.get("stops", False), row.get("both", False))
                cases.setdefault(key, []).append(row)
        return [sorted(cases[key], key=lambda row: row["who"] != OURS) for key in sorted(cases)]


def name(row: Row) -> str:
    """What a contestant is called, with its version if it has one."""
    known = NAMES.get(row["who"], row["who"])
    return known if row["who"] in (OURS, BARE) else f"{known} {row['version']}"


def seconds(value: float) -> str:
    """Three digits that count."""
    return f"{value:.3g} s" if value < 10.0 else f"{value:.1f} s"


def times(slower: float, faster: float) -> str:
    """How many times as long: two digits that count, whole from 10 on."""
    ratio = slower / faster
    return f"{ratio:.2g}x" if ratio < 10.0 else f"{ratio:.0f}x"


def peers(case: list[Row]) -> list[Row]:
    """The rows of other tools, the fastest first."""
    return sorted((row for row in case if row["who"] not in NAMES.keys() - {"backtesting"}), key=cost)


def cost(row: Row) -> float:
    """Seconds a bar and pass: comparable between cases of other sizes."""
    return row["seconds"] / row["bars"] / row.get("passes", 1)


def of(case: list[Row], who: str) -> Row | None:
    """The row of one contestant."""
    return next((row for row in case if row["who"] == who), None)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    head = list(head)
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def settings(case: list[Row]) -> str:
    """The case in words."""
    row = case[0]
    side = "long and short" if row["both"] else "long only"
    return f"{row['bars']:,} bars, {side}" + (", stop and target" if row["stops"] else "")


def comparison(cases: list[list[Row]]) -> str:
    """A row a case: medians, and the ratios that matter."""
    if not cases:
        return ""
    others = {row["who"]: name(row) for case in cases for row in case if row["who"] != OURS}
    head = ["", NAMES[OURS], *others.values(), "fastest peer / ours", "ours / bare loop"]
    return table(head, [compared(case, others) for case in cases])


def compared(case: list[Row], others: Iterable[str]) -> list[str]:
    found = [of(case, who) for who in others]
    bare, rivals, own = of(case, BARE), peers(case), case[0]["seconds"]
    return [
        settings(case),
        seconds(own),
        *("" if row is None else seconds(row["seconds"]) for row in found),
        times(rivals[0]["seconds"], own) if rivals else "",
        times(own, bare["seconds"]) if bare else "",
    ]


def sweeps(figures: Figures) -> str:
    """Every contestant of the sweep; who played fewer pairs is multiplied up, and the table says so."""
    cases = figures.of("sweep") + figures.of("sweep, fewer")
    whole = figures.of("sweep")
    if not whole:
        return ""
    passes, own = whole[0][0]["passes"], whole[0][0]
    rows: dict[str, Row] = {}
    for case in sorted(cases, key=lambda case: -case[0]["passes"]):
        for row in case:
            rows.setdefault(row["who"], row)
    lines = []
    for row in rows.values():
        factor = passes / row["passes"]
        scaled = "" if factor == 1.0 else f" (measured {row['passes']:,} pairs, times {factor:.0f})"
        spent = row["seconds"] * factor
        ratio = "" if row is own else times(spent, own["seconds"])
        lines.append([name(row), seconds(spent) + scaled, ratio, f"{row['peak_mb']:.0f} MB", f"{row['passes']:,}"])
    few = of(figures.of("sweep, fewer")[0], OURS) if figures.of("sweep, fewer") else None
    if few is not None:
        lines.append([f"{NAMES[OURS]}, fewer pairs", "", "", f"{few['peak_mb']:.0f} MB", f"{few['passes']:,}"])
    return table([f"{passes:,} pairs, {own['bars']:,} bars", "time", "/ ours", "peak memory", "pairs"], lines)


def growth(figures: Figures) -> str:
    """The cost of a bar at each length."""
    lines = []
    for heading, form in (("growth, vector", "signals"), ("growth, event", "callback")):
        for case in figures.of(heading):
            row = case[0]
            per_bar = row["seconds"] / row["bars"] * 1e9
            lines.append([f"{form}, {row['bars']:,} bars", seconds(row["seconds"]), f"{per_bar:.0f} ns",
                          f"{row['peak_mb']:.0f} MB", f"{row['before_mb']:.0f} MB"])  # fmt: skip
    head = [f"{NAMES[OURS]} alone", "time", "a bar", "peak memory", "of which before the run"]
    return table(head, lines) if lines else ""


def plain(figures: Figures, heading: str, what: str) -> str:
    """Times that stand beside nothing."""
    lines = [[row["who"], seconds(row["seconds"])] for row in figures.rows if row["of"] == heading]
    return table([what, "time"], lines) if lines else ""


def live(figures: Figures) -> str:
    """What a live market costs on top of CCXT."""
    kinds: dict[str, list[Row]] = {}
    for row in figures.rows:
        if row["of"] == "stream":
            kinds.setdefault(row["stream"], []).append(row)
    who = {BARE: "CCXT", OURS: "a paper run"}
    lines = []
    for kind, rows in kinds.items():
        alone = next(row for row in rows if row["who"] == BARE)
        for row in rows:
            is_bare = row is alone
            work = micro(row["seconds"]) if "seconds" in row else ""
            more = f"{row['seconds'] / alone['seconds'] - 1:+.0%}" if work and not is_bare else ""
            name_ = who.get(row["who"], row["who"])
            lines.append([f"{kind}, {name_}", work, more, micro(row["p50"]), micro(row["p99"])])
    head = ["", "work an event", "on top of CCXT", "message to handler, median", "99 of 100 within"]
    return table(head, lines) if lines else ""


def orders(figures: Figures) -> str:
    """How long an order takes to the wire."""
    who = {BARE: "CCXT", OURS: "a live run"}
    lines = [
        [who[row["who"]], milli(row["p50"]), milli(row["disk"]) if row["disk"] else "", milli(row["p99"])]
        for row in figures.rows
        if row["of"] == "orders"
    ]
    head = ["", "from the call to the wire, median", "of which the journal", "99 of 100 within"]
    return table(head, lines) if lines else ""


def milli(value: float) -> str:
    """Milliseconds."""
    return f"{value * 1e3:.3g} ms"


def micro(value: float) -> str:
    """Microseconds."""
    return f"{value * 1e6:.0f} us"


def page(figures: Figures) -> str:
    """What docs/benchmarks.md shows."""
    about = figures.about
    parts = {
        "": f"{about['cores']} cores ({about['machine']}), Python {about['python']}; medians of one run.",
        "From signals to equity, orders and trades": comparison(figures.of("signals")),
        "A callback in Python a bar": comparison(figures.of("callback")),
        "A sweep, indicators included": sweeps(figures),
        "Growth and memory": growth(figures),
        "A live market": live(figures),
        "A live order": orders(figures),
        "Cold start": plain(figures, "first result", "whole process, to the first result"),
        "Other parts": plain(figures, "parts", "part"),
    }
    return (
        "\n\n".join(f"## {title}\n\n{body}" if title else body for title, body in parts.items() if body) + "\n\n"
    )


def line(figures: Figures) -> str:
    """What the README says: the longest case of each form, long only, without stops."""
    about = figures.about
    said = [
        said_of(figures.of("signals"), "from signals to equity, orders and trades of {bars:,} one-minute bars"),
        said_of(figures.of("callback"), "an expert with `on_bar` over {bars:,} bars"),
        said_of(figures.of("sweep"), "a sweep of {passes:,} pairs over {bars:,} bars, indicators included"),
    ]
    text = "; ".join(part for part in said if part)
    return (
        f"Measured on {about['cores']} cores with Python {about['python']}, beside other backtesters in one run: "
        f"{text}. [All figures and how they were taken](docs/benchmarks.md).\n"
    )


def said_of(cases: list[list[Row]], what: str) -> str:
    plain = [case for case in cases if not case[0].get("both") and not case[0].get("stops")]
    if not plain:
        return ""
    case = plain[-1]
    own, rivals = case[0], peers(case)
    beside = f", {times(rivals[0]['seconds'], own['seconds'])} as fast as {name(rivals[0])}" if rivals else ""
    return f"{what.format(**own)} in {seconds(own['seconds'])}{beside}"


PAGES: dict[str, Callable[[Figures], str]] = {"README.md": line, "docs/benchmarks.md": page}


def written(text: str, made: str) -> str:
    """`text` with `made` between its marks."""
    return MARKED.sub(lambda found: found[1] + made + found[2], text)


def main() -> None:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=FIGURES, help="the measured figures")
    parser.add_argument("--check", action="store_true", help="fail where a page shows something else")
    options = parser.parse_args()
    figures = Figures(options.json)
    for file, make in PAGES.items():
        path = HERE.parent / file
        old = path.read_text(encoding="utf-8")
        new = written(old, make(figures))
        if options.check and new != old:
            raise SystemExit(f"{file} doesn't show the figures of {options.json.name}: run benchmarks/report.py")
        if not options.check:
            path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
