"""Effects from tables: a cell below a heading such as "OR (95% CI)", or value and limits in columns of their own.

A record's spans are the cell (or the cells, where the limits stand apart), the row's label and the heading that names the measure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from system.evidence.extraction.check import check_effect, with_check
from system.evidence.extraction.grid import Grid, Heading
from system.evidence.extraction.measures import CI_LABEL, RATIOS, measure_of, read_p, stated_measure
from system.evidence.extraction.numbers import DASH, END, NUMBER, parse_number
from system.evidence.extraction.reading import HIDDEN, readable
from system.evidence.ir import Cell, Document, Span, Table
from system.evidence.records import Check, CheckStatus, Effect, EffectType, Kind, record_id

_MARKS = r"(?:\s?[*†‡§¶#]+|\s?[a-h](?![A-Za-z]))*"
_RANGE = rf"(?P<low>{NUMBER}){END}\s?%?{_MARKS}\s*(?:\bto\b|[{DASH}]|,|;)\s*(?P<high>{NUMBER}){END}"
_CELL = re.compile(
    rf"^\s*(?P<value>{NUMBER}){END}\s?%?{_MARKS}\s*(?:[(\[]\s*(?:{CI_LABEL}[\s:,=]*)?{_RANGE}\s?%?\s*[)\]]"
    rf"|[,;]?\s+{_RANGE.replace('low', 'open_low').replace('high', 'open_high')})"
    rf"{_MARKS}(?P<rest>.*)$",
    re.DOTALL,
)
_SINGLE = re.compile(rf"^\s*(?P<value>{NUMBER}){END}\s?%?{_MARKS}\s*$")
_LIMITS = re.compile(rf"^\s*[(\[]?\s*{_RANGE}\s?%?\s*[)\]]?{_MARKS}\s*$")
_P_CELL = re.compile(rf"^\s*(?P<operator><=|>=|<|>|≤|≥)?\s*(?P<p>{NUMBER}){END}{_MARKS}\s*$")
_HAS_CI = re.compile(CI_LABEL)
_P_HEADING = re.compile(r"^\s*(?:adjusted\s+)?p(?:\s*[-‐–]?\s*values?)?\b\s*(?:[a-h*†‡§()].{0,30})?$", re.IGNORECASE)
_LOWER = re.compile(r"\b(?:lower|low|LL|LCI|LCL|2\.5\s?%|min)\b", re.IGNORECASE)
_UPPER = re.compile(r"\b(?:upper|high|UL|UCI|UCL|97\.5\s?%|max)\b", re.IGNORECASE)
_COVARIATES = re.compile(
    r"risk factors?|predict\w+|multivaria\w+|univaria\w+|determinants?|prognostic|factors associated|association"
    r"|regression|covariates?|correlates?",
    re.IGNORECASE,
)
_SPREAD = re.compile(r"\bSD\b|\bSEM?\b|IQR|interquartile|range|standard (?:deviation|error)", re.IGNORECASE)
_VERSUS = re.compile(
    r"^(?P<intervention>[A-Za-z][^()\[\]]{0,50}?)\s+(?:vs\.?|versus)\s+(?P<comparator>[A-Za-z][^()\[\]]{0,50}?)\s*$", re.IGNORECASE
)
_NO_ARMS = re.compile(r"success|fail|death|dead|alive|surviv|event|relapse|\byes\b|\bno\b|\d", re.IGNORECASE)
_TIME_LABEL = re.compile(
    r"^(?:(?:day|week|month|year|visit|wk|mo)s?\s*\d+|\d+\s*(?:days?|weeks?|months?|years?|h)|baseline|end ?point)\b.{0,20}$", re.IGNORECASE
)
_DURATION = re.compile(r"\b(?:hours?|days?|weeks?|months?|years?)\b", re.IGNORECASE)
_GENERIC = re.compile(
    r"^(?:none|any|yes|no|mild|moderate|severe|mild or moderate|total|overall|all|crude|adjusted|unadjusted|model\s*\d*)$", re.IGNORECASE
)
_ALPHA = {"≤": "<=", "≥": ">="}


class _Numbers(msgspec.Struct, frozen=True):
    value: float
    low: float
    high: float
    cells: tuple[Cell, ...]
    rest: str = ""


def effects_from_tables(document: Document) -> tuple[Effect, ...]:
    """Every value with its confidence interval below (or beside) a heading that names one measure."""
    shown = readable(document)
    return tuple(effect for table in document.tables if table.cells for effect in _table(document, shown, table))


def _table(document: Document, shown: str, table: Table) -> Iterator[Effect]:
    grid = Grid(shown, table)
    caption = _caption(document, table)
    taken: set[Cell] = set()
    for row in range(table.rows):
        for column in range(1, table.columns):
            cell = grid.cell(row, column)
            if cell is None or cell.header or cell in taken or cell.row != row or cell.column != column:
                continue
            found = _cell_effect(document, table, grid, caption, cell)
            if found is not None:
                taken.add(cell)
                yield found


def _cell_effect(document: Document, table: Table, grid: Grid, caption: Span | None, cell: Cell) -> Effect | None:
    named = _naming(grid, cell)
    if named is None:
        return None
    kind, names = named
    numbers = _read(grid, cell, names, caption)
    if numbers is None or (kind in RATIOS and min(numbers.value, numbers.low) < 0) or (kind in RATIOS and numbers.value == 0):
        return None
    flags: tuple[str, ...] = ()
    if numbers.low > numbers.high:
        flags = ("ci_reversed",)
    elif not numbers.low <= numbers.value <= numbers.high:
        flags = ("ci_excludes_value",)
    return _record(document, table, grid, caption, kind, names, numbers, flags)


def _naming(grid: Grid, cell: Cell) -> tuple[EffectType, tuple[Heading, ...]] | None:
    """The measure and the headings that name it: those of the column, else the row's own label."""
    column = grid.headings(cell)
    if column and (_P_HEADING.match(column[-1].text) or _limit_heading(column[-1].text)):
        return None
    for headings in (column, grid.labels(cell)[:1]):
        naming = tuple(heading for heading in headings if measure_of(heading.text) is not None)
        kinds = {measure_of(heading.text) for heading in naming}
        if len(kinds) == 1:
            kind = kinds.pop()
            return (kind, headings) if kind is not None else None
    return None


