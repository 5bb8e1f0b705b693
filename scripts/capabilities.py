"""Writes the tables of what each exchange can do into the guides; `--check` only compares."""

import sys
from pathlib import Path

from metaexpert.broker.homes import home_at
from metaexpert.exchanges.capabilities import Feature, Support, support, why_unarmed
from metaexpert.exchanges.venues import VENUES, Segment, Venue

GUIDES = Path(__file__).resolve().parent.parent / "docs" / "guides"
MEANINGS = {
    Feature.MARKET: "market order",
    Feature.LIMIT: "limit order",
    Feature.STOP: "stop order",
    Feature.STOP_LIMIT: "stop-limit order",
    Feature.TAKE_PROFIT: "take-profit that stands by itself",
    Feature.POST_ONLY: "post-only",
    Feature.IOC: "immediate or cancel",
    Feature.FOK: "fill or kill",
    Feature.REDUCE_ONLY: "reduce-only",
    Feature.HEDGE: "legs in hedge mode",
    Feature.ATTACHED_STOP: "stop-loss along with the order",
    Feature.ATTACHED_TARGET: "take-profit along with the order",
    Feature.TRAILING: "trailing stop",
    Feature.CLIENT_ID: "found and cancelled by our id",
    Feature.MARKET_BY_COST: "market order by cost",
    Feature.AMEND: "changed where it stands",
    Feature.CANCEL_ALL: "cancel all of a market",
    Feature.DEAD_MAN: "cancelled by itself when nothing is heard",
}


def table(venue: Venue) -> str:
    """One exchange: a row a feature, a column a segment, and the conditions and reasons below."""
    reasons: list[str] = []

    def cell(found: Support, why: str) -> str:
        if not why:
            return str(found)
        if why not in reasons:
            reasons.append(why)
        return f"{found} ({reasons.index(why) + 1})"

    columns = " | ".join(venue.segments)
    rows = [f"| {venue.name} | {columns} |", "| --- " * (len(venue.segments) + 1) + "|"]
    for feature in Feature:
        cells = " | ".join(cell(*support(venue.id, segment, feature)) for segment in venue.segments)
        rows.append(f"| {MEANINGS[feature]} | {cells} |")
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([f"### {venue.name}", "", *rows, "", *notes, ""])


def capabilities() -> str:
    """The tables of all exchanges."""
    return "\n" + "\n".join(table(venue) for venue in VENUES.values()) + "\n"


def homes() -> str:
    """Who keeps the protective levels of live positions: a row an exchange, a column a segment."""
    words = {Support.NATIVE: "the exchange", Support.EMULATED: "the expert"}
    rows = [f"| | {' | '.join(Segment)} |", "| --- " * (len(Segment) + 1) + "|"]
    for venue in VENUES.values():
        cells = [words[home_at(venue.id, part).place] if part in venue.segments else "-" for part in Segment]
        rows.append(f"| {venue.name} | {' | '.join(cells)} |")
    return "\n" + "\n".join(rows) + "\n\n"


def dead_man() -> str:
    """Where the dead man's switch is armed in live runs, and why not elsewhere."""
    rows = ["| | markets | dead man's switch |", "| --- | --- | --- |"]
    for venue in VENUES.values():
        whys: dict[str, list[str]] = {}
        for part in venue.segments:
            whys.setdefault(why_unarmed(venue.id, part), []).append(part)
        rows += [
            f"| {venue.name} | {', '.join(parts)} | {f'off: {why}' if why else 'armed'} |"
            for why, parts in whys.items()
        ]
    return "\n" + "\n".join(rows) + "\n\n"


PAGES = (
    ("exchanges.md", "capabilities", capabilities),
    ("live.md", "homes", homes),
    ("live.md", "dead-man", dead_man),
)


def main() -> None:
    """Write the tables, or fail where a page shows others."""
    for name, mark, make in PAGES:
        page = GUIDES / name
        old = page.read_text(encoding="utf-8")
        start, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
        before, _, rest = old.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            sys.exit(f"{page}: the marks {start.strip()} and {end} are missing")
        made = before + start + make() + end + after
        if "--check" not in sys.argv:
            page.write_text(made, encoding="utf-8")
        elif made != old:
            sys.exit(f"{page.name} shows another table: run scripts/capabilities.py")


if __name__ == "__main__":
    main()
