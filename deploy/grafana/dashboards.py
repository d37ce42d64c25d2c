"""Writes the dashboards beside this file: `make dashboards`, after a change here.

They are code so that a panel is one line, and JSON in the checkout so that nobody needs this to use them. The types are those
of Grafana 11.6 (grafana-foundation-sdk, a tool of development only); later versions of Grafana take them, too. A test holds
that the JSON is what is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders import annotationslist, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FOLDER = Path(__file__).with_name("dashboards")
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")  # whichever Prometheus the reader chooses
OWN = models.DataSourceRef(type_val="grafana", uid="-- Grafana --")
# Where aiops is, as it tells Prometheus itself; else where `docker compose up` publishes it.
AT = (
    'query_result(aiops_build_info{external_url!=""} or on () '
    'label_replace(vector(1), "external_url", "http://localhost:8642", "", ""))'
)
INSTANCES = 'label_values(up{job=~"aiops.*"}, instance)'
REPORT, LIST, ASK = "Report about this alert", "Diagnoses of this service", "Ask aiops why"
UNUSUAL = "aiops_anomaly_score"


@dataclass(frozen=True, slots=True)
class Row:
    title: str


@dataclass(frozen=True, slots=True)
class Number:
    """One value, with its course behind it."""

    title: str
    expr: str
    unit: str = "short"
    about: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """Courses: legend -> expression. `links`: what a click on a course offers, words -> address."""

    title: str
    exprs: dict[str, str]
    unit: str = "short"
    about: str = ""
    stacked: bool = False
    size: tuple[int, int] = (8, 7)
    threshold: float | None = None
    links: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of what an expression holds now, a column for each label. `links`: on the column of that name."""

    title: str
    expr: str
    about: str = ""
    hidden: tuple[str, ...] = ()
    value: str = "Value"
    links: dict[str, dict[str, str]] | None = None
    size: tuple[int, int] = (12, 8)


@dataclass(frozen=True, slots=True)
class Told:
    """What aiops has written into Grafana: its annotations."""

    title: str
    about: str = ""
    size: tuple[int, int] = (12, 8)


Panel = Row | Number | Lines | Rows | Told


def within(alertname: str) -> str:
    """The newest report about an alert in the time that is shown."""
    return f"${{external_url:raw}}/r?alertname={alertname}&from=${{__from}}&to=${{__to}}"


# Of a course the labels are the field's; of a row in a table they are the columns beside it.
OF_COURSE = {REPORT: within("${__field.labels.alertname:percentencode}")}
OF_ROW = {REPORT: within("${__data.fields.alertname:percentencode}")}
OF_SERVICE = {LIST: "${external_url:raw}/?service=${__data.fields.service:percentencode}"}
OF_SCORE = {
    LIST: "${external_url:raw}/?service=${__field.labels.service:percentencode}",
    "Report about unusual series": within("SeriesIsUnusual"),
    ASK: "${external_url:raw}/ask?text=why%20is%20${__field.labels.service:percentencode}%20unusual",
}

