"""Signatures of certificates, CRLs and OCSP responses that verified are not verified again.

Whether bytes are signed with a key hangs on nothing else, neither on the time nor on who is trusted, so that what is
kept cannot age. Only that one holds is kept, as a digest of all that it hangs on; what does not hold is tried anew.
"""

from __future__ import annotations

import hashlib
from typing import Final

from asn1crypto import algos, keys
from pyhanko_certvalidator.sig_validate import (
    DEFAULT_VALIDATION_CONTEXT,
    DefaultSignatureValidator,
    SignatureValidationContext,
)

from signing.kept import Kept

__all__ = ["VERIFIER", "Verifier"]

_KEPT: Final = 4_096
_BYTES: Final = 32


class Verifier(DefaultSignatureValidator):
    """pyHanko's validator, asked once for the same. Threads may share it."""

    def __init__(self, kept: int = _KEPT) -> None:
        self.holding: Final[Kept[bytes, bool]] = Kept(kept, kept * _BYTES)

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: keys.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> None:
        """Raises as pyHanko's: `InvalidSignature`, and others for what it cannot verify."""
        key = _digest(
            signature,
            signed_data,
            public_key_info.dump(),
            signature_algorithm.dump(),
            repr((context.contextual_md_algorithm, context.prehashed)).encode(),
        )
        if self.holding.get(key):
            return
        super().validate_signature(signature, signed_data, public_key_info, signature_algorithm, context)
        self.holding.put(key, True, _BYTES)


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


VERIFIER: Final = Verifier()
