"""What the commands share: options, exit codes, the way to an agreement, and files in and out."""

from __future__ import annotations

import json
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from service.bootstrap import open_store, system_clock
from service.config import Settings
from service.domain.agreement import Agreement
from service.domain.due import open_items
from service.domain.log import Entry
from service.entrypoints import output
from service.errors import NotFound, SignertError
from service.pipeline.ledger import Ledger
from service.pipeline.work import Marker, Workbook

if TYPE_CHECKING:
    from service.pipeline.drive import Outcome
    from service.pipeline.services import Services

__all__ = [
    "EXIT_FAILED",
    "EXIT_USAGE",
    "LoadSettings",
    "OneProcess",
    "agreement_argument",
    "as_json_option",
    "open_ledger",
    "open_workbook",
    "parse_agreement_id",
    "read_agreement",
    "read_json",
    "refuse_erased",
    "settings_option",
    "show_agreement",
    "trust_option",
    "write",
]

EXIT_FAILED, EXIT_USAGE = 3, 64

LoadSettings = Callable[[], Settings]

_F = TypeVar("_F", bound=Callable[..., Any])

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
agreement_argument = click.argument("agreement_id", metavar="ID")
trust_option = click.option(
    "--trust",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Trust anchors: a PEM or DER file, a folder of them, or an EU trusted list; may be given more than once.",
)


def settings_option(command: _F) -> _F:
    """Hand the command the settings' loader, so that `--help` works with wrong ones."""
    return cast(_F, click.pass_obj(command))


class OneProcess:
    """The `hand_over` of a command that does all in this process: what is handed over waits here for `drive_all`."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()

    def __call__(self, _capability: object, agreement_id: str, run: str) -> None:
        self._waiting.append((agreement_id, run))

    def drive_all(self, services: Services, marker: Marker, observe: Callable[[Entry], None]) -> Outcome:
        """Drive the agreement of `marker` and all that is handed over on the way; what became of that agreement.

        Raises `SignertError` (`capability_missing`) when a step needs another worker than this one.
        """
        from service.pipeline.drive import Rest, drive

        outcome = drive(services, marker, observe=observe)
        while self._waiting:
            if outcome.rest is Rest.HANDED_OVER:
                raise SignertError(
                    f"the next step needs the capability '{outcome.capability}'",
                    code="capability_missing",
                    remedy="Set SIGNERT_CAPABILITIES=render,sign,deliver, or use `signert submit` and workers.",
                )
            agreement_id, run = self._waiting.popleft()
            found = services.workbook.find(agreement_id, run)
            if found is None:
                continue
            if agreement_id == marker.agreement_id:
                outcome = drive(services, found, observe=observe)
            else:
                drive(services, found)
        return outcome


def open_ledger(settings: Settings) -> Ledger:
    return Ledger(open_store(settings), system_clock())


def open_workbook(ledger: Ledger) -> Workbook:
    return Workbook(ledger.store, system_clock())


def parse_agreement_id(given: str) -> str:
    """The id in its one form. Raises `NotFound` for what is none."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise NotFound(
            f"'{given}' is neither a file nor an agreement's id",
            remedy="An id is a UUID; see `signert submit --wait`.",
        ) from None


def read_agreement(settings: Settings, agreement_id: str) -> Agreement:
    """The agreement as its log tells. Raises `NotFound`, `LogCorrupt`."""
    return open_ledger(settings).agreement(parse_agreement_id(agreement_id))


def refuse_erased(agreement: Agreement) -> None:
    """Raises `SignertError` (`erased`) when its content is gone."""
    if erasure := agreement.erasure:
        raise SignertError(
            f"the content of agreement {agreement.id} was erased by an order of {erasure.ordered_at}",
            code="erased",
            remedy="Its log is still there: see `signert show`, which names the sealed record.",
        )


def show_agreement(settings: Settings, agreement: Agreement, *, as_json: bool) -> None:
    ledger = open_ledger(settings)
    markers = open_workbook(ledger).of(agreement.id)
    output.agreement(
        agreement,
        ledger.read(agreement.id),
        [m.parked for m in markers if m.parked],
        open_items(agreement, system_clock().now()),
        as_json=as_json,
    )


def read_json(file: Any, *, remedy: str = "See examples/agreement.json for the shape.") -> Any:
    """What is in the file. Raises `SignertError` for what is not JSON; `remedy` says what should be there."""
    try:
        return json.load(file)
    except (ValueError, RecursionError) as exc:
        place = f" (line {exc.lineno}, column {exc.colno})" if isinstance(exc, json.JSONDecodeError) else ""
        raise SignertError(
            f"{file.name} is not JSON{place}",
            code="not_json",
            remedy=remedy,
        ) from exc


def write(path: Path, body: bytes) -> Path:
    try:
        path.write_bytes(body)
    except OSError as exc:
        raise SignertError(
            f"{path} cannot be written: {exc.strerror}", code="output", remedy="Name another file."
        ) from exc
    return path
