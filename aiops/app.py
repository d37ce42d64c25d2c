"""The hall: settings -> a wired Ops. The only module that knows the adapters.

Each door has a table, URL scheme -> builder; builders import what they build. Third parties register builders under the
entry point group `aiops.adapters` (`port:scheme = module:builder`), each `builder(url, settings) -> adapter`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import pwd
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from aiops import __version__, resources, rules, settings
from aiops.domain import Actor, Task
from aiops.errors import ConfigError, DataError
from aiops.flows.episodes import Folding
from aiops.flows.repair import Condition, Governance, Terms, Workshop
from aiops.flows.retention import Retention
from aiops.flows.work import Hand
from aiops.ops import Ops
from aiops.pipeline import Sources
from aiops.ports import (
    Annotations,
    ChangeSource,
    Chat,
    ChatApp,
    Executor,
    GraphStore,
    JobQueue,
    LanguageModel,
    LogSource,
    MetricsSource,
    Pool,
    Replies,
    Sandbox,
    Silences,
    Store,
    TraceSource,
)
from aiops.schema import alerting, wire
from aiops.schema.alerting import Alerting
from aiops.settings import Settings

if TYPE_CHECKING:
    from aiops.adapters.alertmanager import Alertmanager, Hook
    from aiops.adapters.chat.apps import AppsFile
    from aiops.adapters.ed25519 import Checker, Signer
    from aiops.adapters.http import Access
    from aiops.adapters.llm.models import Shelf
    from aiops.adapters.sqlite.database import Schema

T = TypeVar("T")
Table = Mapping[str, Callable[[str, Settings], T]]


def connect(
    metrics: str = "",
    *,
    logs: str = "",
    traces: str = "",
    home: str | None = None,
    flags: Mapping[str, str] | None = None,
    keep: bool = True,
) -> Ops:
    """Opens everything that settings and arguments name; the caller closes it (`with`).

    `metrics="case:PATH"` also takes logs and traces from the case where none are named. `keep=False` writes nothing to
    disk. In a notebook a report shows itself as its page. Raises ConfigError, StoreError, DataError.
    """
    from aiops.render import notebook

    notebook.attach()
    named = {"sources.metrics": metrics, "sources.logs": logs, "sources.traces": traces}
    return build(settings.load({**(flags or {}), **{k: v for k, v in named.items() if v}}, home), keep=keep)


def build(config: Settings, *, keep: bool = True) -> Ops:
    """`connect` for settings that are loaded already."""
    with _closing_on_failure() as closers:
        known = rules.load(_folder("rules", config))
        sources = _sources(config, closers, keep=keep)
        queue = _opened(_open("queue", QUEUES, _local(config, "stores.queue", "queue.db", keep=keep), config), closers)
        store = _opened(_open("store", STORES, _local(config, "stores.store", "store.db", keep=keep), config), closers)
        chats = _chats(config, closers)
        model_url = config.text("model.url")
        model = _opened(_open("model", MODELS, model_url, config), closers) if model_url else None
        silences_url = config.text("sources.silences")
        silences = _open("silences", SILENCES, silences_url, config) if silences_url else None
    return Ops(
        sources=sources,
        rules=known,
        store=store,
        queue=queue,
        model=model,
        chats=chats,
        identity=_identity(config.text("sources.metrics")),
        versions=versions(),
        deadline_s=config.number("diagnosis.deadline_s"),
        model_timeout_s=config.number("model.timeout_s"),
        timezone=config.text("diagnosis.timezone"),
        governance=governance(config),
        closers=tuple(closers),
        priors=config.truth("diagnosis.priors"),
        graph_keep=timedelta(days=config.number("stores.graph_keep_days")),
        tenant=config.text("sources.tenant"),
        session_keep=timedelta(hours=config.number("stores.session_keep_hours")),
        keep=Retention(
            **{
                kind: timedelta(days=config.number(f"stores.{kind}_keep_days"))
                for kind in ("report", "recording", "change", "job")
            }
        ),
        actor=Actor("python", _user()),
        alerting=_alerting(config),
        folding=_folding(config),
        silences=silences,
    )


def _alerting(config: Settings) -> Alerting:
    file = _folder("rules", config) / "alerts.yaml"
    try:
        return alerting.parse(file.read_text(encoding="utf-8"), str(file))
    except FileNotFoundError:  # a folder of rules that is older than this file
        return Alerting()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _folding(config: Settings) -> Folding:
    def told(name: str) -> float:
        return config.number(f"episodes.{name}")

    return Folding(
        debounce=timedelta(seconds=told("debounce_s")),
        cooldown=timedelta(seconds=told("cooldown_s")),
        window=timedelta(seconds=told("window_s")),
        expire=timedelta(hours=told("expire_h")),
        hops=int(told("hops")),
        per_minute=int(told("per_minute")),
        waiting=int(config.number("service.queue_limit")),
        route_by=tuple(config.text("service.route_by").replace(",", " ").split()),
    )


def hand(config: Settings) -> Hand:
    """What a worker of its own opens: all but the store, the chat and the language model. Raises as `connect`."""
    with _closing_on_failure() as closers:
        known = rules.load(_folder("rules", config))
        sources = _sources(config, closers, keep=True)
        queue = _opened(_open("queue", QUEUES, _local(config, "stores.queue", "queue.db", keep=True), config), closers)
    return Hand(sources, known, queue, versions(), config.number("diagnosis.deadline_s"), tuple(closers))


def _sources(config: Settings, closers: list[Callable[[], None]], *, keep: bool) -> Sources:
    metrics_url = config.text("sources.metrics")
    recorded = metrics_url if metrics_url.startswith("case:") else ""
    logs_url = config.text("sources.logs") or recorded
    traces_url = config.text("sources.traces") or recorded
    if keep:
        _make_home(config.home)
    metrics = _opened(_open("metrics", METRICS, metrics_url, config) if metrics_url else _unset(), closers)
    log_source = _opened(_open("logs", LOGS, logs_url, config), closers) if logs_url else None
    trace_source = _opened(_open("traces", TRACES, traces_url, config), closers) if traces_url else None
    changes_url = _local(config, "sources.changes", "changes.db", keep=keep)
    changes = _opened(_open("changes", CHANGES, changes_url, config), closers)
    # A recorded incident has its own dependencies: they neither meet nor teach another system's, unless somebody says so.
    apart = recorded and config.origins["stores.graph"] != "flag"
    graph_url = "sqlite::memory:" if apart else _local(config, "stores.graph", "graph.db", keep=keep)
    graph = _opened(_mirrored(_open("graph", GRAPHS, graph_url, config), graph_url, config, keep=keep), closers)
    return Sources(metrics, log_source, trace_source, changes, graph)


def _local(config: Settings, setting: str, file: str, *, keep: bool) -> str:
    """`sqlite:` without a path stands in the home directory; in memory when nothing is kept."""
    url = config.text(setting)
    if url != "sqlite:":
        return url
    return f"sqlite:{config.home / file}" if keep else "sqlite::memory:"


@contextmanager
def _closing_on_failure() -> Iterator[list[Callable[[], None]]]:
    closers: list[Callable[[], None]] = []
    try:
        yield closers
    except BaseException:
        for close in reversed(closers):
            close()
        raise


def _opened(what: T, closers: list[Callable[[], None]]) -> T:
    close = getattr(what, "close", None)
    if close is not None:
        closers.append(close)
    return what


@contextmanager
def metrics(config: Settings) -> Iterator[MetricsSource]:
    """The source of metrics alone, for who needs no more of the house. Raises ConfigError, DataError."""
    source = _open("metrics", METRICS, config.text("sources.metrics"), config)
    try:
        yield source
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


@contextmanager
def pool(url: str) -> Iterator[Pool]:
    """Who does bulk work: `dask:N` N processes of this machine, tcp://HOST:PORT a Dask scheduler, "" this process alone.

    Raises ConfigError, SourceError."""
    from aiops.adapters.pools import DaskPool, Here

    scheme, _, rest = url.partition(":")
    if (url and scheme not in {"dask", "tcp", "tls"}) or (
        scheme == "dask" and not (rest.isdecimal() and int(rest) > 0)
    ):
        raise ConfigError(f"pool: {_shown(url)!r} is neither dask:N (processes) nor tcp://HOST:PORT (a Dask scheduler)")
    try:
        made = DaskPool("" if scheme == "dask" else url, int(rest) if scheme == "dask" else 0) if url else Here()
    except ModuleNotFoundError as error:
        raise _extra("dask", url) from error
    try:
        yield made
    finally:
        made.close()


@contextmanager
def language_models(config: Settings) -> Iterator[dict[str, LanguageModel]]:
    """The model of the settings, and for a local one itself without the adapter that belongs to it: to measure them."""
    url = config.text("model.url")
    with ExitStack() as stack:
        opened = {"model": _open("model", MODELS, url, config)} if url else {}
        if url.startswith("llamacpp:"):
            from aiops.adapters.llm import LlamaCpp

            opened["bare model"] = LlamaCpp(url.partition(":")[2], shelf(config), ships=False)
        for one in opened.values():
            stack.callback(one.close)
        yield opened


def slack(config: Settings) -> Replies:
    """Answers to what people write in Slack. Raises ConfigError."""
    from aiops.adapters.chat.slack import SlackReplies

    held = config.text("chat.slack_bot_file")
    return SlackReplies(_platform("chat.slack_url", config), _slack_api(config) if held else None)


def mattermost(config: Settings) -> Replies:
    """Answers to what people write in Mattermost. Raises ConfigError."""
    from aiops.adapters.chat.mattermost import MattermostReplies

    api = _mattermost_api(config) if config.text("chat.mattermost_bot_file") else None
    return MattermostReplies(_platform("chat.mattermost_url", config), api, _actions(config))


def chat_app(config: Settings, platform: str, name: str) -> ChatApp:
    """The app that [platform.name] of `chat.apps_file` is about: wecom, wechat, feishu, dingtalk. Raises ConfigError."""
    return _apps_file(config).app(platform, name)


def grafana(config: Settings) -> Annotations | None:
    """Where onsets and verdicts are annotated; None where nowhere. Raises ConfigError."""
    url = config.text("grafana.url")
    if not url:
        return None
    from aiops.adapters.grafana import Grafana
    from aiops.adapters.http import Access

    token, authorities = config.secret("grafana.token_file"), config.text("grafana.ca_file")
    return Grafana(Access.to(url, "", "Grafana (grafana.url)", token=token, ca_file=authorities))


def known_rules(config: Settings) -> rules.Rules:
    """The rules of the settings. Raises ConfigError."""
    return rules.load(_folder("rules", config))


def executor(config: Settings) -> Executor:
    """What acts outside the sandbox: only what `targets.yaml` among the rules lists can be reached. Raises ConfigError."""
    return _executor(config, _targets(config))


def _targets(config: Settings) -> bytes:
    file = _folder("rules", config) / "targets.yaml"
    try:
        return file.read_bytes() if file.exists() else b"{}"
    except OSError as error:
        raise ConfigError(f"{file}: {error}") from error


def _executor(config: Settings, listed: bytes) -> Executor:
    from aiops.adapters.executors import Executors, Journal, Systemd, door, web
    from aiops.schema import targets

    try:
        known = targets.load(listed.decode(), "targets.yaml")
        reached = {
            name: web.target(name, one.url, one.methods, one.paths, one.networks, one.token_file, one.ca_file)
            for name, one in known.targets.items()
        }
    except (DataError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{_folder('rules', config) / 'targets.yaml'}: {error}") from error
    systemctl = shutil.which("systemctl")
    return Executors(
        reached,
        Systemd(Path(systemctl) if systemctl else None, known.units),
        Journal(config.home / "executed"),
        door.users(int(config.number("sandbox.uid"))),
    )


def workshop(config: Settings) -> Workshop:
    """What repairs are made of and with, as it lies on the disk now. Raises ConfigError."""
    listed = _targets(config)
    made = _executor(config, listed)
    return Workshop(known_rules(config).runbooks, hashlib.sha256(listed).hexdigest(), made, sandbox(config))


def _condition(config: Settings) -> Condition | None:
    text = config.text("repairs.condition")
    if not text:
        return None
    try:
        from aiops.adapters.cel import Expression
    except ModuleNotFoundError as error:
        raise _extra("policy", "repairs.condition") from error
    return Expression(text, "repairs.condition")


def governance(config: Settings) -> Governance:
    """What the settings say of repairs. Raises ConfigError."""
    from aiops.adapters.premises import Machine

    terms = Terms(
        mode=config.text("repairs.mode"),
        self_approval=config.truth("approvals.self"),
        per_hour=int(config.number("repairs.per_hour")),
        storm=int(config.number("repairs.storm")),
        free=int(config.number("repairs.free_mib")) << 20,
        condition=_condition(config),
    )
    return Governance(lambda: workshop(config), Machine(config.home), terms)


def sandbox(config: Settings) -> Sandbox:
    """Where repairs run; whether anything can be confined here shows when it is asked to run or to answer a ping."""
    from aiops.adapters.sandbox import Bubblewrap

    named = config.text("sandbox.bubblewrap")
    found = shutil.which(named or "bwrap")
    program = Path(found).resolve() if found else None if named else resources.fetched("bwrap")
    return Bubblewrap(
        program,
        uid=int(config.number("sandbox.uid")),
        group=config.text("sandbox.cgroup"),
        most=int(config.number("sandbox.most")),
    )


def shelf(config: Settings, *, keep: bool = True) -> Shelf:
    """Where language models are: those that ship, and those of this user."""
    from aiops.adapters.llm.models import Shelf

    return Shelf(_folder("models", config), config.home / "models" if keep else None)


def models(config: Settings) -> tuple[dict[str, str | int | None], ...]:
    """The language models known by name: name, used, state ("ok", or how to get it), licence, context, size, sha256, file.

    Their hashes are not read. Raises ModelError."""
    scheme, _, used = config.text("model.url").partition(":")
    return tuple(
        {
            "name": model.name,
            "used": "yes"
            if scheme == "llamacpp" and used in ({model.name, ""} if model.default else {model.name})
            else "",
            "licence": model.licence,
            "context": model.context,
            "state": "ok" if model.file.is_file() else f"not there: {model.get}",
            "size": model.file.stat().st_size if model.file.is_file() else None,
            "sha256": model.sha256,
            "file": str(model.file),
        }
        for model in shelf(config).models()
    )


def model_url(config: Settings, choice: str) -> str:
    """What `model.url` must be for a model that is there: by name, or by the path of a GGUF. Raises ModelError."""
    here = shelf(config)
    model = here.find(choice)
    known = model in here.models()
    return f"llamacpp:{model.name if known else model.file.resolve()}"


def pull(config: Settings, name: str, source: str, digest: str, progress: Callable[[int, int], None]) -> Path:
    """Brings the file of a model home. Raises ModelError."""
    from aiops.adapters.llm import pull as pulling

    _make_home(config.home)
    here = shelf(config)
    return pulling.pull(here.named(name), here, source, digest, progress)


def check_model(config: Settings, name: str, progress: Callable[[int, int], None] = lambda *_: None) -> dict[str, str]:
    """A model's `file`, whether it `loads`, and whether it keeps to a `grammar`: "ok", or what is wrong."""
    from aiops.adapters.llm import check

    return check.check(shelf(config), name, progress)


