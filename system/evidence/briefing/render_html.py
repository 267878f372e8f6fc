"""A dossier as one self-contained HTML page: no script, no request, a policy that would refuse both.

Jinja's autoescape is the escaping layer; its ``finalize`` shows control and direction characters as U+FFFD.
No address from a document becomes a link. The page itself is ``page.html.j2`` beside this module.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from system.evidence.briefing.escaping import visible
from system.evidence.briefing.model import Dossier

_OPEN = frozenset({"summary", "effects", "questions"})  # the sections that are unfolded at first


def render_html(dossier: Dossier) -> str:
    """The whole dossier as a page; the same dossier gives the same bytes."""
    return _template().render(dossier=dossier, opened=_OPEN, grouped=_grouped) + "\n"


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_shown)
    return environment.from_string(files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8"))


def _shown(value: object) -> object:
    """Every expression of the page passes here before it is escaped; filters give ``Markup``, which stays escaped."""
    if isinstance(value, Markup):
        return Markup(visible(value))  # noqa: S704 - already escaped; only characters are replaced
    return visible(value) if isinstance(value, str) else value


def _grouped(items: tuple[object, ...]) -> list[tuple[str, list[object]]]:
    groups: list[tuple[str, list[object]]] = []
    for item in items:
        name = str(getattr(item, "group", ""))
        if not groups or groups[-1][0] != name:
            groups.append((name, []))
        groups[-1][1].append(item)
    return groups
