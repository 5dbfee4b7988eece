"""What is accepted in signatures that others make for us now: what the algorithm policy accepts at the time, and what
can be checked here.

Wider than those made here: RSA from 2048 bits, PKCS#1 v1.5, any salt of PSS that is long enough, other curves, Ed25519.
The digest has to be one that documents are prepared with. SHA-1, MD5 and other kinds of keys are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from asn1crypto import algos, x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from signing.algorithm_policy import AlgorithmPolicy, scheme_digest, scheme_of_signature
from signing.algorithms import Mechanism
from signing.errors import CredentialError, SignatureMismatch

__all__ = [
    "AcceptedAlgorithm",
    "PublicKey",
    "accepted_algorithm",
    "accepted_issue",
    "accepted_key",
    "mechanism_of",
]

_DIGESTS: Final[dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
_PREFER: Final = "use ECDSA on P-256 or P-384, or RSA of at least 3072 bits with PSS, and SHA-256 or longer"

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class AcceptedAlgorithm:
    """The algorithm of a signature value: scheme, digest (as in `hashlib`) and, for PSS, bytes of salt."""

    scheme: Literal["ecdsa", "pss", "pkcs1", "ed25519"]
    digest: str
    salt_length: int = 0

    def verify(self, key: PublicKey, value: bytes, data: bytes) -> None:
        """Check `value` over `data`, which is hashed here. Raises `SignatureMismatch`."""
        digest = _DIGESTS[self.digest]()
        try:
            if isinstance(key, ec.EllipticCurvePublicKey) and self.scheme == "ecdsa":
                key.verify(value, data, ec.ECDSA(digest))
                return
            if isinstance(key, rsa.RSAPublicKey) and self.scheme == "pss":
                key.verify(value, data, padding.PSS(padding.MGF1(digest), self.salt_length), digest)
                return
            if isinstance(key, rsa.RSAPublicKey) and self.scheme == "pkcs1":
                key.verify(value, data, padding.PKCS1v15(), digest)
                return
            if isinstance(key, ed25519.Ed25519PublicKey) and self.scheme == "ed25519":
                key.verify(value, data)
                return
        except InvalidSignature:
            raise SignatureMismatch(
                "the signature does not verify with the certificate's key over its signed attributes"
            ) from None
        raise SignatureMismatch("the signature's algorithm is not one of the certificate's key")


def accepted_key(
    certificate: x509.Certificate, algorithms: AlgorithmPolicy | None = None, *, at: datetime | None = None
) -> PublicKey:
    """The certificate's public key, accepted at that time (now, when not given) by the policy (the built-in one).

    Raises `CredentialError` when it is weak, broken or of another kind.
    """
    try:
        key = load_der_public_key(certificate.public_key.dump())
        accepted = _accepted(
            algorithms, at, (algorithms or AlgorithmPolicy.load()).key_ends(certificate.public_key)
        )
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm):
        raise CredentialError("the certificate's key cannot be read", remedy=_PREFER) from None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not accepted:
            raise CredentialError(f"the certificate's key is on the curve {key.curve.name}", remedy=_PREFER)
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if not accepted:
            raise CredentialError(f"the certificate's RSA key has {key.key_size} bits", remedy=_PREFER)
        return key
    if isinstance(key, ed25519.Ed25519PublicKey) and accepted:
        return key
    raise CredentialError("the certificate's key is of a kind that is not accepted", remedy=_PREFER)


def accepted_issue(
    certificate: x509.Certificate, algorithms: AlgorithmPolicy | None = None, *, at: datetime | None = None
) -> None:
    """That the certificate itself is signed by an algorithm accepted at that time. Raises `CredentialError`."""
    algorithm = certificate["signature_algorithm"]
    if not _accepted(algorithms, at, (algorithms or AlgorithmPolicy.load()).signature_ends(algorithm, None)):
        name = scheme_digest(algorithm) or algorithm["algorithm"].native
        raise CredentialError(f"a certificate of the signer's chain was issued with {_name(name)}")


def accepted_algorithm(
    identifier: algos.SignedDigestAlgorithm,
    digest: str,
    algorithms: AlgorithmPolicy | None = None,
    *,
    at: datetime | None = None,
) -> AcceptedAlgorithm:
    """The algorithm of a SignerInfo whose digest algorithm is `digest` (RFC 5652 5.3, RFC 5754, RFC 4056, RFC 8419).

    Raises `CredentialError` for one that is refused, `ValueError` and its like for what cannot be read.
    """
    policy = algorithms or AlgorithmPolicy.load()
    if digest not in _DIGESTS or not _accepted(policy, at, policy.digest_ends(digest)):
        raise CredentialError(f"the signature's digest algorithm is {_name(digest)}", remedy=_PREFER)
    scheme = scheme_of_signature(identifier)
    if scheme not in ("rsassa_pss", "rsassa_pkcs1v15", "ecdsa", "ed25519") or not _accepted(
        policy, at, policy.signature_ends(identifier, None, digest)
    ):
        name = identifier["algorithm"].native
        raise CredentialError(f"the signature's algorithm is {_name(name)}", remedy=_PREFER)
    if scheme == "rsassa_pss":
        return _pss(identifier["parameters"], digest)
    # rsaEncryption alone names no digest (RFC 3370 3.2): then it is the SignerInfo's.
    if scheme_digest(identifier) not in (None, digest):
        raise CredentialError("the signature's algorithm and its digest algorithm do not belong together")
    if scheme == "ed25519":
        return AcceptedAlgorithm("ed25519", digest)
    return AcceptedAlgorithm("ecdsa" if scheme == "ecdsa" else "pkcs1", digest)


def _accepted(algorithms: AlgorithmPolicy | None, at: datetime | None, ends: datetime | None) -> bool:
    return (algorithms or AlgorithmPolicy.load()).accepts(ends, at or datetime.now(UTC))


def _pss(parameters: algos.RSASSAPSSParams, digest: str) -> AcceptedAlgorithm:
    """RFC 4056 3: the hash is the digest's, and the mask's hash should be; here it has to be."""
    mask = parameters["mask_gen_algorithm"]
    used = (
        parameters["hash_algorithm"]["algorithm"].native,
        mask["algorithm"].native,
        mask["parameters"]["algorithm"].native,
    )
    salt_length = parameters["salt_length"].native
    if used != (digest, "mgf1", digest) or parameters["trailer_field"].native not in (1, "trailer_field_bc"):
        raise CredentialError("the parameters of RSASSA-PSS do not belong to the digest algorithm")
    if not _DIGESTS[digest].digest_size <= salt_length <= 1024:
        raise CredentialError("the salt of RSASSA-PSS is not as long as the digest", remedy=_PREFER)
    return AcceptedAlgorithm("pss", digest, salt_length)


def mechanism_of(key: PublicKey) -> Mechanism:
    """What a key of this kind would be asked for."""
    if isinstance(key, rsa.RSAPublicKey):
        return Mechanism.RSA_PSS_SHA256
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Mechanism.ED25519
    return Mechanism.ECDSA_SHA256 if isinstance(key.curve, ec.SECP256R1) else Mechanism.ECDSA_SHA384


def _name(algorithm: str) -> str:
    return algorithm.upper() if algorithm[:1].isalpha() else algorithm
