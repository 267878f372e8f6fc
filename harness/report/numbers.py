"""Numbers for people: one form for each unit, three significant digits, never more."""

from __future__ import annotations

import math


def seconds(value: float | None) -> str:
    """A duration: ms below one second, minutes above two of them."""
    if value is None or not math.isfinite(value):
        return "never" if value is not None and value == math.inf else "–"
    if abs(value) < 1:
        return f"{short(value * 1000)} ms"
    if abs(value) < 120:
        return f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60):02d} s"


def short(value: float) -> str:
    """Three significant digits without an exponent; thin spaces between thousands."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(digits, 6)}f}".replace(",", "\u202f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(value: float | None, unit: str) -> str:
    """A figure with its unit: ``s`` in a readable scale, ``1`` without a unit."""
    if value is None:
        return "–"
    if unit == "s":
        return seconds(value)
    if unit == "B":
        return size(value)
    if unit in {"", "1"}:
        return f"{value:.3f}" if 0 < abs(value) < 1 else short(value)
    return f"{short(value)} {unit}"


def size(value: float) -> str:
    """Bytes in a readable scale."""
    for name, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if abs(value) >= scale:
            return f"{short(value / scale)} {name}"
    return f"{short(value)} B"


def whole(number: int) -> str:
    """A count, with thin spaces between thousands."""
    return f"{number:,}".replace(",", "\u202f")