def _limit_heading(text: str) -> bool:
    return measure_of(text) is None and (_HAS_CI.search(text) is not None or bool(_LOWER.search(text) or _UPPER.search(text)))


def _read(grid: Grid, cell: Cell, names: tuple[Heading, ...], caption: Span | None) -> _Numbers | None:
    text = grid.text_of(cell)
    whole = _CELL.match(text)
    heading = " ".join(name.text for name in names)
    if whole is not None:
        labelled = _HAS_CI.search(heading) or _HAS_CI.search(text) or (caption is not None and _HAS_CI.search(caption.quote))
        if not labelled or (_SPREAD.search(heading) and not _HAS_CI.search(heading)):
            return None
        low, high = whole["low"] or whole["open_low"], whole["high"] or whole["open_high"]
        return _Numbers(parse_number(whole["value"]), parse_number(low), parse_number(high), (cell,), whole["rest"])
    single = _SINGLE.match(text)
    if single is None:
        return None
    return _beside(grid, cell, parse_number(single["value"]))


def _beside(grid: Grid, cell: Cell, value: float) -> _Numbers | None:
    """The limits in the next columns: one column headed "95% CI", or one each for the lower and the upper limit."""
    first = grid.cell(cell.row, cell.column + cell.column_span)
    if first is None or first is cell:
        return None
    heading = " ".join(h.text for h in grid.headings(first))
    own = grid.headings(first)[-1].text if grid.headings(first) else ""
    limits = _LIMITS.match(grid.text_of(first))
    if limits is not None and _HAS_CI.search(heading) and not _SPREAD.search(own):
        return _Numbers(value, parse_number(limits["low"]), parse_number(limits["high"]), (cell, first))
    second = grid.cell(first.row, first.column + first.column_span)
    if second is None or second is first:
        return None
    last = grid.headings(second)[-1].text if grid.headings(second) else ""
    low, high = _SINGLE.match(grid.text_of(first)), _SINGLE.match(grid.text_of(second))
    if low and high and _LOWER.search(own) and _UPPER.search(last):
        return _Numbers(value, parse_number(low["value"]), parse_number(high["value"]), (cell, first, second))
    return None


def _p_value(grid: Grid, numbers: _Numbers) -> tuple[float, str, Cell | None] | None:
    """The p value in the cell itself or in the next column headed so, before another measure's column."""
    inside = read_p(numbers.rest)
    if inside is not None:
        return (*inside, None)
    last = numbers.cells[-1]
    beside = grid.cell(last.row, last.column + last.column_span)
    if beside is None or not grid.headings(beside) or not _P_HEADING.match(grid.headings(beside)[-1].text):
        return None
    text = grid.text_of(beside)
    match = _P_CELL.match(text)
    stated = read_p(text) if match is None else (parse_number(match["p"]), _ALPHA.get(match["operator"] or "=", match["operator"] or "="))
    return (*stated, beside) if stated is not None and 0 <= stated[0] <= 1 else None


