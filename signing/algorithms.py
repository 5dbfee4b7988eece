"""Signature mechanisms: which are made, and how a raw value is checked.

Made: ECDSA on P-256 and P-384, and RSA of at least 3072 bits with RSASSA-PSS (ETSI TS 119 312). What is accepted in
others' signatures is wider, and is for `signing.algorithm_policy` and `signing.accepted` to say.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

from asn1crypto import algos, x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from signing.errors import CredentialError, SignatureMismatch

__all__ = [
    "DIGEST_ALGORITHMS",
    "MIN_RSA_BITS",
    "Mechanism",
    "describe_algorithm",
    "digest_name",
    "mechanism_for",
    "sign_raw",
    "verify_raw",
]

MIN_RSA_BITS: Final = 3072
_HASHES: Final[dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
DIGEST_ALGORITHMS: Final = tuple(_HASHES)
"""Digests used here, by their names in `hashlib`."""
_CURVES: Final = {
    "secp256r1": "P-256",
    "secp384r1": "P-384",
    "secp521r1": "P-521",
    **{f"brainpoolp{bits}r1": f"brainpoolP{bits}r1" for bits in (256, 384, 512)},
}
_EDWARDS: Final = {"ed25519": "Ed25519", "ed448": "Ed448"}


class Mechanism(StrEnum):
    """A signature algorithm together with its digest."""

    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ED25519 = "ed25519"
    """Others' only: not made here."""

    @property
    def digest_algorithm(self) -> str:
        """Name of the digest, as in `hashlib`: sha256, sha384 or sha512."""
        return "sha512" if self is Mechanism.ED25519 else self.value.rsplit("-", 1)[1]  # RFC 8419 3.1

    @property
    def is_rsa(self) -> bool:
        return self.value.startswith("rsa")

    def identifier(self) -> algos.SignedDigestAlgorithm:
        """The AlgorithmIdentifier of the CMS SignerInfo (RFC 4056, RFC 5754, RFC 8419)."""
        if self is Mechanism.ED25519:
            return algos.SignedDigestAlgorithm({"algorithm": "ed25519"})
        digest = self.digest_algorithm
        if not self.is_rsa:
            return algos.SignedDigestAlgorithm({"algorithm": f"{digest}_ecdsa"})
        return algos.SignedDigestAlgorithm(
            {
                "algorithm": "rsassa_pss",
                "parameters": algos.RSASSAPSSParams(
                    {
                        "hash_algorithm": algos.DigestAlgorithm({"algorithm": digest}),
                        "mask_gen_algorithm": algos.MaskGenAlgorithm(
                            {"algorithm": "mgf1", "parameters": algos.DigestAlgorithm({"algorithm": digest})}
                        ),
                        "salt_length": hashlib.new(digest).digest_size,
                    }
                ),
            }
        )


def mechanism_for(key: PrivateKeyTypes | PublicKeyTypes) -> Mechanism:
    """The mechanism we sign with for a key of this kind. Raises `CredentialError` for a key that is refused."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if isinstance(key.curve, ec.SECP256R1):
            return Mechanism.ECDSA_SHA256
        if isinstance(key.curve, ec.SECP384R1):
            return Mechanism.ECDSA_SHA384
        raise CredentialError(f"the curve {key.curve.name} is not used here", remedy="use P-256 or P-384")
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise CredentialError(
                f"the RSA key has {key.key_size} bits", remedy=f"use at least {MIN_RSA_BITS} bits, or P-256"
            )
        return Mechanism.RSA_PSS_SHA256
    raise CredentialError(
        f"keys of type {type(key).__name__} are not used here", remedy="use ECDSA P-256/P-384 or RSA"
    )


def _pss(digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512) -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)


def sign_raw(key: PrivateKeyTypes, mechanism: Mechanism, data: bytes) -> bytes:
    """The signature value over `data` (which is hashed here)."""
    digest = _HASHES[mechanism.digest_algorithm]()
    if isinstance(key, rsa.RSAPrivateKey) and mechanism.is_rsa:
        return key.sign(data, _pss(digest), digest)
    if isinstance(key, ec.EllipticCurvePrivateKey) and not mechanism.is_rsa:
        return key.sign(data, ec.ECDSA(digest))
    raise CredentialError(f"the key cannot make {mechanism.value} signatures")


def verify_raw(certificate: x509.Certificate, mechanism: Mechanism, value: bytes, data: bytes) -> None:
    """Check a signature value against the certificate's key. Raises `SignatureMismatch`.

    ECDSA values are DER (RFC 5753 7.2), never the two numbers side by side; RSA values are RSASSA-PSS with a salt as
    long as the digest.
    """
    key = load_der_public_key(certificate.public_key.dump())
    digest = _HASHES[mechanism.digest_algorithm]()
    try:
        if isinstance(key, rsa.RSAPublicKey) and mechanism.is_rsa:
            key.verify(value, data, _pss(digest), digest)
            return
        if isinstance(key, ec.EllipticCurvePublicKey) and not mechanism.is_rsa:
            key.verify(value, data, ec.ECDSA(digest))
            return
        if isinstance(key, ed25519.Ed25519PublicKey) and mechanism is Mechanism.ED25519:
            key.verify(value, data)
            return
    except InvalidSignature:
        raise _mismatch(key, value, data, digest) from None
    raise SignatureMismatch(f"the certificate's key does not make {mechanism.value} signatures")


def _mismatch(
    key: PublicKeyTypes, value: bytes, data: bytes, digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512
) -> SignatureMismatch:
    """What is amiss with a value that does not verify; two common mistakes are named."""
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and len(value) == 2 * ((key.key_size + 7) // 8):
            half = len(value) // 2
            numbers = (int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
            key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(digest))
            return SignatureMismatch(
                "the signature value is the numbers r and s side by side, not the DER that CMS asks for",
                remedy="encode it as ECDSA-Sig-Value (RFC 5753, 7.2)",
            )
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, data, padding.PKCS1v15(), digest)
            return SignatureMismatch(
                "the signature value is RSA with PKCS#1 v1.5, where RSASSA-PSS was prepared",
                remedy="sign with RSASSA-PSS, or hand back a CMS of one's own",
            )
    except InvalidSignature:
        pass
    return SignatureMismatch(
        "the signature value does not verify with the certificate's key over the prepared bytes",
        remedy="prepare the signature again and sign exactly those bytes",
    )


def digest_name(digest: str) -> str:
    """A digest's name in words: SHA-256, SHA3-256, MD5."""
    if digest.startswith("sha3_"):
        return digest.upper().replace("_", "-")
    if digest.startswith("shake"):
        return digest.removesuffix("_len").upper()
    return digest.upper().replace("SHA", "SHA-", 1) if digest.startswith("sha") else digest.upper()


def describe_algorithm(
    signature: algos.SignedDigestAlgorithm, digest: str, certificate: x509.Certificate
) -> str:
    """The algorithm in words for a report, e.g. `ECDSA P-256, SHA-256` or `RSA-3072 PSS, SHA-256`."""
    name = digest_name(digest)
    key = certificate.public_key
    if key.algorithm == "ec":
        curve = str(key.curve[1])
        return f"ECDSA {_CURVES.get(curve, curve)}, {name}"
    if key.algorithm in ("rsa", "rsassa_pss"):
        scheme = "PSS" if signature.signature_algo == "rsassa_pss" else "PKCS#1 v1.5"
        return f"RSA-{key.bit_size} {scheme}, {name}"
    return f"{_EDWARDS.get(key.algorithm, key.algorithm)}, {name}"
