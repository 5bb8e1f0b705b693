"""What a check finds, and how a check is run: bounded in time, and never an end to the others."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..errors import MetaExpertError
from ..logger import Redactor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from ..values import Secret

__all__ = ["LIMIT", "Finding", "Status", "attempted", "checked"]

LIMIT = 20.0
"""Seconds that one check may take."""


class Status(StrEnum):
    """How it stands: well, worth a look, wrong, or not looked at."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """What a check found: `text` says how it is, `advice` what to do, "" where nothing is to be done."""

    name: str
    status: Status
    text: str
    advice: str = ""


async def attempted[T](
    name: str, check: Awaitable[T], secrets: Iterable[Secret] = (), limit: float = LIMIT
) -> T | Finding:
    """Run one check; what goes wrong with it is a finding too.

    Args:
        name: how that finding is called.
        check: what is asked.
        secrets: texts that no finding may show.
        limit: seconds after which it is given up.
    """
    try:
        async with asyncio.timeout(limit):
            return await check
    except TimeoutError:
        text = f"no answer within {limit:g} s"
        return Finding(name, Status.FAIL, text, "check the internet connection, or try again later")
    except MetaExpertError as error:
        return Finding(name, Status.FAIL, str(error))
    except Exception as error:  # noqa: BLE001 - one broken check must not hide the others
        text = Redactor(secrets).text(f"this check broke: {type(error).__name__}: {error}")
        return Finding(name, Status.FAIL, " ".join(text.split()), "please report it")


async def checked(
    name: str, check: Awaitable[list[Finding]], secrets: Iterable[Secret] = (), limit: float = LIMIT
) -> list[Finding]:
    """As `attempted`, for a check that gives findings."""
    found = await attempted(name, check, secrets, limit)
    return [found] if isinstance(found, Finding) else found
