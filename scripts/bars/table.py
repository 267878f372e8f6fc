"""The bars, in the order in which they are run: quick ones first, so that a broken one is known early."""

from __future__ import annotations

from scripts.bars.model import Bar


def _script(name: str, *arguments: str) -> tuple[str, ...]:
    return ("{python}", "-m", f"scripts.bars.{name}", *arguments)


BARS: tuple[Bar, ...] = (
    Bar(
        "registry",
        "registry results",
        "35 effects of NCT01367860 and NCT04770285 with CI percentage; 0 of the others; 1,404 adverse-event rows of 11 studies exact; "
        "the p value against its CI is flagged",
        _script("registry"),
        90,
    ),
    Bar("grounding", "grounding", "100 % of stored and answered quotes equal their slice", _script("grounding_bar"), 120, ("OPS-2.1",)),
    Bar(
        "recheck",
        "harness recheck with the system gone",
        "summary.json byte-identical; every flipped byte found by recheck and by the stand-alone verifier",
        _script("recheck"),
        150,
    ),
    Bar(
        "bad_input",
        "bad input: files, scenarios, command line",
        ">= 20 mutated files a source and >= 20 broken scenario files: no crash, hang, partial write; always file, place, remedy",
        _script("bad_input"),
        180,
    ),
    Bar(
        "hostile",
        "bad input: hostile documents through every output in Chromium",
        "30 hostile documents: no dialog, no policy report, no request, no control character",
        _script("hostile"),
        240,
    ),
    Bar(
        "page",
        "page",
        "report.html at 1400 and 390 px: readable, no console error, no request to the network",
        _script("page"),
        60,
    ),
    Bar(
        "foreign",
        "foreign system",
        "the wheel judges a 100-line service: contract, load, kill PASS; red on 3 seeded defects",
        _script("foreign"),
        400,
    ),
    Bar(
        "sigkill",
        "SIGKILL of harness in a run, 20 ×",
        "within 5 s no process, port, mount or temporary folder is left",
        _script("sigkill"),
        700,
    ),
    Bar(
        "crash_points",
        "crash points",
        "the worker killed before and after every writing port call of a 3-document ingest: 100 % end as an undisturbed run",
        _script("crash_points"),
        900,
        ("OPS-2.1",),
    ),
    Bar(
        "crash_random",
        "crash points, random moments",
        "crash_ingest.yaml --repeat 50: all end with the ids and counts of an undisturbed run",
        _script("verdict", "run", "scenarios/crash_ingest.yaml", "--repeat", "50"),
        900,
        ("OPS-2.1",),
    ),
    Bar(
        "detection",
        "detection",
        ">= 40 seeded defects: >= 95 % found by the right layer",
        _script("detection"),
        3600,
    ),
    Bar("layer_defects", "detection", "each seeded defect is found by the very checks of its layer", _script("layer_defects"), 350),
    Bar("clean_runs", "detection: false alarms", "0 false alarms in 100 reduced clean runs", _script("clean_runs"), 3600),
    Bar(
        "retrieval_full",
        "all of SciFact test, fused",
        "nDCG@10 >= 0.72, Recall@100 >= 0.95, above every single retriever; BM25 within 0.02 of 0.6647 to 0.6789",
        _script("retrieval_full"),
        600,
    ),
    Bar(
        "requirements",
        "requirements",
        "verified: OPS-2.1, OPS-2.3, DEV-2.1, M18-R.1, M18-R.2, RES-PPS.2",
        _script("requirements"),
        30,
        ("OPS-2.1", "OPS-2.3", "DEV-2.1", "M18-R.1", "M18-R.2", "RES-PPS.2"),
    ),
    Bar(
        "clone_sample",
        "clean clone without the shared data, as an unprivileged user",
        "make verify PASS, make test green; seconds stated",
        _script("clone", "--sample", "--unprivileged"),
        1500,
    ),
    Bar(
        "clone_data",
        "clean clone with the shared data",
        "make verify PASS, make test green; seconds stated",
        _script("clone"),
        1500,
    ),
)