def prove_adapter(config: Settings, folder: Path) -> str:
    """Examines an adapter and takes it; its name and version. Raises ModelError with what is wrong with it."""
    from aiops.adapters.llm import LlamaCpp

    scheme, _, name = config.text("model.url").partition(":")
    if scheme != "llamacpp":
        raise ConfigError(
            f"model.url: only a model of llamacpp: can have an adapter, not {_shown(scheme + ':' + name)}"
        )
    keys = config.text("model.adapter_keys_file")
    _make_home(config.home)
    model = LlamaCpp(name, shelf(config), adapter=folder, keys=Path(keys).expanduser() if keys else None)
    try:
        return model.prove()
    finally:
        model.close()


def sign_adapter(folder: Path, key: Path) -> Path:
    """Writes the signature of an adapter; where it is. Raises ConfigError."""
    from aiops.adapters.llm import adapter

    try:
        return adapter.sign(folder, key)
    except adapter.UnfitError as error:
        raise ConfigError(str(error)) from error


def backup(config: Settings, file: Path) -> dict[str, int]:
    """Writes all that is kept here into `file`, of one moment, also while others write: name -> bytes.

    What is on other machines (Redis, Neo4j) has back-ups of its own. Raises StoreError, Refused."""
    from aiops.adapters.sqlite import backup as sqlite

    about = {"aiops": __version__, "created": datetime.now(UTC).isoformat(timespec="seconds")}
    return sqlite.write(file, {name: path for name, (path, _) in _kept(config).items()}, _state(config), about)


