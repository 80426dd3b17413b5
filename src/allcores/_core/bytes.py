"""Amounts of memory as people write them: ``"2GB"``, ``"512 MiB"``."""

from __future__ import annotations

import operator
import re

from allcores._core.hints import Any

__all__ = ["format_bytes", "parse_bytes"]

DECIMAL = ("", "k", "M", "G", "T", "P")  # powers of 1000; with an i, of 1024
AMOUNT = r"\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?\s*"
ROUNDED_UP = 999.5  # what three digits cannot show any more
ALLOWED = "allowed: a number of bytes greater than 0, or a text such as '2GB', '1.5 GB' or '512MiB'"


def parse_bytes(amount: Any) -> int:
    """Give the number of bytes that `amount` stands for.

    Raises:
        TypeError: it is neither a whole number nor a text.
        ValueError: it makes no sense.
    """
    number = _parse_text(amount) if isinstance(amount, str) else _whole(amount)
    if number < 1:
        raise ValueError(f"{amount!r} is no amount of memory; {ALLOWED}")
    return number


def format_bytes(number: int) -> str:
    """Write a number of bytes with two or three digits and a unit.

    Example:
        >>> format_bytes(1_536_000_000)
        '1.54 GB'
    """
    amount, power = float(number), 0
    while amount >= ROUNDED_UP and power + 1 < len(DECIMAL):
        amount /= 1000
        power += 1
    return f"{amount:.3g} {DECIMAL[power]}B"


def _parse_text(text: str) -> int:
    match = re.fullmatch(AMOUNT, text, re.IGNORECASE)
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"{text!r} is no amount of memory; {ALLOWED}")
    power = [unit.lower() for unit in DECIMAL].index(match[2].lower())
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _whole(number: Any) -> int:
    try:
        if not isinstance(number, bool):
            return operator.index(number)
    except TypeError:
        pass
    raise TypeError(f"{number!r} is no amount of memory; {ALLOWED}")
