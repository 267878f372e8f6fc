"""Relations on the running platform: a change of the documents that is known changes what is answered in one known way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.journal.events import Measured
from harness.plugin.session import Session
from suites.e2e import relations
from suites.e2e.agreement import Judged
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
def test_a_newer_version_leaves_nothing_of_the_older(story: Story, examined) -> None:
    """A newer version of each format: the older id and value are in no answer, graph, list or count; it is readable by its id."""
    _judge(relations.older_is_gone(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_a_second_form_of_a_study_is_no_second_study(story: Story, examined) -> None:
    """A study seen through further documents: as many studies, the same pooled figures, nobody pooled with itself."""
    _judge(relations.study_counts_once(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_an_eligibility_line_changed_changes_that_line_alone(story: Story, examined) -> None:
    """A line negated, or moved to the other side: every other line stands where it stood."""
    _judge(relations.only_that_line_changes(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_the_order_of_arrival_does_not_show(story: Story, examined) -> None:
    """The same documents sent again, the last first: dossiers and graph are the same to the last character."""
    _judge(relations.order_does_not_matter(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_an_unrelated_document_changes_no_statement(story: Story, examined) -> None:
    """Documents about something else come: each dossier states what it stated."""
    _judge(relations.unrelated_changes_nothing(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_doses_scale_with_their_unit(story: Story, examined) -> None:
    """Number and unit scaled together are one amount, also in what is pooled; the bare number is another."""
    _judge(relations.doses_scale_with_units(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_what_was_read_and_refused_is_counted(story: Story, examined) -> None:
    """Candidates that become no record are counted with place and reason; records as answered; no text is lost."""
    _judge(relations.reading_is_counted(story), examined)


@pytest.mark.requirement("OPS-2.1")
def test_the_story_leaves_nothing_behind(story: Story, examined) -> None:
    """Everything taken out: documents, chunks, records, index and graph are counted as before."""
    _judge(relations.nothing_is_left(story), examined)


def _judge(judged: Judged, examined: Callable[[int], None]) -> None:
    examined(judged.examined)
    assert judged.problems == ()
