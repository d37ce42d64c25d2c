"""Settings: flag > `AIOPS_SECTION__KEY` > `$AIOPS_HOME/config.toml` > default. The only module that reads the environment.

`TABLE` is the whole list; `aiops config init` writes it out commented, `config check` refuses what is not in it.
A secret is a `*_file` setting (the path of a file that holds it) or an environment variable, never part of a URL.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiops.errors import ConfigError

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Setting:
    section: str
    key: str
    default: Value
    doc: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        return f"AIOPS_{self.section}__{self.key}".upper()


TABLE = (
    Setting("sources", "metrics", "", "case:PATH or prometheus+http(s)://HOST[:PORT]"),
    Setting("sources", "logs", "", "case:PATH, loki+http(s)://HOST or elastic+http(s)://HOST/INDEX; empty = none"),
    Setting("sources", "traces", "", "case:PATH, tempo+http(s)://HOST or jaeger+http(s)://HOST; empty = none"),
    Setting("sources", "changes", "sqlite:", "where POST /v1/changes is kept"),
    Setting(
        "sources", "silences", "", "alertmanager+http(s)://HOST[:PORT], whose silences are respected; empty = none"
    ),
    *(
        Setting("sources", f"{prefix}{key}", "", doc.format(source=source, prefix=prefix))
        for source, prefix in (("metrics", ""), ("logs", "logs_"), ("traces", "traces_"), ("silences", "silences_"))
        for key, doc in (
            ("token_file", "file with a bearer token for the source of {source}"),
            ("user", "user for basic authentication of the source of {source}"),
            ("password_file", "file with the password that goes with {prefix}user"),
            ("tenant", "tenant (X-Scope-OrgID) at the source of {source}"),
            (
                "ca_file",
                "certificates of the authorities to trust instead of the usual ones, for the source of {source}",
            ),
            ("cert_file", "client certificate (PEM) for the source of {source}"),
            ("key_file", "private key of {prefix}cert_file; empty = it is in the same file"),
        )
    ),
    Setting("stores", "graph", "sqlite:", "dependencies: sqlite:[PATH], neo4j://HOST[:PORT] or neo4j+s://HOST[:PORT]"),
    Setting("stores", "graph_user", "", "user of the graph database"),
    Setting("stores", "graph_password_file", "", "file with the password that goes with graph_user"),
    Setting("stores", "graph_keep_days", 30, "days after which a dependency that is not seen again is forgotten"),
    Setting("stores", "queue", "sqlite:", "jobs: sqlite:[PATH], redis://HOST[:PORT] or rediss://HOST[:PORT]"),
    Setting("stores", "queue_password_file", "", "file with the password of the queue"),
    Setting(
        "stores", "session_keep_hours", 8.0, "hours after which a conversation is forgotten that nobody goes on with"
    ),
    Setting(
        "stores",
        "report_keep_days",
        90,
        "days after which a report is forgotten, with its recording and the notifications that led to it",
    ),
    Setting("stores", "recording_keep_days", 30, "days after which a report can't be replayed any more"),
    Setting("stores", "change_keep_days", 90, "days after which a change is forgotten"),
    Setting("stores", "job_keep_days", 7, "days after which a job that has ended is forgotten; its report stays"),
    Setting(
        "stores",
        "audit_key_file",
        "",
        "file with the Ed25519 private key (PEM) that signs the heads of exported audit logs",
    ),
    Setting("stores", "store", "sqlite:", "reports, recordings, sessions, audit: sqlite:[PATH]"),
    Setting("model", "url", "llamacpp:", "llamacpp:[NAME or GGUF] or openai+http(s)://HOST/v1; empty = rules only"),
    Setting("model", "timeout_s", 20.0, "seconds for one answer of the language model, at most 120"),
    Setting(
        "model", "temperature", 0.0, "0 takes the likeliest words, up to 1 others too (as the question's hash says)"
    ),
    Setting("model", "threads", 1, "threads of a local model; more than there are idle cores makes it slower"),
    Setting("model", "adapter", "", "folder that is watched for a signed adapter of a local model; empty = what ships"),
    Setting("model", "adapter_keys_file", "", "file with the Ed25519 public keys (PEM) that may sign adapters"),
    Setting("model", "name", "", "model to ask a server for; empty = the first that it lists"),
    Setting("model", "token_file", "", "file with a bearer token for a server"),
    Setting(
        "chat",
        "url",
        "console:",
        "where aiops serve tells of episodes, parted by blanks: console:, slack:CHANNEL, ... (docs/chat.md); empty = nowhere",
    ),
    Setting("chat", "language", "en", "in which chats are told of episodes: en or zh"),
    Setting("chat", "people_file", "", "who may decide over repairs in chats: lines ROLE NAME PLATFORM:USER"),
    Setting("chat", "slack_bot_file", "", "file with the bot token of a Slack app, which posts to slack:CHANNEL"),
    Setting("chat", "slack_api", "https://slack.com/api", "where Slack's Web API is"),
    Setting("chat", "mattermost_bot_file", "", "file with the token of a bot, which posts to mattermost:CHANNEL"),
    Setting("chat", "webhook_secret_file", "", "file with the secret by which events to webhook+https: are signed"),
    Setting(
        "chat",
        "slack_secret_file",
        "",
        "file with the signing secret of a Slack app, whose slash commands are then answered",
    ),
    Setting(
        "chat", "slack_url", "https://hooks.slack.com", "where answers to Slack's commands may go, and nowhere else"
    ),
    Setting(
        "chat", "mattermost_token_file", "", "file with the token of a Mattermost slash command, which is then answered"
    ),
    Setting(
        "chat",
        "apps_file",
        "",
        "TOML file with our apps at WeCom, WeChat, Feishu and DingTalk, and the files of their secrets (docs/chat-apps.md)",
    ),
    Setting(
        "chat", "mattermost_url", "", "the Mattermost server, where answers to its commands may go, and nowhere else"
    ),
    Setting("service", "listen", "127.0.0.1:8642", "HOST:PORT of aiops serve"),
    Setting("service", "external_url", "", "how people reach aiops serve; makes every link absolute"),
    Setting("service", "tokens_file", "", "bearer tokens and roles; without it only loopback is served"),
    Setting("service", "grafana_secret_file", "", "file with the secret by which Grafana signs its notifications"),
    Setting(
        "service", "grafana_timestamp_header", "", "header in which Grafana signs the time, as its contact point says"
    ),
    Setting("service", "worker", True, "whether aiops serve makes diagnoses itself"),
    Setting("service", "body_limit_mb", 16, "largest webhook body, in MiB, before and after decompression"),
    Setting("service", "queue_limit", 10000, "jobs waiting before webhooks get 503"),
    Setting(
        "service", "route_by", "", "labels of alerts that workers must have: env sends env=prod to those with env:prod"
    ),
    Setting("service", "attempts", 5, "workers that may die over a job before it is given up"),
    Setting("grafana", "url", "", "http(s)://HOST[:PORT], where onsets and verdicts are annotated; empty = nowhere"),
    Setting("grafana", "token_file", "", "file with the token of a service account of Grafana that may annotate"),
    Setting(
        "grafana", "ca_file", "", "certificates of the authorities to trust instead of the usual ones, for Grafana"
    ),
    Setting(
        "worker", "labels", "", "what a worker has, for example env:prod region:eu; jobs that need more are not its"
    ),
    Setting("worker", "jobs", 1, "diagnoses that a worker makes at once"),
    Setting("worker", "listen", "", "HOST:PORT where aiops worker tells its figures; empty = nowhere"),
    Setting("episodes", "debounce_s", 2.0, "seconds for which alerts gather before their diagnosis begins"),
    Setting("episodes", "cooldown_s", 300.0, "seconds after which an open episode that has changed is diagnosed again"),
    Setting("episodes", "hops", 2, "dependencies over which alerts of different services become one episode; 0 = none"),
    Setting(
        "episodes", "window_s", 600.0, "seconds after its last new alert in which an episode takes those of others"
    ),
    Setting("episodes", "expire_h", 24.0, "hours after which an episode is closed that nobody tells of any more"),
    Setting("episodes", "per_minute", 30, "diagnoses a minute that begin by themselves"),
    Setting("watch", "listen", "127.0.0.1:8643", "HOST:PORT of aiops watch"),
    Setting("watch", "select", '{__name__!=""}', "what aiops watch watches: a selector or expression on each line"),
    Setting("watch", "remember", "", "selectors of series with 2048 values of memory (18.5 kB each), one on each line"),
    Setting("watch", "forecast", "", "selectors of series whose forecast is exposed, one on each line"),
    Setting("watch", "step_s", 30, "seconds between two evaluations of a series"),
    Setting("watch", "pull", 1, "steps that one read brings; scores are that much older, reading is that much cheaper"),
    Setting("watch", "catch_up_s", 3600, "how far back it reads when it starts, or after a break"),
    Setting("watch", "overlap_s", 120, "how late a sample may reach the metrics source"),
    Setting("watch", "expire_s", 7200, "how long a series may be gone before it is forgotten"),
    Setting("watch", "hold_s", 300, "how long the score of an alert stays exposed"),
    Setting("watch", "save_s", 600, "seconds between two saves of what was learnt"),
    Setting("watch", "timeout_s", 30.0, "seconds for one read of a selection"),
    Setting("watch", "series", 1000000, "series of one selection that are watched; each takes 2 kB"),
    Setting("watch", "limit", 10000, "series of one selection whose scores are all exposed"),
    Setting("watch", "floor", 0.5, "beyond watch.limit series, the score from which one is exposed"),
    Setting("watch", "label_values", 100, "values that a label may have, whatever they look like"),
    Setting("watch", "label_buckets", 64, "buckets that a compressed label's values are hashed into"),
    Setting(
        "watch", "shard", "1/1", "K/N: this process watches the K-th of N parts of the series, which their hash chooses"
    ),
    Setting(
        "watch",
        "shard_by",
        "",
        "a label, as instance: its value's hash chooses the part, and a shard reads its own alone; empty = each reads all",
    ),
    Setting(
        "diagnosis",
        "deadline_s",
        30.0,
        "seconds within which a diagnosis tells what it has; four fifths of them to read",
    ),
    Setting("diagnosis", "priors", True, "whether what `aiops feedback` taught counts in later diagnoses"),
    Setting("diagnosis", "timezone", "UTC", "time zone of people's words, for example Asia/Shanghai"),
    Setting(
        "repairs",
        "mode",
        "suggest",
        "at most: off, suggest (people ask for plans), approve (diagnoses make them), auto (and run them)",
    ),
    Setting("repairs", "per_hour", 6, "repairs that may begin within an hour"),
    Setting("repairs", "storm", 20, "open episodes from which on no repair begins"),
    Setting("repairs", "free_mib", 64, "MiB that must be free where what repairs print is kept"),
    Setting(
        "repairs",
        "condition",
        "",
        "what must be true of every repair, in CEL, as repair.plan.fault != 'network'; empty = nothing",
    ),
    Setting("approvals", "self", False, "whether people may approve what they asked for; only without tokens_file"),
    Setting("sandbox", "bubblewrap", "", "the program bwrap; empty = from PATH, else what `make sandbox` fetched"),
    Setting("sandbox", "uid", 64642, "user id that runs of a service that is root have on this machine"),
    Setting("sandbox", "cgroup", "", "delegated subtree of control groups; empty = the first that can be limited"),
    Setting("sandbox", "most", 8, "runs at once; beyond them a run is rejected"),
    Setting("log", "form", "auto", "text, json, or auto: text in a terminal, else a JSON object on each line"),
    Setting("log", "level", "info", "from which level on: debug, info, warning or error"),
    Setting("trace", "url", "", "OpenTelemetry collector for traces, http(s)://HOST:4318; empty = no traces"),
    Setting("trace", "token_file", "", "file with a bearer token for the collector"),
    Setting("folders", "rules", "", "instead of the rules that ship"),
    Setting("folders", "models", "", "instead of the models that ship"),
    Setting("folders", "prompts", "", "instead of the prompts that ship"),
)
CHOICES = {
    "chat.language": ("en", "zh"),
    "repairs.mode": ("off", "suggest", "approve", "auto"),
    "log.form": ("auto", "text", "json"),
    "log.level": ("debug", "info", "warning", "error"),
}
_BY_NAME = {s.name: s for s in TABLE}
MAY_BE_ZERO = {"model.temperature", "episodes.hops"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its value and where that came from (`flag`, `environment`, `file`, `default`)."""

    home: Path
    values: Mapping[str, Value]
    origins: Mapping[str, str]

    def text(self, name: str) -> str:
        return str(self.values[name])

    def truth(self, name: str) -> bool:
        return bool(self.values[name])

    def number(self, name: str) -> float:
        return float(self.values[name])

    def secret(self, name: str) -> str:
        """The content of the file that a `*_file` setting names; "" when none is set. ConfigError when unreadable."""
        path = self.text(name)
        if not path:
            return ""
        try:
            return Path(path).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}: can't read {path}: {error}") from error