ITSELF: tuple[Panel, ...] = (
    Row("Now"),
    Number(
        "Answers",
        'min(up{job=~"aiops.*", instance=~"$instance"})',
        about="1: every process of ours answers Prometheus.",
    ),
    Number("Workers alive", "sum(aiops_worker_up)"),
    Number("Jobs waiting", "sum(aiops_queue_depth)"),
    Number("Longest wait", "max(aiops_queue_oldest_seconds)", "s"),
    Number("Diagnoses in 24 h", "sum(increase(aiops_diagnoses_total[24h]))"),
    Number("Series that are unusual", 'sum(aiops_watch_series{state="anomalous"})', about="Of aiops watch."),
    Row("Alerts to diagnoses"),
    Lines(
        "Alerts",
        {"{{fate}}": "sum by (fate) (rate(aiops_alerts_total[$__rate_interval]))"},
        "cps",
        "By what became of them.",
        stacked=True,
    ),
    Lines(
        "Notifications refused",
        {"{{code}}": "sum by (code) (rate(aiops_notifications_refused_total[$__rate_interval]))"},
        "cps",
        "503 is sent again by Alertmanager, the others are dropped by it.",
    ),
    Lines(
        "Diagnoses that ended",
        {"{{status}}": "sum by (status) (increase(aiops_diagnoses_total[$__rate_interval]))"},
        stacked=True,
    ),
    Lines(
        "Time of a diagnosis",
        {
            words: f"histogram_quantile({q}, sum by (le) (rate(aiops_diagnosis_seconds_bucket[$__rate_interval])))"
            for words, q in (("half", "0.5"), ("19 of 20", "0.95"), ("99 of 100", "0.99"))
        },
        "s",
    ),
    Lines(
        "Where the time goes",
        {
            "{{stage}}": "sum by (stage) (rate(aiops_stage_seconds_sum[$__rate_interval]))"
            " / sum by (stage) (rate(aiops_stage_seconds_count[$__rate_interval]))"
        },
        "s",
        "Mean time of each stage.",
        stacked=True,
    ),
    Lines(
        "Queue",
        {"waiting": "sum(aiops_queue_depth)", "for nobody: {{labels}}": "sum by (labels) (aiops_jobs_unmatched)"},
        about="Jobs for nobody need labels that no worker alive has.",
    ),
    Lines(
        "Workers",
        {
            "capacity": "sum(aiops_worker_capacity)",
            "busy": "sum(aiops_worker_busy)",
            "alive": "sum(aiops_worker_up)",
        },
    ),
    Lines(
        "Leases that ran out",
        {"jobs": "sum(increase(aiops_leases_expired_total[$__rate_interval]))"},
        about="Their worker went silent; another one takes them.",
    ),
    Lines(
        "Results of workers elsewhere",
        {"{{status}}": "sum by (status) (increase(aiops_results_total[$__rate_interval]))"},
        stacked=True,
    ),
    Row("Itself"),
    Lines(
        "Requests",
        {"{{route}}": "sum by (route) (rate(aiops_http_requests_total[$__rate_interval]))"},
        "reqps",
        stacked=True,
    ),
    Lines(
        "Errors of requests",
        {
            "{{code}} {{route}}": 'sum by (route, code) (rate(aiops_http_requests_total{code=~"[45].."}[$__rate_interval]))'
        },
        "reqps",
    ),
    Lines(
        "Log",
        {"{{level}}": "sum by (level) (increase(aiops_log_messages_total[$__rate_interval]))"},
        stacked=True,
    ),
    Lines(
        "Memory",
        {"{{job}} {{instance}}": 'process_resident_memory_bytes{job=~"aiops.*", instance=~"$instance"}'},
        "bytes",
    ),
    Lines(
        "Processor",
        {
            "{{job}} {{instance}}": 'rate(process_cpu_seconds_total{job=~"aiops.*", instance=~"$instance"}[$__rate_interval])'
        },
        "percentunit",
    ),
    Lines("Descriptors", {"{{job}} {{instance}}": 'process_open_fds{job=~"aiops.*", instance=~"$instance"}'}),
    Lines(
        "Language model",
        {
            "{{outcome}}": "sum by (outcome) (rate(aiops_model_requests_total[$__rate_interval]))",
            "waiting": "sum(aiops_model_waiting)",
        },
        about="Empty where model.url is.",
    ),
    Lines(
        "Taken away by retention",
        {"{{what}}": "sum by (what) (increase(aiops_purged_total[24h]))"},
        about="In 24 hours.",
        stacked=True,
    ),
    Lines("Version", {"{{job}} {{version}}": "aiops_build_info"}),
    Row("What people are told, and repairs"),
    Lines(
        "Chat",
        {
            "{{platform}} {{outcome}}": "sum by (platform, outcome) (increase(aiops_chat_messages_total[$__rate_interval]))"
        },
        about="Put off is tried again.",
        stacked=True,
    ),
    Lines(
        "Annotations in Grafana",
        {"{{outcome}}": "sum by (outcome) (increase(aiops_annotations_total[$__rate_interval]))"},
        about="Empty where grafana.url is.",
        stacked=True,
    ),
    Lines(
        "Repairs",
        {"{{state}}": "sum by (state) (aiops_repairs)", "stopped": "max(aiops_repairs_stopped)"},
        about="Stopped: no repair may act until somebody resumes them.",
    ),
    Row("Stream (aiops watch)"),
    Lines(
        "Most unusual series",
        {"{{metric}} {{service}}{{job}} {{instance}}": f"topk(10, {UNUSUAL})"},
        about="1 is the threshold.",
        size=(12, 8),
        threshold=1,
        links=OF_SCORE,
    ),
    Lines("Series", {"{{state}}": "sum by (state) (aiops_watch_series)"}, size=(6, 8)),
    Lines(
        "Behind",
        {"{{selection}}": "aiops_watch_lag_seconds"},
        "s",
        "Age of the newest step that is evaluated.",
        size=(6, 8),
    ),
    Lines("A tick", {"{{instance}}": "aiops_watch_tick_seconds"}, "s"),
    Lines(
        "Failures and gaps",
        {
            "{{source}}": "sum by (source) (increase(aiops_watch_errors_total[$__rate_interval]))",
            "gaps": "increase(aiops_watch_gaps_total[$__rate_interval])",
        },
    ),
    Lines("Read less often than planned", {"{{selection}} {{reason}}": "aiops_watch_stretch"}),
)

