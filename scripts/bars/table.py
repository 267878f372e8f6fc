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
    Bar(
        "pooling",
        "statistics of dossiers",
        ">= 10,000 random sets (equal effects, tiny and huge variances, ratios, huge spreads): 0 differences from exact fractions and from "
        "statsmodels; equal effects: I² = 0; NaN or infinity never shown",
        _script("pooling"),
        180,
    ),
    Bar(
        "markup",
        "digits of articles, labels and abstracts (fault folders 01, 16, 17)",
        "every number of every document stands in one text node of its XML, or in touching ones; every value extracted is printed whole; "
        "no text node of body, abstract or label is lost: 0 exceptions",
        _script("markup"),
        90,
    ),
    Bar("grounding", "grounding", "100 % of stored and answered quotes equal their slice", _script("grounding_bar"), 120, ("OPS-2.1",)),
    Bar(
        "outcomes",
        "pytest outcome property",
        ">= 2,000 generated outcomes, alone, under xdist, under reruns, under both: 0 differ from what pytest counts",
        _script("outcomes"),
        180,
    ),
    Bar(
        "openapi_documents",
        "OpenAPI documents of real services",
        "documents of >= 30 services through the reader: none crashes, none loses an operation",
        _script("openapi_documents"),
        60,
    ),
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
        "gate_speed",
        "the SHACL gate on two engines",
        "a batch of 50 nodes and 80 edges, p50 in one interleaved run: >= 30 x faster than pySHACL alone, every refusal confirmed, "
        "accepted batches sampled; kg/write a second beside the old gate's",
        _script("gate_speed"),
        90,
    ),
    Bar(
        "gate_differential",
        "the SHACL gate on two engines",
        ">= 2,000 random batches, sound and broken in every way the shapes know: the same report from both engines on each",
        _script("gate_differential"),
        150,
    ),
    Bar(
        "shacl_suite",
        "W3C SHACL core suite",
        "98 of 98 through `harness shacl`: by default, by each engine and by both, with no difference; needs HARNESS_SHACL_SUITE",
        _script("shacl_suite"),
        60,
    ),
    Bar(
        "shacl_fuzz",
        "SHACL engine fuzz",
        ">= 100,000 random pairs of shapes and data through both engines: 0 differences that no rule explains",
        _script("shacl_fuzz"),
        1500,
    ),
    Bar(
        "shacl_speed",
        "`harness shacl` on 200,000 triples",
        ">= 250,000 triples/s, parse and validate in process by the default engine, by the clock and by processor time; beside pySHACL",
        _script("shacl_speed"),
        60,
    ),
    Bar(
        "sigkill",
        "SIGKILL of harness in a run, 20 ×",
        "within 5 s no process, port, mount or temporary folder is left",
        _script("sigkill"),
        700,
    ),
    Bar(
        "unplanned",
        "unplanned falls: supervisor and service killed and stopped, while starting, in a suite, under load, at the end",
        "16 trials: seen within 10 s, FAIL with the cause, exit 1, nothing left",
        _script("unplanned"),
        400,
    ),
    Bar(
        "endings",
        "endings: signal x phase x tests",
        "60 endings of a toy run and 4 of the whole system (SIGINT, thrice, SIGTERM, SIGHUP, SIGKILL; start to report; tests that catch "
        "KeyboardInterrupt): <= 5 s after the last signal, nothing new started, a report that recheck repeats, nothing left",
        _script("endings", "--real"),
        700,
    ),
    Bar(
        "places",
        "places: paths, locales, outputs, full disks",
        "a toy run in each odd or long path as project, TMPDIR and reports, each locale, closed and full outputs: PASS, nothing left; "
        "full disks: exit code and path said, no secret, no torn latest",
        _script("places"),
        500,
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
        "regression",
        "regression verdicts",
        "sequential, <= 12 rounds a side: false alarms <= 0.1 % over 10,000 nulls including peeking (Gaussian, AR(1), t3); "
        "a 5 % change at 2 % Gaussian noise decided in >= 95 % by round 12",
        _script("regression"),
        60,
    ),
    Bar(
        "soak",
        "soak detectors (M18-002)",
        "1,000 simulated days each: leak 10 MB/h found > 95 %, drift 2 %/h > 90 %, false < 5 %",
        _script("soak"),
        60,
    ),
    Bar(
        "soak_real",
        "soak detectors (M18-002), a real process",
        "a process leaking 10 MB/h at 144 x speed for 10 minutes is found, its clean sibling is not",
        _script("soak", "--real"),
        640,
    ),
    Bar(
        "attribution",
        "where did the p99 go (M18-006)",
        "> 80 % of the slowest requests of a run with a stopped gateway, a hogged processor and a slow retriever have a cause; "
        "those under a planted cause name it; > 80 % of the slowest 0.1 % of 10,800 requests with nothing planted",
        _script("attribution"),
        440,
    ),
    Bar(
        "recall_under_fault",
        "recall@20 per second under a fault",
        "against an exact oracle: whole before, fallen while the sparse model is away, whole after; on one plot with latency",
        _script("recall_under_fault"),
        300,
    ),
    Bar(
        "detection",
        "detection",
        ">= 40 seeded defects: >= 95 % found by the right layer",
        _script("detection"),
        3600,
    ),
    Bar(
        "metamorphic",
        "metamorphic relations of the platform",
        "7 relations (newer version, second form, eligibility line, order of arrival, unrelated document, unit of a dose, what was "
        "read and refused): green twice; each red with its mend undone and with >= 2 further planted defects",
        _script("metamorphic"),
        700,
    ),
    Bar("layer_defects", "detection", "each seeded defect is found by the very checks of its layer", _script("layer_defects"), 350),
    Bar("clean_runs", "detection: false alarms", "0 false alarms in 100 reduced clean runs", _script("clean_runs"), 3600),
    Bar(
        "certificate",
        "certificate",
        "2 s stall at 1,000/s, 10 runs of 30 s: within 1 % or 1 ms of truth at p50, p99, max or self-declared invalid, >= 8 valid; six "
        "lying engines rejected in 10 of 10; lag p99 <= 1 ms at 10,000/s; both cores burnt: never a wrong figure",
        _script("certificate"),
        1100,
    ),
    Bar(
        "retrieval_full",
        "all of SciFact test, fused",
        "nDCG@10 >= 0.72, Recall@100 >= 0.95, above every single retriever; BM25 within 0.02 of 0.6647 to 0.6789",
        _script("retrieval_full"),
        600,
    ),
    Bar(
        "throughput",
        "throughput on one core",
        "highest rate with lag p99 <= 1 ms and nothing dropped: >= 1.2 x k6, >= 3 x Locust Fast; closed >= 0.5 x wrk; median of 7 rounds",
        _script("throughput"),
        800,
    ),
    Bar(
        "knee",
        "knee search",
        "five searches on a server of known capacity: breaking points within 10 % of each other and of the truth",
        _script("knee"),
        900,
    ),
    Bar(
        "load_tools",
        "Locust burst, steady, ramp and all k6 scripts on embedded",
        "each PASS (rates above half the measured knee scaled to it, the factor printed); a seeded slowdown turns each red",
        _script("tools"),
        1000,
        ("OPS-3.1", "DEV-3.1", "DEV-3.2", "DEV-3.3", "DEV-3.4"),
    ),
    Bar(
        "budget",
        "budgets and back-pressure",
        "burst and steady within scenarios/budgets/medkg.yaml (scaled to half the knee where above it); a seeded slowdown ends each early, "
        "red; a slow reranker trips back-pressure, p95 < 900 ms in overload mode, released when it ends; red where it never trips",
        _script("budget"),
        1200,
        ("OPS-3.1", "OPS-3.2"),
    ),
    Bar(
        "big_report",
        "reports: a run of 10^7 samples",
        "report <= 5 MB, opens in < 1 s in Chromium, reporter <= 1 GB",
        _script("big_report"),
        120,
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
        "requirements_load",
        "requirements of load",
        "verified by `harness verify --only load_tools --only load_budget`: OPS-3.1, 3.2, 3.3, DEV-3.1 to 3.4",
        _script("requirements", "--load"),
        1100,
        ("OPS-3.1", "OPS-3.2", "OPS-3.3", "DEV-3.1", "DEV-3.2", "DEV-3.3", "DEV-3.4"),
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
