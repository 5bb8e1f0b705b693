"""MetaLogger: what an expert says, to the console and to files, without waiting for the disk.

One instance per expert; instances share nothing, and neither structlog's nor logging's global state is touched.
A call passes the level, runs structlog's chain on the caller's thread (exception to text, redaction, which also
copies what may change later) and puts a standard record, stamped with the time of the run, into a queue. One
thread per logger takes it from there to the handlers.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from logging.handlers import QueueListener, RotatingFileHandler
from math import isfinite
from numbers import Integral, Real
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TextIO, cast
from urllib.parse import quote, quote_plus

import structlog

from .errors import ConfigError, did_you_mean
from .values import LOG_LEVELS, Secret

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from .config import LogSettings

__all__ = ["MetaLogger", "Metrics", "Redactor"]

MASK = "***"
_DEPTH = 8
_CONTAINERS: tuple[type, ...] = (Mapping, list, tuple, set, frozenset)
_OWN_KEYS = ("time", "level", "logger", "event", "exception")
_COLOURS = {"DEBUG": 90, "INFO": 36, "TRADE": 32, "WARNING": 33, "ERROR": 31, "CRITICAL": 35}

_SECRET_KEY = re.compile(
    r".*(apikey|secret|passphrase|password|passwd|privatekey|accesskey|signature|authorization|listenkey|cookie"
    r"|credential|accesssign|apisign).*|.*token|sign"
)
_SECRET_PAIR = re.compile(
    r"""((?:api[-_ ]?key|secret|pass(?:phrase|word|wd)|(?:private|access|listen)[-_]?key|(?:access|api)[-_]sign
        |\bsign|signature|token|authorization|cookie)[-\w]*\\?["']?\s*[:=]\s*)
        (\\".*?\\"|"[^"]*"|'[^']*'|(?:bearer|basic)\s+[^\s"',;]+|[^\s"',;&)}\]]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_URL_USER = re.compile(r"(://)[^/\s]*@")


class Redactor:
    """Takes secrets out of text and of nested values: registered ones, and whatever stands under a telling name.

    A registered secret is found anywhere, also URL-quoted and escaped. Telling names are those of keys, tokens,
    signatures and passwords, as dictionary keys and as ``name=value`` or ``name: value`` inside text.
    """

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        self._forms: set[str] = set()
        self._known: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret | str) -> None:
        """Register one more secret; an empty one is ignored."""
        text = secret.reveal() if isinstance(secret, Secret) else secret
        if not text.strip("*"):
            return
        escaped = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], repr(text)[1:-1])
        self._forms |= {text, quote(text, safe=""), quote(text), quote_plus(text), *escaped}
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)

    def knows(self, text: str) -> bool:
        """Does a registered secret stand in `text`?"""
        return self._known is not None and self._known.search(text) is not None

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        if "=" in text or ":" in text:
            text = _SECRET_PAIR.sub(rf"\1{MASK}", text)
            text = _URL_USER.sub(rf"\1{MASK}@", text)
        return text

    def value(self, item: Any, _above: tuple[int, ...] = ()) -> Any:
        """Return a copy of `item` in what JSON can hold (dict, list, str, int, float, bool, None), masked.

        Dataclasses and named tuples become dicts, other objects their masked repr.
        """
        if item is None or isinstance(item, bool):
            return item
        if isinstance(item, Secret):
            return MASK
        if isinstance(item, Real):
            return self._number(item)
        item = _unpacked(item)
        if isinstance(item, _CONTAINERS):
            return "…" if id(item) in _above or len(_above) == _DEPTH else self._nested(item, (*_above, id(item)))
        return self.text(_shown(item))

    def _nested(self, item: Any, above: tuple[int, ...]) -> Any:
        if isinstance(item, Mapping):
            pairs = ((_shown(key), value) for key, value in cast("Mapping[Any, Any]", item).items())
            return {self.text(key): MASK if _tells(key) else self.value(value, above) for key, value in pairs}
        items = cast("Iterable[Any]", item)
        ordered = sorted(items, key=_shown) if isinstance(item, (set, frozenset)) else items
        return [self.value(each, above) for each in ordered]

    def _number(self, number: Real) -> int | float | str:
        plain = int(number) if isinstance(number, Integral) else float(number)
        text = str(plain)
        return plain if isfinite(plain) and not self.knows(text) else self.text(text)

    def __call__(self, _logger: object, _name: str, event: EventDict) -> EventDict:
        """Mask an event of structlog's; time, level and logger are the library's own and stay."""
        own = {key: event.pop(key) for key in ("time", "level", "logger")}
        return {**own, **self.value(event)}


