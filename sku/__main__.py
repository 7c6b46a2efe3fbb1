"""The entry point of the command line, `python -m sku`. The commands are in `cli/`."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated, NoReturn

import typer

from sku import __version__
from sku.cli import (
    answer,
    attack,
    bench,
    combine,
    evaluate,
    export,
    judge,
    models,
    plot,
    record,
    rename,
    score,
    study,
    train,
    train_judge,
    train_probe,
)  # fmt: skip
from sku.cli.options import write_utf8
from sku.core.compute_threads import SPINNING_VARIABLE, SPINS, WAITING_VARIABLE, command_spins
from sku.core.errors import Cancelled, error_line, shorten_line

app = typer.Typer(
    help="Make a language model forget harmful knowledge (SKU, arXiv:2402.10058), and measure what that costs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    models.models,
    train.train,
    combine.combine,
    rename.rename,
    answer.answer,
    score.score,
    evaluate.evaluate,
    attack.attack,
    judge.judge,
    plot.plot,
    study.study,
    record.record,
    train_judge.train_judge,
    train_probe.train_probe,
    export.export,
    bench.bench,
):
    app.command()(command)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    spins = SPINS if context.invoked_subcommand == bench.bench.__name__ else command_spins()  # bench: as a page
    os.environ.setdefault(SPINNING_VARIABLE, spins)


def _exit_at_interrupt(*_: object) -> NoReturn:
    sys.exit(130)


def main() -> None:
    """Run a command. A failure prints one line on standard error and exits with code 1."""
    os.environ.setdefault(WAITING_VARIABLE, "PASSIVE")  # torch reads this when it is imported
    signal.signal(signal.SIGINT, _exit_at_interrupt)
    write_utf8()
    warnings.simplefilter("ignore", FutureWarning)  # libraries warn about their own code
    try:
        app(prog_name="python -m sku")
    except Cancelled as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError, ArithmeticError, RuntimeError, ImportError) as error:
        _fail(error_line(error))
    except MemoryError:
        _fail("there is not enough memory for this; close other programs, or use a smaller model")
    except Exception as error:  # of a library: there is no list of what they raise
        if os.environ.get("SKU_TRACEBACK"):
            raise
        _fail(f"{type(error).__name__}: {error} (not foreseen; to report it, set SKU_TRACEBACK=1 and run it again)")


def _fail(message: str) -> NoReturn:
    print(f"error: {shorten_line(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
