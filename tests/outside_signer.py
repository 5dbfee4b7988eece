"""Someone else's signing service: OpenSSL, or a CMS put together by hand, over a document that is prepared for it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import cms as asn1_cms
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from signing import PreparedRevision, SignatureRequest, embed_cms, prepare
from signing.cms import signed_attributes, signed_data
from tests.signing_documents import Signers, appearance

__all__ = ["DATA", "PSS", "Outside", "prepare_outside", "side_by_side"]

DATA = asn1_cms.ContentType("data").dump()
PSS = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1"]


@dataclass(frozen=True)
class Outside:
    """A document prepared for someone else's signature, and OpenSSL as that someone."""

    signers: Signers
    revision: bytes
    prepared: PreparedRevision
    directory: Path

    @property
    def content(self) -> bytes:
        """The bytes the signature is over."""
        document = self.prepared.document(self.revision)
        return document[: self.prepared.reserved_start] + document[self.prepared.reserved_end :]

    def openssl(
        self, *arguments: str, by: str = "person", md: str = "sha256", over: bytes | None = None
    ) -> bytes:
        (self.directory / "content").write_bytes(self.content if over is None else over)
        command = ["openssl", "cms", "-sign", "-binary", "-in", "content", "-outform", "DER", "-md", md]
        command += self.key(by)
        command += ["-certfile", str(self.signers.pki.certificate_pem("interm")), *arguments]
        return subprocess.run(command, cwd=self.directory, capture_output=True, check=True).stdout

    def key(self, label: str) -> list[str]:
        pki = self.signers.pki
        return ["-signer", str(pki.certificate_pem(label)), "-inkey", str(pki.directory / f"{label}.pem")]

    def by_hand(
        self,
        by: str = "person",
        *,
        change: Callable[[bytes], bytes] = lambda attributes: attributes,
        named: str | None = None,
        sent: str | None = None,
        content: bytes = DATA,
        content_type: str = "data",
        unsigned: bytes = b"",
        evidence: Sequence[bytes] = (),
    ) -> bytes:
        """A CMS whose attributes are changed before they are signed, or that names or sends another's certificate."""
        credential = self.signers.credential(by)
        attributes = change(
            signed_attributes(
                self.signers.credential(named or by).identity,
                self.prepared.document_digest,
                content_type=content_type,
            )
        )
        identity = credential.identity
        return signed_data(
            identity,
            attributes,
            credential.sign(attributes),
            version=5 if evidence else 1,
            evidence=evidence,
            content=content,
            certificates=[self.signers.credential(sent or by).identity.certificate, *identity.chain],
            unsigned=unsigned,
        )

    def embed(self, cms: bytes, *, prepared: PreparedRevision | None = None) -> bytes:
        return embed_cms(
            prepared or self.prepared,
            cms,
            revision=self.revision,
            timestamps=self.signers.timestamps,
            trust=self.signers.trust,
        )


def prepare_outside(
    revision: bytes, *, digest: str = "sha256", reserved: int | None = None
) -> PreparedRevision:
    """The employer's field, for a signer not known yet."""
    request = SignatureRequest("employer", appearance=appearance("employer"))
    now = datetime.now(UTC)
    return prepare(revision, request, None, at=now, digest_algorithm=digest, reserved=reserved)


def side_by_side(value: bytes) -> bytes:
    """The two numbers of an ECDSA value on P-256 as they are, instead of in DER."""
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(value))
