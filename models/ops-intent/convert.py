"""Checkpoint -> GGUF LoRA: `python convert.py CHECKPOINT OUT.gguf --alpha 16`. Names and layout are those of the base GGUF."""

from __future__ import annotations

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--alpha", type=float, default=16.0)
    args = parser.parse_args()
    adapters = torch.load(args.checkpoint)["adapters"]
    writer = gguf.GGUFWriter(str(args.out), "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("general.name", "ops-intent")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", args.alpha)
    for name, (a, b) in sorted(adapters.items()):
        writer.add_tensor(f"{name}.weight.lora_a", a.numpy().astype(np.float16))
        writer.add_tensor(f"{name}.weight.lora_b", b.numpy().astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(args.out, args.out.stat().st_size, "bytes,", 2 * len(adapters), "tensors")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
