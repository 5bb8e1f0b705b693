"""A loop that keeps a record of what it hears, decides and does; equal runs have equal records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .errors import MetaExpertError
from .models import Account, Order, Position
from .process import MetaProcess

if TYPE_CHECKING:
    from .broker import News
    from .handlers import Handler

__all__ = ["Recorded", "Recorder", "told"]

_ORDER_FIELDS = (
    "id", "symbol", "side", "type", "qty", "price", "stop_price", "stop_loss", "take_profit", "reduce_only",
    "post_only", "tif", "tag", "position_side", "status", "filled", "average_price", "fee", "reason", "message",
    "created", "updated",
)  # fmt: skip


class Recorder(Protocol):
    """Where a run is recorded."""

    def event(self, time: int, kind: str, body: Any) -> None:
        """What came from the market, handled at `time` (ms UTC)."""
        ...

    def log(self, time: int, kind: str, body: Any) -> None:
        """What the run did: a handler called, an order changed, a fill, a refusal."""
        ...


class Recorded(MetaProcess):
    """Records handler calls and news; `recorder` None records nothing."""

    recorder: Recorder | None = None

    def _hears_news(self) -> bool:
        return self.recorder is not None or super()._hears_news()

    def _call(self, event: str, handler: Handler, args: tuple[Any, ...]) -> Any:
        if self.recorder is not None:
            name = getattr(handler, "__name__", repr(handler))
            self.recorder.log(self.clock.now(), "call", [event, name, *map(told, args)])
        return super()._call(event, handler, args)

    def _tell(self, news: News) -> None:
        self._record(news)
        super()._tell(news)

    def _record(self, news: News) -> None:
        """Write news down without telling anybody."""
        if self.recorder is not None:
            now, (order, result) = self.clock.now(), news
            self.recorder.log(now, "order", told(order))
            if result is not None:
                self.recorder.log(now, type(result).__name__.lower(), list(result))


def told(value: Any) -> Any:
    """What a handler was told, as plain lists, words and numbers."""
    if isinstance(value, Order):
        return {name: found for name in _ORDER_FIELDS if (found := getattr(value, name)) not in (None, False)}
    if isinstance(value, Position):
        return [value.symbol, value.position_side, value.qty, value.entry_price]
    if isinstance(value, Account):
        return [value.balance, value.equity, value.margin_used]
    if isinstance(value, MetaExpertError):
        return [type(value).__name__, str(value)]
    if isinstance(value, tuple):
        return [*map(told, value)]  # pyright: ignore[reportUnknownArgumentType]
    return value
