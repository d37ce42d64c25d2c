"""The base model as llama.cpp has it, in torch, with a trainable low-rank adapter: the weights come straight from the GGUfunctional.

Nothing is converted twice: the GGUF's own tensor layout (rotary pairs side by side) is what is trained in, so the adapter
needs no permutation on its way back, and tokens are llama.cpp's own. Weights are dequantised to bfloat16; the adapter and
its optimiser are float32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from torch.nn import functional

TARGETS = ("attn_q", "attn_v", "attn_output", "ffn_up", "ffn_down")


@dataclass(frozen=True)
class Shape:
    """What the GGUF's metadata says of a llama model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    eps: float
    base: float


class Student:
    """`hidden` gives the last layer's states; adapters sit on every linear of the layers from `first` on.

    adapters: tensor name -> (A: rank x in, B: out x rank), both float32; B starts at zero, so training starts at the base.
    """

    def __init__(self, path: Path, rank: int, alpha: float, first: int, seed: int) -> None:
        reader = gguf.GGUFReader(str(path))
        self.shape = _shape(reader)
        tensors = {t.name: t for t in reader.tensors}
        self.weights = {
            name: torch.from_numpy(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)).to(torch.bfloat16)
            for name, t in tensors.items()
        }
        self.head = self.weights.get("output.weight", self.weights["token_embd.weight"])
        self.scale, self.rank, self.alpha, self.first = alpha / rank, rank, alpha, first
        self.adapters: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        maker = torch.Generator().manual_seed(seed)
        for layer in range(first, self.shape.layers):
            for target in TARGETS:
                out, into = self.weights[f"blk.{layer}.{target}.weight"].shape
                bound = 1 / math.sqrt(into)
                a = (torch.rand(rank, into, generator=maker) * 2 - 1) * bound * math.sqrt(3)
                self.adapters[f"blk.{layer}.{target}"] = (
                    a.requires_grad_(),
                    torch.zeros(out, rank, requires_grad=True),
                )

    def parameters(self) -> list[torch.Tensor]:
        return [matrix for pair in self.adapters.values() for matrix in pair]

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, length) token ids -> (batch, length, width) bfloat16. Causal; padding stands on the right."""
        x = functional.embedding(tokens, self.weights["token_embd.weight"])
        turn = self._turns(tokens.shape[1])
        with torch.no_grad():
            for layer in range(self.first):
                x = self._layer(x, layer, turn)
        for layer in range(self.first, self.shape.layers):
            x = self._layer(x, layer, turn)
        return self._norm(x, "output_norm")

    def logits(self, states: torch.Tensor) -> torch.Tensor:
        return functional.linear(states, self.head)

    def _layer(self, x: torch.Tensor, layer: int, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        s, (batch, length, _) = self.shape, x.shape
        y = self._norm(x, f"blk.{layer}.attn_norm")
        q = self._linear(y, f"blk.{layer}.attn_q").view(batch, length, s.heads, -1)
        k = self._linear(y, f"blk.{layer}.attn_k").view(batch, length, s.kv_heads, -1)
        v = self._linear(y, f"blk.{layer}.attn_v").view(batch, length, s.kv_heads, -1)
        q, k, v = _rotated(q, turn).transpose(1, 2), _rotated(k, turn).transpose(1, 2), v.transpose(1, 2)
        share = s.heads // s.kv_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        # Written out: on a processor torch's fused attention is six times slower at these lengths, mostly on the way back.
        y = torch.softmax(q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1])) + self._future(length), -1) @ v
        x = x + self._linear(y.transpose(1, 2).reshape(batch, length, -1), f"blk.{layer}.attn_output")
        y = self._norm(x, f"blk.{layer}.ffn_norm")
        y = functional.silu(self._linear(y, f"blk.{layer}.ffn_gate")) * self._linear(y, f"blk.{layer}.ffn_up")
        return x + self._linear(y, f"blk.{layer}.ffn_down")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        y = functional.linear(x, self.weights[f"{name}.weight"])
        pair = self.adapters.get(name)
        if pair is None:
            return y
        a, b = pair
        return y + functional.linear(functional.linear(x, a.to(x.dtype)), (b * self.scale).to(x.dtype))

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.rms_norm(x, (self.shape.width,), self.weights[f"{name}.weight"], self.shape.eps)

    @staticmethod
    def _future(length: int) -> torch.Tensor:
        return torch.full((length, length), -math.inf, dtype=torch.bfloat16).triu(1)

    def _turns(self, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        size = self.shape.width // self.shape.heads
        steps = self.shape.base ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
        angles = torch.arange(length, dtype=torch.float32)[:, None] * steps
        return angles.cos()[None, :, None, :].to(torch.bfloat16), angles.sin()[None, :, None, :].to(torch.bfloat16)


def _rotated(x: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Rotary position on pairs (0, 1), (2, 3)...: the order of a GGUF of the llama architecture."""
    cos, sin = turn
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def _shape(reader: gguf.GGUFReader) -> Shape:
    def value(key: str) -> float:
        return float(reader.fields[f"llama.{key}"].contents())

    return Shape(
        layers=int(value("block_count")),
        width=int(value("embedding_length")),
        heads=int(value("attention.head_count")),
        kv_heads=int(value("attention.head_count_kv")),
        eps=value("attention.layer_norm_rms_epsilon"),
        base=value("rope.freq_base"),
    )
