"""Starts the real servers of `parts.py` for a test and stops them after it.

Each is a context manager that yields once the server answers, on a free loopback port, with its log under `.servers/log`.
It raises `Missing` when the part isn't provisioned and `NotReady`, with the end of the log, when it doesn't answer in time.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from servers.parts import DEBIAN_TEMPLATES, HOME, ROOT, Missing, binary, environment, java

__all__ = [
    "Chromium",
    "Missing",
    "NotReady",
    "Server",
    "alertmanager",
    "amtool",
    "chromium",
    "neo4j",
    "opensearch",
    "prometheus",
    "promtool",
    "redis",
    "serving",
    "victoria_metrics",
]

READY_WITHIN_S = 180.0  # most take a second, a Java server on a busy machine a minute
STOP_WITHIN_S = 15.0
PORT_ATTEMPTS = 5
FIRST_PORT = 10_000  # below it stand the usual services
_CLASH = ("address already in use", "address in use")


class NotReady(RuntimeError):
    """A server ended, or didn't answer in time; the message ends with its log."""


@dataclass(frozen=True)
class Server:
    """A running server: its base URL, its process and its log."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path


@contextmanager
def serving(
    name: str,
    command: Callable[[int], Sequence[str]],
    ready: Callable[[int], bool],
    *,
    scheme: str = "http",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    port: int | None = None,
) -> Iterator[Server]:
    """Any program that serves on a port: `command(port)` starts it, `ready(port)` says when it answers.

    `port`: this one and no other, for a server that comes back."""
    server = _start(name, command, ready, scheme, env, cwd, port)
    try:
        yield server
    finally:
        _stop(server.process)


def _start(
    name: str,
    command: Callable[[int], Sequence[str]],
    ready: Callable[[int], bool],
    scheme: str,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    wanted: int | None = None,
) -> Server:
    folder = HOME / "log"
    folder.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port = wanted or free_port()
        log = folder / f"{name}-{port}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command(port), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd
            )
        try:
            _await(name, process, lambda port=port: ready(port), log)
        except NotReady:
            _stop(process)
            # Somebody took the port between our look and the server's bind.
            if attempt < PORT_ATTEMPTS and any(word in log.read_text(errors="replace").lower() for word in _CLASH):
                continue
            raise
        except BaseException:
            _stop(process)
            raise
        return Server(f"{scheme}://127.0.0.1:{port}", port, process, log)
    raise AssertionError("unreachable: the last attempt returns or raises")


def free_port() -> int:
    """A port of the loopback that nobody listens on and that the kernel gives to no outgoing connection.

    From among those that it does give, a connection of anybody takes the port between this look and the bind, or while a
    server that comes back is away."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    draw = random.SystemRandom()  # not of the seed that a test may have set
    for port in draw.sample(range(FIRST_PORT, lowest), PORT_ATTEMPTS) if lowest > 2 * FIRST_PORT else (0,):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found: int = probe.getsockname()[1]
            return found
    raise NotReady("no port is free")


