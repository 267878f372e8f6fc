"""Units as texts print them, to UCUM codes. A unit that is not in the table has no code: the caller makes no record."""

from __future__ import annotations

import re

_BASE: dict[str, str] = {
    "kg": "kg", "g": "g", "gm": "g", "gram": "g", "grams": "g",
    "mg": "mg", "milligram": "mg", "milligrams": "mg", "mgs": "mg",
    "mcg": "ug", "ug": "ug", "µg": "ug", "μg": "ug", "microgram": "ug", "micrograms": "ug",
    "ng": "ng", "nanogram": "ng", "nanograms": "ng",
    "l": "L", "liter": "L", "liters": "L", "litre": "L", "litres": "L",
    "ml": "mL", "milliliter": "mL", "milliliters": "mL", "millilitre": "mL", "millilitres": "mL", "cc": "mL",
    "dl": "dL", "µl": "uL", "μl": "uL", "ul": "uL",
    "iu": "[iU]", "international unit": "[iU]", "international units": "[iU]",
    "mmol": "mmol", "mol": "mol", "µmol": "umol", "μmol": "umol", "umol": "umol", "meq": "meq", "mosm": "mosm",
    "gy": "Gy", "mci": "mCi", "mbq": "MBq",
    "%": "%", "percent": "%", "per cent": "%",
    "mmhg": "mm[Hg]", "mm hg": "mm[Hg]", "cm": "cm", "mm": "mm", "m2": "m2", "m²": "m2",
    "bpm": "/min", "beats/min": "/min",
    "d": "d", "day": "d", "days": "d", "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "min": "min", "minute": "min", "minutes": "min", "week": "wk", "weeks": "wk", "wk": "wk",
    "month": "mo", "months": "mo", "year": "a", "years": "a",
    "1.73 m2": "{1.73_m2}", "1.73m2": "{1.73_m2}",
}  # fmt: skip
_PER = re.compile(r"\s*(?:/|\bper\b)\s*", re.IGNORECASE)
# Amounts of a medicine and what they may be given per; time is a frequency, not a unit of the amount.
_AMOUNT = (
    r"international units?|micrograms?|milligrams?|nanograms?|grams?|millilit(?:er|re)s?|"
    r"mcg|µg|μg|ug|ng|mgs?|kg|gm?|m[Ll]|cc|IU|I\.U\.|mmol|µmol|mEq|Gy|mCi|MBq"
)
_BODY = r"(?:kg|m2|m²|m\^2)"
DOSE_UNIT = rf"(?:(?:{_AMOUNT})(?:\s?(?:/|per)\s?{_BODY})?|%)"


def ucum(text: str) -> str | None:
    """The UCUM code of a printed unit, or ``None`` where it is not known; ``mg per kg`` and ``mg/kg`` are one unit.

    Plain "units" have no code here: they are a product's own, and not international units unless the text says so.
    """
    parts = _PER.split(text.strip().replace("^", "").replace("I.U.", "IU"))
    codes = [_code(part) for part in parts]
    if not codes or any(code is None for code in codes):
        return None
    return "/".join(code for code in codes if code is not None)


def _code(part: str) -> str | None:
    text = re.sub(r"\s+", " ", part.strip().rstrip("."))
    if text in {"M", "G", "MG", "KG"}:  # capitals change the meaning of a prefix; only MG and KG have one reading on labels
        return {"MG": "mg", "KG": "kg"}.get(text)
    return _BASE.get(text) or _BASE.get(text.lower())
