"""Whether our payloads look like real ones: the same keys, the same nesting, the same kinds of values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .routes import Call

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .routes import Dialect
    from .state import State


def ask(dialect: Dialect, state: State, method: str, path: str, **args: Any) -> Any:
    """The payload that answers a request, signed or not, as it goes over the wire."""
    handler, private, named = dialect.ROUTES.find(method, path)
    call = Call(state, method, dialect.HOSTS[0], path, "", "", {}, state.now(), args | named, private)
    return json.loads(dialect.wrap(call, handler(call)).body())


def recorded(shared: Path, exchange: str, *methods: str, without: str = "\0") -> list[Any]:
    """The raw answers that were recorded for CCXT's methods; their numbers were made strings by the recorder.

    Cases that were asked for with `without` in their parameters are left out.
    """
    file = shared / "data/ccxt_static/response" / f"{exchange}.json"
    told = json.loads(file.read_text(encoding="utf-8"))["methods"]
    cases = [case for method in methods for case in told[method] if without not in json.dumps(case.get("input"))]
    answers = [case["httpResponse"] for case in cases]
    return [json.loads(answer) if isinstance(answer, str) else answer for answer in answers]


def documented(shared: Path, exchange: str, case: str) -> list[Any]:
    """The messages that a documentation shows being pushed, by the name that the collection has for the case."""
    file = shared / "data/wire_examples/jkorf" / f"{exchange}_ws.json"
    cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return [
        message
        for one in cases if one["case"] == f"Subscriptions/{case}"
        for kind, message in one["steps"] if kind == "server_data"
    ]  # fmt: skip


def listed(shared: Path, exchange: str, *symbols: str) -> list[Any]:
    """The raw entries of instruments, as the exchange lists them."""
    file = shared / "data/ccxt_static/markets" / f"{exchange}.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    return [told[symbol]["info"] for symbol in symbols]


def differences(ours: Any, real: Sequence[Any], known: Iterable[str] = (), where: str = "") -> list[str]:
    """In what `ours` differs from all samples in `real`.

    A key that every sample has must be there; one that no sample has must be among the `known` ones, which the
    exchange's documentation has (or has not any more). Numbers may be strings where a sample's are, and an
    identifier any string.
    """
    kinds = {_kind(sample) for sample in real}
    kind = _kind(ours)
    if kind not in kinds and not _loose(kind, kinds):
        return [f"{where or 'payload'}: {kind} ({ours!r}) where the real one has {' or '.join(sorted(kinds))}"]
    if isinstance(ours, dict):
        return _of_dicts(ours, [one for one in real if isinstance(one, dict)], set(known), where)
    if isinstance(ours, list):
        return _of_lists(ours, [one for one in real if isinstance(one, list)], known, where)
    return []


def _of_dicts(ours: dict[str, Any], real: list[dict[str, Any]], known: set[str], where: str) -> list[str]:
    needed = set[str].intersection(*(set(one) for one in real)) if real else set[str]()
    seen = set[str]().union(*real)
    found = [f"{where}.{key}: missing" for key in sorted(needed - set(ours) - known)]
    found += [f"{where}.{key}: no real payload has it" for key in sorted(set(ours) - seen - known)]
    for key in sorted(set(ours) & seen):
        samples = [one[key] for one in real if key in one]
        if not (key.lower().endswith("id") and isinstance(ours[key], str) and isinstance(samples[0], str)):
            found += differences(ours[key], samples, known, f"{where}.{key}")
    return found


def _of_lists(ours: list[Any], real: list[list[Any]], known: Iterable[str], where: str) -> list[str]:
    items = [item for one in real for item in one]
    if not ours or not items:
        return []
    if where.endswith("[]") and _kind(items[0]) in {"number", "number as text"}:
        width = len(next(one for one in real if one))  # a row: what stands where matters
        if len(ours) != width:
            return [f"{where}: {len(ours)} columns where the real one has {width}"]
        columns = [[one[place] for one in real if one] for place in range(width)]
        pairs = enumerate(zip(ours, columns, strict=True))
        return [
            line for at, (mine, theirs) in pairs for line in differences(mine, theirs, known, f"{where}[{at}]")
        ]
    found = [differences(item, items, known, f"{where}[]") for item in ours]
    return list(dict.fromkeys(line for lines in found for line in lines))


def _kind(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "nothing"
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "number as text" if _numeric(value) else "text"
    return "list" if isinstance(value, list) else "object"


def _loose(kind: str, kinds: set[str]) -> bool:
    """An empty value says nothing of its kind; the recorder wrote numbers as strings."""
    if "nothing" in {kind, *kinds} and not (kinds & {"yes or no"}):
        return True
    return kind == "number" and "number as text" in kinds


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