def _percent(headings: list[Heading], text: str, caption: Span | None) -> tuple[float | None, Span | None]:
    """The interval's percentage and the span that states it, if it is not already among the record's spans."""
    for place in (text, *(heading.text for heading in headings)):
        match = _HAS_CI.search(place)
        if match is not None and match["percent"]:
            return parse_number(match["percent"]), None
    match = _HAS_CI.search(caption.quote) if caption is not None else None
    return (parse_number(match["percent"]), caption) if match is not None and match["percent"] else (None, None)


def _record(
    document: Document,
    table: Table,
    grid: Grid,
    caption: Span | None,
    kind: EffectType,
    names: tuple[Heading, ...],
    numbers: _Numbers,
    flags: tuple[str, ...],
) -> Effect:
    cell = numbers.cells[0]
    labels = grid.labels(cell)
    headings = [*names, *(h for other in numbers.cells[1:] for h in grid.headings(other))]
    percent, percent_span = _percent(headings, grid.text_of(cell), caption)
    p = _p_value(grid, numbers)
    measured_by_row = bool(labels) and names == labels[:1]
    outcome, timeframe = _outcome(document, table, labels[1:] if measured_by_row else labels)
    arms = next(
        (
            m
            for heading in reversed(names)
            if (m := _VERSUS.match(heading.text)) and HIDDEN not in m.group() and not _NO_ARMS.search(heading.text)
        ),
        None,
    )
    places = [*(_place(c) for c in numbers.cells), *([_place(p[2])] if p and p[2] else []), *(_place(h.cell) for h in (*labels, *headings))]
    told = [caption] if caption is not None and _DURATION.search(caption.quote) else []  # "Outcomes after two years" holds for every cell
    spans = tuple(dict.fromkeys([*(document.span(a, b) for a, b in places if a < b), *([percent_span] if percent_span else []), *told]))
    interval = (None, None) if flags else (numbers.low, numbers.high)
    measure = next((stated_measure(heading.text) for heading in names if measure_of(heading.text) is kind), "")
    facts = (kind, numbers.value, *interval, percent, p[:2] if p else None, outcome, table.table_id, cell.row, cell.column)
    effect = Effect(
        record_id=record_id(document.doc_id, Kind.EFFECTS, facts),
        doc_id=document.doc_id,
        type=kind,
        value=numbers.value,
        outcome=outcome,
        spans=spans,
        check=Check(CheckStatus.AGREES),
        ci_low=interval[0],
        ci_high=interval[1],
        ci_percent=None if flags else percent,
        p_value=p[0] if p else None,
        p_operator=p[1] if p else None,
        intervention=arms["intervention"].strip() if arms else "",
        comparator=arms["comparator"].strip() if arms else "",
        timeframe=timeframe,
        stated_type=measure,
        origin="table",
        path=f"{table.table_id}[{cell.row},{cell.column}]",
    )
    return with_check(effect, check_effect(effect), *flags)


def _outcome(document: Document, table: Table, labels: tuple[Heading, ...]) -> tuple[str, str]:
    """Outcome and time frame from the row's label and its group's.

    In a table of risk factors a row names what is associated, not the outcome: there nothing is stated.
    """
    if _COVARIATES.search(table.caption) or not labels:
        return "", ""
    printed = [document.text[label.cell.start : label.cell.end].strip() for label in labels]
    label = re.sub(r"\s*[*†‡§]+$", "", printed[0]).strip(" ,:")
    timeframe = label if _TIME_LABEL.match(label) else ""
    if timeframe or _GENERIC.match(label):
        label = printed[1] if len(printed) > 1 else ""
    return (label if re.search(r"[A-Za-z]{3}", label) else ""), timeframe


def _caption(document: Document, table: Table) -> Span | None:
    """The table's caption as a span, where it stands in the text near its table."""
    if not table.caption:
        return None
    block = document.blocks[table.block_index]
    near = max(block.start - 4000, 0)
    start = document.text.rfind(table.caption, near, block.end)
    return document.span(start, start + len(table.caption)) if start >= 0 else None


def _place(cell: Cell) -> tuple[int, int]:
    return cell.start, cell.end