def restore(config: Settings, file: Path) -> dict[str, Any]:
    """Puts a back-up into a home directory that holds nothing yet; what its manifest tells. Raises StoreError, Refused, DataError."""
    from aiops.adapters.sqlite import backup as sqlite

    _make_home(config.home)
    kept = _kept(config)
    schemas = {name: schema for name, (_, schema) in kept.items()}
    targets = {name: path for name, (path, _) in kept.items()} | _state(config)
    return sqlite.read(file, targets, schemas, lambda name: config.home / name if _STATE.fullmatch(name) else None)


def _kept(config: Settings) -> dict[str, tuple[Path, Schema]]:
    """The SQLite files of this house, in the order in which they are written to, by the names that they have in a back-up."""
    from aiops.adapters.sqlite import changes, graph, queue, store

    rooms = {"stores.store": store.SCHEMA, "stores.queue": queue.SCHEMA, "sources.changes": changes.SCHEMA}
    rooms["stores.graph"] = graph.SCHEMA
    kept = {}
    for setting, schema in rooms.items():
        name = f"{setting.partition('.')[2]}.db"
        url = _local(config, setting, name, keep=True)
        if url.startswith("sqlite:"):
            kept[name] = _path(url), schema
        elif setting == "stores.graph":
            kept[name] = _mirror(url, config), schema
    return kept


