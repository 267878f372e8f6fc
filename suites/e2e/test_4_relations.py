"""Relations on the running platform: a change of the documents that is known changes what is answered in one known way."""

from __future__ import annotations

import pytest

from harness.journal.events import Measured
from harness.plugin.session import Session
from suites.e2e.relations import RELATIONS
from suites.e2e.story import Story, tell
from suites.wing.api import Api


@pytest.fixture(scope="module")
def story(api: Api, harness_session: Session) -> Story:
    """The story of this run's seed, told on the platform as the tests before left it, and taken out again."""
    run = harness_session.run
    told = tell(api, run.seeds.root, run.clock.wait)
    for part, seconds in told.seconds.items():
        run.journal.emit(Measured(trial="", metric="relations_part", unit="s", value=seconds, tags={"part": part}))
    return told


@pytest.mark.requirement("OPS-2.1")
@pytest.mark.parametrize("relation", sorted(RELATIONS))
def test_relation_holds(story: Story, relation: str, examined) -> None:
    """A known change of the documents changes the answers in the one known way and in no other."""
    judged = RELATIONS[relation](story)
    examined(judged.examined)
    assert judged.problems == ()
