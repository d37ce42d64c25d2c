"""The task as people write it: one pydantic model, the source of the JSON schema, the YAML form, the grammar and the docs.

`load(dump(task)) == task` for every valid task. An error names the field, the value and what is allowed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from aiops.domain import Alert, Inputs, Intent, Symptom, Task, TimeRange
from aiops.errors import DataError
from aiops.schema import moments

MAX_BYTES = 4 << 20
TASK_ID = r"^[a-z0-9_]{4,32}$"
DURATION = r"^[1-9][0-9]{0,5}[smhdw]$"
NAME = r"^[^\x00-\x1f\x7f]{1,253}$"
FILTER = r"^(?:[^\s=<>\x00-\x1f\x7f]{1,253}[<>]-?[0-9]+(?:\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_.:-]{0,127}=[^\s=<>]{1,128})$"
Action = Literal["none", "restart", "scale", "rollback"]
Order = Literal["highest", "lowest"]
Output = Literal["json", "markdown", "plaintext"]
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


Name = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME)]
Moment = Annotated[AwareDatetime, AfterValidator(moments.utc)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SymptomModel(_Strict):
    """What hurts."""

    service: Name | None = Field(None, description="a service of the catalog")
    metric: Name | None = Field(None, description="a metric of the catalog")
    at: Moment | None = Field(None, description="when it was noticed, RFC 3339 with a time zone")


class AlertModel(_Strict):
    """One alert of Alertmanager, kept as it came."""

    fingerprint: str = Field(description="Alertmanager's fingerprint")
    status: str = Field("firing", description="firing or resolved")
    labels: dict[str, str] = Field(default_factory=dict, description="label names and values")
    annotations: dict[str, str] = Field(default_factory=dict, description="annotation names and values")
    starts_at: Moment = Field(description="RFC 3339 with a time zone")
    ends_at: Moment | None = Field(None, description="RFC 3339 with a time zone")
    generator_url: str = Field("", description="the alert's own link")
    group_key: str = Field("", description="Alertmanager's groupKey")


class WindowModel(_Strict):
    """Half-open: `start` belongs to it, `end` does not."""

    start: Moment = Field(description="RFC 3339 with a time zone")
    end: Moment = Field(description="RFC 3339 with a time zone, after start")

    @model_validator(mode="after")
    def _forward(self) -> WindowModel:
        if self.end <= self.start:
            raise ValueError(f"ends at {self.end.isoformat()}, not after its start {self.start.isoformat()}")
        return self


class InputsModel(_Strict):
    """What the task is about."""

    symptom: SymptomModel | None = Field(None, description="service, metric, at")
    alerts: tuple[AlertModel, ...] = Field((), max_length=10_000, description="alerts as Alertmanager sent them")
    services: tuple[Name, ...] = Field((), max_length=64, description="services of the catalog, in the order spoken")
    metrics: tuple[Name, ...] = Field((), max_length=64, description="metrics of the catalog, in the order spoken")
    window: WindowModel | None = Field(None, description="start and end of the time that is asked about")
    horizon: str | None = Field(
        None, pattern=DURATION, description="how far to forecast: a number and s, m, h, d or w, such as 6h"
    )
    filters: tuple[Annotated[str, Field(pattern=FILTER)], ...] = Field(
        (), max_length=32, description="metric>number, metric<number or label=value"
    )
    action: Action = Field(
        "none", description="none, restart, scale or rollback; only ever a plan that awaits approval"
    )
    query: str = Field(
        "", max_length=10_000, description="what to forecast, in the language of the metrics source, such as PromQL"
    )
    full_at: float | None = Field(
        None, allow_inf_nan=False, description="the value at which what is forecast is full, or empty"
    )
    order: Order = Field(
        "highest", description="highest or lowest: which values come first where they are asked of all services"
    )


class TaskModel(_Strict):
    """A validated order, as `aiops ask --plan` prints it and `aiops run` takes it."""

    task_id: str = Field(pattern=TASK_ID, description="4 to 32 of a-z, 0-9 and _")
    intent: Intent = Field(description=", ".join(Intent))
    inputs: InputsModel = Field(default=InputsModel.model_validate({}), description=", ".join(InputsModel.model_fields))
    expected_output_format: Output = Field("markdown", description="json, markdown or plaintext")
    question: str = Field("", max_length=2_000, description="for clarify what to ask back, for reject why not")

    @model_validator(mode="after")
    def _complete(self) -> TaskModel:
        if self.intent is Intent.REMEDIATE and self.inputs.action == "none":
            raise ValueError("intent remediate needs inputs.action: restart, scale or rollback")
        if self.inputs.action != "none" and self.intent not in (Intent.REMEDIATE, Intent.CLARIFY):
            raise ValueError(f"inputs.action {self.inputs.action} needs intent remediate, not {self.intent}")
        return self

    def task(self) -> Task:
        """The noun."""
        given = self.inputs
        return Task(
            task_id=self.task_id,
            intent=self.intent,
            inputs=Inputs(
                symptom=Symptom(**given.symptom.model_dump()) if given.symptom else None,
                alerts=tuple(Alert(**alert.model_dump()) for alert in given.alerts),
                services=given.services,
                metrics=given.metrics,
                window=TimeRange(given.window.start, given.window.end) if given.window else None,
                horizon=length(given.horizon) if given.horizon else None,
                filters=given.filters,
                action=given.action,
                query=given.query,
                full_at=given.full_at,
                order=given.order,
            ),
            expected_output_format=self.expected_output_format,
            question=self.question,
        )


def length(text: str) -> timedelta:
    """`6h` as a timedelta; the text must match `DURATION`."""
    return timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


def duration(span: timedelta) -> str:
    """A timedelta as its shortest whole text: 6h, 90m, 2w."""
    seconds = int(span.total_seconds())
    unit = next(u for u in "wdhms" if seconds % _SECONDS[u] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def load(text: str | bytes, source: str = "task") -> Task:
    """YAML or JSON -> Task. DataError names the field, the value and what is allowed."""
    return parse(mapping(text, source), source)


def mapping(text: str | bytes, source: str = "task") -> dict[str, Any]:
    """YAML or JSON -> plain values, not yet looked at. DataError where it is no mapping."""
    if len(text) > MAX_BYTES:
        raise DataError(f"{source}: {len(text)} bytes; a task has at most {MAX_BYTES}")
    try:
        values = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader that also refuses aliases and repeated keys
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError, ValueError) as error:
        said = " ".join(str(error).split()) if not isinstance(error, RecursionError) else "nested too deeply"
        raise DataError(f"{source}: not YAML: {said}") from error
    if not isinstance(values, dict):
        raise DataError(f"{source}: a mapping with {', '.join(TaskModel.model_fields)} is needed, not {_shown(values)}")
    return values


def parse(values: Mapping[str, Any], source: str = "task") -> Task:
    """Plain values -> Task; as `load`."""
    try:
        return TaskModel.model_validate(dict(values)).task()
    except ValidationError as error:
        raise DataError("; ".join(problem(source, one) for one in error.errors()[:5])) from error


def dump(task: Task, origins: Mapping[str, str] | None = None) -> str:
    """The YAML of a task. `origins`: dotted field -> where its value came from, written as a comment."""
    origins = origins or {}
    lines: list[str] = []
    for key, value in plain(task).items():
        if key != "inputs":
            lines += field_lines(key, value, 0, origins.get(key, ""))
            continue
        lines.append("inputs:" if value else "inputs: {}")
        for name, inner in value.items():
            lines += field_lines(name, inner, 2, origins.get(f"inputs.{name}", ""))
    return "\n".join(lines) + "\n"


def plain(task: Task) -> dict[str, Any]:
    """The task as the YAML has it: no empty field, times as RFC 3339, the horizon as 6h."""
    inputs = task.inputs
    window = {"start": _text(inputs.window.start), "end": _text(inputs.window.end)} if inputs.window else None
    symptom = inputs.symptom
    given = {
        "symptom": {"service": symptom.service, "metric": symptom.metric, "at": _text(symptom.at)} if symptom else None,
        "alerts": [_alert(alert) for alert in inputs.alerts],
        "services": list(inputs.services),
        "metrics": list(inputs.metrics),
        "window": window,
        "horizon": duration(inputs.horizon) if inputs.horizon else None,
        "filters": list(inputs.filters),
        "action": "" if inputs.action == "none" else inputs.action,
        "query": inputs.query,
        "full_at": inputs.full_at,
        "order": "" if inputs.order == "highest" else inputs.order,
    }
    if given["symptom"] is not None:
        given["symptom"] = _full(given["symptom"])  # type: ignore[arg-type]  # it is the mapping built above
    values = {
        "task_id": task.task_id,
        "intent": str(task.intent),
        "inputs": _full(given),
        "expected_output_format": task.expected_output_format,
    }
    return values | ({"question": task.question} if task.question else {})


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the task."""
    return TaskModel.model_json_schema()