# What is kept beside the databases: what `aiops watch` and its shards have learnt, which acts outside were done, and that repairs
# are stopped.
_STATE = re.compile(r"watch(-\d+-of-\d+)?\.npz|executed/[0-9a-f]{64}|stopped")


def _state(config: Settings) -> dict[str, Path]:
    """The files of that kind that there are, by their names in a back-up."""
    found = [path for pattern in ("*", "executed/*") for path in config.home.glob(pattern)]
    named = {str(path.relative_to(config.home)): path for path in sorted(found)}
    return {name: path for name, path in named.items() if _STATE.fullmatch(name)}


def versions() -> dict[str, str]:
    """What a report's bytes depend on: the program, its array library and the CPU family."""
    return {
        "aiops": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": platform.machine(),
    }


def signer(config: Settings) -> Signer | None:
    """Signs the heads of exported audit logs; None where no key is set. Raises ConfigError."""
    pem = config.secret("stores.audit_key_file")
    if not pem:
        return None
    from aiops.adapters.ed25519 import Signer

    return Signer(pem, "stores.audit_key_file")


def checker(config: Settings, file: Path | None = None) -> Checker | None:
    """Checks such signatures, with the key in `file` or else the one that is set; None where there is neither. Raises ConfigError."""
    try:
        pem = file.read_text(encoding="utf-8") if file else config.secret("stores.audit_key_file")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read {file}: {error}") from error
    if not pem:
        return None
    from aiops.adapters.ed25519 import Checker

    return Checker(pem, str(file or "stores.audit_key_file"))