def load(flags: Mapping[str, str] | None = None, home: str | None = None) -> Settings:
    """Reads all three layers. `flags`: setting name -> text. ConfigError names the setting, its origin and what is allowed."""
    where = Path(home or os.environ.get("AIOPS_HOME") or "~/.aiops").expanduser()
    layers = [("file", _file(where / "config.toml")), ("environment", _environment(os.environ)), ("flag", flags or {})]
    values: dict[str, Value] = {s.name: s.default for s in TABLE}
    origins = dict.fromkeys(values, "default")
    for origin, layer in layers:
        for name, given in layer.items():
            if name not in _BY_NAME:
                raise ConfigError(f"{name} ({origin}): no such setting; known are {', '.join(sorted(_BY_NAME))}")
            values[name] = _typed(_BY_NAME[name], given, origin)
            origins[name] = origin
    _check(values)
    return Settings(where, values, origins)


def template() -> str:
    """`config.toml` with every setting commented out."""
    lines = ["# aiops settings. A flag beats AIOPS_SECTION__KEY, which beats this file.", ""]
    section = ""
    for setting in TABLE:
        if setting.section != section:
            section = setting.section
            lines += [f"[{section}]"]
        lines += [f"# {setting.doc}", f"# {setting.key} = {_toml(setting.default)}"]
    return "\n".join(lines) + "\n"


