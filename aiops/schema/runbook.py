"""A runbook as YAML. `RunbookModel` is its schema, `schema()` the same as JSON Schema; errors name the field, the value and what is allowed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiops.domain import Act, Check, Example, Limits, Parameter, Runbook
from aiops.errors import DataError
from aiops.schema import fill
from aiops.schema import task as task_schema

MOST_BYTES = 64 << 10
FAULTS = ("cpu", "memory", "disk", "network", "errors", "latency", "traffic", "saturation", "crash", "change")
# verb -> the arguments that it needs, and those that it may have
VERBS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "http.call": (frozenset({"target", "method", "path"}), frozenset({"body"})),
    "alertmanager.silence": (frozenset({"target", "label", "value", "for", "comment"}), frozenset()),
    "systemd.restart": (frozenset({"unit"}), frozenset()),
    "systemd.start": (frozenset({"unit"}), frozenset()),
    "docker.restart": (frozenset({"container"}), frozenset()),
    "kubernetes.restart": (frozenset({"namespace", "deployment"}), frozenset()),
    "kubernetes.scale": (frozenset({"namespace", "deployment", "replicas"}), frozenset()),
}
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "ash", "busybox", "env", "xargs", "eval", "exec", "sudo", "su", "ssh", "nohup", "timeout", "setsid", "find", "script", "watch"}  # fmt: skip
_INTERPRETERS = re.compile(r"(?:python|perl|ruby|node|php|lua|awk|gawk|mawk|sed|ed|vi|vim)[0-9.]*")
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+$"

Line = Annotated[str, Field(min_length=1, max_length=300, pattern=_PRINTABLE)]
Word = Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,60}\.[a-z]{1,4}$")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]
Pattern = Annotated[str, Field(max_length=fill.LONGEST_PATTERN)]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,99}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class MatchModel(_Model):
    """For which root cause it is proposed."""

    faults: tuple[Literal[FAULTS], ...] = Field(min_length=1, max_length=20, description=", ".join(FAULTS))  # type: ignore[valid-type]
    node: Pattern = Field("", description="a pattern (RE2) that the node must fit; absent = any")
    metric: Pattern = Field("", description="a pattern that the metric must fit; absent = any")
    labels: dict[LabelName, Pattern] = Field({}, max_length=20, description="label: a pattern that its value must fit")

    @model_validator(mode="after")
    def _patterns(self) -> MatchModel:
        for pattern in (self.node, self.metric, *self.labels.values()):
            fill.fits(pattern, "")
        return self


class ParameterModel(_Model):
    """One value that fits into its words."""

    kind: Literal["name", "integer", "choice", "duration", "path"] = Field(
        description="name, integer, choice, duration, path"
    )
    source: Literal["", "node"] = Field("", alias="from", description="node = the root cause fills it in")
    default: Word = Field("", description="the value when nobody gives one")
    pattern: Pattern = Field("", description="a pattern (RE2) that the value must fit")
    least: int = Field(0, ge=0, le=10**12, description="least integer, or seconds of a duration")
    most: int = Field(0, ge=0, le=10**12, description="most of the same")
    of: tuple[Word, ...] = Field((), max_length=50, description="the choices")
    under: tuple[Word, ...] = Field((), max_length=20, description="folders that a path must lie below")

    def parameter(self, name: str) -> Parameter:
        """The noun. DataError for a parameter that could have no value, or a default that it would refuse."""
        made = Parameter(
            name, self.kind, self.source, self.default, self.pattern, self.least, self.most, self.of, self.under
        )
        fill.fits(self.pattern, "")
        if self.kind in ("integer", "duration") and self.most < max(self.least, 1):
            raise DataError(f"{name}: needs `least` and `most`")
        if self.kind == "choice" and not (self.of and all(map(fill.is_choice, self.of))):
            raise DataError(f"{name}: needs `of`, a list of plain words")
        roots = [Parameter("under", "path", under=("/",)) for _ in self.under]
        for root, under in zip(roots, self.under, strict=True):
            fill.value(root, under)
        if self.kind == "path" and not self.under:
            raise DataError(f"{name}: needs `under`, a list of folders")
        if self.default:
            fill.value(made, self.default)
        return made


class ScriptModel(_Model):
    """A program that runs in the sandbox."""

    argv: tuple[Word, ...] = Field(min_length=1, max_length=50, description="program and arguments, one an item")
    files: dict[FileName, Digest] = Field({}, max_length=10, description="file of rules/runbooks/files: sha256:...")
    verbs: tuple[Literal[tuple(VERBS)], ...] = Field((), max_length=10, description="what it may ask for at its door")  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _no_shell(self) -> ScriptModel:
        program = self.argv[0].rpartition("/")[2]
        if program in _SHELLS or "{" in self.argv[0] or self.argv[0].startswith("-"):
            raise ValueError(f"argv begins with {self.argv[0]!r}; a program itself is needed, no shell and no place")
        if _INTERPRETERS.fullmatch(program) and (len(self.argv) < 2 or self.argv[1] not in self.files):
            raise ValueError(f"{program} must run a file of `files`, as its first argument")
        return self


class ActionModel(_Model):
    """Something that an executor does."""

    verb: Literal[tuple(VERBS)] = Field(description=", ".join(VERBS))  # type: ignore[valid-type]
    arguments: dict[Identifier, Word] = Field({}, alias="with", max_length=10, description="its arguments")

    @model_validator(mode="after")
    def _known(self) -> ActionModel:
        needed, more = VERBS[self.verb]
        if not needed <= set(self.arguments) <= needed | more:
            raise ValueError(f"{self.verb} takes {', '.join(sorted(needed))}" + (f" and may take {', '.join(sorted(more))}" if more else ""))  # fmt: skip
        if any("{" in self.arguments.get(fixed, "") for fixed in ("target", "method")):
            raise ValueError("target and method are fixed: they hold no place for a value")
        return self


class ActModel(_Model):
    """A script or an action."""

    script: ScriptModel | None = Field(None, description="argv, files, verbs")
    action: ActionModel | None = Field(None, description="verb, with")

    @model_validator(mode="after")
    def _one(self) -> ActModel:
        if (self.script is None) == (self.action is None):
            raise ValueError("needs either `script` or `action`")
        return self

    def act(self, read: Callable[[str], bytes]) -> Act:
        """The noun. DataError when a script's file is not what its hash says."""
        if self.action is not None:
            return Act(verb=self.action.verb, arguments=dict(self.action.arguments))
        assert self.script is not None
        files = {}
        for name, digest in self.script.files.items():
            files[name] = read(name)
            found = hashlib.sha256(files[name]).hexdigest()
            if f"sha256:{found}" != digest:
                raise DataError(f"{name} has the hash sha256:{found}, not {digest}: look at it, then write that")
        return Act(self.script.argv, files, tuple(self.script.verbs))