def _tells(key: str) -> bool:
    return _SECRET_KEY.fullmatch(re.sub(r"[^a-z]", "", key.lower())) is not None


def _unpacked(item: Any) -> Any:
    """Dataclasses and named tuples as dicts; anything else as it is."""
    if is_dataclass(item) and not isinstance(item, type):
        return {each.name: getattr(item, each.name, None) for each in fields(item)}
    if isinstance(item, tuple) and hasattr(cast("Any", item), "_asdict"):
        return cast("Any", item)._asdict()
    return cast("Any", item)


def _shown(item: object) -> str:
    try:
        if isinstance(item, str):
            return str(item)
        if isinstance(item, (bytes, bytearray)):
            return item.decode("utf-8", "backslashreplace")
        if isinstance(item, date):
            return item.isoformat()
        return str(item) if isinstance(item, Path) else repr(item)
    except Exception:  # noqa: BLE001 - a log call never fails because of what it is given
        return f"<{type(item).__name__} that can't be shown>"


class Metrics(NamedTuple):
    """What a logger has counted: records by level, calls of `log_once` by key, records that came after `close`."""

    records: Mapping[str, int]
    once: Mapping[str, int]
    dropped: int


class MetaLogger:
    """The log of one expert: ``log.info("opened", qty=1, price=42_000.0)``.

    Text may hold ``%s`` for positional arguments, as in the standard logging. A name that the logger uses itself
    (time, level, logger, event, exception) gets an underscore: ``time=`` is logged as ``time_``. Secrets are
    masked everywhere. Use it as a context manager, or call `close` at the end: both write what is still queued;
    so does the end of the process.

    Args:
        name: who speaks; stands in every record.
        settings: levels, files and forms.
        now: the time of the run in ms UTC (simulated in a backtest).
        folder: where relative file names start; None: the current folder.
        secrets: what must never be shown.
        stream: the console; None: standard error.
        console_level: the console shows no less than this, whatever `log_level` is; None: `log_level` alone.
        max_bytes: size at which a file is rotated.
        backups: how many rotated files are kept.

    Raises:
        ConfigError: a log file can't be written.
    """

    __slots__ = ("_counts", "_dropped", "_lock", "_log", "_now", "_once", "_outlet", "_redactor", "_threshold")

    def __init__(
        self,
        name: str,
        settings: LogSettings | None = None,
        *,
        now: Callable[[], int],
        folder: Path | None = None,
        secrets: Iterable[Secret | str] = (),
        stream: TextIO | None = None,
        console_level: str | None = None,
        max_bytes: int = 10_000_000,
        backups: int = 5,
    ) -> None:
        if settings is None:
            from .config import LogSettings

            settings = LogSettings()
        level = LOG_LEVELS[settings.log_level]
        console = level if console_level is None else max(level, LOG_LEVELS[console_level])
        self._threshold = min(level, LOG_LEVELS["TRADE"]) if settings.log_to_file else console
        self._now = now
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._once: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._redactor = Redactor(secrets)
        handlers = _file_handlers(settings, folder or Path(), max_bytes, backups) if settings.log_to_file else []
        if settings.log_to_console:
            handlers.append(_console_handler(settings, stream or sys.stderr, console))
        self._outlet = _Outlet(handlers) if handlers else None
        steps = [structlog.processors.format_exc_info, self._redactor]
        self._log = _Chain(self._outlet, steps, {"logger": name})

    def debug(self, event: object, /, *args: object, **values: object) -> None:
        """Log what helps to find a fault."""
        if self._threshold <= 10:
            self._write("DEBUG", event, args, values)

    def info(self, event: object, /, *args: object, **values: object) -> None:
        """Log what is worth knowing."""
        if self._threshold <= 20:
            self._write("INFO", event, args, values)

    def trade(self, event: object, /, *args: object, **values: object) -> None:
        """Log an order, a fill or a position; the trade file holds nothing else."""
        if self._threshold <= 25:
            self._write("TRADE", event, args, values)

    def warning(self, event: object, /, *args: object, **values: object) -> None:
        """Log what may need somebody's attention."""
        if self._threshold <= 30:
            self._write("WARNING", event, args, values)

    def error(self, event: object, /, *args: object, **values: object) -> None:
        """Log a failure; `exc_info=error` adds its traceback."""
        if self._threshold <= 40:
            self._write("ERROR", event, args, values)

    def critical(self, event: object, /, *args: object, **values: object) -> None:
        """Log a failure that ends the run."""
        self._write("CRITICAL", event, args, values)

    def exception(self, event: object, /, *args: object, **values: object) -> None:
        """Log a failure with the traceback of the exception that is being handled."""
        self.error(event, *args, **{"exc_info": True, **values})

    def log_once(self, key: str, event: object, /, *, level: str = "WARNING", **values: object) -> bool:
        """Log `event` the first time that `key` comes, only count it afterwards; return whether it was the first.

        Raises:
            ConfigError: `level` is no level.
        """
        if level not in LOG_LEVELS:
            raise ConfigError(f"unknown log level {level!r}{did_you_mean(level, LOG_LEVELS)}")
        with self._lock:
            self._once[key] += 1
            first = self._once[key] == 1
        if first and self._threshold <= LOG_LEVELS[level]:
            self._write(level, event, (), values)
        return first

    def bind(self, **values: object) -> Self:
        """Return a logger that adds `values` to every record and shares all else with this one."""
        child = copy(self)
        child._log = self._log.bind(**_renamed(values))  # noqa: SLF001 - a copy of this very object
        return child

    def is_enabled(self, level: str) -> bool:
        """Whether a record of `level` goes anywhere."""
        return self._threshold <= LOG_LEVELS[level]

    def add_secret(self, secret: Secret | str) -> None:
        """Mask `secret` from now on."""
        self._redactor.add(secret)

    def redact(self, text: str) -> str:
        """Return `text` with every secret masked, for what is shown by other ways than this log."""
        return self._redactor.text(text)

    @property
    def metrics(self) -> Metrics:
        """What has been counted so far."""
        with self._lock:
            return Metrics(dict(self._counts), dict(self._once), self._dropped.total())

    def flush(self) -> None:
        """Wait until everything logged so far is written."""
        if self._outlet is not None:
            self._outlet.flush()

    def close(self) -> None:
        """Write what is queued and close the files; may be called twice. Later records are only counted."""
        if self._outlet is not None:
            self._outlet.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _write(self, level: str, event: object, args: tuple[object, ...], values: dict[str, object]) -> None:
        with self._lock:
            self._counts[level] += 1
        if self._outlet is None:
            return
        stamp = {"time": self._now(), "level": level}
        if not self._log.write(_merged(event, args), {**_renamed(values), **stamp}):
            with self._lock:
                self._dropped[level] += 1


