"""`signert verify`: any PDF, a signed agreement of the store, or a receipt with what lies beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from service.bootstrap import compare_pages, open_trust, system_clock
from service.config import S3Location, Settings
from service.entrypoints import output
from service.entrypoints.cli.shared import (
    LoadSettings,
    as_json_option,
    open_ledger,
    read_agreement,
    refuse_erased,
    settings_option,
    trust_option,
    write,
)
from service.errors import SignertError

if TYPE_CHECKING:
    from service.pipeline.verification import ReceiptFile, Surroundings
    from signing import TrustStore, ValidationReport

__all__ = ["COMMANDS"]

_EXIT_OF: Final = {"TOTAL-PASSED": 0, "TOTAL-FAILED": 1, "INDETERMINATE": 2}
_SIGNATURE: Final = ".p7s"
_BEGINNING: Final = 1024


@click.command()
@click.argument("target", metavar="PATH|ID")
@trust_option
@click.option(
    "--signature",
    type=click.Path(path_type=Path),
    help="Detached signature of a receipt; RECEIPT.p7s beside it when not given.",
)
@click.option("--document", type=click.Path(path_type=Path), help="The signed PDF that a receipt is for.")
@click.option(
    "--with",
    "beside",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Earlier receipts (receipt.json, with .p7s beside it), or folders of them; may be given more than once.",
)
@click.option(
    "--xml",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the validation report of ETSI TS 119 102-2 to this file.",
)
@as_json_option
@settings_option
def verify(
    load: LoadSettings,
    target: str,
    trust: tuple[Path, ...],
    signature: Path | None,
    document: Path | None,
    beside: tuple[Path, ...],
    xml: Path | None,
    as_json: bool,
) -> None:
    """Say whether a PDF, a signed agreement or a receipt holds; nothing is fetched for it.

    PATH is any PDF, with the signatures of anybody; or a receipt, as receipt.json or as the PDF that carries it: then
    its seal, what it names and the receipts before it are checked too, as far as they are at hand. ID is an agreement
    of the store, which is also compared with its log. Limits on size and time hold for files (docs/validation.md).

    Exits 0 for TOTAL-PASSED, 1 for TOTAL-FAILED and 2 for INDETERMINATE.
    """
    from service.pipeline.verification import is_receipt, verify_agreement

    settings = load()
    anchors = open_trust(settings, trust)
    path = Path(target)
    if not path.exists():
        ledger, agreement = open_ledger(settings), read_agreement(settings, target)
        refuse_erased(agreement)
        now = system_clock().now()
        report, faults = verify_agreement(
            ledger, agreement, agreement.current, anchors, compare_pages, at=now
        )
        indication = "TOTAL-FAILED" if faults and report.indication == "TOTAL-PASSED" else report.indication
        _write_xml(xml, report)
        output.verdict(report, indication, faults, compared=True, as_json=as_json)
        raise SystemExit(_EXIT_OF[indication])
    if path.is_file() and is_receipt(_beginning(path)):
        beside_it = signature or _signature_of(path)
        files = _surroundings(settings, _read(beside_it) if beside_it else None, None, document, beside)
        raise SystemExit(_receipt(_read(path), files, anchors, None, xml, as_json=as_json))
    raise SystemExit(_pdf(settings, path, anchors, (signature, document, beside), xml, as_json=as_json))


def _pdf(
    settings: Settings,
    path: Path,
    anchors: TrustStore,
    options: tuple[Path | None, Path | None, tuple[Path, ...]],
    xml: Path | None,
    *,
    as_json: bool,
) -> int:
    from service.pipeline.verification import carried_receipt, verify_pdf

    try:
        report = verify_pdf(path, anchors, compare_pages)
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    carried = carried_receipt(_read(path)) if report.signatures else None
    if carried is None:
        _write_xml(xml, report)
        output.verdict(report, report.indication, (), as_json=as_json)
        return _EXIT_OF[report.indication]
    signature, document, beside = options
    files = _surroundings(settings, _read(signature) if signature else None, report, document, beside)
    return _receipt(carried, files, anchors, report, xml, as_json=as_json)


def _receipt(
    body: bytes,
    files: Surroundings,
    anchors: TrustStore,
    page: ValidationReport | None,
    xml: Path | None,
    *,
    as_json: bool,
) -> int:
    from service.pipeline.verification import verify_receipt

    found = verify_receipt(body, files, anchors)
    _write_xml(xml, found.report)
    output.receipt_verdict(found, page, as_json=as_json)
    return _EXIT_OF[found.indication]


def _surroundings(
    settings: Settings,
    signature: bytes | None,
    page: ValidationReport | None,
    document: Path | None,
    beside: Sequence[Path],
) -> Surroundings:
    from service.pipeline.verification import Surroundings, store_files

    # A folder that is not there is no store; one in S3 is asked.
    at_hand = isinstance(settings.store, S3Location) or settings.store.is_dir()
    find, log_entry = store_files(open_ledger(settings)) if at_hand else (None, None)
    return Surroundings(
        signature=signature,
        page=page,
        document=_read(document) if document else None,
        receipts=tuple(_receipts(beside)),
        find=find,
        log_entry=log_entry,
    )


def _receipts(paths: Sequence[Path]) -> Iterator[ReceiptFile]:
    """The receipts among these files and in these folders."""
    from service.pipeline.verification import ReceiptFile, carried_receipt, is_receipt

    for path in (each for one in paths for each in (sorted(one.rglob("*")) if one.is_dir() else [one])):
        if path.is_dir():
            continue
        body = _read(path)
        if is_receipt(body):
            signature = _signature_of(path)
            yield ReceiptFile(body, _read(signature) if signature else None)
        elif (carried := carried_receipt(body)) is not None:
            yield ReceiptFile(carried)


def _signature_of(path: Path) -> Path | None:
    found = path.with_name(path.name + _SIGNATURE)
    return found if found.is_file() else None


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_BEGINNING)
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _unreadable(path: Path, exc: OSError) -> SignertError:
    return SignertError(
        f"{path} cannot be read: {exc.strerror}", code="input", remedy="Check the path and its rights."
    )


def _write_xml(path: Path | None, report: ValidationReport) -> None:
    if path is not None:
        write(path, report.as_xml())


COMMANDS = (verify,)