class UndoModel(ActModel):
    """How to take it back, or in words why there is nothing to take back."""

    nothing: str = Field("", max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", description="why there is no undo")

    @model_validator(mode="after")
    def _one(self) -> UndoModel:
        if (self.script, self.action, self.nothing).count(None) + (not self.nothing) != 2:
            raise ValueError("needs one of `script`, `action` and `nothing`")
        return self


class CheckModel(_Model):
    """What PromQL must say."""

    query: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]+$")]
    holds: str = Field(pattern=r"^(==|!=|<=?|>=?) -?[0-9]+(\.[0-9]+)?$", description="a comparison, as `< 0.9`")
    within: Duration | None = Field(None, description="how long it may take to become true")

    def check(self) -> Check:
        """The noun."""
        return Check(self.query, self.holds, float(fill.seconds(self.within)) if self.within else 0.0)


class LimitsModel(_Model):
    """What a script may use; the sandbox's own limits where nothing is said."""

    timeout: Duration = "30s"
    memory_mib: int = Field(128, ge=8, le=4096)
    pids: int = Field(32, ge=8, le=512)
    cpu_weight: int = Field(20, ge=1, le=10_000)

    def limits(self) -> Limits:
        """The noun."""
        return Limits(float(fill.seconds(self.timeout)), self.memory_mib << 20, self.pids, self.cpu_weight)


class BlastModel(_Model):
    """How far it may reach within one cool-down: a number of targets, a percentage of their kind, or both."""

    targets: int = Field(0, ge=0, le=1000)
    percent: int = Field(0, ge=0, le=100)

    @model_validator(mode="after")
    def _limited(self) -> BlastModel:
        if not self.targets and not self.percent:
            raise ValueError("needs `targets` or `percent` above 0")
        return self


class GivenModel(_Model):
    """The root cause of an example."""

    fault: Literal[FAULTS] = Field(description=", ".join(FAULTS))  # type: ignore[valid-type]
    node: Word
    metric: Word = ""
    labels: dict[LabelName, Word] = Field({}, max_length=20)


class ExampleModel(_Model):
    """What it must come to for a root cause and parameters; `refused` where it must come to nothing."""

    given: GivenModel
    parameters: dict[Identifier, str] = Field({}, max_length=20)
    words: tuple[str, ...] = Field((), max_length=60)
    refused: bool = False

    def example(self) -> Example:
        """The noun."""
        g = self.given
        return Example(g.fault, g.node, g.metric, dict(g.labels), dict(self.parameters), self.words, self.refused)


