"""The command `signert`: one module for each kind of command; what they share in `shared` and `sending`.

    agreements   submit, run, show, fetch
    verify       verify
    parties      sign, complete, attach-paper, decline, cancel
    amendments   amend, terminate, diff
    follow_up    follow-up
    finding      find, versions, reindex
    disposal     disposal list, approve; erase
    export       export, import
    operations   worker, sweep, fsck, recover, doctor
    renewals     renew
    serving      serve, access-log
    quarantine   quarantine list, show, resubmit
    templates    templates list, new, check, preview, diff, publish

Exit codes: 0 done; `verify` 0, 1 and 2 for TOTAL-PASSED, TOTAL-FAILED and INDETERMINATE; 3 refused or failed, with
the reason, or found faults; 64 for a wrong call.

Modules that only some commands need are imported in those commands: `signert show` must not wait for Celery.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TypeGuard

import click

from service.config import load_settings
from service.entrypoints.cli import (
    agreements,
    amendments,
    disposal,
    export,
    finding,
    follow_up,
    operations,
    parties,
    quarantine,
    renewals,
    serving,
    templates,
    verify,
)
from service.entrypoints.cli.shared import EXIT_FAILED, EXIT_USAGE
from service.entrypoints.output import error
from service.errors import SignertError

if TYPE_CHECKING:
    from signing import SigningError

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="signert")
@click.pass_context
def cli(context: click.Context) -> None:
    """Agreement data in, signed and archived PDF with a sealed receipt out.

    Settings come from the environment (SIGNERT_HOME, SIGNERT_STORE, SIGNERT_BROKER …); see README.md.
    """
    logging.getLogger().addHandler(logging.NullHandler())  # the worker logs; the other commands answer
    context.obj = load_settings


for _command in (
    *agreements.COMMANDS,
    *verify.COMMANDS,
    *parties.COMMANDS,
    *amendments.COMMANDS,
    *follow_up.COMMANDS,
    *disposal.COMMANDS,
    *finding.COMMANDS,
    *operations.COMMANDS,
    *export.COMMANDS,
    *renewals.COMMANDS,
    *serving.COMMANDS,
    quarantine.GROUP,
    templates.GROUP,
):
    cli.add_command(_command)


def main() -> None:
    """Run the command; every error of ours becomes its text, its way out, and exit code 3."""
    as_json = "--json" in sys.argv
    try:
        cli(prog_name="signert", standalone_mode=False)
    except click.exceptions.Exit as exc:
        raise SystemExit(exc.exit_code) from None
    except click.UsageError as exc:
        exc.show()
        raise SystemExit(EXIT_USAGE) from None
    except (click.Abort, KeyboardInterrupt):
        raise SystemExit(130) from None
    except Exception as exc:
        if not _is_ours(exc):
            raise
        error(exc, as_json=as_json)
        raise SystemExit(EXIT_FAILED) from None


def _is_ours(exc: Exception) -> TypeGuard[SignertError | SigningError]:
    """Whether a package of ours raised this on purpose; `signing` is not loaded for a command that needs it not."""
    signing = sys.modules.get("signing")
    return isinstance(exc, SignertError) or (signing is not None and isinstance(exc, signing.SigningError))