def _await(name: str, process: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotReady(f"{name} ended with status {process.returncode}; {log}:\n{_tail(log)}")
        if ready():
            return
        time.sleep(0.05)
    raise NotReady(f"{name} didn't answer within {READY_WITHIN_S:g} s; {log}:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(path: str) -> Callable[[int], bool]:
    """Readiness: GET `path` gives 2xx."""

    def ready(port: int) -> bool:
        try:
            with _direct.open(f"http://127.0.0.1:{port}{path}", timeout=10):
                return True
        except (OSError, http.client.HTTPException):
            return False

    return ready


def listens(port: int) -> bool:
    """Readiness: the port accepts a connection."""
    with closing(socket.socket()) as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---------------------------------------------------------------- the servers


@contextmanager
def prometheus(data: Path, config: str = "", *flags: str, port: int | None = None) -> Iterator[Server]:
    """Prometheus over the blocks in `data`, which it keeps however old they are."""
    program = binary("prometheus")
    data.mkdir(parents=True, exist_ok=True)
    file = data / "prometheus.yml"
    file.write_text(config or "global:\n  scrape_interval: 1s\n")

    def command(port: int) -> list[str]:
        return [
            str(program),
            f"--config.file={file}",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
            *flags,
        ]

    with serving("prometheus", command, answers("/-/ready"), env=environment(), port=port) as server:
        yield server


def promtool(*arguments: str) -> str:
    """Runs promtool and returns what it printed. Raises `CalledProcessError`, with its output as a note."""
    return _told("promtool", *arguments)


def amtool(*arguments: str) -> str:
    """As `promtool`, of Alertmanager."""
    return _told("amtool", *arguments)


def _told(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [str(binary(program)), *arguments], check=False, capture_output=True, text=True, env=environment()
    )
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        error.add_note(done.stdout + done.stderr)
        raise error
    return done.stdout


@contextmanager
def victoria_metrics(data: Path) -> Iterator[Server]:
    """VictoriaMetrics, one node, which keeps samples however old they are."""
    program = binary("victoria-metrics")

    def command(port: int) -> list[str]:
        return [
            str(program),
            f"-storageDataPath={data}",
            "-retentionPeriod=100y",
            f"-httpListenAddr=127.0.0.1:{port}",
        ]

    with serving("victoria-metrics", command, answers("/health"), env=environment()) as server:
        yield server


@contextmanager
def alertmanager(data: Path, config: str) -> Iterator[Server]:
    program = binary("alertmanager")
    data.mkdir(parents=True, exist_ok=True)
    file = data / "alertmanager.yml"
    file.write_text(config)
    (data / "templates").symlink_to(ROOT / DEBIAN_TEMPLATES[1:])

    def command(port: int) -> list[str]:
        return [
            str(program),
            f"--config.file={file}",
            f"--storage.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]

    with serving("alertmanager", command, answers("/-/ready"), env=environment(), cwd=data) as server:
        yield server


@contextmanager
def redis(data: Path, *, durable: bool = False, port: int | None = None) -> Iterator[Server]:
    """`durable`: what it has acknowledged is there when it is started again on `data`."""
    program = binary("redis-server")
    data.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        return [
            str(program),
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            str(data),
            "--save",
            "",
            "--appendonly",
            "yes" if durable else "no",
            "--appendfsync",
            "always",
        ]

    with serving("redis", command, listens, scheme="redis", env=environment(), port=port) as server:
        yield server


@contextmanager
def neo4j(data: Path, *flags: str, port: int | None = None) -> Iterator[Server]:
    """Neo4j with its data in `data`. `flags`: `auth` (user and password neo4j, to be changed at first), `read-only`.

    At the end it is killed: an orderly end takes it ten seconds, and who wants one terminates it before."""
    started = java("neo4j")
    data.mkdir(parents=True, exist_ok=True)
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _NEO4J_OPENS]

    def command(port: int) -> list[str]:
        quick = "-XX:TieredStopAtLevel=1"  # half the processor time for a server that lives for seconds
        return [*started, "-Xmx1g", quick, *opened, "Neo4jServer", str(port), str(data), *flags]

    with serving("neo4j", command, listens, scheme="bolt", port=port) as server:
        try:
            yield server
        finally:
            server.process.kill()


_NEO4J_OPENS = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent", "java.lang")


@contextmanager
def opensearch(data: Path) -> Iterator[Server]:
    """One OpenSearch node with its data in `data`; indices must be created before they are written to."""
    started = java("opensearch")
    data.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        return [*started, "-Xmx512m", "OpenSearchServer", str(port), str(data)]

    with serving("opensearch", command, answers("/_cluster/health?wait_for_status=yellow&timeout=1s")) as server:
        yield server


@dataclass(frozen=True)
class Chromium:
    """A headless browser with an empty profile; each call is one run of it."""

    program: Path
    profile: Path

    def screenshot(self, url: str, file: Path, width: int = 1280, height: int = 1600) -> None:
        """Writes a PNG of the page."""
        self._run(url, f"--screenshot={file}", f"--window-size={width},{height}", "--hide-scrollbars")
        if not file.exists():
            raise NotReady(f"chromium wrote no screenshot of {url}")

    def dom(self, url: str) -> str:
        """The page's HTML after its scripts ran."""
        return self._run(url, "--dump-dom")

    def requests(self, url: str) -> frozenset[str]:
        """The URLs that showing the page asked the network for; a file or data URL needs none."""
        log = self.profile / "net.json"
        self._run(url, "--dump-dom", f"--log-net-log={log}", "--net-log-capture-mode=IncludeSensitive")
        events = json.loads(log.read_text())["events"]
        asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
        # What the browser asks for its own sake (updates, the time) has no origin.
        return frozenset(params["url"] for params in asked if params["initiator"] != "not an origin")

    def _run(self, url: str, *flags: str) -> str:
        command = [
            str(self.program),
            "--headless",
            "--no-sandbox",  # its own sandbox needs root or user namespaces; the pages are ours
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves this machine
            "--no-first-run",
            f"--user-data-dir={self.profile}",
            "--virtual-time-budget=5000",
            *flags,
            url,
        ]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_S,
            env=environment(),
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise NotReady(f"chromium ended with status {done.returncode} on {url}:\n{done.stderr[-2000:]}")
        return done.stdout


@contextmanager
def chromium() -> Iterator[Chromium]:
    program = binary("chromium")
    with tempfile.TemporaryDirectory(prefix="aiops-chromium-", ignore_cleanup_errors=True) as profile:
        yield Chromium(program, Path(profile))