def write(home: Path, name: str, value: Value) -> Path:
    """Sets one setting in `home`'s config.toml, whose other lines stay as they are; returns the file.

    Raises ConfigError when the setting is unknown, the value wrong, or the file can't be written."""
    if name not in _BY_NAME:
        raise ConfigError(f"{name}: no such setting; known are {', '.join(sorted(_BY_NAME))}")
    file, setting = home / "config.toml", _BY_NAME[name]
    try:
        old = file.read_text(encoding="utf-8") if file.exists() else template()
        text = "\n".join(_with(old.splitlines(), setting, f"{setting.key} = {_toml(_typed(setting, value, 'given'))}"))
        if not _says(text, setting, value):
            raise ConfigError(f"{file}: {name} can't be set in a file of this form; set it by hand")
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(f"{text}\n", encoding="utf-8")
        part.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't write {file}: {error}") from error
    return file


def _says(text: str, setting: Setting, value: Value) -> bool:
    try:
        return bool(tomllib.loads(text)[setting.section][setting.key] == value)
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return False


def _with(lines: list[str], setting: Setting, line: str) -> list[str]:
    """The lines with one setting: in place of its own, else of its commented one, else at the end of its section."""
    header = re.compile(r"\s*\[")
    start = next((i for i, one in enumerate(lines) if re.fullmatch(rf"\s*\[{setting.section}\]\s*(#.*)?", one)), None)
    if start is None:
        return [*lines, "", f"[{setting.section}]", line]
    end = next((i for i in range(start + 1, len(lines)) if header.match(lines[i])), len(lines))
    for shape in (rf"\s*{setting.key}\s*=", rf"#\s*{setting.key}\s*="):
        for i in range(start + 1, end):
            if re.match(shape, lines[i]):
                return [*lines[:i], line, *lines[i + 1 :]]
    return [*lines[: start + 1], line, *lines[start + 1 :]]