def reference() -> str:
    """The field table of the docs, in Markdown."""
    rows = ["| field | what is allowed | default |", "|---|---|---|"]
    for path, kind in (
        ("", TaskModel),
        ("inputs.", InputsModel),
        ("inputs.symptom.", SymptomModel),
        ("inputs.window.", WindowModel),
    ):
        rows += [row(f"{path}{name}", info) for name, info in kind.model_fields.items()]
    return "\n".join(rows) + "\n"


def row(field: str, info: FieldInfo) -> str:
    """One line of a field table."""
    default = "required" if info.is_required() else f"`{info.get_default(call_default_factory=True)!r}`"
    if field == "inputs" or info.default in {None, ()}:
        default = ""
    return f"| `{field}` | {info.description} | {default} |"


def _full(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _alert(alert: Alert) -> dict[str, Any]:
    return _full(
        {
            "fingerprint": alert.fingerprint,
            "status": alert.status,
            "labels": dict(sorted(alert.labels.items())),
            "annotations": dict(sorted(alert.annotations.items())),
            "starts_at": _text(alert.starts_at),
            "ends_at": _text(alert.ends_at),
            "generator_url": alert.generator_url,
            "group_key": alert.group_key,
        }
    ) | {"fingerprint": alert.fingerprint, "status": alert.status}


def _text(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def field_lines(name: str, value: object, indent: int = 0, origin: str = "") -> Iterator[str]:
    """One field as YAML lines: scalars and lists of scalars on one line, with the origin as its comment."""
    pad, note = " " * indent, f"  # {origin}" if origin else ""
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))
    if not nested:
        # Only what YAML wrote around it goes: other blanks, such as U+00A0, belong to the value.
        flat = _written(value, flow=True).removesuffix("\n").removesuffix("...").strip(" \n")
        yield f"{pad}{name}: {flat}{note}"
        return
    yield f"{pad}{name}:{note}"
    block = _written(value, flow=False)
    yield from (f"{pad}  {line}" for line in block.splitlines())


