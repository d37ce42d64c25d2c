"""A full disk: 503 while it lasts, nothing taken is lost, no file is damaged, and it goes on by itself.

Where no small file system can be mounted, the limit on the size of a file stands in for it: SQLite meets the same error at
the same calls.
"""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chaos.harness import HOOK, House, Nursery, alert, notification, until

from aiops.adapters.sqlite import QueueDB, StoreDB
from aiops.domain import Task
from aiops.schema import wire

AT = "2026-01-31T12:00:00Z"
SIZE = 4 * 2**20
RECOVERY_S = 10.0


@pytest.fixture(params=["file system", "file size"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, int | None, Callable[[int], None]]]:
    """(a folder that holds `SIZE`, the limit of a file there, what gives a server of that process id its space back)."""
    folder = tmp_path / "small"
    folder.mkdir()
    if request.param == "file size":
        wide = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        yield folder, SIZE // 2, lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, wide) and None  # type: ignore[func-returns-value]
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here; the limit on the size of a file is tested instead")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(SIZE // 4))
    yield folder, None, lambda _: ballast.unlink()
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.soak
def test_a_full_disk_refuses_and_recovers(
    nursery: Nursery, demo_case: Path, small: tuple[Path, int | None, Callable[[int], None]]
) -> None:
    folder, limit, give_back = small
    settings = "[service]\nworker = false\nqueue_limit = 1000000\n"
    house = House(nursery, folder / "home", demo_case, settings=settings)
    house.log = folder.parent / "server.log"
    house.start(limit)
    taken: list[int] = []
    number = 0

    def post() -> int:
        """Sends ten alerts, and keeps count of those that were taken."""
        nonlocal number
        told = [alert(n, AT, f"service-{n % 10}") for n in range(number, number + 10)]
        status, answer = house.ask("POST", HOOK, notification("g", told))
        if status == 202:
            assert answer["accepted"] + answer["duplicates"] == 10
            taken.extend(range(number, number + 10))
            number += 10
        else:
            assert "space" in answer["detail"] or "full" in answer["detail"], answer
        return status

    until(lambda: post() == 503, "the disk does not fill up")
    for _ in range(5):
        assert post() == 503
        assert house.ask("GET", "/healthz")[0] == 200
        assert house.ask("GET", "/v1/diagnoses?limit=1")[0] == 200
    give_back(house.pid)
    began = time.monotonic()
    until(lambda: post() == 202, "it does not recover", RECOVERY_S)
    print(f"recovered in {time.monotonic() - began:.2f} s, {len(taken)} alerts taken")
    for start in range(0, len(taken), 100):  # what was taken is still known, and nothing else is
        again = [alert(n, AT, f"service-{n % 10}") for n in taken[start : start + 100]]
        assert house.ask("POST", HOOK, notification("g", again))[1]["duplicates"] == len(again)
    house.end()

    store = StoreDB(folder / "home" / "store.db")
    queue = QueueDB(folder / "home" / "queue.db", wire.encode, lambda data: wire.decode(data, Task))
    assert (store.check(), queue.check()) == ("", "")
    episodes = [episode for episode, _ in store.expected(10)] + list(
        store.episodes([j.id for j in queue.recent()]).values()
    )
    store.close()
    queue.close()
    assert [episode.alerts for episode in episodes] == [len(taken)]
