"""Between a live broker and its exchange: commands go out, reports come back."""

from __future__ import annotations

from .courier import Courier
from .desk import Patience

__all__ = ["Courier", "Patience"]
