"""`aiops` in the terminal. Data goes to stdout, notes to stderr; the exit code says how it ended.

    0 answered    1 inconclusive, or a clarification is needed    2 usage or configuration
    3 no report, since a source was unreachable    4 refused by policy or sandbox    5 internal error    130 interrupted

Only `click` is imported here: each command's module is imported when it is called, so that `--help` is instant.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from aiops import __version__

USAGE, INTERNAL, INTERRUPTED = 2, 5, 130

# command -> (module, what --help says); a test holds the sentences against the commands' own.
COMMANDS = {
    "demo": ("aiops.cli.answers", "Diagnose the recorded incident that ships with aiops."),
    "ask": ("aiops.cli.answers", "Ask in words."),
    "diagnose": ("aiops.cli.answers", "Find the root causes of an alert, a recorded incident or a symptom."),
    "forecast": ("aiops.cli.forecast", "Forecast the series that QUERY selects."),
    "run": ("aiops.cli.answers", "Run a task as `ask --plan` prints it."),
    "reports": ("aiops.cli.answers", "List the stored reports, or show one."),
    "replay": ("aiops.cli.answers", "Compute a report again from its recording alone."),
    "feedback": ("aiops.cli.feedback", "Tell what the root cause behind a report was."),
    "graph": ("aiops.cli.graph", "Look at the known dependencies, and mend them."),
    "watch": ("aiops.cli.watch", "Score and forecast every series of a Prometheus at every step."),
    "serve": ("aiops.cli.operate", "Take alerts over HTTP and diagnose them."),
    "worker": ("aiops.cli.operate", "Make the diagnoses that wait in a queue."),
    "mcp": ("aiops.cli.operate", "Let an agent ask, over standard input and output."),
    "remediate": ("aiops.cli.remediate", "Plan, approve, run and take back repairs."),
    "rules": ("aiops.cli.rules", "Show, check and test the runbooks."),
    "sandbox": ("aiops.cli.sandbox", "Try the sandbox that repairs run in."),
    "doctor": ("aiops.cli.operate", "Say what is there, what is missing, and how to mend it."),
    "config": ("aiops.cli.operate", "Write, show and check the settings."),
    "models": ("aiops.cli.models", "Get, check and choose the language model."),
    "backup": ("aiops.cli.upkeep", "Write all that is kept here into one file, also while it is served."),
    "restore": ("aiops.cli.upkeep", "Put a back-up into a home directory that holds nothing yet."),
    "purge": ("aiops.cli.upkeep", "Take away what is older than it is to be kept."),
    "audit": ("aiops.cli.audit", "Check and export the audit log."),
    "bench": ("aiops.cli.bench", "Measure accuracy and speed."),
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS:
            ctx.fail(f"no command {args[0]!r}; there are {', '.join(COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
@click.version_option(__version__, prog_name="aiops")
def root(debug: bool) -> None:
    """Find the root cause of an incident from metrics, logs, traces and topology, on your own machine.

    Start with `aiops demo`; with your own system: aiops diagnose --metrics prometheus+http://HOST:9090 --symptom
    SERVICE --at TIME.

    Exit codes: 0 answered, 1 inconclusive or a clarification is needed, 2 usage or configuration, 3 a source was
    unreachable so that there is no report, 4 refused, 5 internal error, 130 interrupted."""


def main() -> None:
    """The entry point of the `aiops` command."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Runs one command line and returns its exit code; every failure becomes one line on stderr."""
    try:
        code = root.main(args, prog_name="aiops", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except Exception as error:
        message, code = _failure(error)
        if code == INTERNAL and not message:
            if "--debug" in args:
                raise
            message = f"internal error: {type(error).__name__}: {error} (aiops --debug ... shows the traceback)"
        from aiops.redaction import redact

        click.echo(f"aiops: {redact(' '.join(message.split()))}", err=True)
    return code if isinstance(code, int) else 0


def _failure(error: Exception) -> tuple[str, int]:
    """(what to say, exit code); no words for what nobody foresaw."""
    from aiops.errors import AiopsError

    match error:
        case AiopsError():
            return str(error), error.exit_code
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "aiops"
            return f"{error.format_message()} ({path} --help)", USAGE
        case click.ClickException():
            return error.format_message(), USAGE
        case click.Abort():
            return "interrupted", INTERRUPTED
        case UnicodeEncodeError():  # bytes of the command line that no text stands for
            return "the command line holds text that is not UTF-8", USAGE
    return "", INTERNAL
