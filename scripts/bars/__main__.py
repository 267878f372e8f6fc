"""``python -m scripts.bars [NAME…] [--list] [--again NAME] [--json]``: every bar of the issues, resumably.

Exit 0 all passed · 1 any failed · 2 wrong usage · 3 none failed, but some are BLOCKED · 130 Ctrl-C (what was done is kept).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.bars import state
from scripts.bars.model import Bar, Result
from scripts.bars.runner import run_bar
from scripts.bars.table import BARS

STYLES = {"PASS": "bold green", "FAIL": "bold red", "BLOCKED": "bold blue", "": "dim"}


def main(arguments: list[str], bars: Sequence[Bar] = BARS, folder: Path = state.FOLDER) -> int:
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    unknown = [name for name in (*options.names, *options.again) if name not in {bar.name for bar in bars}]
    if unknown:
        near = get_close_matches(unknown[0], [bar.name for bar in bars], 1)
        print(f"bars: unknown bar {unknown[0]!r}; {f'did you mean {near[0]!r}?' if near else 'see --list'}", file=sys.stderr)
        return 2
    try:
        results = state.load(folder / "state.json")
    except state.StateError as error:
        print(f"bars: {error}", file=sys.stderr)
        return 2
    chosen = [bar for bar in bars if not (options.names or options.again) or bar.name in {*options.names, *options.again}]
    if options.list:
        _print(chosen, results, console, as_json=options.json)
        return 0
    try:
        _run(chosen, results, folder, console, frozenset(options.again))
    except KeyboardInterrupt:
        console.print("bars: interrupted; the results so far are kept")
        return 130
    finally:
        state.write(folder / "bars.md", state.markdown([bar.name for bar in bars], results))
    _print(chosen, results, console, as_json=options.json)
    return exit_code([results[bar.name].passed for bar in chosen])


def exit_code(outcomes: Sequence[bool | None]) -> int:
    """1 when any failed, else 3 when any is BLOCKED, else 0."""
    return 1 if False in outcomes else 3 if None in outcomes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars", description="run the bars of the issues, each as a command of its own")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these bars")
    parser.add_argument("--list", action="store_true", help="show the bars and their last results, run nothing")
    parser.add_argument("--again", action="append", default=[], metavar="NAME", help="run this bar though it has passed")
    parser.add_argument("--json", action="store_true", help="print the results as JSON on stdout")
    return parser


def _run(chosen: Sequence[Bar], results: dict[str, Result], folder: Path, console: Console, again: frozenset[str]) -> None:
    began = time.monotonic()
    for number, bar in enumerate(chosen, start=1):
        tree = state.read_tree()
        before = results.get(bar.name)
        head = f"[{number}/{len(chosen)}] {bar.name}"
        if bar.name not in again and before is not None and before.passed and before.tree == tree.identity and before.text == bar.text:
            console.print(f"{head}: passed on this very tree ({before.date}), skipped", markup=False)
            continue
        left = sum(later.seconds for later in chosen[number - 1 :])
        console.print(f"{head}: about {bar.seconds} s (all that is left: {left / 60:.0f} min): {bar.text}", markup=False)
        result = run_bar(bar, tree, lambda line: console.print(f"    {line}", markup=False), folder / "logs" / f"{bar.name}.log")
        if state.read_tree().identity != tree.identity:
            result = dataclasses.replace(result, tree=f"{tree.identity} (changed while the bar ran)", dirty=True)
        results[bar.name] = result
        state.save(folder / "state.json", results)
        console.print(
            f"{head}: {result.word} after {result.seconds:.0f} s ({time.monotonic() - began:.0f} s in all): {result.figure}", markup=False
        )


def _print(chosen: Sequence[Bar], results: dict[str, Result], console: Console, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {**dataclasses.asdict(bar), "result": dataclasses.asdict(results[bar.name]) if bar.name in results else None} for bar in chosen
        ]
        print(json.dumps(rows, ensure_ascii=False))
        return
    if not sys.stdout.isatty():
        print(state.markdown([bar.name for bar in chosen], results), end="")
        return
    table = Table("bar", "result", "figure", "limit", "s", title="bars")
    for bar in chosen:
        found = results.get(bar.name)
        word = found.word if found else ""
        cells = (bar.name, word, found.figure if found else f"about {bar.seconds} s", bar.text, f"{found.seconds:.0f}" if found else "")
        table.add_row(*cells, style=STYLES[word] if word in {"FAIL", "BLOCKED"} else None)
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
