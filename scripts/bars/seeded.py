"""A system started with a defect file, and one reduced run after the other on it: what ``detection`` and ``clean_runs`` share."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.defects.driver import CAPABILITY, FILE, arm
from harness.plugin.session import Session, Trial
from harness.run.registry import Registry
from harness.run.run import Run
from harness.scenario.model import Scenario
from harness.traceability.registry import requirement_ids
from scripts.bars.support import OUTPUT, PROJECT, project, say

RUNS = OUTPUT / "detection-runs"
VARIABLE = "EH_SEEDED_FILE"
REFERENCES = {"detection.identities": "identities", "detection.answers": "answers.json.gz"}
PLACE = 'defect: ""'  # in the scenarios, where the id goes
JUDGING = ("system/seeded*.py", "suites/wing/reduced/*.py", "suites/e2e/agreement.py", "harness/defects/*.py", "scenarios/detection/*.yaml")


class SeededSession(Session):
    """A session whose stack watches the defect file of the run folder."""

    def _extra_environment(self) -> Mapping[str, str]:
        file = self.run.folder / FILE
        arm(file, "")
        return {VARIABLE: str(file)}

    def _capabilities(self) -> tuple[str, ...]:
        return (*super()._capabilities(), CAPABILITY)

    def clean(self) -> Trial:
        """The clean trial that the others are compared with; the first call keeps its capture as the reference."""
        trial = self.scenario("scenarios/detection/clean.yaml")
        for name, source in REFERENCES.items():
            if not (self.run.folder / "evidence" / f"reference.{name}").exists():
                self.reference(name, source, trial.result.trial)
        return trial

    def reduced(self, defect: str, scenario: str = "reduced") -> tuple[Trial, float]:
        """One reduced run with ``defect`` (empty: none) and how many seconds it took."""
        arm(self.run.folder / FILE, "")
        began = time.monotonic()
        trial = self.scenario(self._written(defect, scenario))
        arm(self.run.folder / FILE, "")
        return trial, round(time.monotonic() - began, 2)

    def armed(self, name: str, text: str, defect: str = "") -> Trial:
        """The scenario ``text`` with ``defect`` in the system from its first second to its last."""
        path = self.run.folder / "seeded" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        arm(self.run.folder / FILE, defect)
        try:
            return self.scenario(path)
        finally:
            arm(self.run.folder / FILE, "")

    def _written(self, defect: str, scenario: str) -> Path:
        """The scenario file with the defect's id in its place; what ran is kept beside the journal by the trial itself."""
        text = (PROJECT / "scenarios" / "detection" / f"{scenario}.yaml").read_text(encoding="utf-8")
        path = self.run.folder / "seeded" / f"{scenario}.yaml"
        path.write_text(text.replace(PLACE, f'defect: "{defect}"'), encoding="utf-8")
        return path

    def load(self, path: Path | str) -> Scenario:
        return super().load(path)


@contextlib.contextmanager
def seeded_session(command: Sequence[str], kind: type[SeededSession] = SeededSession) -> Iterator[SeededSession]:
    """A run with a system of its own; however it ends, the system ends and the run folder is whole."""
    judged = project()
    configured = judged.configuration.topology
    assert configured is not None
    run = Run(
        RUNS,
        registry=Registry.discover(requirement_ids(judged.requirements_file)).with_tables(judged.wing_tables(), judged.folder),
        project=judged.folder,
        profile=configured.profile,
        mode="detection",
        command=tuple(command),
        data=judged.data_dir(),
    )
    session = kind(judged, run, say)
    try:
        yield session
    except KeyboardInterrupt:
        session.close("interrupted")
        raise
    except BaseException as error:
        session.close("error", f"{type(error).__name__}: {error}")
        raise
    session.close()


def fingerprint() -> str:
    """Which defects and which checks a figure belongs to: twelve digits over their sources."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in JUDGING for path in PROJECT.glob(pattern)):
        digest.update(path.relative_to(PROJECT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
