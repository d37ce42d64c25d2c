"""Which adapter answers, and how another takes its place while questions come in.

A folder is looked at as questions come, at most once a second. What is new in it is copied, checked, loaded beside the one in
place, and examined in the background: its questions wait in the same queue as everybody's, one at a time. It takes over
between two questions if it keeps what it promises of itself and does no worse than the one in place on the golden set
of the one in place. Otherwise the reason is told, and all stays as it was.
"""

from __future__ import annotations

import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias, cast

from aiops.adapters.llm import adapter
from aiops.adapters.llm.adapter import Adapter, UnfitError
from aiops.adapters.llm.models import Model, Shelf, write_whole
from aiops.adapters.llm.process import LOAD_S, Process
from aiops.errors import ModelError

log = logging.getLogger(__name__)

Sample: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]  # a name of Prometheus, and labels

BASE = ""
LOOK_S = 1.0
AGAIN_S = 60.0
TRIES = 3  # examinations that a busy model may spoil
CASE_S = 30.0
MAX_TOKENS = 256
CURRENT = "current.json"


class Hot:
    """The adapter in place. `folder` is watched; until it holds a good one, what ships with aiops for the model is used
    (`ships`). Thread-safe."""

    def __init__(
        self,
        process: Process,
        shelf: Shelf,
        model: Callable[[], Model],
        folder: Path | None,
        keys: Path | None,
        *,
        ships: bool = True,
    ) -> None:
        self._process, self._shelf, self._model = process, shelf, model
        self._folder, self._keys, self._ships = folder, keys, ships
        self._guard, self._begun = threading.Lock(), False
        self._active: Adapter | None = None
        self._before: Adapter | None = None  # stays loaded for questions that were asked of it
        self._scores: dict[tuple[str, str], float] = {}  # (whose golden set, whose answers)
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self._next_look, self._tries, self._again = 0.0, 0, False
        self._trial: threading.Thread | None = None
        self._ended = threading.Event()
        self._refused, self._refusals, self._swaps = "", 0, 0
        self._open, self._lent = ExitStack(), cast("Path | None", None)

    def name(self, deadline: float) -> str:
        """What the child calls the adapter that is to answer now."""
        with self._guard:
            self._begin(deadline)
            self._look()
        return self._active.key if self._active else BASE

    def settle(self, seconds: float) -> None:
        """Waits that long for a trial that is under way."""
        if self._trial is not None:
            self._trial.join(seconds)

    def told(self) -> str:
        """The adapter in place and the last that was refused, for people."""
        active, at = self._active, "; an adapter is being examined" if self._trial and self._trial.is_alive() else ""
        refused = f"; refused: {self._refused}" if self._refused else ""
        return (f", adapter {active.shown}" if active else "") + at + refused

    def counters(self) -> Mapping[Sample, float]:
        if self._begun and self._guard.acquire(blocking=False):  # so that a scrape is as good as a question
            try:
                self._look()
            finally:
                self._guard.release()
        active = self._active
        labels = (("adapter", active.name), ("version", active.version)) if active else ()
        return {
            ("aiops_model_adapter_swaps_total", ()): self._swaps,
            ("aiops_model_adapter_refused_total", ()): self._refusals,
            **({("aiops_model_adapter_info", labels): 1.0} if active else {}),
        }

    def prove(self, deadline: float) -> str:
        """Examines what is in the folder now and takes it, or says in a ModelError why not. Returns the adapter's name."""
        if self._folder is None:
            raise ModelError("no folder with an adapter is configured (model.adapter)")
        with self._guard:  # nobody begins another trial meanwhile
            self._begin(deadline)
            if self._trial is not None:
                self._trial.join()
            self._seen, self._again = self._stamp(self._folder), False
            if reason := self._try(self._folder):
                raise ModelError(f"the adapter is refused: {reason}")
        return self._active.shown if self._active else ""

    def close(self) -> None:
        self._ended.set()
        if self._trial is not None:
            self._trial.join()
        self._open.close()

    # ------------------------------------------------ the first

    def _begin(self, deadline: float) -> None:
        """Once: chooses the first. A ModelError, as of a deadline that was too short, leaves that to the next question."""
        if not self._begun:
            self._active = self._first(deadline)
            self._begun = True

    def _first(self, deadline: float) -> Adapter | None:
        """The adapter of the last time, else the one that ships, else none."""
        for find in (self._accepted, self._shipped):
            try:
                found = find()
            except UnfitError as error:
                self._refuse(str(error))
                continue
            if found is not None:
                wrong = self._process.add(found.key, found.file, found.template, deadline)
                if not wrong:
                    return found
                self._refuse(f"{found.shown}: {wrong}")
        return None

    def _accepted(self) -> Adapter | None:
        """What was examined and taken before, from its copy; a folder that is no longer watched counts no more."""
        if self._folder is None or self._shelf.home is None:
            return None
        try:
            current = json.loads((self._room() / CURRENT).read_bytes())
            digest = str(current["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return adapter.read(self._room() / digest[:16], self._model(), self._shelf, pinned=digest)

    def _shipped(self) -> Adapter | None:
        base = self._model()
        rows = self._shelf.table().get("adapter", [])
        row = next((r for r in rows if r.get("base") == base.name), None)
        if row is None or not self._ships:
            return None
        return adapter.read(self._shelf.ships / row["folder"], base, self._shelf, pinned=row["sha256"])

    def _room(self) -> Path:
        """Where copies are kept: at home, or for as long as this lives."""
        if self._shelf.home:
            return self._shelf.home / "adapters"
        if self._lent is None:
            self._lent = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="aiops-adapter-")))
        return self._lent

    # ------------------------------------------------ the next

    def _look(self) -> None:
        """Begins a trial where something new is in the folder."""
        now = time.monotonic()
        if self._folder is None or now < self._next_look or (self._trial and self._trial.is_alive()):
            return
        self._next_look = now + LOOK_S
        stamp = self._stamp(self._folder)
        new = stamp != self._seen
        if not stamp or not (new or self._again) or self._ended.is_set():
            return
        self._seen, self._again = stamp, False
        self._tries = 0 if new else self._tries
        self._trial = threading.Thread(target=self._try, args=(self._folder,), name="aiops-adapter", daemon=True)
        self._trial.start()

    @staticmethod
    def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
        """Changes when a file of the folder does; () where there is no adapter."""
        try:
            if not (folder / adapter.MANIFEST).is_file():
                return ()
            told = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
        except OSError:  # being written just now
            return ()
        return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in told)

    def _try(self, folder: Path) -> str:
        """One trial, from the copy to the swap (answers "") or the refusal (answers the reason)."""
        copy: Path | None = None
        try:
            copy = adapter.take(folder, self._room())
            candidate = adapter.read(copy, self._model(), self._shelf, keys=self._keys)
            if not self._active or candidate.digest != self._active.digest:
                self._judge(candidate)
        except UnfitError as error:
            if copy and copy not in {one.file.parent for one in (self._active, self._before) if one}:
                adapter.forget(copy)
            return self._refuse(str(error))
        except (ModelError, OSError) as error:
            return self._spoilt(str(error))
        self._refused = ""
        return ""

    def _judge(self, candidate: Adapter) -> None:
        """Load, examination, and swap."""
        if wrong := self._process.add(candidate.key, candidate.file, candidate.template, time.monotonic() + LOAD_S):
            raise UnfitError(wrong)
        try:
            self._examine(candidate)
        except (UnfitError, ModelError):
            self._process.drop(candidate.key, time.monotonic() + LOAD_S)
            raise
        if self._shelf.home:
            write_whole(self._room() / CURRENT, json.dumps({"digest": candidate.digest}).encode())
        gone, self._before = self._before, self._active
        self._active = candidate  # from the next question on
        self._swaps += 1
        log.info("adapter %s answers from now on", candidate.shown)
        if gone and gone.key != candidate.key:
            self._process.drop(gone.key, time.monotonic() + LOAD_S)

    def _examine(self, candidate: Adapter) -> None:
        own = self._score(candidate, candidate)
        if own < candidate.at_least:
            raise UnfitError(
                f"{candidate.shown} answers {own:.1%} of its golden set, less than its {candidate.at_least:.1%}"
            )
        active = self._active
        if active and (theirs := self._score(active, candidate)) < (mine := self._score(active, active)):
            raise UnfitError(
                f"{candidate.shown} is worse than {active.shown}: {theirs:.1%} of its golden set, not {mine:.1%}"
            )

    def _score(self, exam: Adapter, who: Adapter) -> float:
        """The share of `exam`'s golden set that `who` answers exactly."""
        known = (exam.digest, who.digest)
        if known not in self._scores:
            right = sum(self._answers(exam, case, who) for case in exam.golden)
            self._scores[known] = right / len(exam.golden)
        return self._scores[known]

    def _answers(self, exam: Adapter, case: adapter.Case, who: Adapter) -> bool:
        if self._ended.is_set():
            raise ModelError("aiops ends")
        if any(place not in case.values for place in adapter.PLACE.findall(who.template)):
            return False
        request = {
            "template": who.template,
            "values": dict(case.values),
            "schema": exam.schema,
            "max_tokens": MAX_TOKENS,
            "adapter": who.key,
        }
        answer = self._process.ask(request, time.monotonic() + CASE_S)
        return "text" in answer and json.loads(answer["text"]) == case.answer

    def _refuse(self, reason: str) -> str:
        self._refused, self._refusals = reason, self._refusals + 1
        log.warning("an adapter is refused: %s", reason)
        return reason

    def _spoilt(self, reason: str) -> str:
        """The trial itself went wrong, which says nothing about the adapter: again later, but not for ever."""
        self._tries += 1
        self._again, self._next_look = self._tries < TRIES, time.monotonic() + AGAIN_S
        self._refused = f"it could not be examined: {reason}"
        self._refusals += not self._again
        log.warning("an adapter: %s", self._refused)
        return self._refused
