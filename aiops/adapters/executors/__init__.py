"""Executors: what is done outside the sandbox, by our own code alone. One table of verbs; each is checked, can be rehearsed, has
a deadline, is done once for each idempotency key, and is looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime

import msgspec

from aiops.adapters.executors import door, web
from aiops.adapters.executors.journal import Journal
from aiops.adapters.executors.systemd import Systemd
from aiops.adapters.executors.web import Request, Target
from aiops.domain import Act, Outcome, RunStatus
from aiops.errors import DataError, Refused
from aiops.schema.runbook import VERBS

__all__ = ["Executors", "Journal", "Systemd", "door", "web"]

_MERGE, _STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"


class Executors:
    """Does acts that are verbs. `targets` and `systemd` say what may be reached at all; `journal` remembers what was begun.

    users: the user ids that are heard at a door."""

    def __init__(
        self, targets: Mapping[str, Target], systemd: Systemd, journal: Journal, users: frozenset[int] = frozenset()
    ) -> None:
        self._targets, self._systemd, self._journal, self._users = targets, systemd, journal, users
        self._requests: Mapping[str, Callable[[Mapping[str, str]], Request]] = {
            "http.call": lambda a: web.request(targets, a["target"], a["method"], a["path"], a.get("body", "")),
            "alertmanager.silence": lambda a: web.silence(targets, a),
            "docker.restart": lambda a: web.request(targets, "docker", "POST", f"/containers/{a['container']}/restart"),
            "kubernetes.restart": self._restart_deployment,
            "kubernetes.scale": self._scale_deployment,
        }

    def rehearse(self, act: Act) -> Outcome:
        """The dry run: everything is checked as before doing it, and nothing is done."""
        try:
            _check(act)
            if act.verb in self._requests:
                return web.rehearse(self._requests[act.verb](act.arguments))
            return self._systemd.rehearse(act.verb.partition(".")[2], act.arguments["unit"])
        except (Refused, DataError) as error:
            return Outcome(RunStatus.REFUSED, why=str(error))

    def run(self, act: Act, key: str, timeout: float) -> Outcome:
        """Does it, once for each `key`: a second call answers what the first came to. Raises StoreError before anything is done."""
        try:
            _check(act)
            request = self._requests[act.verb](act.arguments) if act.verb in self._requests else None
            if request is None:
                self._systemd.check(act.arguments["unit"])
        except (Refused, DataError) as error:
            return Outcome(RunStatus.REFUSED, why=str(error))
        known = self._journal.begin(key)
        if known is not None:
            return known
        if request is not None:
            outcome = self._verified(act, web.send(request, key, timeout), timeout)
        else:
            outcome = self._systemd.run(act.verb.partition(".")[2], act.arguments["unit"], timeout)
        self._journal.end(key, outcome)
        return outcome

    def door(self, verbs: tuple[str, ...], key: str) -> AbstractContextManager[str]:
        """A socket for one run's script; what it asks for first has the idempotency key `key/1`, then `key/2`."""
        return door.opened(verbs, self._users, lambda act, number: self.run(act, f"{key}/{number}", door.PATIENCE_S))

    def _verified(self, act: Act, outcome: Outcome, timeout: float) -> Outcome:
        """Looks at what can be looked at by itself; for the rest the runbook's effect check is what counts."""
        if outcome.status is not RunStatus.OK or act.verb != "docker.restart":
            return outcome
        path = f"/containers/{act.arguments['container']}/json"
        seen = web.send(web.request(self._targets, "docker", "GET", path), "", timeout)
        try:
            running = msgspec.json.decode(seen.output.partition(" ")[2])["State"]["Running"]
        except (msgspec.DecodeError, KeyError, TypeError):
            running = None
        if running is True:
            return outcome
        return Outcome(
            RunStatus.FAILED, outcome.exit_code, outcome.output, outcome.usage, "the container does not run after it"
        )

    def _restart_deployment(self, arguments: Mapping[str, str]) -> Request:
        stamp = {"kubectl.kubernetes.io/restartedAt": datetime.now(UTC).isoformat()}
        body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        return self._patch(arguments, "", body, _STRATEGIC)

    def _scale_deployment(self, arguments: Mapping[str, str]) -> Request:
        if not arguments["replicas"].isdecimal():
            raise DataError(f"{arguments['replicas']!r} is no number of replicas")
        return self._patch(arguments, "/scale", {"spec": {"replicas": int(arguments["replicas"])}}, _MERGE)

    def _patch(self, arguments: Mapping[str, str], below: str, body: Mapping[str, object], kind: str) -> Request:
        path = f"/apis/apps/v1/namespaces/{arguments['namespace']}/deployments/{arguments['deployment']}{below}"
        return web.request(self._targets, "kubernetes", "PATCH", path, msgspec.json.encode(body).decode(), kind)


def _check(act: Act) -> None:
    """Refused for what is no verb, or has not its arguments."""
    if act.verb not in VERBS:
        raise Refused(f"{act.verb!r} is no verb; there are {', '.join(VERBS)}")
    needed, more = VERBS[act.verb]
    if not needed <= set(act.arguments) <= needed | more:
        raise Refused(f"{act.verb} takes {', '.join(sorted(needed | more))}, not {', '.join(sorted(act.arguments))}")
