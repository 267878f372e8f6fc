"""``harness.toml``: what is judged, layer by layer. Found in the current folder or above it; wrong keys name the nearest right one."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.core.errors import UsageError
from harness.core.units import Duration
from harness.run.configuration import Places, raise_all, wrong_form

FILE = "harness.toml"
LOCAL_FILE = "harness.local.toml"
WING = re.compile(r"[\w.]+:\w+")


class TargetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients reach the system: a ``service`` of the topology, or a ``base_url`` of something already running."""

    service: str = ""
    base_url: str = ""
    ready: str = ""
    openapi: str = ""
    key_header: str = "X-API-Key"
    keys: Mapping[str, str] = {}  # role -> name of the stack's secret
    key_variables: Mapping[str, str] = {}  # role -> environment variable, for a base_url


class TopologyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the harness starts itself; without this table it starts nothing."""

    file: str
    profile: str = "embedded"
    start_deadline: str = "90 s"


class LayerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One layer of ``harness verify``: a folder of tests, or ``package:…`` for a generic suite shipped with the harness."""

    suite: str
    required: bool = False
    when: Literal["always", "full", "named"] = "always"  # full: not in the default run; named: only where `--only` names it


class WingsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Project-local drivers, probes and checkers: name = "module:Class"."""

    drivers: Mapping[str, str] = {}
    probes: Mapping[str, str] = {}
    checkers: Mapping[str, str] = {}


class DataTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``dir``: the real data sets (only in harness.local.toml); ``sample``: the corpus shipped with the project."""

    dir: str = ""
    sample: str = ""
    manifest: str = ""  # what `harness data fetch` gets


class CommandTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command of the judged platform that runs with the environment of ``service``; ``{python}`` is this Python."""

    service: str
    command: tuple[str, ...]


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    target: TargetTable
    topology: TopologyTable | None = None
    layers: Mapping[str, LayerTable] = {}
    wings: WingsTable = WingsTable()
    requests: Mapping[str, Any] = {}  # decoded by the load wing
    commands: Mapping[str, CommandTable] = {}
    data: DataTable = DataTable()
    contract: Mapping[str, Any] = {}  # decoded by the contract wing
    reports: str = "reports"
    requirements: str = ""  # the table of requirement ids, relative to the project
    kill: Mapping[str, Any] = {}  # decoded by the generic suites
    load: Mapping[str, Any] = {}
    publish: Mapping[str, Any] = {}  # decoded by the load wing: whom a run tells what while it goes on


class Project(msgspec.Struct, frozen=True):
    """A project folder with its configuration, as decoded and as plain tables."""

    folder: Path
    configuration: Configuration
    tables: Mapping[str, Any]

    @property
    def reports(self) -> Path:
        """Where run folders are made."""
        return self.folder / self.configuration.reports

    def data_dir(self) -> Path | None:
        """The real data sets: HARNESS_DATA_DIR, then harness.local.toml, then the user's cache; None when there are none."""
        given = os.environ.get("HARNESS_DATA_DIR")
        if given:
            folder = Path(given)
            if not folder.is_dir():
                raise UsageError(f"HARNESS_DATA_DIR names {given!r}, which is no folder", remedy="correct it or unset it")
            return folder
        candidates = (self._local_data(), cache_folder() / "data")
        return next((found for found in candidates if found is not None and (found / "SHA256SUMS").is_file()), None)

    def _local_data(self) -> Path | None:
        path = self.folder / LOCAL_FILE
        if not path.is_file():
            return None
        named = _read(path).get("data", {}).get("dir", "")
        return (self.folder / named).resolve() if named else None

    def wing_tables(self) -> Mapping[str, Mapping[str, str]]:
        """The project's own wings by kind, as the registry takes them."""
        wings = self.configuration.wings
        return {"driver": wings.drivers, "probe": wings.probes, "checker": wings.checkers}

    @property
    def requirements_file(self) -> Path | None:
        """The table of requirements, where the project has one."""
        name = self.configuration.requirements
        return self.folder / name if name else None

    def suite_path(self, suite: str) -> str:
        """A layer's suite as pytest takes it: ``package:NAME`` is shipped with the harness, anything else is a folder of the project."""
        kind, _, name = suite.rpartition(":")
        if kind == "package":
            return str(Path(__file__).resolve().parent.parent / "suites" / f"test_{name}.py")
        path = self.folder / suite
        if not path.exists():
            raise UsageError(f"the suite {suite!r} is not there", file=str(self.folder / FILE), remedy="correct its `suite`")
        return str(path)

    def sample_dir(self) -> Path:
        """The corpus shipped with the project."""
        return self.folder / self.configuration.data.sample


def cache_folder() -> Path:
    """The user's cache folder for this program; it may not exist or be writable."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    return Path(base) / "evidence-harness"


def find_project(start: Path) -> Path | None:
    """``start`` or the nearest folder above it that has a harness.toml."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / FILE).is_file()), None)


def load_project(start: Path | None = None) -> Project:
    """The project of ``start`` or the nearest folder above it that has a harness.toml; raises ``UsageError`` otherwise."""
    here = (start or Path.cwd()).resolve()
    folder = find_project(here)
    if folder is not None:
        tables = _read(folder / FILE)
        return Project(folder, _decode(tables, folder / FILE), tables)
    raise UsageError(
        f"there is no {FILE} in {here} or above it", remedy="run this inside a project; docs/foreign-system.md shows how to write one"
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"this is not TOML: {error}", file=str(path), remedy="correct the line it names") from None
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", file=str(path), remedy="make it readable") from None


def _decode(tables: Mapping[str, Any], path: Path) -> Configuration:
    """All errors of form at once; then all errors of meaning."""
    places = Places(str(path), path.read_text(encoding="utf-8"))
    raise_all(wrong_form(tables, Configuration, places))
    configuration = msgspec.convert(tables, Configuration)
    raise_all(_wrong_meaning(configuration, places))
    return configuration


def _wrong_meaning(configuration: Configuration, places: Places) -> Iterator[UsageError]:
    target, topology = configuration.target, configuration.topology
    if bool(target.service) == bool(target.base_url):
        yield places.error(("target",), "give exactly one of service and base_url", remedy="service needs a [topology]")
    if target.base_url and not target.base_url.startswith(("http://", "https://")):
        yield places.error(("target", "base_url"), f"{target.base_url!r} is no address", remedy="write it like http://127.0.0.1:8000")
    if topology is not None:
        try:
            Duration.parse(topology.start_deadline)
        except UsageError as error:
            yield places.error(("topology", "start_deadline"), error.message, remedy="write it like 90 s")
    for kind in ("drivers", "probes", "checkers"):
        for name, place in getattr(configuration.wings, kind).items():
            if not WING.fullmatch(place):
                yield places.error(("wings", kind, name), f"{place!r} names no class", remedy="write it like module:Class")
