"""`aiops forecast`: what is expected of a series, how far to trust it, and when it will be full."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from aiops.bench.progress import progress
from aiops.cli import common


class Level(click.ParamType[float]):
    """A number; `100%` is 100, as a metric in percent has it."""

    name = "level"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            level = float(str(value).removesuffix("%"))
        except ValueError:
            level = float("nan")
        if not abs(level) < 1e300:
            self.fail(f"{value!r} is no level; write a number such as 100, 0.9 or 2e9", param, ctx)
        return level


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option(
    "--horizon",
    type=common.Duration(),
    default="6h",
    show_default=True,
    metavar="DURATION",
    help="How far to look ahead.",
)
@click.option(
    "--since", type=common.Duration(), metavar="DURATION", help="How much history to use (default: 2w, or 8 horizons)."
)
@click.option(
    "--full-at",
    type=Level(),
    metavar="LEVEL",
    help="Say when this is reached (default: 0 of what is left, 100 % of a share).",
)
@click.option("--now", type=common.Moment(), metavar="TIME", help="Forecast from this moment on (default: the clock).")
@common.sources
@common.answers
def forecast(
    query: tuple[str, ...],
    horizon: timedelta,
    since: timedelta | None,
    full_at: float | None,
    now: datetime | None,
    home: str | None,
    form: str | None,
    output: Path | None,
) -> int:
    """Forecast the series that QUERY selects.

    QUERY is a selector or an expression in the language of the metrics source; a counter is forecast as its rate. For each
    series several methods are tried in a backtest on its own history, the best is taken, and a card says how it did. When
    none can be trusted, the answer says so and the exit code is 1."""
    with common.connect(home) as ops:
        report = ops.forecast(" ".join(query), horizon, since=since, now=now, full_at=full_at, progress=progress)
        return common.answer(ops, report, form, output)
