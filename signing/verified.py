"""What verified is not verified again: signatures of certificates, CRLs and OCSP responses, and the path of an
authority that signed several timestamps of one document.

Whether bytes are signed with a key hangs on nothing else, neither on the time nor on who is trusted, so that what is
kept cannot age. Only that one holds is kept, as a digest of all that it hangs on; what does not hold is tried anew.
A path hangs on much more, and is kept while one document is validated (`among`), by all of that.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import pyhanko_certvalidator
from asn1crypto import algos, keys
from pyhanko_certvalidator.context import ValidationContext, ValidationDataHandlers
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.sig_validate import (
    DEFAULT_VALIDATION_CONTEXT,
    DefaultSignatureValidator,
    SignatureValidationContext,
)
from pyhanko_certvalidator.validate import async_validate_path

from signing.kept import Kept

__all__ = ["VERIFIER", "Verifier", "among", "install", "no_paths"]

_KEPT: Final = 4_096
_BYTES: Final = 32
_PATHS: Final = 64
_validate_path: Final = async_validate_path
_HELD: Final = "_paths_held"
"""Name of an attribute of our own, of pyHanko's registries."""


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


def among(held: Kept[Any, Any], handlers: ValidationDataHandlers) -> ValidationDataHandlers:
    """The same handlers, by which a path is not validated again that is in `held`.

    Who shares `held` has to have the same CRLs and OCSP responses: all else is looked at.
    """
    setattr(handlers.cert_registry, _HELD, held)
    return handlers


def no_paths() -> Kept[Any, Any]:
    """For `among`."""
    return Kept(_PATHS, _PATHS)


async def _validated(context: ValidationContext, path: ValidationPath, parameters: Any = None) -> Any:
    """As pyHanko's `async_validate_path`, once for the same. What is raised is raised each time."""
    held: Kept[Any, Any] | None = getattr(context.certificate_registry, _HELD, None)
    if held is None or parameters is not None:
        return await _validate_path(context, path, parameters)
    certificates = list(path.iter_certs(include_root=True))
    key = (
        tuple(each.sha256 for each in certificates),
        # What could lead up in other ways, as to who signed a CRL.
        tuple(each.sha256 for each in context.certificate_registry),
        context.moment,
        context.best_signature_time,
        context.timing_params.point_in_time_validation,
        context.time_tolerance,
        context.revinfo_policy,
        id(context.path_builder.trust_manager),
        id(context.algorithm_policy),
        id(context.sig_validator),
    )
    found = held.get(key)
    if found is None:
        await _validate_path(context, path, parameters)
        # The context too, so that nothing else comes to be where one of its parts was.
        held.put(key, (path.qualified_policies(), context), 1)
    else:
        path._set_qualified_policies(found[0])
    return certificates[-1]


def install() -> None:
    """Let pyHanko use this."""
    theirs: Any = pyhanko_certvalidator
    theirs.async_validate_path = _validated