def _identity(metrics_url: str) -> str:
    """What tells this system's diagnoses from another's: the URL, or for a recording its content."""
    scheme, _, path = metrics_url.partition(":")
    if scheme != "case":
        return metrics_url
    from aiops.recording import open_files

    files = open_files(Path(path).expanduser())
    digest = hashlib.sha256()
    for name in ("case.json", "metrics.parquet"):
        digest.update(files.get(name) or b"")
    return f"case:{digest.hexdigest()}"


def _user() -> str:
    """Whose process this is; the environment could say anything."""
    number = os.geteuid()
    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"can't make the home directory {home}: {error.strerror}; choose another with --home"
        ) from error


def _folder(name: str, config: Settings) -> Path:
    try:
        return resources.folder(name, config.text(f"folders.{name}"))
    except FileNotFoundError as error:
        raise ConfigError(str(error)) from error


def _open(port: str, table: Table[T], url: str, config: Settings) -> T:
    scheme = url.partition(":")[0]
    builder = table.get(scheme) or _third_party(port, scheme)
    if builder is None:
        raise ConfigError(
            f"{port}: no adapter for {scheme + ':'!r} in {_shown(url)!r}; known are {', '.join(f'{s}:' for s in sorted(table))}"
        )
    adapter: T = builder(url, config)
    return adapter