def _toml(value: Value) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value).lower()


def _environment(environ: Mapping[str, str]) -> dict[str, Value]:
    known = {s.variable: s.name for s in TABLE}
    found: dict[str, Value] = {}
    for variable, text in environ.items():
        if re.fullmatch(r"AIOPS_[A-Z]+__[A-Z_]+", variable):
            if variable not in known:
                raise ConfigError(f"{variable}: no such setting; known are {', '.join(sorted(known))}")
            found[known[variable]] = text
    return found


def _file(path: Path) -> dict[str, Value]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    found: dict[str, Value] = {}
    for section, keys in data.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} stands outside a [section]")
        found |= {f"{section}.{key}": value for key, value in keys.items()}
    return found


def _typed(setting: Setting, given: Value, origin: str) -> Value:
    kind = type(setting.default)
    if kind is str:
        return str(given)
    if kind is bool:
        truth = {"true": True, "false": False}.get(str(given).lower())
        if truth is None:
            raise ConfigError(f"{setting.name} ({origin}): {given!r} is neither true nor false")
        return truth
    try:
        return kind(given)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{setting.name} ({origin}): {given!r} is no {kind.__name__}") from error


def _has_password(name: str, value: str) -> bool:
    try:
        return "://" in value and urlsplit(value).password is not None
    except ValueError:  # which may tell a password
        raise ConfigError(f"{name}: holds :// and is no URL") from None


def _check(values: Mapping[str, Value]) -> None:
    for name, value in values.items():
        if isinstance(value, str) and _has_password(name, value):
            raise ConfigError(f"{name}: a URL must not hold a password; use sources.user and sources.password_file")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and (float(value) < 0 or not (value or name in MAY_BE_ZERO)):
            raise ConfigError(f"{name}: {value} must be above 0")
    for name, words in CHOICES.items():
        if values[name] not in words:
            raise ConfigError(f"{name}: {values[name]!r} is none of {', '.join(words)}")
    if float(values["model.timeout_s"]) > 120:
        raise ConfigError(f"model.timeout_s: {values['model.timeout_s']} is above 120")
    if not 0.0 <= float(values["model.temperature"]) <= 1.0:
        raise ConfigError(f"model.temperature: {values['model.temperature']} is not between 0 and 1")
    if values["approvals.self"] and values["service.tokens_file"]:
        raise ConfigError(
            "approvals.self: where tokens tell people apart (service.tokens_file), nobody approves their own"
        )
    try:
        ZoneInfo(str(values["diagnosis.timezone"]))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"diagnosis.timezone: {values['diagnosis.timezone']!r} is no time zone") from error
