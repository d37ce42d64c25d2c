"""Language models: `llamacpp:` (a child process on this machine) and `openai+http(s)://` (any OpenAI-compatible server)."""

from aiops.adapters.llm.llamacpp import LlamaCpp
from aiops.adapters.llm.openai import OpenAI

__all__ = ["LlamaCpp", "OpenAI"]
