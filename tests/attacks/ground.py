"""The documents that attacks start from."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from signing import SignatureRequest, embed, prepare, sign
from signing.cms import signed_attributes
from tests.attacks.model import Ground
from tests.signing_documents import Signers

__all__ = ["make_ground"]


def make_ground(fielded: bytes, final: bytes, signers: Signers) -> Ground:
    def seal(unsigned: bytes, permission: int = 2) -> bytes:
        credential = signers.credential("seal")
        request = SignatureRequest("seal", certify=True)
        prepared = prepare(unsigned, request, credential.identity, at=datetime.now(UTC))
        if permission != 2:
            increment = prepared.increment.replace(b"/P 2\n", b"/P %d\n" % permission)
            assert increment != prepared.increment
            other = replace(prepared, increment=increment)
            digest = hashlib.new(prepared.digest_algorithm, other.content(unsigned)).digest()
            attributes = signed_attributes(credential.identity, digest)
            prepared = replace(other, document_digest=digest, signed_attributes=attributes)
        value = sign(prepared, credential)
        sealed = embed(prepared, value, revision=unsigned, timestamps=signers.timestamps)
        return signers.with_evidence(sealed, "seal")

    def sign_more(revision: bytes, field: str, by: str) -> bytes:
        return signers.with_evidence(signers.sign(revision, field, by=by), "seal", "participant")

    return Ground(
        document=final,
        sealed=seal(fielded),
        unsigned=fielded,
        seal=seal,
        sign=sign_more,
    )
