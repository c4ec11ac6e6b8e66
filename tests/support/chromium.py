"""Debian's Chromium, headless, which talks to nobody but the page under test.

Where it is installed, Debian's chromium-headless-shell is used: the same browser without windows, at a third of the time.
"""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

from tests.support.require import require

_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.contextmanager
def chromium(*options: str) -> Iterator[Browser]:
    """Yield a browser with further options of its command line."""
    executable = shutil.which("chromium-headless-shell") or require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*_OPTIONS, *options])
        yield browser
        browser.close()
