"""``python -m system.deploy.reconcile``: make the projections say what the records say.

Search and graph are rebuilt where they lack something and lose what the records do not know, superseded versions too; deletions are
replayed; objects that nothing names any more go after an hour. Run it with the worker held down. Counts before and after are printed.
Exit 0 done, 1 a store is away or something could not be mended, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, LiteralString

import msgspec

from system.assembly import assemble
from system.deploy import backup_tables
from system.deploy.backup_graph import GraphElement, RawGraph
from system.deploy.backup_purges import Purge, read_purges
from system.evidence import steps
from system.evidence.ir import Source
from system.evidence.sources.versions import lineage_of
from system.platform.errors import BadInput, NotFound, PlatformError
from system.platform.ports import GraphBatch, NodeRef
from system.platform.settings import Settings, load_settings
from system.stores import graph_plan as plan
from system.stores import records_versions
from system.stores.graph_schema import CONTRIBUTION
from system.stores.objects import FolderObjects
from system.stores.postgres import Connection, Database

PAGE = 200
ORPHAN_AFTER_S = 3600.0  # a younger object may belong to a request whose transaction is under way
INDEXED = frozenset({"indexed", "completed"})
Say = Callable[[str], None]
_batches = msgspec.json.Decoder(GraphBatch)


class Unmended(PlatformError):
    """Something that reconciliation cannot repair by itself."""


@dataclasses.dataclass(slots=True)
class Footprints:
    """What the graph holds of each supporter against what its bookkeeping says."""

    digests: dict[str, str] = dataclasses.field(default_factory=dict)
    nodes: dict[str, set[NodeRef]] = dataclasses.field(default_factory=dict)  # named and not seen yet, or seen and not named
    edges: dict[str, set[plan.EdgeRef]] = dataclasses.field(default_factory=dict)
    torn: set[str] = dataclasses.field(default_factory=set)
    named: dict[str, plan.Footprint] = dataclasses.field(default_factory=dict)


def reconcile(settings: Settings, say: Say, *, purges: Sequence[Purge] = (), orphan_after_s: float = ORPHAN_AFTER_S) -> None:
    """All projections, bounded by what is there. Raises ``Unmended`` naming what is left, ``Unavailable``.

    ``orphan_after_s``: how old an object that nothing names must be to go; 0 where nobody can be about to name it.
    """
    ports = assemble(settings).ports
    records, search = backup_tables.database(settings, "records"), backup_tables.database(settings, "search")
    try:
        say(f"before   {_counts(ports)}")
        say(f"purged   {_purge(ports, purges)} documents")
        say(f"versions {_versions(records, ports)} documents entered before there were versions")
        say(f"search   {_search(records, search, ports)}")
        left = _graph(settings, records, ports, say)
        left += _objects(settings, records, say, orphan_after_s)
        say(f"after    {_counts(ports)}")
    finally:
        records.close()
        search.close()
    if left:
        raise Unmended(f"{len(left)} left unmended: {'; '.join(left[:3])}")


def _purge(ports: steps.Ports, purges: Iterable[Purge]) -> int:
    """Delete what was deleted after the backup; a document that came again later stays."""
    gone = 0
    for purge in purges:
        entered = [entry.at for entry in ports.records.history(purge.doc_id) if entry.action == "created"]
        if entered and entered[-1] < purge.at and ports.records.ledger_row(purge.doc_id) is not None:
            steps.delete_document(purge.doc_id, ports)
            gone += 1
    return gone


_VERSIONLESS = (
    "SELECT doc_id, source, native_id, raw_object FROM documents"
    " WHERE series = '' AND source <> 'passages' AND native_id NOT LIKE 'unknown-%%' AND doc_id > %s ORDER BY doc_id LIMIT %s"
)


def _versions(records: Database, ports: steps.Ports) -> int:
    """Read what documents of an older schema, or of an older backup, say of their version: what is superseded leaves the projections."""
    adopted, after = 0, ""
    while rows := _rows(records, _VERSIONLESS, after, PAGE):
        for doc_id, source, native_id, raw_object in rows:
            with contextlib.suppress(NotFound):  # a missing object is reported with the objects
                lineage = lineage_of(Source(source), native_id, ports.objects.get(raw_object))
                adopted += records.run(functools.partial(records_versions.adopt_alone, doc_id=doc_id, lineage=lineage))
        after = rows[-1][0]
    return adopted


# --- search ---------------------------------------------------------------------------------------------------------

_DIGESTS = "SELECT doc_id, md5(string_agg(chunk_id, ',' ORDER BY chunk_id COLLATE \"C\")) FROM chunks GROUP BY doc_id"


def _search(records: Database, search: Database, ports: steps.Ports) -> str:
    wanted = _pairs(records, _DIGESTS)
    states = _pairs(records, "SELECT doc_id, state FROM documents WHERE superseded_by IS NULL")
    found = _pairs(search, _DIGESTS)
    unknown = [doc_id for doc_id, digest in found.items() if states.get(doc_id) not in INDEXED or digest != wanted.get(doc_id)]
    for doc_id in unknown:
        ports.search.delete_document(doc_id)
        del found[doc_id]
    missing = [doc_id for doc_id in wanted if states.get(doc_id) in INDEXED and doc_id not in found]
    for doc_id in missing:
        row = ports.records.ledger_row(doc_id)
        if row is not None:
            steps.write_index(row, ports)
    return f"{len(unknown)} documents dropped, {len(missing)} rebuilt"


def _pairs(database: Database, query: LiteralString) -> dict[str, str]:
    def work(connection: Connection) -> dict[str, str]:
        return {str(key): str(value) for key, value in connection.execute(query)}

    return database.run(work)


# --- graph ----------------------------------------------------------------------------------------------------------


def _graph(settings: Settings, records: Database, ports: steps.Ports, say: Say) -> list[str]:
    with RawGraph(settings) as raw:
        seen = footprints(raw.elements())
        expected = {batch.supporter: plan.contribution(batch).digest for batch, _ in _staged(records)}
        strange = sorted(seen.digests.keys() - expected.keys() | (seen.torn - expected.keys()))
        lacking = {name for name, digest in expected.items() if name in seen.torn or seen.digests.get(name) != digest}
        for supporter in sorted(seen.torn):
            raw.set_bookkeeping(torn_bookkeeping(supporter, seen))
    for supporter in strange:
        ports.graph.remove_contribution(supporter)
    left = _replay(records, ports, lacking)
    applied = _complete(records, ports)
    say(f"graph    {len(strange)} contributions dropped, {len(lacking) - len(left)} rebuilt, {applied} waiting ones applied")
    return left


def footprints(elements: Iterator[GraphElement]) -> Footprints:
    """Every claim held against the bookkeeping; ``elements`` gives the bookkeeping first."""
    seen = Footprints()
    for element in elements:
        if element.name == CONTRIBUTION:
            _note(seen, element)
            continue
        for supporter in element.form.get("supporters") or ():
            _tick(seen, str(supporter), element)
    seen.torn |= {name for name, nodes in seen.nodes.items() if nodes} | {name for name, edges in seen.edges.items() if edges}
    return seen


def _note(seen: Footprints, element: GraphElement) -> None:
    supporter, footprint = str(element.form["key"]), plan.footprint(element.form)
    seen.digests[supporter] = footprint.digest
    seen.named[supporter] = footprint
    seen.nodes[supporter], seen.edges[supporter] = set(footprint.nodes), set(footprint.edges)


def _tick(seen: Footprints, supporter: str, element: GraphElement) -> None:
    """Take a claim off what is named, or note that nobody named it."""
    named = seen.named.get(supporter, plan.Footprint())
    if element.source is None or element.target is None:
        node = NodeRef(element.name, element.form["key"])
        (seen.nodes[supporter].discard if node in named.nodes else seen.nodes.setdefault(supporter, set()).add)(node)
        return
    edge = (element.name, NodeRef(*element.source), NodeRef(*element.target), str(element.form["key"]))
    (seen.edges[supporter].discard if edge in named.edges else seen.edges.setdefault(supporter, set()).add)(edge)


def torn_bookkeeping(supporter: str, seen: Footprints) -> dict[str, object]:
    """Bookkeeping that names all there may be of a supporter, so that the port's own replacing or removing mends it."""
    named = seen.named.get(supporter, plan.Footprint())
    edges = named.edges | seen.edges.get(supporter, set())
    ends = {end for edge in edges for end in edge[1:3]}
    nodes = named.nodes | seen.nodes.get(supporter, set()) | ends
    return {
        "key": supporter,
        "digest": "torn",
        "nodes": [msgspec.json.encode(ref).decode() for ref in sorted(nodes)],
        "edges": [msgspec.json.encode(ref).decode() for ref in sorted(edges)],
    }


