"""Spans of time, [start, end) in ms: joined, and cut out of one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Span", "joined", "without"]

type Span = tuple[int, int]


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time in as few spans as there can be, by their start; empty ones are left out."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return tuple(found)


def without(span: Span, known: Iterable[Span]) -> tuple[Span, ...]:
    """What of `span` lies in none of `known`, by its start."""
    at, end = span
    found: list[Span] = []
    for start, until in joined(known):
        if start >= end:
            break
        if start > at:
            found.append((at, start))
        at = max(at, until)
    return (*found, (at, end)) if at < end else tuple(found)
