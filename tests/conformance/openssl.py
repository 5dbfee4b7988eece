"""OpenSSL on every CMS in a document: signatures over their byte ranges, timestamps over what they stamp."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asn1crypto import cms
from pyhanko.pdf_utils.reader import PdfFileReader

__all__ = ["Stamped", "parts_of", "timestamps_in", "verify_cms", "verify_timestamp"]


@dataclass(frozen=True)
class Stamped:
    """A CMS (DER), and the bytes that it is over."""

    which: str
    encoded: bytes
    content: bytes


def parts_of(path: Path) -> tuple[list[Stamped], list[Stamped]]:
    """The signatures of a PDF, and its timestamps: of each signature, and of the document."""
    document, signatures, stamps = path.read_bytes(), [], []
    with path.open("rb") as file:
        for signature in PdfFileReader(file).embedded_signatures:
            _, first, second, length = signature.byte_range
            covered = document[:first] + document[second : second + length]
            encoded = cms.ContentInfo.load(signature.pkcs7_content).dump()  # without the zeros behind it
            part = Stamped(signature.field_name, encoded, covered)
            if signature.sig_object_type == "/DocTimeStamp":
                stamps.append(part)
                continue
            signatures.append(part)
            stamps += timestamps_in(encoded, signature.field_name)
    return signatures, stamps


def timestamps_in(encoded: bytes, which: str) -> list[Stamped]:
    """The signature timestamps of a CMS, each over the signature's value."""
    (signer,) = cms.ContentInfo.load(encoded)["content"]["signer_infos"]
    value = signer["signature"].native
    return [
        Stamped(which, token.dump(), value)
        for attribute in signer["unsigned_attrs"]
        if attribute["type"].native == "signature_time_stamp_token"
        for token in attribute["values"]
    ]


def verify_cms(part: Stamped, root: Path, folder: Path) -> str:
    """Empty when `openssl cms -verify` finds it good, with its certificates up to the anchor; else its words."""
    return _said(
        ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", "cms", "-content", "content",
         "-purpose", "any", "-cades", "-CAfile", "root", "-out", "/dev/null"],
        part, root, folder, "CAdES Verification successful",
    )  # fmt: skip


def verify_timestamp(part: Stamped, root: Path, folder: Path) -> str:
    """Empty when `openssl ts -verify` finds it good; else its words."""
    token = cms.ContentInfo.load(part.encoded)["content"]
    above = b"".join(_pem(choice.chosen.dump()) for choice in token["certificates"])
    (folder / "above").write_bytes(above)
    return _said(
        ["openssl", "ts", "-verify", "-data", "content", "-in", "cms", "-token_in", "-CAfile", "root",
         "-untrusted", "above"],
        part, root, folder, "Verification: OK",
    )  # fmt: skip


def _said(command: Sequence[str], part: Stamped, root: Path, folder: Path, good: str) -> str:
    (folder / "cms").write_bytes(part.encoded)
    (folder / "content").write_bytes(part.content)
    anchor = root.read_bytes()
    (folder / "root").write_bytes(anchor if anchor.startswith(b"-----") else _pem(anchor))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if done.returncode == 0 and good in said:
        return ""
    return f"{part.which} ({hashlib.sha256(part.encoded).hexdigest()[:8]}): {said}"


def _pem(der: bytes) -> bytes:
    from asn1crypto import pem

    return bytes(pem.armor("CERTIFICATE", der))