def _replay(records: Database, ports: steps.Ports, wanted: set[str]) -> list[str]:
    """Write these contributions again; one that leans on another waits for it. Returns what could not be written."""
    waiting, left = set(wanted), dict.fromkeys(wanted, "")
    while waiting:
        done: set[str] = set()
        for batch in _batches_of(records, sorted(waiting)):
            try:
                ports.graph.replace_contribution(batch)
            except BadInput as error:
                left[batch.supporter] = str(error)
            else:
                done.add(batch.supporter)
                del left[batch.supporter]
        if not done:
            return [f"{supporter}: {reason}" for supporter, reason in sorted(left.items())]
        waiting -= done
    return []


def _complete(records: Database, ports: steps.Ports) -> int:
    """Batches that were staged and not marked applied are in the graph now; their documents go on."""
    applied = 0
    for batch, digest in list(_staged(records, "staged")):
        if not ports.graph.contribution_exists(batch.supporter):
            continue
        steps.complete_applied(batch.supporter, ports)  # marked last: a kill in between leaves it to be found again
        ports.records.graph_batch_applied(batch.supporter, digest)
        applied += 1
    return applied


_PAGE = (
    "SELECT payload, payload_sha256, supporter FROM graph_batches WHERE supporter > %s AND status <> 'refused' AND (%s = '' OR status = %s)"
    " AND NOT EXISTS (SELECT FROM documents WHERE doc_id = supporter AND superseded_by IS NOT NULL) ORDER BY supporter LIMIT %s"
)
_NAMED_BATCHES = "SELECT payload FROM graph_batches WHERE supporter = ANY(%s) ORDER BY supporter"


