"""How Lighthouse judges the pages: `python tests/servers/pages.py`, from `make bench`.

    page    performance  accessibility  best practices  first paint

It is fetched by npm, as it is locked, into `.servers/lighthouse`; without npm it says so and judges nothing. Ends with 1 where
a page is below 0.95. First paint is Lighthouse's: of a phone on a slow line, four times slower than this machine.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import aiops
from aiops import resources
from aiops.service import server

from servers.parts import HERE, HOME, Missing, binary, environment

LOCK = HERE / "lighthouse"
PLACE = HOME / "lighthouse"
LEAST = 0.95
CATEGORIES = ("performance", "accessibility", "best-practices")


def provision() -> None:
    """Raises CalledProcessError when npm can't have it."""
    locked = (LOCK / "package-lock.json").read_bytes()
    kept = PLACE / "package-lock.json"
    if kept.is_file() and kept.read_bytes() == locked and (PLACE / "node_modules" / "lighthouse").is_dir():
        return
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, PLACE / name)
    subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
        check=True,
        cwd=PLACE,
    )


@contextmanager
def site() -> Iterator[dict[str, str]]:
    """Name -> address of the pages of a server that has diagnosed the demo's incident."""
    case = f"case:{resources.demo_incident()}"
    with tempfile.TemporaryDirectory() as home, aiops.connect(case, home=home, flags={"model.url": ""}) as ops:
        report = ops.diagnose().id
        ready, opened = threading.Event(), server.bind("127.0.0.1:0")
        running = server.server(ops, external_url="", body_limit=2**20, ready=ready.set)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            ready.wait(30)
            base = server.url(opened)
            yield {"report": f"{base}/reports/{report}", "list": f"{base}/", "ask": f"{base}/ask"}
        finally:
            running.should_exit = True
            thread.join(30)


def judged(address: str, tries: int = 3) -> dict[str, Any]:
    """What Lighthouse says of a page. Now and then it misses that the page was opened (NO_NAVSTART), and is asked again."""
    program = PLACE / "node_modules" / "lighthouse" / "cli" / "index.js"
    flags = "--headless=new --no-sandbox --disable-gpu"
    command = ["node", str(program), address, "--quiet", "--output=json", f"--chrome-flags={flags}"]
    command.append(f"--only-categories={','.join(CATEGORIES)}")
    env = {**environment(), "CHROME_PATH": str(binary("chromium"))}
    done = subprocess.run(command, check=tries == 1, stdout=subprocess.PIPE, env=env)
    told: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else judged(address, tries - 1)
    return told


def main() -> int:
    """The exit code."""
    if not (shutil.which("npm") and shutil.which("node")):
        print("no npm here: Lighthouse judges no page", file=sys.stderr)
        return 0
    try:
        binary("chromium")
    except Missing as missing:
        print(f"Lighthouse judges no page: {missing}", file=sys.stderr)
        return 0
    provision()
    lowest = 1.0
    print(f"{'page':<8}{'performance':>13}{'accessibility':>15}{'best practices':>16}  first paint")
    with site() as pages:
        for name, address in pages.items():
            told = judged(address)
            scores = [float(told["categories"][category]["score"]) for category in CATEGORIES]
            paint = told["audits"]["first-contentful-paint"]["displayValue"].replace("\u00a0", " ")
            print(f"{name:<8}{scores[0]:>13.2f}{scores[1]:>15.2f}{scores[2]:>16.2f}  {paint}", flush=True)
            lowest = min(lowest, *scores[:2])
    return 0 if lowest >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
