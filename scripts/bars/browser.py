"""Headless Chromium on pages from this machine only: what a page does that it must not do.

Pages come from a server on loopback; every name but that address leads nowhere. Where this process is root, Chromium runs as an
unprivileged user with its sandbox on, if the kernel lets it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import os
import shlex
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Dialog, Page, Playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOBODY = 65534
SCREENSHOT_MAX_PX = 12_000
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
WATCH_POLICY = """window.__violations = [];
addEventListener('securitypolicyviolation', e => __violations.push(e.violatedDirective + ' ' + e.blockedURI));"""
# What must not be in a page that shows foreign texts: handlers, links that run something, elements that load or submit something.
SUSPECTS = """() => {
  const found = [];
  for (const element of document.querySelectorAll('*')) {
    for (const attribute of element.attributes) {
      const value = attribute.value.replace(/[\\u0000-\\u0020]/g, '').toLowerCase();
      if (attribute.name.startsWith('on')) found.push(element.localName + ' ' + attribute.name);
      if (['href', 'src', 'action', 'xlink:href'].includes(attribute.name) && /^(javascript|vbscript|data:text)/.test(value))
        found.push(element.localName + ' ' + attribute.name + '=' + value.slice(0, 40));
    }
    const never = ['iframe', 'object', 'embed', 'base', 'form', 'img', 'video', 'audio', 'link'];
    if (never.includes(element.localName)) found.push(element.localName);
  }
  if (window.__hit) found.push('foreign script ran');
  return found;
}"""
# Loaded, laid out and painted: the second frame after the load event has been drawn.
LOADED = """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"""
WIDE = """() => {
  const [page, body] = [document.documentElement, document.body];
  return Math.max(0, page.scrollWidth - page.clientWidth, body.scrollWidth - body.clientWidth);
}"""


class NoBrowserError(Exception):
    """There is no Chromium, or it does not start: the bar is BLOCKED with this reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """One page: its bytes and the headers it has where it really comes from."""

    content: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class Findings:
    """What one page did. ``wide_px``: how far the body can be scrolled sideways."""

    dialogs: list[str] = dataclasses.field(default_factory=list)
    console: list[str] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)
    violations: list[str] = dataclasses.field(default_factory=list)
    suspects: list[str] = dataclasses.field(default_factory=list)
    wide_px: int = 0
    text: str = ""

    def problems(self) -> list[str]:
        """A sentence for everything that must not be."""
        kinds = {
            "dialog": self.dialogs,
            "console": self.console,
            "request": self.requests,
            "policy": self.violations,
            "element": self.suspects,
        }
        return [f"{kind}: {item[:160]}" for kind, items in kinds.items() for item in items]


class Browser:
    """One Chromium; ``inspect`` opens a page in a window of its own."""

    def __init__(self, context: BrowserContext, folder: Path, *, sandboxed: bool) -> None:
        self._context = context
        self._folder = folder
        self.sandboxed = sandboxed

    def inspect(self, page: Served, width: int, screenshot: Path | None = None) -> Findings:
        """Open the page ``width`` pixels wide, let it settle, look at it."""
        findings = Findings()
        with serving(page) as address:
            tab = self._context.new_page()
            try:
                self._listen(tab, address, findings)
                tab.set_viewport_size({"width": width, "height": 900})
                tab.goto(address, wait_until="load", timeout=30_000)
                tab.wait_for_load_state("networkidle", timeout=10_000)
                findings.violations += tab.evaluate("() => window.__violations || []")
                findings.suspects += tab.evaluate(SUSPECTS)
                findings.wide_px = int(tab.evaluate(WIDE))
                findings.text = str(tab.inner_text("body"))
                if screenshot is not None:
                    self._shoot(tab, screenshot)
            finally:
                tab.close()
        return findings

    def opening(self, page: Served, screenshot: Path | None = None) -> float:
        """Seconds from the navigation until the page is loaded, as the browser itself measured them; a new window each time."""
        with serving(page) as address:
            tab = self._context.new_page()
            try:
                tab.set_viewport_size({"width": 1400, "height": 900})
                tab.goto(address, wait_until="load", timeout=30_000)
                loaded_ms = tab.evaluate(LOADED)
                if screenshot is not None:
                    self._shoot(tab, screenshot)
            finally:
                tab.close()
        return float(loaded_ms) / 1000

    @staticmethod
    def _listen(tab: Page, address: str, findings: Findings) -> None:
        tab.add_init_script(WATCH_POLICY)
        tab.on("dialog", lambda dialog: _note(dialog, findings))
        tab.on("console", lambda message: findings.console.append(message.text) if message.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: findings.console.append(str(error)))
        tab.on("request", lambda request: findings.requests.append(request.url) if request.url != address else None)
        tab.on("popup", lambda popup: findings.requests.append(f"a window of {popup.url}"))

    @staticmethod
    def _shoot(tab: Page, screenshot: Path) -> None:
        screenshot.parent.mkdir(parents=True, exist_ok=True)
        width = tab.evaluate("() => document.documentElement.clientWidth")
        height = tab.evaluate("() => document.documentElement.scrollHeight")
        tab.set_viewport_size({"width": width, "height": min(height, SCREENSHOT_MAX_PX)})  # full_page leaves long pages half painted
        tab.screenshot(path=str(screenshot))


def _note(dialog: Dialog, findings: Findings) -> None:
    findings.dialogs.append(dialog.message)
    dialog.dismiss()


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Chromium with a new profile below ``folder``. Raises ``NoBrowserError`` naming what is missing."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        raise NoBrowserError("there is no Chromium on this machine: install the package chromium of your distribution")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowserError("the library playwright is missing: run `make setup`") from None
    with sync_playwright() as playwright:
        context, sandboxed = _launch(playwright, _unprivileged(program, folder), folder)
        try:
            yield Browser(context, folder, sandboxed=sandboxed)
        finally:
            context.close()


def _launch(playwright: Playwright, program: str, folder: Path) -> tuple[BrowserContext, bool]:
    """With the sandbox where it starts, else without."""
    from playwright.sync_api import Error

    reason = ""
    for number, sandboxed in enumerate((True, False)):
        profile = folder / f"profile-{number}"
        profile.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(profile, NOBODY, NOBODY)
        environment: dict[str, str | float | bool] = {**os.environ, "HOME": str(profile), "TMPDIR": str(profile)}
        try:
            context = playwright.chromium.launch_persistent_context(
                str(profile),
                executable_path=program,
                headless=True,
                chromium_sandbox=sandboxed,
                args=list(FLAGS),
                env=environment,
                timeout=30_000,
            )
        except Error as error:
            reason = str(error)
            continue
        return context, sandboxed
    raise NoBrowserError(f"Chromium does not start: {reason[:600]}")


def _unprivileged(program: str, folder: Path) -> str:
    """As root: a wrapper that gives up root before Chromium starts. ``folder`` must let others pass."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        return program
    folder.chmod(0o711)
    wrapper = folder / "chromium"
    drop = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", program]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(drop)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return str(wrapper)


@contextlib.contextmanager
def serving(page: Served) -> Iterator[str]:
    """The address of a page on loopback while the context lasts; anything else there is 404."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            here = self.path == "/"
            self.send_response(200 if here else 204 if self.path == "/favicon.ico" else 404)
            headers = {"Content-Type": "text/html; charset=utf-8", **page.headers} if here else {}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if here:
                self.wfile.write(page.content)

        def log_message(self, *_arguments: object) -> None:
            pass  # progress lines are for people

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(timeout=5)
