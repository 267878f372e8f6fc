"""From bytes to a :class:`Study`; every defect is a ``BadInput`` with a JSON pointer."""

from __future__ import annotations

import re

import msgspec

from system.evidence.sources.ctgov_schema import MAX_ENROLMENT, Group, Identification, Study
from system.platform.errors import BadInput

MAX_STUDY_BYTES = 64 * 1024 * 1024

_PLACE = re.compile(r" - at `\$(.*?)`$")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_VERSION = re.compile(r"[0-9A-Za-z.-]{1,32}")
_DECODER = msgspec.json.Decoder(Study)


def _pointer(message: str) -> str:
    """The JSON pointer of a msgspec error (``/`` where the document as a whole is meant)."""
    found = _PLACE.search(message)
    steps = _STEP.findall(found.group(1)) if found else []
    return "".join(f"/{(name or index).replace('~', '~0').replace('/', '~1')}" for name, index in steps) or "/"


def _remedy(pointer: str) -> str:
    if pointer.endswith("/enrollmentInfo/count"):
        return f"give the enrolment as a whole number from 0 to {MAX_ENROLMENT}"
    if pointer.endswith(("/minimumAge", "/maximumAge")):
        return "give the age as a whole number and a unit, for example '18 Years' or '6 Months', or 'N/A'"
    if "nctId" in pointer or pointer in {"/", "/protocolSection", "/protocolSection/identificationModule"}:
        return "send one study of the ClinicalTrials.gov API v2 with protocolSection.identificationModule.nctId (NCT and 8 digits)"
    return "send the value in the type that the ClinicalTrials.gov API v2 documents, or leave it out if it is optional"


def _translated(error: Exception) -> BadInput:
    message = str(error)
    if isinstance(error, msgspec.ValidationError):
        pointer = _pointer(message)
        return BadInput(f"not a ClinicalTrials.gov study: {message.partition(' - at ')[0]}", pointer, _remedy(pointer))
    return BadInput(
        f"not well-formed JSON: {message or type(error).__name__}", "/", "send the complete JSON of the study, encoded in UTF-8"
    )


def decode_study(raw: bytes) -> Study:
    """The study in ``raw``; raises ``BadInput`` for anything that is not one (wrong syntax, encoding, type, size or identity)."""
    if len(raw) > MAX_STUDY_BYTES:
        raise BadInput(f"the study has {len(raw)} bytes, the limit is {MAX_STUDY_BYTES}", "/", "send a single study")
    try:
        raw.decode()  # the JSON decoder skips unknown members without looking at their encoding
        study = _DECODER.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise _translated(error) from error
    if not study_title(study.protocol_section.identification_module).strip():
        raise BadInput(
            "the study has no title", "/protocolSection/identificationModule/briefTitle", "send the study with its brief or official title"
        )
    return study


def study_title(identification: Identification) -> str:
    """The brief title, else the official one."""
    return identification.brief_title or identification.official_title


def study_version(study: Study) -> str:
    """The day of the last posted update, else the registry's data version, else ``undated``: as ``split`` names it."""
    posted = study.protocol_section.status_module.last_update_post_date_struct
    misc = study.derived_section.misc_info_module if study.derived_section else None
    version = (posted.date if posted else "") or (misc.version_holder if misc else "")
    return version if _VERSION.fullmatch(version) else "undated"


def group_named(groups: tuple[Group, ...], group_id: str, place: str) -> int:
    """The position of the group with this id; raises ``BadInput`` at ``place`` when no group has it."""
    for index, group in enumerate(groups):
        if group.id == group_id:
            return index
    raise BadInput(f"group {group_id!r} is not declared", place, f"use one of {', '.join(g.id for g in groups) or 'the declared groups'}")
