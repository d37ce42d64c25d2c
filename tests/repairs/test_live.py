"""Repairs of a real shop, watched by a real Prometheus: the effect is looked for, what does not help is taken back, brakes hold."""

from __future__ import annotations

import pytest
from repairs.conftest import GROWN, Place, Shop, by, kept

from aiops.domain import Check, RepairState, RunStatus
from aiops.errors import NotFound, Refused
from aiops.flows.repair import checks

S = RepairState
QUERY = 'last_over_time(shop_replicas{service="{node}"}[5m])'


def heard(shop: Shop, repair_id: str) -> list[tuple[str, str]]:
    return [(one["key"].rpartition("/")[2], one["body"]) for one in shop.heard() if repair_id in (one["key"] or "")]


def test_what_helps_succeeds_and_is_remembered(place: Place, shop: Shop) -> None:
    with place.open() as ops:
        kept(ops, upper=0.9)  # the latency is 2 s over the replicas
        made = by(ops, "alice").plan("r1")
        assert made.plan.alerted == Check('shop_latency_seconds{service="cart"}', "<= 0.9")
        assert made.plan.words[0] == "http.call"
        by(ops, "bob").approve(made.id, made.hash)
        ended = by(ops, "bob").run(made.id)
        assert (ended.state, ended.why) == (S.SUCCEEDED, "")
        assert heard(shop, made.id) == [("act", '{"replicas": 4}')]
        step = next(i for i, one in enumerate(ended.steps) if one.status is RunStatus.OK)
        said = by(ops, "bob").output(made.id, step)
        assert said.startswith("200 password=***")
        assert "\x1b" not in said
        (known,) = ops.repairs.experience()
        assert (known.runbook, known.fault, known.worked, known.tried) == ("scale", "cpu", 1, 1)
        with pytest.raises(Refused):
            by(ops, "bob").run(made.id)
        back = by(ops, "bob").undo(made.id, "it costs too much")
        assert back.state is S.UNDONE
        with pytest.raises(Refused):
            by(ops, "bob").undo(made.id)
        assert [one for one, _ in heard(shop, made.id)] == ["act", "undo"]
        actions = [one["entry"]["action"] for one in ops.store.audit_entries() if one["kind"] == "repair"]
        assert actions == ["plan", "approve", "start", "end", "verify", "undo", "undone"]
        assert ops.repairs.forget("scale") == 1
        assert ops.repairs.experience() == ()
        assert ops.store.audit_verify()[1] == ""


def test_what_does_not_help_is_taken_back(place: Place, shop: Shop) -> None:
    place.scale(effect="vector(-1)", within="1s")
    with place.open() as ops:
        kept(ops)
        made = by(ops, "alice").plan("r1")
        by(ops, "bob").approve(made.id)
        ended = by(ops, "bob").run(made.id)
        assert ended.state is S.UNDONE
        assert any("not within 1 s: vector(-1) is -1, not >= 0" in step.why for step in ended.steps)
        assert heard(shop, made.id) == [("act", '{"replicas": 4}'), ("undo", '{"replicas": 1}')]
        assert [(one.worked, one.tried) for one in ops.repairs.experience()] == [(0, 1)]


def test_the_metric_that_alerted_must_be_back_in_its_band(place: Place, shop: Shop) -> None:
    place.scale(effect="vector(1)", within="1s")
    with place.open() as ops:
        kept(ops, upper=0.01)
        made = by(ops, "alice").plan("r1")
        by(ops, "bob").approve(made.id)
        ended = by(ops, "bob").run(made.id)
        assert ended.state is S.UNDONE
        assert any("shop_latency_seconds" in step.why and "not <= 0.01" in step.why for step in ended.steps)


def test_brakes_hold(place: Place, shop: Shop) -> None:
    def refused(why: str, **flags: str) -> None:
        with place.open(**flags) as ops:
            kept(ops)
            made = by(ops, "alice").plan("r1")
            by(ops, "bob").approve(made.id)
            with pytest.raises(Refused, match=why):
                by(ops, "bob").run(made.id)
            assert by(ops, "bob").get(made.id).state is S.REFUSED
            assert heard(shop, made.id) == []

    refused("needed to keep", repairs__free_mib=str(1 << 40))
    place.scale(effect=GROWN)
    text = (place.rules / "runbooks" / "scale.yaml").read_text()
    place.book("scale", text.replace("holds: '< 20'", "holds: '> 20'"))
    refused("before: last_over_time.*, not > 20")
    place.book("scale", text.replace(QUERY, "no_such_metric"))
    refused("no_such_metric gives no value")
    place.book("scale", text.replace(QUERY, "("))
    refused("can't be asked")
    place.book("scale", text.replace("blast: {targets: 9}", "blast: {percent: 50}"))
    refused("0 nodes of its kind")
    place.book("scale", text)
    with place.open() as ops:
        ops.repairs.stop("look first")
    refused("repairs are stopped: look first")
    with place.open() as ops:
        assert ops.repairs.stopped()
        ops.repairs.resume()
        with pytest.raises(NotFound):
            ops.repairs.resume()
    with place.open() as ops:
        kept(ops)
        made = by(ops, "alice").plan("r1")
        by(ops, "bob").approve(made.id)
        assert by(ops, "bob").run(made.id).state is S.SUCCEEDED
    place.book("scale", text.replace("cool_down: 1s", "cool_down: 1h"))
    refused("left alone")
    refused("within the hour", repairs__per_hour="1")


def test_an_edit_on_the_disk_undoes_an_approval(place: Place, shop: Shop) -> None:
    def edited(*edits: str) -> None:
        with place.open() as ops:
            kept(ops)
            runbook = "steps" if "files/steps.py" in edits else "scale"
            made = by(ops, "alice").plan("r1", runbook)
            by(ops, "bob").approve(made.id)
            before = {name: (place.rules / name).read_text() for name in edits}
            for name, text in before.items():
                (place.rules / name).write_text(text + "\n# edited\n")
            with pytest.raises(Refused, match="have changed"):
                by(ops, "bob").run(made.id)
            for name, text in before.items():
                (place.rules / name).write_text(text)
            assert by(ops, "bob").get(made.id).state is S.REFUSED
            with pytest.raises(Refused):
                by(ops, "bob").run(made.id)
            assert heard(shop, made.id) == []

    edited("runbooks/scale.yaml")
    edited("targets.yaml")
    edited("runbooks/files/steps.py")


def test_checks_want_every_value_and_one_at_least(place: Place) -> None:
    with place.open() as ops:
        kept(ops)
        now, metrics = ops.governance.premises.now().at, ops.sources.metrics
        assert checks.failing(Check("vector(1)", "== 1"), metrics, now, 10) == ""
        assert "is nan" in checks.failing(Check("vector(0) / vector(0)", "!= 1"), metrics, now, 10)
        assert "gives no value" in checks.failing(Check("vector(1) > 2", "> 2"), metrics, now, 10)
        assert "is 1, not > 1" in checks.failing(Check("label_replace(vector(1),'a','b','','') or vector(2)", "> 1"), metrics, now, 10)  # fmt: skip