ON_CALL: tuple[Panel, ...] = (
    Row("Now"),
    Number("Alerts that fire", 'count(ALERTS{alertstate="firing"}) or vector(0)'),
    Number("Open episodes", 'sum(aiops_episodes{state="open"})', about="Alerts that belong together are one."),
    Number("Diagnoses to come", 'sum(aiops_episodes{state="waiting"}) + sum(aiops_queue_depth)'),
    Number("Causes found in 24 h", 'sum(increase(aiops_diagnoses_total{status="done"}[24h])) or vector(0)'),
    Number("Inconclusive in 24 h", 'sum(increase(aiops_diagnoses_total{status="inconclusive"}[24h])) or vector(0)'),
    Number("Series that are unusual", 'sum(aiops_watch_series{state="anomalous"})', about="Of aiops watch."),
    Row("What fires"),
    Rows(
        "Alerts that fire",
        'ALERTS{alertstate="firing"}',
        "A click on a name leads to the newest report about that alert in the time shown.",
        hidden=("Time", "Value", "__name__", "alertstate"),
        links={"alertname": OF_ROW},
    ),
    Lines(
        "Alerts over time",
        {"{{alertname}}": 'sum by (alertname) (ALERTS{alertstate="firing"})'},
        about="A click on a line leads to the newest report about that alert in the time shown.",
        stacked=True,
        size=(12, 8),
        links=OF_COURSE,
    ),
    Row("What is unusual"),
    Lines(
        "Most unusual series",
        {"{{metric}} {{service}}{{job}} {{instance}}": f"topk(20, {UNUSUAL})"},
        about="1 is the threshold. A click leads to what aiops knows about the service.",
        size=(12, 9),
        threshold=1,
        links=OF_SCORE,
    ),
    Rows(
        "Unusual now",
        f"sort_desc({UNUSUAL} > 0.5)",
        "From half the threshold on.",
        hidden=("Time", "__name__"),
        value="score",
        links={"service": OF_SERVICE},
        size=(12, 9),
    ),
    Row("What was found"),
    Told("Onsets and verdicts", "Written by aiops, where grafana.url is set; each leads to its report."),
    Lines(
        "Diagnoses that ended",
        {"{{status}}": "sum by (status) (increase(aiops_diagnoses_total[$__rate_interval]))"},
        stacked=True,
        size=(6, 8),
    ),
    Lines(
        "Repairs",
        {"{{state}}": "sum by (state) (aiops_repairs)", "stopped": "max(aiops_repairs_stopped)"},
        about="Stopped: no repair may act until somebody resumes them.",
        size=(6, 8),
    ),
)


class Mark(models.AnnotationQuery):
    """Says what each mark is called, which the SDK's type leaves out."""

    def to_json(self) -> dict[str, object]:
        """With the field that Grafana's Prometheus source reads."""
        return super().to_json() | {"titleFormat": "{{alertname}}"}


