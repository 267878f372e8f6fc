from __future__ import annotations

import pytest

from system.evidence.ir import BlockKind, Source
from system.evidence.sources import parse
from system.platform.errors import BadInput


@pytest.fixture(scope="module")
def label(read, sample):
    return read(Source.SPL, sample(Source.SPL))[0]


def test_identity_and_products(label) -> None:
    """Set id, version, maker, product, generic and active ingredients are read; inactive ones are not."""
    assert label.doc_id.startswith("spl:aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee#7:")
    assert label.metadata.interventions == ("Samplex", "samplinib", "SAMPLINIB MESYLATE")
    assert label.metadata.title == "SAMPLEX (samplinib) tablets"
    assert (label.metadata.year, label.metadata.authors) == (2020, ("Sample Pharma",))
    assert ("ndc", "0000-0001") in label.metadata.identifiers


def test_the_document_is_sound(label, sound) -> None:
    """Offsets, order and cells of the sample label are exact."""
    sound(label)


def test_unclassified_sections_inherit_their_parents_code(label) -> None:
    """A subsection of Dosage and Administration is dosage: 34068-7, while 34066-1 is the boxed warning."""
    codes = {label.text[b.start : b.end]: b.loinc for b in label.blocks}
    assert codes["The recommended dose is:"] == "34068-7"
    assert codes["b. 50 mg twice daily"] == "34068-7"
    assert codes["Severe bleeding may occur."] == "34066-1"
    assert codes["Nausea was common. Headache was rare."] == "34084-4"


def test_lists_notes_and_highlights(label) -> None:
    """Items are blocks of their own, notes are pulled out of their sentence, highlights have their own section."""
    items = [label.text[b.start : b.end] for b in label.blocks if b.kind is BlockKind.LIST_ITEM]
    notes = [label.text[b.start : b.end] for b in label.blocks if b.kind is BlockKind.FOOTNOTE]
    assert items == ["100 mg once daily with food, or", "b. 50 mg twice daily", "with water"]
    assert notes == ["Adjust in renal impairment.", "By mouth."]
    assert any(b.section == "2 DOSAGE AND ADMINISTRATION > Highlights" for b in label.blocks)


def test_the_table_has_its_foot_last_and_its_notes(label) -> None:
    """The foot stands behind the body and a note in a cell becomes the table's note."""
    (table,) = label.tables
    assert [label.text[c.start : c.end] for c in table.cells][-1] == "kg, kilogram"
    assert (table.caption, table.footnotes) == ("Table 1. Dose by weight", ("By mouth.",))


@pytest.mark.parametrize(("old", "new"), [(b"setId", b"otherId"), (b'versionNumber value="7"', b'versionNumber value="x"')])
def test_a_label_without_identity_is_refused(sample, old: bytes, new: bytes) -> None:
    """No set id or no whole version number: the error names the element."""
    with pytest.raises(BadInput, match="/document/"):
        parse(Source.SPL, "", sample(Source.SPL).replace(old, new))
