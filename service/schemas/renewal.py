"""The receipt of a renewal, as `service.domain.renewal_receipt` makes it: for its JSON Schema, and to check one."""

from __future__ import annotations

from service.domain.presentation import ROLES
from service.domain.renewal import Reason
from service.domain.renewal_receipt import RENEWAL_RECEIPT_VERSION
from service.schemas.events.parts import MAX_VERSION, hexadecimal, moment, stored_under
from service.schemas.fields import Choice, Items, Obj, OneOfWhole, StrictSchema, Uuid, Whole
from service.schemas.text import Text

__all__ = ["RenewalReceiptSchema"]

_MOST = 2**53 - 1
_DIGESTS = ("sha256", "sha384", "sha512")
_INDICATIONS = ("TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE")


class RenewedVersion(StrictSchema):
    """What is renewed."""

    id = Uuid("The agreement.", required=True)
    version = Whole(1, MAX_VERSION, "Its version.", required=True)


class StatedFile(StrictSchema):
    """A file, by two hashes: when one algorithm is broken, the other one still tells."""

    sha256 = hexadecimal(64, "SHA-256 of the file, in hexadecimal.")
    sha512 = hexadecimal(128, "SHA-512 of the file, in hexadecimal.")
    bytes = Whole(0, _MOST, "Its length.", required=True)
    storage_key = stored_under()


class StatedScan(StatedFile):
    """The scan of a copy that a party signed by hand."""

    role = Choice(ROLES, "The party.", required=True)


class CoveredFiles(StrictSchema):
    """What was there before: that this receipt names it, under its timestamp, proves that it is as old."""

    receipt = Obj(StatedFile, "The version's receipt.json.", required=True)
    receipt_signature = Obj(StatedFile, "Its detached seal.", required=True)
    document = Obj(StatedFile, "The signed PDF before this renewal.", required=True)
    receipt_pdf = Obj(StatedFile, "The receipt as PDF before this renewal.", required=True)
    previous = Obj(StatedFile, "The receipt of the renewal before this one; not in the first.")
    previous_signature = Obj(StatedFile, "Its detached seal; not in the first.")


class StatedTimestamp(StrictSchema):
    """A document timestamp of the signed PDF."""

    time = moment("The time that it proves.")
    authority = Text(500, "Who made it.", required=True)
    algorithm = Text(200, "Its signature and digest.", required=True)


class StatedValidation(StrictSchema):
    """The validation of the renewed document, and of the seals before it."""

    indication = Choice(_INDICATIONS, "ETSI EN 319 102-1.", required=True)
    seals = Items(
        Choice(_INDICATIONS, "ETSI EN 319 102-1."),
        MAX_VERSION,
        "The seals of receipt.json and of the renewals before this one, oldest first.",
        required=True,
    )
    report_sha256 = hexadecimal(64, "SHA-256 of the report, in hexadecimal.")
    report_sha512 = hexadecimal(128, "SHA-512 of the report, in hexadecimal.")
    storage_key = stored_under()


class StatedLog(StrictSchema):
    """The agreement's log until this renewal."""

    seq = Whole(0, _MOST, "Number of its newest entry.", required=True)
    sha256 = hexadecimal(64, "SHA-256 of that entry, which names the one before, and so on.")
    sha512 = hexadecimal(128, "SHA-512 of all its entries, one after the other.")
    storage_key = stored_under()


class RenewalReceiptSchema(StrictSchema):
    """That a signed version was whole when it was renewed, and what proves it from then on (RFC 8785 JSON)."""

    renewal_receipt_version = OneOfWhole((RENEWAL_RECEIPT_VERSION,), "Version of this form.", required=True)
    agreement = Obj(RenewedVersion, required=True)
    number = Whole(1, MAX_VERSION, "Which renewal of the version this is.", required=True)
    reason = Choice([str(reason) for reason in Reason], "Why it was renewed.", required=True)
    covers = Obj(CoveredFiles, required=True)
    scans = Items(StatedScan, 50, "Scans of signatures on paper.", required=True)
    document = Obj(StatedFile, "The signed PDF as it is now; it begins with the one before.", required=True)
    receipt_pdf = Obj(StatedFile, "The receipt as PDF as it is now, likewise.", required=True)
    digest = Choice(_DIGESTS, "What the new document timestamps are over.", required=True)
    document_timestamps = Items(
        StatedTimestamp, MAX_VERSION, "All those of the signed PDF, oldest first.", required=True
    )
    validation = Obj(StatedValidation, required=True)
    log = Obj(StatedLog, required=True)
    issued_at = moment("When this receipt was made, by the service's clock.")
