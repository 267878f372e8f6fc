"""The bar ``page``: report.html at 1400 and 390 px in headless Chromium is readable and asks nobody for anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.bars.browser import Browser, NoBrowserError, Served, browser
from scripts.bars.support import OUTPUT, PROJECT, call, listed, result, say, scratch

WIDTHS = (1400, 390)
LEAST_CHARACTERS = 400


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, help="a finished run folder (default: reports/latest, else a small run is made)")
    options = parser.parse_args()
    with scratch() as folder:
        run = options.folder or PROJECT / "reports" / "latest"
        if not (run / "report.html").is_file():
            call("verify", "--only", "shacl", "--reports", str(folder / "reports"))
            run = folder / "reports" / "latest"
        page = run / "report.html"
        if not page.is_file():
            return result("there is no report.html", passed=False, detail=f"looked in {run}")
        try:
            with browser(folder) as chromium:
                return judge(chromium, Served(page.read_bytes()))
        except NoBrowserError as error:
            return result("no Chromium", passed=None, detail=str(error))


def judge(chromium: Browser, page: Served) -> int:
    problems = []
    for width in WIDTHS:
        found = chromium.inspect(page, width, OUTPUT / f"page-{width}.png")
        say(f"{width} px: {len(found.text)} characters, {found.wide_px} px to scroll sideways, {len(found.problems())} problems")
        problems += [f"{width} px: {item}" for item in found.problems()]
        if found.wide_px:
            problems.append(f"{width} px: the body scrolls {found.wide_px} px sideways")
        if len(found.text) < LEAST_CHARACTERS or "PASS" not in found.text.upper():
            problems.append(f"{width} px: the page says too little ({len(found.text)} characters)")
    sandbox = "sandboxed" if chromium.sandboxed else "no sandbox on this kernel"
    figure = f"{len(WIDTHS)} widths, {len(problems)} problems ({sandbox}; screenshots page-*.png)"
    return result(figure, passed=not problems, detail=listed(problems))


if __name__ == "__main__":
    raise SystemExit(main())
