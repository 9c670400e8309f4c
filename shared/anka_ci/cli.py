"""The roof: the command ``anka-ci``.

The one place that catches errors, reads the environment and prints. A step's options are built from its ``Inputs``
when it is run, so a command loads the one step it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence

from anka_ci import __version__, account, inputs, settings
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, SystemClock
from anka_ci.desk import perform
from anka_ci.errors import AnkaCiError, InterruptError, UsageError, suggestion
from anka_ci.result import Event, Result, Said, StepResult, Tell
from anka_ci.secret import Redactor, Secret
from anka_ci.steps import catalog

OTHERS = {
    "serve": "run the embedded registry",
    "try": "show the embedded registry and the steps in one command",
    "steps": "list the steps",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (see ``errors``)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    redactor = Redactor()
    try:
        return _dispatch(arguments, os.environ, redactor)
    except AnkaCiError as error:
        sys.stderr.write(redactor(account.of_error(error)))
        return error.code
    except KeyboardInterrupt:
        sys.stderr.write("anka-ci: interrupted\n")
        return InterruptError.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:
        sys.stderr.write(redactor(traceback.format_exc()))
        sys.stderr.write("anka-ci: this is a fault of anka-ci; please report the lines above\n")
        return 1


def _dispatch(arguments: list[str], env: Mapping[str, str], redactor: Redactor) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        sys.stdout.write(f"anka-ci {__version__}\n")
        return 0
    if name == "steps":
        sys.stdout.write(account.table(_steps()))
        return 0
    if name in ("serve", "try"):
        return _embedded(name, rest)
    if name not in catalog.CATALOG:
        raise UsageError(f"no command {name!r}", hint=suggestion(name, [*catalog.BUILT, *OTHERS]))
    return _step(name, rest, env, redactor)


def _embedded(name: str, rest: list[str]) -> int:
    from anka_ci import serve, trial

    parser = argparse.ArgumentParser(prog=f"anka-ci {name}", description=OTHERS[name])
    if name == "serve":
        serve.add_arguments(parser)
    options = parser.parse_args(rest)
    try:
        return serve.main(options) if name == "serve" else trial.main(_say)
    except ImportError as error:
        raise UsageError(f"the embedded server needs {error.name}", hint="pip install 'anka-ci[server]'") from error


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _step(name: str, rest: list[str], env: Mapping[str, str], redactor: Redactor) -> int:
    step = catalog.load(name)
    own, shared = inputs.fields(step.Inputs), inputs.fields(inputs.SharedInputs)
    first = next((field for field in own if field.required), None)
    parser = argparse.ArgumentParser(prog=f"anka-ci {name}", description=step.__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    if first:
        parser.add_argument("first", nargs="?", metavar=first.key.upper(), help=first.help)
    for field in (*own, *(each for each in shared if not each.secret)):
        default = inputs.show_default(field)
        text = field.help + (f" [{default}]" if default else "")
        if field.type is bool:
            parser.add_argument(f"--{field.key}", nargs="?", const="true", metavar="BOOL", help=text)
        else:
            choices = "|".join(field.choices) or field.type.__name__.upper()
            action = "append" if field.many else "store"
            parser.add_argument(f"--{field.key}", action=action, metavar=choices, help=text.replace("%", "%%"))
    parser.add_argument("--plan", dest="plan-only", action="store_true", help="only tell what would be done and lost")
    parser.add_argument("--json", action="store_true", help="print the result document")
    options = {key: value for key, value in vars(parser.parse_args(rest)).items() if value is not None}
    as_json, plan_only = options.pop("json"), options.pop("plan-only")
    given = options.pop("first", None)
    values = {inputs.dashed(key): value for key, value in options.items()}
    if given is not None and first is not None:
        if first.key in values:
            raise UsageError(f"{name}: {first.key} is given twice: by position and by --{first.key}")
        values[first.key] = given
    mine, common = inputs.split_shared(values)
    bound = inputs.bind(inputs.SharedInputs, common, what=name)
    result = _perform(name, mine, bound, env, redactor, plan_only)
    if as_json:
        # The document tells a failure as well; the handler's words go to stderr.
        sys.stdout.write(json.dumps(redactor.tree(result.emit()), indent=2, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(redactor("".join(account.of_result(each) for each in result.steps if each.error is None)))
    if result.raised is not None:
        raise result.raised
    return 0


class _Outcome(Result):
    """A result that remembers what was raised, so that the one handler tells it."""

    raised: AnkaCiError | None = None


def _perform(
    name: str,
    values: Mapping[str, object],
    shared: inputs.SharedInputs,
    env: Mapping[str, str],
    redactor: Redactor,
    plan_only: bool,
) -> _Outcome:
    clock, cancelled = SystemClock(), Cancelled()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: cancelled.set(signal.Signals(number).name))
    if env.get("ANKA_CI_TOKEN"):
        redactor.add(Secret(env["ANKA_CI_TOKEN"]))
    result = _Outcome(name=name, status="failed", started=clock.now())
    started = clock.monotonic()
    try:
        context = settings.load(env, shared)
        if context.token:
            redactor.add(context.token)
        result.context = context.name
        deadline = Deadline(clock, context.timeout)
        anka = Anka(context, clock=clock, deadline=deadline, cancelled=cancelled, tell=_teller(redactor))
        done = perform(name, values, anka, confirm=shared.confirm, plan_only=plan_only)
        result.status, result.steps = done.status, [done]
    except AnkaCiError as error:
        result.raised, result.error, result.code = error, error.emit(), error.code
        result.status = "interrupted" if isinstance(error, InterruptError) else "failed"
        result.steps = [StepResult(id=name, step=name, status=result.status, error=result.error)]
    result.seconds = clock.monotonic() - started
    return result


def _teller(redactor: Redactor) -> Tell:
    def tell(event: Event) -> None:
        if isinstance(event, Said):
            sys.stderr.write(redactor(event.text) + "\n")

    return tell


def _steps() -> list[dict[str, object]]:
    return [{"step": name, "what it does": catalog.summary(catalog.load(name))} for name in catalog.BUILT]


def _help() -> str:
    lines = ["usage: anka-ci COMMAND [options]", "", "steps:"]
    lines += [f"  {row['step']!s:10} {row['what it does']}" for row in _steps()]
    lines += ["", "more:", *(f"  {name:10} {text}" for name, text in OTHERS.items())]
    return "\n".join([*lines, "", "`anka-ci COMMAND --help` tells a command's options.", ""])


if __name__ == "__main__":
    raise SystemExit(main())
