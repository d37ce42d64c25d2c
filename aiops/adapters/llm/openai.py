"""`openai+http(s)://HOST/v1`: any OpenAI-compatible chat server (vLLM, llama-server, Ollama...).

The schema is sent as `response_format`, and the answer is checked all the same by whoever asked: servers differ in how
much of a schema they enforce.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from aiops.adapters.llm.adapter import PLACE
from aiops.adapters.llm.hot import Sample
from aiops.adapters.llm.llamacpp import checked, requests
from aiops.errors import ModelError
from aiops.ports import Prompt

MAX_TOKENS = 256
_MAX_BODY = 1 << 20


class OpenAI:
    """A server by URL; `model` may be empty where it serves only one. Stateless, thread-safe."""

    def __init__(self, url: str, model: str = "", token: str = "", temperature: float = 0.0) -> None:
        parts = urlsplit(url.removeprefix("openai+"))
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ModelError(f"{url}: openai+http://HOST[:PORT]/v1 is needed")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._base, self._model, self._token = parts.path.rstrip("/"), model, token
        self._temperature, self._enforces, self._answered, self._failed = temperature, True, 0, 0
        self._shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{self._base}"

    def complete(self, prompt: Prompt, schema: Mapping[str, object], timeout: float) -> str:
        """The server's answer as it came; ModelError when there is none within `timeout` (at most 120 s)."""
        deadline = checked(prompt, timeout, self._temperature)
        body = {
            "model": self._model or self._first(deadline),
            "messages": [{"role": "user", "content": _filled(prompt)}],
            "temperature": self._temperature,
            "max_tokens": MAX_TOKENS,
        }
        try:
            said = self._said(body, schema, deadline)
        except ModelError:
            self._failed += 1
            raise
        self._answered += 1
        return said

    def _said(self, body: Mapping[str, Any], schema: Mapping[str, object], deadline: float) -> str:
        """With the schema where the server takes one; a server that refuses is asked once more, and from then on, without."""
        form = {"type": "json_schema", "json_schema": {"name": "slots", "strict": True, "schema": schema}}
        if self._enforces:
            try:
                return self._content(
                    self._ask("POST", "/chat/completions", {**body, "response_format": form}, deadline)
                )
            except _NotTakenError:
                self._enforces = False
        return self._content(self._ask("POST", "/chat/completions", body, deadline))

    def _content(self, answer: Any) -> str:
        try:
            return str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(f"chat completion from {self._shown}: no choices in the answer") from error

    def counters(self) -> Mapping[Sample, float]:
        return requests(self._answered, self._failed)

    def ping(self, timeout: float) -> str:
        return f"{self._shown}, {self._model or self._first(time.monotonic() + timeout)}"

    def close(self) -> None:
        """Nothing is kept open."""

    def _first(self, deadline: float) -> str:
        listed = self._ask("GET", "/models", None, deadline)
        try:
            return str(listed["data"][0]["id"])
        except (KeyError, IndexError, TypeError) as error:
            raise ModelError(f"models of {self._shown}: the list is empty") from error

    def _link(self, timeout: float) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=timeout, context=ssl.create_default_context()
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def _ask(self, method: str, path: str, body: object, deadline: float) -> Any:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelError(f"{path} of {self._shown}: no answer in time")
        link = self._link(left)
        headers = {"content-type": "application/json"} | (
            {"authorization": f"Bearer {self._token}"} if self._token else {}
        )
        try:
            link.request(method, self._base + path, json.dumps(body).encode() if body is not None else None, headers)
            with closing(link.getresponse()) as response:
                data = _all(response, deadline)
            if response.status in {400, 422} and isinstance(body, dict) and "response_format" in body:
                raise _NotTakenError
            if response.status != 200:
                raise ModelError(f"{path} of {self._shown}: HTTP {response.status}")
            return json.loads(data)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelError(f"{path} of {self._shown}: {str(error) or type(error).__name__}") from error
        finally:
            link.close()


class _NotTakenError(Exception):
    """The server does not know `response_format`."""


def _filled(prompt: Prompt) -> str:
    """The template with its places filled, in one pass: what stands in a value is no place."""
    return PLACE.sub(lambda place: prompt.values.get(place[1], place[0]), prompt.template)


def _all(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body, within the deadline even if it trickles in, and at most 1 MiB."""
    data = b""
    while part := response.read1(1 << 16):
        data += part
        if len(data) > _MAX_BODY:
            raise ValueError(f"the answer is larger than {_MAX_BODY} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("no answer in time")
    return data