def _mirrored(graph: GraphStore, url: str, config: Settings, *, keep: bool) -> GraphStore:
    """A graph on another machine gets a copy here, so that an outage loses nothing and stops nothing."""
    if url.startswith("sqlite:"):
        return graph
    from aiops.adapters.sqlite import GraphDB, MirroredGraph

    return MirroredGraph(GraphDB(_mirror(url, config) if keep else ":memory:"), graph, _shown(url))


def _mirror(url: str, config: Settings) -> Path:
    """One copy for each server: what waits for one is never sent to another."""
    return config.home / f"graph-{hashlib.sha256(url.encode()).hexdigest()[:12]}.db"


def _third_party(port: str, scheme: str) -> Callable[[str, Settings], T] | None:
    for entry in entry_points(group="aiops.adapters", name=f"{port}:{scheme}"):
        builder: Callable[[str, Settings], T] = entry.load()
        return builder
    return None


def _shown(url: str) -> str:
    """The URL without what stands before `@`."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('//')[0]}//...@{tail}" if at else url


def _path(url: str) -> Path:
    path = url.partition(":")[2]
    if not path:
        raise ConfigError(f"{url}: a path is needed")
    return Path(path).expanduser()


def _place(url: str) -> Path | str:
    return ":memory:" if url == "sqlite::memory:" else _path(url)


# ---------------------------------------------------------------- builders


def _unset() -> MetricsSource:
    from aiops.adapters.unset import UnsetMetrics

    return UnsetMetrics()


def _case_metrics(url: str, config: Settings) -> MetricsSource:  # noqa: ARG001 - every builder has one signature
    from aiops.adapters.case import CaseMetrics

    return CaseMetrics(_path(url))


def _case_logs(url: str, config: Settings) -> LogSource:  # noqa: ARG001 - as above
    from aiops.adapters.case import CaseLogs

    return CaseLogs(_path(url))


def _case_traces(url: str, config: Settings) -> TraceSource:  # noqa: ARG001 - as above
    from aiops.adapters.case import CaseTraces

    return CaseTraces(_path(url))


def _prometheus(url: str, config: Settings) -> MetricsSource:
    from aiops.adapters.prometheus import Prometheus

    return Prometheus(_http(url, "prometheus", "metrics", config))


def _http(url: str, scheme: str, source: str, config: Settings) -> Access:
    """The door to a source, with the secrets of its own: those of another are never sent to it."""
    from aiops.adapters.http import Access

    prefix = "" if source == "metrics" else f"{source}_"
    held = {name: config.secret(f"sources.{prefix}{name}_file") for name in ("token", "password")}
    given = ("user", "tenant", "ca_file", "cert_file", "key_file")
    told = {name: config.text(f"sources.{prefix}{name}") for name in given}
    return Access.to(url, scheme, f"{source} source", **held, **told)


def _entities(config: Settings) -> rules.Entities:
    return rules.load(_folder("rules", config)).entities


def clocks(config: Settings) -> Iterator[tuple[str, Callable[[float], float | None]]]:
    """Of each source that speaks HTTP its name, and what asks how many seconds its clock is ahead of ours. Raises ConfigError."""
    from aiops.adapters.http import skew_s

    for source in ("metrics", "logs", "traces", "silences"):
        scheme, plus, address = config.text(f"sources.{source}").partition("+")
        if plus and address.startswith("http"):
            yield source, partial(skew_s, _http(f"{scheme}+{address}", scheme, source, config))


def alertmanager(config: Settings) -> Alertmanager | None:
    """The Alertmanager of `sources.silences`; None where none is set. Raises ConfigError."""
    from aiops.adapters.alertmanager import Alertmanager

    url = config.text("sources.silences")
    return Alertmanager(_http(url, "alertmanager", "silences", config)) if url.startswith("alertmanager+") else None


def own_webhook(config: Settings, token: str = "") -> Hook:
    """The webhook of the `aiops serve` that runs with these settings, on this machine. Raises ConfigError."""
    from aiops.adapters.alertmanager import Hook
    from aiops.adapters.http import Access

    host, _, port = config.text("service.listen").rpartition(":")
    here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - to be reached, not bound
    return Hook(Access.to(f"http://{here}:{port}", "", "webhook (service.listen)", token=token))


def _loki(url: str, config: Settings) -> LogSource:
    from aiops.adapters.loki import Loki

    return Loki(_http(url, "loki", "logs", config), _entities(config))


def _elastic(url: str, config: Settings) -> LogSource:
    from aiops.adapters.elastic import Elastic

    return Elastic(_http(url, "elastic", "logs", config), _entities(config))


def _alertmanager(url: str, config: Settings) -> Silences:
    from aiops.adapters.alertmanager import Alertmanager

    return Alertmanager(_http(url, "alertmanager", "silences", config))


def _tempo(url: str, config: Settings) -> TraceSource:
    from aiops.adapters.tempo import Tempo

    return Tempo(_http(url, "tempo", "traces", config), _entities(config))


def _jaeger(url: str, config: Settings) -> TraceSource:
    from aiops.adapters.jaeger import Jaeger

    return Jaeger(_http(url, "jaeger", "traces", config), _entities(config))


def _sqlite_changes(url: str, config: Settings) -> ChangeSource:  # noqa: ARG001 - as above
    from aiops.adapters.sqlite import ChangeDB

    return ChangeDB(_place(url))


def _sqlite_graph(url: str, config: Settings) -> GraphStore:  # noqa: ARG001 - as above
    from aiops.adapters.sqlite import GraphDB

    return GraphDB(_place(url))


def _sqlite_queue(url: str, config: Settings) -> JobQueue:
    from aiops.adapters.sqlite import QueueDB

    return QueueDB(_place(url), wire.encode, _task, **_limits(config))


def _limits(config: Settings) -> dict[str, int]:
    return {
        "capacity": int(config.number("service.queue_limit")),
        "max_attempts": int(config.number("service.attempts")),
    }


def _task(data: bytes) -> Task:
    return wire.decode(data, Task)


def _redis(url: str, config: Settings) -> JobQueue:
    try:
        from aiops.adapters.redis_queue import RedisQueue
    except ModuleNotFoundError as error:
        raise _extra("redis", url) from error
    limits = _limits(config)
    return RedisQueue(
        url,
        wire.encode,
        _task,
        password=config.secret("stores.queue_password_file") or None,
        capacity=limits["capacity"],
        max_attempts=limits["max_attempts"],
    )


def _neo4j(url: str, config: Settings) -> GraphStore:
    try:
        from aiops.adapters.neo4j_graph import Neo4jGraph
    except ModuleNotFoundError as error:
        raise _extra("neo4j", url) from error
    user, password = config.text("stores.graph_user"), config.secret("stores.graph_password_file")
    return Neo4jGraph(url, user, password, patience_s=3.0)  # behind it stands the copy of `_mirrored`


def _extra(name: str, url: str) -> ConfigError:
    return ConfigError(f"{_shown(url)} needs the extra {name!r}: pip install '.[{name}]' in the checkout")


def _sqlite_store(url: str, config: Settings) -> Store:  # noqa: ARG001 - as above
    from aiops.adapters.sqlite import StoreDB

    return StoreDB(_place(url))


def _chats(config: Settings, closers: list[Callable[[], None]]) -> tuple[Chat, ...]:
    """Those that chat.url names, each once."""
    chats = [_opened(_open("chat", CHATS, url, config), closers) for url in config.text("chat.url").split()]
    names = [chat.name for chat in chats]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigError(f"chat.url names {', '.join(sorted(twice))} twice")
    return tuple(chats)


def _platform(setting: str, config: Settings, token: str = "") -> Access:
    from aiops.adapters.http import Access

    return Access.to(config.text(setting), "", f"chat platform ({setting})", token=token)


def _slack_api(config: Settings) -> Access:
    return _platform("chat.slack_api", config, _needed("chat.slack_bot_file", config))


def _mattermost_api(config: Settings) -> Access:
    return _platform("chat.mattermost_url", config, _needed("chat.mattermost_bot_file", config))


def _needed(setting: str, config: Settings) -> str:
    held = config.secret(setting)
    if not held:
        raise ConfigError(f"{setting} must name a file with the secret that chat.url needs")
    return held


def _actions(config: Settings) -> str:
    """Where Mattermost sends what was pressed; "" where nobody has said how we are reached."""
    base = config.text("service.external_url").rstrip("/")
    return f"{base}/v1/chat/mattermost" if base else ""


def _channel(url: str) -> str:
    channel = url.partition(":")[2]
    if not re.fullmatch(r"[A-Za-z0-9]+", channel):
        raise ConfigError(f"chat.url: {url} names no channel; write its id, as in slack:C0123456789")
    return channel


def _slack(url: str, config: Settings) -> Chat:
    from aiops.adapters.chat.slack import SlackChat

    # Without the signing secret nothing that is pressed could be believed.
    return SlackChat(_slack_api(config), _channel(url), pressable=bool(config.text("chat.slack_secret_file")))


def _mattermost(url: str, config: Settings) -> Chat:
    from aiops.adapters.chat.mattermost import MattermostChat

    return MattermostChat(_mattermost_api(config), _channel(url), _actions(config))


def _webhook(url: str, config: Settings) -> Chat:
    from aiops.adapters.chat import webhook
    from aiops.adapters.http import Access

    key = webhook.secret(_needed("chat.webhook_secret_file", config), "chat.webhook_secret_file")
    return webhook.WebhookChat(Access.to(url, "webhook", "webhook (chat.url)"), key)


def _console(url: str, config: Settings) -> Chat:  # noqa: ARG001 - as above
    from aiops.adapters.chat.console import ConsoleChat

    return ConsoleChat()


def _room(url: str, config: Settings) -> Chat:
    return _apps_file(config).chat(url)


def _apps_file(config: Settings) -> AppsFile:
    from aiops.adapters.chat.apps import AppsFile

    named = config.text("chat.apps_file")
    if not named:
        raise ConfigError("chat.apps_file must name the file of the apps that chat.url names")
    return AppsFile(Path(named).expanduser())


def _llamacpp(url: str, config: Settings) -> LanguageModel:
    from aiops.adapters.llm import LlamaCpp

    folder, keys = (config.text(f"model.{name}") for name in ("adapter", "adapter_keys_file"))
    return LlamaCpp(
        url.partition(":")[2],
        shelf(config),
        adapter=Path(folder).expanduser() if folder else None,
        keys=Path(keys).expanduser() if keys else None,
        temperature=config.number("model.temperature"),
        threads=int(config.number("model.threads")),
    )


def _openai(url: str, config: Settings) -> LanguageModel:
    from aiops.adapters.llm import OpenAI

    return OpenAI(
        url,
        config.text("model.name"),
        config.secret("model.token_file"),
        config.number("model.temperature"),
    )


METRICS: Table[MetricsSource] = {
    "case": _case_metrics,
    "prometheus+http": _prometheus,
    "prometheus+https": _prometheus,
}
LOGS: Table[LogSource] = {
    "case": _case_logs,
    "loki+http": _loki,
    "loki+https": _loki,
    "elastic+http": _elastic,
    "elastic+https": _elastic,
}
TRACES: Table[TraceSource] = {
    "case": _case_traces,
    "tempo+http": _tempo,
    "tempo+https": _tempo,
    "jaeger+http": _jaeger,
    "jaeger+https": _jaeger,
}
SILENCES: Table[Silences] = {"alertmanager+http": _alertmanager, "alertmanager+https": _alertmanager}
CHANGES: Table[ChangeSource] = {"sqlite": _sqlite_changes}
GRAPHS: Table[GraphStore] = {"sqlite": _sqlite_graph, "neo4j": _neo4j, "neo4j+s": _neo4j}
QUEUES: Table[JobQueue] = {"sqlite": _sqlite_queue, "redis": _redis, "rediss": _redis}
STORES: Table[Store] = {"sqlite": _sqlite_store}
CHATS: Table[Chat] = {
    "console": _console,
    "slack": _slack,
    "mattermost": _mattermost,
    "dingtalk": _room,
    "feishu": _room,
    "wecom": _room,
    "webhook+http": _webhook,
    "webhook+https": _webhook,
}
MODELS: Table[LanguageModel] = {
    "llamacpp": _llamacpp,
    "openai+http": _openai,
    "openai+https": _openai,
}
