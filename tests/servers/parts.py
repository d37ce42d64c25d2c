"""Real servers for the tests, without root and inside the checkout.

    python tests/servers/parts.py [PART ...]      make these parts ready (all of them when none is named)

A part is taken from PATH when it is there. Otherwise its Debian packages, with what they need beyond this machine's own
packages, are downloaded by apt into `.servers/apt` and unpacked into `.servers/root`; Neo4j and OpenSearch are built by Maven
into `.servers/neo4j` and `.servers/opensearch`. A part that is ready is left alone, an interrupted download is taken up again. Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
HOME = CHECKOUT / ".servers"
ROOT = HOME / "root"


class Missing(RuntimeError):
    """A part isn't ready; the message says the command that mends it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is neither on PATH nor provisioned: run `make servers` (or python {__file__} {name})")


class Unprovisionable(RuntimeError):
    """A part can't be made ready on this machine; the message says what it would take."""


@dataclass(frozen=True)
class Part:
    """`programs` are looked for on PATH; each stands beside where it lies in the unpacked `packages`."""

    name: str
    programs: Mapping[str, str]
    packages: Sequence[str]


PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (
        Part("prometheus", {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"}, ["prometheus"]),
        Part(
            "alertmanager",
            {"alertmanager": "usr/bin/prometheus-alertmanager", "amtool": "usr/bin/amtool"},
            ["prometheus-alertmanager"],
        ),
        Part("victoria-metrics", {"victoria-metrics": "usr/bin/victoria-metrics"}, ["victoria-metrics"]),
        Part("bubblewrap", {"bwrap": "usr/bin/bwrap"}, ["bubblewrap"]),
        # A machine with control groups of version 2: qemu (GPL-2) and a kernel (GPL-2), used by the tests alone, never shipped.
        Part(
            "virtual-machine",
            {"qemu-system-x86_64": "usr/bin/qemu-system-x86_64", "busybox": "bin/busybox"},
            ["qemu-system-x86", "linux-image-cloud-amd64", "busybox-static"],
        ),
        Part("redis", {"redis-server": "usr/bin/redis-server"}, ["redis-server"]),
        # Other times for one process (GPL-2): loaded beside servers of the tests alone, never shipped.
        Part("faketime", {}, ["libfaketime"]),
        Part("chromium", {"chromium": "usr/lib/chromium/chromium"}, ["chromium"]),
        # Latin text as it looks on people's machines, every sign, and Chinese: without a font every glyph is a box.
        Part("fonts", {}, ["fonts-inter", "fonts-dejavu-core", "fonts-droid-fallback"]),
    )
}
# Servers that come as Java libraries: each a folder here with a Maven project and a class that starts it.
JAVA = {
    "neo4j": "the Community server (GPL-3: used by the tests alone, never shipped)",
    "opensearch": "one node of the server (Apache-2.0)",
}
AXE = "axe"  # no server either: a script that the tests run in pages
VOCABULARY = "llama-vocabulary"  # no server: a file that the tests of the language model read


def binary(program: str) -> Path:
    """Where a program is. Raises `Missing`."""
    part = next(part for part in PARTS.values() if program in part.programs)
    if found := shutil.which(program):
        return Path(found)
    path = ROOT / part.programs[program]
    if not (_stamp(part.name).exists() and path.exists()):
        raise Missing(part.name)
    return path


def faked(offset: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is as far off as the file `offset` says at that moment (`+1h`, `-1d`); its
    monotonic clocks are right. Raises `Missing`."""
    found = [
        path for root in (Path("/"), ROOT) for path in root.glob("usr/lib/*-linux-gnu*/faketime/libfaketimeMT.so.1")
    ]
    if not found:
        raise Missing("faketime")
    return {
        **os.environ,
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # seconds until a jump shows
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def environment() -> dict[str, str]:
    """The environment for an unpacked program: its libraries and fonts lie in `.servers/root`, after the machine's own."""
    libraries = [
        str(path)
        for path in [
            *sorted(ROOT.glob("usr/lib/*-linux-gnu*")),
            *sorted(ROOT.glob("lib/*-linux-gnu*")),
            ROOT / "usr/lib/chromium",
        ]
    ]
    inherited = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path]
    fonts = HOME / "fonts.conf"
    extra = {"FONTCONFIG_FILE": str(fonts)} if fonts.exists() else {}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(inherited + libraries), **extra}


def provision(name: str) -> None:
    """Makes one part ready. Raises `Unprovisionable`."""
    if name in JAVA:
        _build(name)
        return
    if name == AXE:
        from servers import axe

        axe.provision()
        return
    if name == VOCABULARY:
        from servers import vocabulary

        vocabulary.provision()
        return
    part = PARTS[name]
    if part.programs and all(shutil.which(program) for program in part.programs):
        say(name, "on PATH")
        return
    unpacked = [ROOT / path for path in part.programs.values()]
    if not (_stamp(name).exists() and all(path.exists() for path in unpacked)):
        _unpack(part)
        if absent := [str(path) for path in unpacked if not path.exists()]:
            raise Unprovisionable(f"{name}: the packages hold no {', '.join(absent)}; {_by_hand(part)}")
        _mark_ready(name)
    say(name, "ready")


def _by_hand(part: Part) -> str:
    return f"install {' and '.join(part.programs)} and put it on PATH"


def _mark_ready(name: str) -> None:
    _stamp(name).parent.mkdir(parents=True, exist_ok=True)
    _stamp(name).touch()


def _stamp(name: str) -> Path:
    return HOME / "ready" / name