def _staged(records: Database, status: str = "") -> Iterator[tuple[GraphBatch, str]]:
    """All durable batches (of one status) that the graph is to hold, with the hash of their payload, in pages."""
    after = ""
    while rows := _rows(records, _PAGE, after, status, status, PAGE):
        for payload, digest, _ in rows:
            yield _batches.decode(payload), digest
        after = rows[-1][2]


def _batches_of(records: Database, supporters: Sequence[str]) -> Iterator[GraphBatch]:
    for part in plan.slices(supporters, PAGE):
        for row in _rows(records, _NAMED_BATCHES, list(part)):
            yield _batches.decode(row[0])


def _rows(database: Database, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
    return database.run(lambda connection: connection.execute(query, values).fetchall())


# --- objects and counts ---------------------------------------------------------------------------------------------

_NAMED = (
    "SELECT raw_object FROM submissions UNION SELECT raw_object FROM documents"
    " UNION SELECT ir_object FROM documents WHERE ir_object IS NOT NULL"
)


def _objects(settings: Settings, records: Database, say: Say, orphan_after_s: float) -> list[str]:
    """Sweep old orphans; what the records name and nobody has is beyond repair here."""
    objects = FolderObjects(settings.objects_dir)

    def named(connection: Connection) -> set[str]:
        return {row[0] for row in connection.execute(_NAMED)}

    present = set(objects.names(""))
    wanted = records.run(named)
    orphans = sorted(present - wanted)
    limit = time.time() - orphan_after_s
    swept = 0
    for name in orphans:
        if settings.objects_dir.joinpath(name).is_file() and settings.objects_dir.joinpath(name).stat().st_mtime < limit:
            objects.delete(name)
            swept += 1
    say(f"objects  {swept} of {len(orphans)} orphans removed, {len(wanted - present)} missing")
    return [f"object {name} is missing" for name in sorted(wanted - present)]


def _counts(ports: steps.Ports) -> str:
    counts: Mapping[str, int] = ports.records.counts()
    shown = {name: counts.get(name, 0) for name in ("documents", "chunks", "graph_staged", "outbox_pending")}
    shown |= {"index_rows": ports.search.count(), "graph_elements": sum(ports.graph.counts().values())}
    return ", ".join(f"{name} {number}" for name, number in shown.items())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m system.deploy.reconcile")
    parser.add_argument("--purges", type=Path, default=None, help="deletions to replay, as `backup purges` wrote them")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        purges = read_purges(options.purges) if options.purges else ()
        reconcile(load_settings(os.environ), lambda line: print(line, flush=True), purges=purges)
    except (PlatformError, OSError) as error:
        print(f"reconcile: {error}", file=sys.stderr)
        return 1
    print(f"stage reconcile {time.monotonic() - began:.3f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
