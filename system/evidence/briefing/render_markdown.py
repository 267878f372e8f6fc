"""A dossier as Markdown. Everything that comes from a document passes :func:`escaping.markdown`."""

from __future__ import annotations

from collections.abc import Iterator

from system.evidence.briefing.escaping import markdown as safe
from system.evidence.briefing.model import BibliographyEntry, Citation, Dossier, Item, Section


def render_markdown(dossier: Dossier) -> str:
    """The whole dossier; the same dossier gives the same bytes."""
    lines = [f"# {safe(dossier.title)}", ""]
    for section in dossier.sections:
        lines += [*_section(section), ""]
    lines += ["## Bibliography", "", *(_entry(entry) for entry in dossier.bibliography)]
    if not dossier.bibliography:
        lines.append("*No document was cited.*")
    return "\n".join(lines) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {safe(section.title)}"
    yield ""
    group = ""
    for item in section.items:
        if item.group != group:
            group = item.group
            yield f"\n**{safe(group)}**\n"
        yield from _item(item)
    for note in section.notes:
        yield f"\n*{safe(note)}*"


def _item(item: Item) -> Iterator[str]:
    marks = "".join(f" [{number}]" for number in dict.fromkeys(citation.number for citation in item.citations))
    flagged = f" **FLAGGED**: {safe(', '.join(item.flags))}" if item.flags else ""
    yield f"- {safe(item.text)}{marks}{flagged}"
    for citation in item.citations:
        yield f"  - {_quote(citation)}"


def _quote(citation: Citation) -> str:
    return f"[{citation.number}] {safe(citation.doc_id)}, {citation.start} to {citation.end}: “{safe(citation.quote)}”"


def _entry(entry: BibliographyEntry) -> str:
    authors = ", ".join(entry.authors[:6]) + (" et al." if len(entry.authors) > 6 else "")
    parts = [authors, entry.title, entry.journal, str(entry.year) if entry.year else ""]
    names = ", ".join(f"{kind.upper()} {value}" for kind, value in entry.identifiers)
    body = ". ".join(safe(part.rstrip(".")) for part in parts if part)
    counted = f"{entry.citations} {'citation' if entry.citations == 1 else 'citations'}"
    return f"{entry.number}. {body}. {safe(names)} ({counted}; {safe(entry.doc_id)})"