def say(name: str, text: str) -> None:
    print(f"[{name}] {text}", flush=True)


# ---------------------------------------------------------------- Debian packages


def _unpack(part: Part) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise Unprovisionable(f"{part.name}: no {tool} here; {_by_hand(part)}")
    apt = HOME / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": "/var/lib/dpkg/status",  # so that only what this machine lacks is fetched
        "Dir::Cache": apt / "cache",
        "Debug::NoLocking": "1",  # the locks are root's; nothing of the machine is changed
        "APT::Sandbox::User": "",  # the download user could not write into the checkout
        "Acquire::Retries": "3",
        "DPkg::Use-Pty": "0",
    }
    command = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    updated = apt / "updated"
    if not updated.exists():
        say(part.name, "reading the package lists")
        _run(part.name, [*command, "update"])
        updated.touch()
    say(part.name, f"downloading {', '.join(part.packages)} and what they need")
    install = [*command, "--yes", "--no-install-recommends", "--download-only", "install", *part.packages]
    try:
        _run(part.name, install)
    except Unprovisionable:
        say(part.name, "the package lists may be out of date: reading them again")
        _run(part.name, [*command, "update"])
        _run(part.name, install)
    archives = sorted((apt / "cache/archives").glob("*.deb"))
    say(part.name, f"unpacking {len(archives)} packages")
    for archive in archives:
        _run(part.name, ["dpkg-deb", "--extract", str(archive), str(ROOT)])
    for archive in archives:
        archive.unlink()
    if part.name == "alertmanager":
        _make_relocatable(ROOT / part.programs["alertmanager"])
    if part.name == "fonts":
        _write_fonts_conf()


def _run(name: str, command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, cwd=cwd, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    )
    if done.returncode:
        raise Unprovisionable(
            f"{name}: `{' '.join(command)}` ended with status {done.returncode}; its reason stands above"
        )


DEBIAN_TEMPLATES = "/usr/share/prometheus/alertmanager"


def _make_relocatable(program: Path) -> None:
    """Lets an unpacked Alertmanager read its templates from `templates` in its working directory.

    Debian's build has their absolute place compiled in, and only root could put them there. A relative path of the same
    length takes its place in the unpacked copy.
    """
    old = DEBIAN_TEMPLATES.encode()
    new = b"." + b"/" * (len(old) - 1 - len(b"templates")) + b"templates"
    program.write_bytes(program.read_bytes().replace(old, new))


def _write_fonts_conf() -> None:
    folders = "".join(f"  <dir>{path}</dir>\n" for path in ("/usr/share/fonts", ROOT / "usr/share/fonts"))
    # Without an alias a generic family is whatever font comes first, a serif one as likely as not.
    generic = {"system-ui": "Inter", "sans-serif": "Inter", "monospace": "DejaVu Sans Mono", "serif": "DejaVu Serif"}
    aliases = "".join(
        f"  <alias><family>{family}</family><prefer><family>{font}</family></prefer></alias>\n"
        for family, font in generic.items()
    )
    (HOME / "fonts.conf").write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n<fontconfig>\n'
        f"{folders}{aliases}  <cachedir>{HOME / 'fontconfig'}</cachedir>\n</fontconfig>\n"
    )


# ---------------------------------------------------------------- Java


def java(name: str) -> list[str]:
    """The command that runs one of JAVA's servers, up to its class. Raises `Missing` when it isn't built."""
    program = shutil.which("java")
    if program is None or not _is_built(name):
        raise Missing(name)
    return [program, "-cp", os.pathsep.join((str(HOME / name / "classes"), str(HOME / name / "lib" / "*")))]


def _is_built(name: str) -> bool:
    """From the sources as they are now."""
    return _stamp(name).exists() and _stamp(name).read_text() == _sources(name)


def _sources(name: str) -> str:
    files = sorted(path for path in (HERE / name).iterdir() if path.is_file())
    return hashlib.sha256(b"\n".join(path.read_bytes() for path in files)).hexdigest()


def _build(name: str) -> None:
    """Through Maven's ordinary client."""
    target = HOME / name
    if _is_built(name):
        say(name, f"ready: {target}")
        return
    for tool in ("mvn", "java", "javac"):
        if shutil.which(tool) is None:
            raise Unprovisionable(f"{name}: no {tool} here; Maven and a JDK 17 or 21 are needed on PATH")
    target.mkdir(parents=True, exist_ok=True)
    say(name, f"downloading and building {JAVA[name]}")
    quiet = ["--batch-mode", "--no-transfer-progress", f"-Dmaven.repo.local={HOME / 'm2'}", f"-Dservers={target}"]
    _run(name, ["mvn", *quiet, "compile", "dependency:copy-dependencies"], cwd=HERE / name)
    _mark_ready(name)
    _stamp(name).write_text(_sources(name))
    say(name, f"ready: {target}")


def main(arguments: Sequence[str] | None = None) -> int:
    known = [*PARTS, *JAVA, AXE, VOCABULARY]
    parser = argparse.ArgumentParser(description="Make the test servers ready, inside the checkout.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(known)}; all when none is named")
    chosen = parser.parse_args(arguments).parts or known
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(known)}")
    failed = [name for name in chosen if not _attempt(name, provision)]
    return 1 if failed else 0


def _attempt(name: str, act: Callable[[str], None]) -> bool:
    """One part that can't be had doesn't keep the others from being made ready."""
    try:
        act(name)
    except Unprovisionable as error:
        print(error, file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)
    from servers import parts  # noqa: PLW0406 - under the name by which others know it: an exception has one class

    sys.exit(parts.main())