def _written(value: object, *, flow: bool) -> str:
    """YAML of a value on as few lines as it can. Unusual line breaks are escaped: PyYAML would fold them into blanks."""
    plain_text = not _BREAKS.search(json.dumps(value, ensure_ascii=False))
    text: str = yaml.safe_dump(
        value, default_flow_style=flow, width=1_000_000, allow_unicode=plain_text, sort_keys=False
    )
    return text


def problem(source: str, error: Any, kind: type[BaseModel] = TaskModel) -> str:
    """One error of pydantic's as a sentence: the field, the value and what is allowed."""
    place = [part for part in error["loc"] if isinstance(part, (str, int))]
    field = ".".join(map(str, place)) or "task"
    said = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{source}: {field} is missing; allowed: {_allowed(place, kind)}"
    if error["type"] == "extra_forbidden":
        return f"{source}: {field} is not a field here; known are {_allowed(place[:-1], kind) or 'others'}"
    if error["type"] == "value_error":
        return f"{source}: {field}: {said}" if place else f"{source}: {said}"
    return f"{source}: {field}: {_shown(error['input'])} is not allowed ({said[0].lower() + said[1:]}); allowed: {_allowed(place, kind)}"


def _allowed(place: list[Any], kind: type[BaseModel]) -> str:
    """What the deepest known field of a path allows."""
    allowed = ", ".join(kind.model_fields)
    for part in place:
        info = kind.model_fields.get(str(part))
        if info is None:
            continue
        allowed = info.description or ""
        inner = _model(info.annotation)
        if inner is not None:
            kind = inner
            allowed = ", ".join(kind.model_fields)
    return allowed


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model inside `M`, `M | None` or `tuple[M, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model(part))), None)


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


class _Loader(yaml.SafeLoader):
    """Refuses aliases (small files that expand without bound) and repeated keys; keeps times as text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if len(keys) != len({str(key) for key in keys}):
            raise yaml.YAMLError(f"a key stands twice in {', '.join(map(str, keys))}")
        return super().construct_mapping(node, deep)


# Only what JSON also has is resolved: YAML 1.1 would read 10:20 as 620 and `no` as false.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] == "null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