class RunbookModel(_Model):
    """A repair that may be proposed."""

    title: Line = Field(description="what it does, in the imperative")
    owner: Line = Field(description="who answers for it")
    mode: Literal["off", "suggest", "approve", "auto"] = Field("suggest", description="off, suggest, approve, auto")
    match: MatchModel
    parameters: dict[Identifier, ParameterModel] = Field({}, max_length=20, description="name: kind and more")
    act: ActModel
    dry_run: ActModel | None = Field(None, description="what shows what it would do; an action has its own")
    undo: UndoModel
    before: tuple[CheckModel, ...] = Field((), max_length=10, description="what must be true before")
    effect: CheckModel = Field(description="what must be true afterwards")
    limits: LimitsModel = Field(
        default_factory=lambda: LimitsModel.model_validate({}), description="timeout, memory_mib, pids, cpu_weight"
    )
    blast: BlastModel
    cool_down: Duration = Field(description="how long the same target is left alone afterwards, as 30m")
    approvers: int = Field(1, ge=1, le=2, description="how many must approve")
    mends: bool = Field(True, description="whether the metric that alerted must be back in its band afterwards, too")
    tests: tuple[ExampleModel, ...] = Field(
        min_length=1, max_length=50, description="given, parameters, words or refused"
    )

    @model_validator(mode="after")
    def _whole(self) -> RunbookModel:
        if self.act.script is not None and self.dry_run is None:
            raise ValueError("a script needs a `dry_run`")
        if self.dry_run is not None and self.dry_run.script is None:
            raise ValueError("`dry_run` is a script; an action has its own")
        if unknown := {name for text in _texts(self) for name in fill.PLACE.findall(text)} - set(self.parameters):
            raise ValueError(f"{', '.join(sorted(unknown))} stands in braces and not under `parameters`")
        return self

    def runbook(self, name: str, digest: str, read: Callable[[str], bytes]) -> Runbook:
        """The noun. DataError as `load`."""
        undo = None if self.undo.nothing else self.undo.act(read)
        return Runbook(
            name=name,
            title=self.title,
            owner=self.owner,
            mode=self.mode,
            faults=tuple(self.match.faults),
            node=self.match.node,
            metric=self.match.metric,
            labels=dict(self.match.labels),
            parameters=tuple(one.parameter(key) for key, one in self.parameters.items()),
            act=self.act.act(read),
            dry_run=self.dry_run.act(read) if self.dry_run else None,
            undo=undo,
            undo_words=" ".join(fill.words(undo)) if undo else self.undo.nothing,
            before=tuple(one.check() for one in self.before),
            effect=self.effect.check(),
            limits=self.limits.limits(),
            most_targets=self.blast.targets,
            most_percent=self.blast.percent,
            cool_down_s=float(fill.seconds(self.cool_down)),
            approvers=self.approvers,
            mends=self.mends,
            examples=tuple(one.example() for one in self.tests),
            hash=digest,
        )


def _texts(model: RunbookModel) -> Iterator[str]:
    """Everything that may hold places."""
    for act in (model.act, model.dry_run, model.undo):
        if act and act.script:
            yield from act.script.argv
        if act and act.action:
            yield from act.action.arguments.values()
    yield from (check.query for check in (*model.before, model.effect))


def load(text: str | bytes, name: str, read: Callable[[str], bytes]) -> Runbook:
    """YAML -> Runbook. `read` gives the content of a file of rules/runbooks/files. DataError names field, value and what is allowed."""
    if len(text) > MOST_BYTES:
        raise DataError(f"{name}: {len(text)} bytes; a runbook has at most {MOST_BYTES}")
    values = task_schema.mapping(text, name)
    try:
        model = RunbookModel.model_validate(values)
        data = text.encode() if isinstance(text, str) else text
        made = model.runbook(name, "", read)
        return model.runbook(name, _digest(data, made), read)
    except ValidationError as error:
        problems = (task_schema.problem(name, one, RunbookModel) for one in error.errors()[:5])
        raise DataError("; ".join(problems)) from error
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _digest(data: bytes, runbook: Runbook) -> str:
    """Of the file and all scripts it names: what an approval is bound to."""
    digest = hashlib.sha256(data)
    acts: Iterable[Act | None] = (runbook.act, runbook.dry_run, runbook.undo)
    for name, content in sorted((n, c) for act in acts if act for n, c in act.files.items()):
        digest.update(f"\n{name} {hashlib.sha256(content).hexdigest()}".encode())
    return digest.hexdigest()


def schema() -> dict[str, Any]:
    """The JSON Schema of a runbook, for editors and other programs."""
    return RunbookModel.model_json_schema(by_alias=True)
