"""What others say: a check of digests and signature values alone, as many tools do it, and poppler's `pdfsig`."""

from __future__ import annotations

import hashlib
import re
import subprocess
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

from asn1crypto import algos, cms, x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pypdf import PdfReader

__all__ = ["naive", "pdfsig"]


def naive(document: bytes) -> str:
    """`valid`, `invalid`, `unsigned` or `unreadable`.

    Each signature that the form's fields name: the bytes of its byte range, whatever they are, have the digest in the
    CMS, and its value verifies with the certificate in the CMS. No more is asked.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            signatures = _signatures(PdfReader(BytesIO(document)))
        except Exception:  # noqa: BLE001 - a lenient reader gives any of its errors
            return "unreadable"
        if not signatures:
            return "unsigned"
        try:
            return "valid" if all(_verifies(document, item) for item in signatures) else "invalid"
        except Exception:  # noqa: BLE001
            return "invalid"


def _signatures(reader: PdfReader) -> list[Any]:
    found = []
    form = reader.trailer["/Root"]["/AcroForm"]
    for reference in form["/Fields"]:
        field = reference.get_object()
        if field.get("/FT") == "/Sig" and "/V" in field:
            found.append(field["/V"])
    return found


def _verifies(document: bytes, signature: Any) -> bool:
    numbers = [int(item) for item in signature["/ByteRange"]]
    covered = b"".join(
        document[start : start + length] for start, length in zip(numbers[::2], numbers[1::2], strict=True)
    )
    contents = signature["/Contents"]
    encoded = getattr(contents, "original_bytes", contents)
    signed = cms.ContentInfo.load(bytes(encoded))["content"]
    signer = signed["signer_infos"][0]
    algorithm = signer["digest_algorithm"]["algorithm"].native
    attributes = {item["type"].native: item["values"][0].native for item in signer["signed_attrs"]}
    content = covered
    if signed["encap_content_info"]["content_type"].native == "tst_info":
        info = signed["encap_content_info"]["content"]
        imprint = info.parsed["message_imprint"]
        digest = hashlib.new(imprint["hash_algorithm"]["algorithm"].native, covered).digest()
        if imprint["hashed_message"].native != digest:
            return False
        content = bytes(info.parsed.dump())
    if attributes["message_digest"] != hashlib.new(algorithm, content).digest():
        return False
    signed_bytes = b"\x31" + signer["signed_attrs"].dump()[1:]
    names = signer["sid"].chosen
    return any(
        _holds(
            each.chosen, signer["signature_algorithm"], algorithm, signer["signature"].native, signed_bytes
        )
        for each in signed["certificates"]
        if each.chosen.serial_number == names["serial_number"].native
    )


def _holds(
    certificate: x509.Certificate,
    algorithm: algos.SignedDigestAlgorithm,
    digest: str,
    value: bytes,
    content: bytes,
) -> bool:
    key = load_der_public_key(certificate.public_key.dump())
    hash_algorithm = getattr(hashes, digest.upper())()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(value, content, ec.ECDSA(hash_algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            scheme = (
                padding.PSS(padding.MGF1(hash_algorithm), hash_algorithm.digest_size)
                if algorithm.signature_algo == "rsassa_pss"
                else padding.PKCS1v15()
            )
            key.verify(value, content, scheme, hash_algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def pdfsig(document: bytes, folder: Path) -> str:
    """`valid`, `valid in part` (the last one does not cover the whole file), `invalid`, `unsigned` or `unreadable`.

    Document timestamps, which poppler 22.12 does not verify, count for covering the file only.
    """
    path = folder / "attack.pdf"
    path.write_bytes(document)
    found = subprocess.run(["pdfsig", "-nocert", str(path)], capture_output=True, timeout=60, check=False)
    text = found.stdout.decode("utf-8", "replace")
    verdicts = re.findall(r"Signature Validation: (.+)", text)
    verdicts = [item for item in verdicts if item != "Signature has not yet been verified."]
    if not verdicts:
        return (
            "unsigned" if "does not contain any signatures" in text + found.stderr.decode() else "unreadable"
        )
    if set(verdicts) != {"Signature is Valid."}:
        return "invalid"
    return "valid" if "- Total document signed" in text else "valid in part"