def build(uid: str, title: str, about: str, panels: tuple[Panel, ...], *, instances: bool) -> models.Dashboard:
    """The dashboard of these panels, placed from left to right; `instances` can be chosen where the panels ask for them."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(about)
        .tags(["aiops"])
        .timezone("browser")
        .editable()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_beside())
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_external_url())
    )
    if instances:
        made.with_variable(_instances())
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, Row):
            made.with_row(dashboard.Row(panel.title).id(number))
        else:
            made.with_panel(_drawn(panel).id(number))
    built = made.build()
    built.annotations = models.AnnotationContainer(list_val=_marks())
    return built


def _marks() -> list[models.AnnotationQuery]:
    """What is marked in every course: alerts about us, and what we have written into Grafana."""
    ours = 'ALERTS{alertname=~"Aiops.*", alertstate="firing"}'
    told = models.AnnotationTarget(type_val="tags", tags=["aiops"], match_any=False, limit=100)
    return [
        Mark("Alerts of aiops itself", SOURCE, icon_color="red", expr=ours),
        models.AnnotationQuery("Onsets and verdicts of aiops", OWN, icon_color="purple", target=told),
    ]


def _beside() -> Any:
    """The way to the other dashboards of this tag."""
    return (
        dashboard.DashboardLink("aiops")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["aiops"])
        .keep_time(keep_time=True)
    )


def _instances() -> Any:
    return (
        dashboard.QueryVariable("instance")
        .label("Instance")
        .datasource(SOURCE)
        .query({"query": INSTANCES, "refId": "instance"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
    )


def _external_url() -> Any:
    return (
        dashboard.QueryVariable("external_url")
        .label("aiops at")
        .description("As service.external_url says; links lead there.")
        .datasource(SOURCE)
        .query({"query": AT, "refId": "external_url"})
        .regex('/external_url="([^"]+)"/')
        .refresh(models.VariableRefresh.ON_DASHBOARD_LOAD)
        .hide(models.VariableHide.HIDE_VARIABLE)
    )


def _drawn(panel: Number | Lines | Rows | Told) -> Any:
    if isinstance(panel, Number):
        return _number(panel)
    if isinstance(panel, Rows):
        return _rows(panel)
    if isinstance(panel, Told):
        return _told(panel)
    return _lines(panel)


def _number(panel: Number) -> Any:
    return (
        stat.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .graph_mode(kinds.BigValueGraphMode.AREA)
        .color_mode(kinds.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False))
        .with_target(_query("A", panel.expr).range())
        .span(4)
        .height(4)
    )


def _lines(panel: Lines) -> Any:
    width, height = panel.size
    drawn = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .unit(panel.unit)
        .min(0)
        .line_width(1)
        .fill_opacity(20 if panel.stacked else 8)
        .show_points(kinds.VisibilityMode.NEVER)
        .legend(
            common.VizLegendOptions()
            .display_mode(kinds.LegendDisplayMode.LIST)
            .placement(kinds.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING))
        .data_links(list(_links(panel.links or {})))
        .span(width)
        .height(height)
    )
    if panel.stacked:
        drawn.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    if panel.threshold is not None:
        drawn.thresholds(_above(panel.threshold))
        drawn.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED))
    for number, (legend, expr) in enumerate(panel.exprs.items()):
        drawn.with_target(_query(chr(ord("A") + number), expr).range().legend_format(legend))
    return drawn


def _above(threshold: float) -> Any:
    steps = [models.Threshold(value=None, color="green"), models.Threshold(value=threshold, color="red")]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _rows(panel: Rows) -> Any:
    width, height = panel.size
    out = {
        "excludeByName": dict.fromkeys(panel.hidden, True),
        "renameByName": {"Value": panel.value},
        "indexByName": {},
    }
    drawn = (
        table.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(SOURCE)
        .with_target(_query("A", panel.expr).instant().format(PromQueryFormat.TABLE))
        .with_transformation(models.DataTransformerConfig(id_val="organize", options=out))
        .filterable(filterable=True)
        .span(width)
        .height(height)
    )
    for column, links in (panel.links or {}).items():
        built = [link.build() for link in _links(links)]
        drawn.override_by_name(column, [models.DynamicConfigValue(id_val="links", value=built)])
    return drawn


def _told(panel: Told) -> Any:
    width, height = panel.size
    return (
        annotationslist.Panel()
        .title(panel.title)
        .description(panel.about)
        .datasource(OWN)
        .only_from_this_dashboard(only_from_this_dashboard=False)
        .only_in_time_range(only_in_time_range=True)
        .tags(["aiops"])
        .limit(25)
        .show_user(show_user=False)
        .span(width)
        .height(height)
    )


def _query(ref: str, expr: str) -> Any:
    return prometheus.Dataquery().ref_id(ref).datasource(SOURCE).expr(expr)


def _links(links: dict[str, str]) -> Iterator[Any]:
    return (dashboard.DashboardLink(words).url(url).target_blank(target_blank=True) for words, url in links.items())


def dashboards() -> dict[str, models.Dashboard]:
    """File name -> dashboard."""
    about = "The process, its queue, its workers and its stream."
    on_call = "What fires, what is unusual, and the way from there to the reports."
    return {
        "aiops.json": build("aiops", "aiops", about, ITSELF, instances=True),
        "aiops-on-call.json": build("aiops-on-call", "aiops: on call", on_call, ON_CALL, instances=False),
    }


def text(made: models.Dashboard) -> str:
    """The JSON of a dashboard: the same bytes on every machine."""
    return json.dumps(made, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Every dashboard, beside this file."""
    for name, made in dashboards().items():
        (FOLDER / name).write_text(text(made), encoding="utf-8")


if __name__ == "__main__":
    main()
