"""A signature made on a copy with a throwaway key, before a person or an HSM is asked for the real one."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from signing.algorithms import Mechanism
from signing.embed import embed, sign
from signing.errors import RehearsalFailed, SigningError
from signing.model import SignatureRequest, SignatureResult, ValidationReport
from signing.parts import Parts, parts_of
from signing.prepare import prepare
from signing.throwaway import throwaway_authority, throwaway_credential, throwaway_trust
from signing.validate import validate

__all__ = ["rehearse"]

# What a signature cannot recover from. The rest is about certificates, which have nothing to do with the document.
_BROKEN: Final = frozenset({"FORMAT_FAILURE", "HASH_FAILURE", "SIG_CRYPTO_FAILURE"})


def rehearse(
    revision: bytes | Parts, request: SignatureRequest, mechanism: Mechanism, *, at: datetime
) -> None:
    """Make the whole signature on a copy: prepare, sign, timestamp, embed, validate. No network, nothing is kept.

    The copy has to validate with the throwaway key as PAdES B-T, and the signatures that were there before have to
    hold in it: same bytes, and no change that they forbid. Their certificates are not judged. For a signer not known
    yet any mechanism will do. It costs about twice the signature without the key: 20 to 170 ms.

    Raises `RehearsalFailed`, with the code of the error that the real signature would meet.
    """
    credential = throwaway_credential(mechanism)
    authority = throwaway_authority(at)
    try:
        prepared = prepare(revision, request, credential.identity, at=at)
        value = sign(prepared, credential)
        copy = embed(prepared, value, revision=Parts(*parts_of(revision)), timestamps=authority)
    except SigningError as error:
        raise RehearsalFailed(
            f"the signature in field {request.field} cannot be made: {error.message}",
            cause_code=error.code,
            remedy=error.remedy,
        ) from error
    report = validate(copy, throwaway_trust(credential, authority.credential), at=at)
    _check_own(report, request)
    for result in report.signatures:
        if result.sub_indication in _BROKEN:
            raise _failed(result.field, result.sub_indication, "would not hold any more")
    for stamp in report.document_timestamps:
        if stamp.sub_indication in _BROKEN:
            raise _failed(stamp.field, stamp.sub_indication, "would not hold any more")


def _check_own(report: ValidationReport, request: SignatureRequest) -> None:
    own: SignatureResult | None = next(
        (result for result in report.signatures if result.field == request.field), None
    )
    if own is None:
        raise _failed(request.field, report.sub_indication, "is not found again")
    if own.indication != "TOTAL-PASSED" or own.level == "B-B" or own.level is None:
        raise _failed(request.field, own.sub_indication, "does not validate")
    if own.certifies != request.certify:
        raise _failed(request.field, None, "is not the certification signature it should be, or is one")


def _failed(field: str, sub_indication: str | None, what: str) -> RehearsalFailed:
    reason = f" ({sub_indication})" if sub_indication else ""
    return RehearsalFailed(
        f"after a rehearsal the signature in field {field} {what}{reason}",
        cause_code="revision_broken",
        remedy="render the document again; if it comes back, its template or the software is at fault",
    )
