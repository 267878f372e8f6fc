"""``harness COMMAND``: parsing, exit codes, and one line for every error a person can cause.

Exit codes (DESIGN §5): 0 PASS · 1 FAIL · 2 wrong usage or input · 3 BLOCKED · 4 INCONCLUSIVE or VACUOUS · 5 ERROR or ABORTED ·
130 ended by a signal (Ctrl-C, SIGTERM, SIGHUP).
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from harness.cli.output import OUTPUT
from harness.cli.parser import Parser
from harness.core.ending import ENDING
from harness.core.errors import HarnessError, exit_code
from harness.core.text import clean
from harness.core.verdict import Verdict

Handler = Callable[[argparse.Namespace], int]

# name: (module, one-line help). A module offers `arguments(parser)` and `execute(namespace) -> int`; it is imported when asked for.
COMMANDS: dict[str, tuple[str, str]] = {
    "verify": ("harness.cli.verify", "start the system, run every layer, judge, write the report"),
    "run": ("harness.cli.run", "run one scenario file, once or often"),
    "report": ("harness.cli.report", "write the reports of a run folder again, elsewhere"),
    "recheck": ("harness.cli.recheck", "verify a run folder and judge it again, with the system gone"),
    "certify": ("harness.cli.certify", "certify a load engine against a server of known truth"),
    "compare": ("harness.cli.compare", "two runs, or two sample files of any tools, beside each other; change points of past runs"),
    "gate": ("harness.cli.gate", "measure two sides in turn until it is known whether one regressed"),
    "budget": ("harness.cli.budget", "check a budget file; judge a run, or Locust's statistics, by it"),
    "evaluate": ("harness.cli.evaluate", "evaluate retrieval over a collection in BEIR layout"),
    "shacl": ("harness.cli.shacl", "validate RDF data against SHACL shapes, with shape coverage"),
    "requirements": ("harness.cli.requirements", "which requirements are verified, by which evidence"),
    "servers": ("harness.cli.servers", "install a tool that is no wheel (k6)"),
    "doctor": ("harness.cli.doctor", "what this machine has and lacks"),
    "data": ("harness.cli.data", "fetch the real data sets into the user's cache"),
    "backup": ("harness.cli.backup", "back up all stores of a stack started with `harness up`"),
    "restore": ("harness.cli.backup", "restore a backup into the empty stores of a stack"),
    "up": ("harness.cli.stack", "start the system for a person to use"),
    "down": ("harness.cli.stack", "stop a system started with `harness up`"),
    "status": ("harness.cli.stack", "which systems run and how they are"),
    "heal": ("harness.cli.stack", "undo what dead runs left behind"),
}

# Named in the interface, built by later issues: they say so and exit BLOCKED.
NOT_YET: dict[str, str] = {
    "storm": "storms of seeded faults",
    "check-history": "history checkers",
}


def build_parser() -> argparse.ArgumentParser:
    """The parser without the commands' own arguments (they come from their modules)."""
    parser = Parser(prog="harness", description="Judge a running system, with evidence that a sceptic can re-check.")
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    lines = [f"  {name:<13} {text}" for name, (_, text) in COMMANDS.items()]
    lines += [f"  {name:<13} {text} (not built yet)" for name, text in NOT_YET.items()]
    parser.epilog = "commands:\n" + "\n".join(lines)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("command", nargs="?", metavar="COMMAND")
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; never lets a traceback out for what a person or the system did. What nobody foresaw is ERROR, not FAIL."""
    if arguments is not None:
        return _answered(list(arguments))
    speak_utf8()
    OUTPUT.make_safe()
    with ENDING.listening():
        code = _answered(sys.argv[1:])
        if complaint := OUTPUT.complaint():
            print(clean(f"harness: {complaint}; the exit code {code} holds"), file=sys.stderr)
        if ENDING.requested:
            ENDING.leave(code)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said: a late Ctrl-C shows no traceback of the interpreter's own end
    return code


def speak_utf8() -> None:
    """Start again in UTF-8 where the locale knows less, and let every child speak it: paths and texts are the same in all of them."""
    os.environ["PYTHONUTF8"] = "1"
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8" and sys.orig_argv[1:]:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very command


def _answered(given: list[str]) -> int:
    try:
        return dispatch(given)
    except HarnessError as error:
        print(clean(f"harness: {error}"), file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        return exit_code(KeyboardInterrupt())
    except Exception as error:  # noqa: BLE001 - Python's own exit code for it, 1, would say FAIL
        traceback.print_exc()
        print(clean(f"harness: ERROR: {type(error).__name__}: {error}"), file=sys.stderr)
        return Verdict.ERROR.exit_code


def dispatch(given: list[str]) -> int:
    parser = build_parser()
    if not given or given[0].startswith("-"):
        return _top(parser, given)
    name, rest = given[0], given[1:]
    if name in NOT_YET:
        print(f"harness: BLOCKED: {NOT_YET[name]} ({name}) is not built yet", file=sys.stderr)
        return 3
    if name not in COMMANDS:
        from harness.core.errors import nearest_word

        near = nearest_word(name, (*COMMANDS, *NOT_YET))
        parser.error(f"unknown command {name!r}" + (f" (did you mean {near!r}?)" if near else ""))
    module = importlib.import_module(COMMANDS[name][0])
    own = Parser(prog=f"harness {name}", description=COMMANDS[name][1])
    module.arguments(own, name)
    namespace = own.parse_args(rest)
    namespace.command = name
    code: int = module.execute(namespace)
    return code


def _top(parser: argparse.ArgumentParser, given: list[str]) -> int:
    namespace = parser.parse_args(given)
    if namespace.version:
        from importlib.metadata import version

        print(f"evidence-harness {version('evidence-harness')}")
        return 0
    parser.print_help()
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
