"""Trains the adapter: `python train.py MODEL.gguf DATA OUT --steps 1500 --threads 1`.

Resumable: OUT/checkpoint.pt is written every few minutes and on SIGTERM or SIGINT, and the next run goes on from it; the
order of the batches hangs on the seed alone. `--steps` may be changed between runs: the rate is constant and falls
linearly to zero over the last `--decay` steps. The loss is on the answer's tokens only, as a choice among the tokens that
can stand in answers (the grammar allows no others).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import torch
from student import Student
from torch.nn import functional

WINDOW = 384  # examples that are sorted by length together
ROOM = 1100  # tokens of a batch, padding included
SAVE_S = 180


def batches(lengths: np.ndarray, seed: int, epoch: int) -> list[list[int]]:
    """Examples of like length together, in an order that the seed fixes."""
    rng = random.Random(f"{seed}/{epoch}")
    order = list(range(len(lengths)))
    rng.shuffle(order)
    found: list[list[int]] = []
    for start in range(0, len(order), WINDOW):
        window = sorted(order[start : start + WINDOW], key=lambda i: (int(lengths[i]), i))
        mine: list[list[int]] = [[]]
        for index in window:
            if mine[-1] and (len(mine[-1]) + 1) * int(lengths[index]) > ROOM:
                mine.append([])
            mine[-1].append(index)
        rng.shuffle(mine)
        found += mine
    return found


class Data:
    """The examples of train.npz."""

    def __init__(self, path: Path) -> None:
        file = np.load(path)
        self.asked, self.said, self.tokens = file["asked"], file["said"], file["tokens"]
        self.lengths = self.asked + self.said
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        answers = (self.tokens[s + a : s + a + n] for s, a, n in zip(self.starts, self.asked, self.said, strict=True))
        self.sayable = torch.from_numpy(np.union1d(file["sayable"], np.concatenate(list(answers))).astype(np.int64))
        self.place = torch.full((1 << 17,), -1, dtype=torch.int64)
        self.place[self.sayable] = torch.arange(len(self.sayable))

    def batch(self, indices: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(tokens padded right, where an answer's token is foretold as flat positions, which it is among the sayable)."""
        longest = int(max(self.lengths[i] for i in indices))
        tokens = np.zeros((len(indices), longest), np.int64)
        places, wanted = [], []
        for row, index in enumerate(indices):
            mine = self.tokens[self.starts[index] : self.starts[index] + self.lengths[index]]
            tokens[row, : len(mine)] = mine
            first, last = int(self.asked[index]), int(self.lengths[index])
            places.append(row * longest + np.arange(first - 1, last - 1))
            wanted.append(mine[first:last])
        return (
            torch.from_numpy(tokens),
            torch.from_numpy(np.concatenate(places)),
            self.place[torch.from_numpy(np.concatenate(wanted).astype(np.int64))],
        )


def rate(step: int, args: argparse.Namespace) -> float:
    """The learning rate of a step: a short rise, constant, and linear to zero."""
    warm = min(1.0, (step + 1) / 40)
    return float(args.rate * warm * min(1.0, max(args.steps - step, 0) / args.decay))


class Run:
    """A training run between two steps."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.file = args, args.out / "checkpoint.pt"
        self.student = Student(args.model, args.rank, args.alpha, args.first, args.seed)
        self.optimiser = torch.optim.AdamW(self.student.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.data = Data(args.data / "train.npz")
        self.head = self.student.head[self.data.sayable]
        self.plan: list[list[int]] = []
        for epoch in itertools.count():
            self.plan += batches(self.data.lengths, args.seed, epoch)
            if len(self.plan) >= args.steps:
                break
        self.step, self.log = 0, list[float]()
        self._began, self._done = time.monotonic(), 0
        if self.file.exists():
            self._resume()

    def _resume(self) -> None:
        state = torch.load(self.file)
        self.step, self.log = state["step"], state["log"]
        for name, (a, b) in state["adapters"].items():
            self.student.adapters[name][0].data.copy_(a)
            self.student.adapters[name][1].data.copy_(b)
        self.optimiser.load_state_dict(state["optimiser"])

    def save(self) -> None:
        """Writes the checkpoint whole or not at all."""
        adapters = {name: (a.detach(), b.detach()) for name, (a, b) in self.student.adapters.items()}
        state = {"step": self.step, "adapters": adapters, "optimiser": self.optimiser.state_dict(), "log": self.log}
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").replace(self.file)

    def forward(self) -> None:
        """One step."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.step, self.args)
        tokens, places, wanted = self.data.batch(self.plan[self.step])
        states = self.student.hidden(tokens).flatten(0, 1)[places]
        loss = functional.cross_entropy(functional.linear(states, self.head).float(), wanted)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.log.append(round(float(loss.detach()), 4))
        self.step += 1
        self._done += tokens.numel()

    def told(self) -> dict[str, float]:
        """Where it stands."""
        speed = self._done / (time.monotonic() - self._began)
        examples = sum(map(len, self.plan[: self.step]))
        return {
            "step": self.step,
            "examples": examples,
            "loss": round(sum(self.log[-20:]) / 20, 4),
            "tok_s": round(speed),
        }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--decay", type=int, default=400)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--first", type=int, default=10, help="the first layer that is adapted")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "pid").write_text(str(os.getpid()))
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.append(1))
    run = Run(args)
    saved = time.monotonic()
    while run.step < args.steps and not stop:
        run.forward()
        if run.step % 20 == 0:
            print(json.dumps(run.told()), flush=True)
        if time.monotonic() - saved > SAVE_S:
            run.save()
            saved = time.monotonic()
    run.save()
    (args.out / "pid").unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