def _merged(event: object, args: tuple[object, ...]) -> str:
    text = _shown(event)
    if not args:
        return text
    try:
        return text % args
    except (TypeError, ValueError):
        return f"{text} {' '.join(map(_shown, args))}"


def _renamed(values: dict[str, object]) -> dict[str, object]:
    return {f"{key}_" if key in _OWN_KEYS else key: value for key, value in values.items()}


class _Chain(structlog.BoundLoggerBase):
    """Structlog's chain with an `_Outlet` at its end."""

    def write(self, event: str, values: dict[str, Any]) -> bool:
        """Run the chain and queue the record; False when the outlet is closed."""
        _, found = self._process_event("write", event, values)
        return cast("_Outlet", self._logger).put(cast("dict[str, Any]", found))


class _Outlet:
    """The asynchronous half: a queue, one thread, and the handlers that it writes to."""

    def __init__(self, handlers: list[logging.Handler]) -> None:
        self._handlers = handlers
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._listener = QueueListener(self._queue, *handlers, respect_handler_level=True)
        self._lock = threading.Lock()
        self._open = True
        self._listener.start()
        atexit.register(self.close)

    def put(self, event: dict[str, Any]) -> bool:
        """Queue `event` as a standard record that carries the time of the run; False when closed."""
        if not self._open:
            return False
        level, seconds = event["level"], event["time"] / 1000
        stamp = {"created": seconds, "msecs": event["time"] % 1000, "relativeCreated": 0.0}
        head = {"name": event["logger"], "levelname": level, "levelno": LOG_LEVELS[level], "msg": event}
        self._queue.put_nowait(logging.makeLogRecord({**head, **stamp}))
        return self._open or not self._is_late()

    def flush(self) -> None:
        """Wait for the queue to run empty."""
        with self._lock:
            if self._open:
                self._listener.stop()
                self._listener.start()

    def close(self) -> None:
        """Write what is queued, end the thread, close the handlers."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            self._listener.stop()
            self._drain()
            for handler in self._handlers:
                handler.close()
        atexit.unregister(self.close)

    def _is_late(self) -> bool:
        """Did a record come after the last one that `close` wrote? Each that did takes one out of the queue."""
        with self._lock:
            try:
                self._queue.get_nowait()
            except Empty:
                return False
            return True

    def _drain(self) -> None:
        """Write what other threads queued while the listener was stopping."""
        try:
            while True:
                self._listener.handle(self._queue.get_nowait())
        except Empty:
            return


def _file_handlers(settings: LogSettings, folder: Path, max_bytes: int, backups: int) -> list[logging.Handler]:
    wanted = (
        ("log_file", settings.log_file, LOG_LEVELS[settings.log_level]),
        ("log_trade_file", settings.log_trade_file, LOG_LEVELS["TRADE"]),
        ("log_error_file", settings.log_error_file, LOG_LEVELS["ERROR"]),
    )
    handlers: list[logging.Handler] = []
    for setting, name, level in wanted:
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handler = RotatingFileHandler(
                path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            for opened in handlers:
                opened.close()
            raise ConfigError(
                f"{setting}: {path} can't be written ({error.strerror or error}): "
                "name another file or set log_to_file=False"
            ) from None
        handler.setLevel(level)
        handler.setFormatter(_Formatter(as_json=settings.json_logging))
        if setting == "log_trade_file":
            handler.addFilter(lambda record: record.levelno == LOG_LEVELS["TRADE"])
        handlers.append(handler)
    return handlers


def _console_handler(settings: LogSettings, stream: TextIO, level: int) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    handler.setLevel(level)
    coloured = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    encoding = getattr(stream, "encoding", None) or "utf-8"
    handler.setFormatter(_Formatter(as_json=settings.json_logging, coloured=coloured, encoding=encoding))
    return handler


class _Formatter(logging.Formatter):
    """Renders a record as one JSON object, or as a line for people; what `encoding` lacks is escaped."""

    def __init__(self, *, as_json: bool, coloured: bool = False, encoding: str = "utf-8") -> None:
        super().__init__()
        self._as_json = as_json
        self._coloured = coloured
        self._encoding = encoding

    def format(self, record: logging.LogRecord) -> str:
        event = dict(cast("Mapping[str, Any]", record.msg))
        text = _json_line(event) if self._as_json else _human_line(event, coloured=self._coloured)
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)


def _json_line(event: dict[str, Any]) -> str:
    """``{"time": ISO 8601 with ms, "level", "logger", "event", ...values, "exception"}``."""
    moment = datetime.fromtimestamp(event["time"] / 1000, UTC)
    event["time"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {key: event.pop(key) for key in ("time", "level", "logger", "event")}
    return json.dumps({**head, **event}, ensure_ascii=False)


def _human_line(event: dict[str, Any], *, coloured: bool) -> str:
    """``2024-01-01 00:00:00Z INFO     name  text key=value``, then the traceback if there is one."""
    moment = datetime.fromtimestamp(event.pop("time") // 1000, UTC)
    level, name, text = event.pop("level"), event.pop("logger"), event.pop("event")
    trace = event.pop("exception", None)
    label = f"\033[{_COLOURS[level]}m{level:<8}\033[0m" if coloured else f"{level:<8}"
    pairs = "".join(f" {_printable(key)}={_value(value)}" for key, value in event.items())
    line = f"{moment:%Y-%m-%d %H:%M:%S}Z {label} {_printable(name)}  {_printable(text)}{pairs}"
    return line if trace is None else "\n".join([line, *map(_printable, trace.split("\n"))])


def _value(value: Any) -> str:
    if isinstance(value, str) and value and value.isprintable() and not re.search(r"""[\s"'=]""", value):
        return value
    return _printable(json.dumps(value, ensure_ascii=False))


def _printable(text: str) -> str:
    """One line without control characters: a value can't forge a line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
