"""A page as PDF, printed by a headless Chromium where there is one."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from cosim.errors import EnvironmentFailure

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_S = 180
"""Longest wait for the browser. [s]"""
DRAWING_MS = 60_000
"""Time the page's script may take, of the browser's own clock. [ms]"""


def write_pdf(page: Path, out: Path) -> None:
    """Print a page that lies on disk.

    Parameters
    ----------
    page : Path
        HTML page.
    out : Path
        PDF to write; it appears whole or not at all.

    Raises
    ------
    EnvironmentFailure
        There is no Chromium, or it printed nothing.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise EnvironmentFailure(
            f"{out}: a PDF needs Chromium or Chrome on the PATH (looked for {', '.join(BROWSERS)}); write the page "
            "with -o page.html and print it from any browser, it has a style for paper"
        )
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "page.pdf"
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--user-data-dir={folder}/profile", f"--virtual-time-budget={DRAWING_MS}"]
        command += [f"--print-to-pdf={printed}", page.resolve().as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EnvironmentFailure(f"{out}: {browser} did not print the page ({error})") from error
        if not printed.is_file() or not printed.stat().st_size:
            raise EnvironmentFailure(f"{out}: {browser} did not print the page: {done.stderr.strip()[-300:]}")
        try:
            out.write_bytes(printed.read_bytes())
        except OSError as error:
            raise EnvironmentFailure(f"{out}: cannot write the PDF ({error.strerror or error})") from error
