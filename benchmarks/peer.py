"""Runs in the peers' venv and knows nothing of Signert: the libraries as their documentation shows them.

One JSON object a line in, one out. What is to be signed and what was made are files; seconds are measured here.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest import mock

logging.disable(logging.CRITICAL)


def unoserver(source: str, target: str, port: str, options: list[str]) -> dict[str, Any]:
    """By unoserver's own client, in one process that stays: not even its command has to start."""
    from unoserver.client import UnoClient

    client = UnoClient(port=port)
    began = time.perf_counter()
    client.convert(
        inpath=source,
        outpath=target,
        filtername="writer_pdf_Export",
        filter_options=options,
        update_index=False,
    )
    return {"seconds": time.perf_counter() - began}


@functools.cache
def signer(p12: str, passphrase: str) -> Any:
    from pyhanko.sign import SimpleSigner

    return SimpleSigner.load_pkcs12(p12, passphrase=passphrase.encode(), prefer_pss=True)


@functools.cache
def roots(root: str) -> list[Any]:
    from pyhanko.keys import load_certs_from_pemder

    return list(load_certs_from_pemder([root]))


def pyhanko(
    source: str,
    target: str,
    keys: list[list[str]],
    passphrase: str,
    tsa: str,
    root: str,
    level: str,
) -> dict[str, Any]:
    """`PdfSigner` with `SimpleSigner`, as pyHanko's documentation has it: each signer reads and writes bytes.

    `keys` are [field, PKCS#12 file]. With `B-T` a timestamp; with `B-LTA` validation info for each signer, and with
    the last one the document timestamp. Keys and timestamper are made once a process, as a service would.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers
    from pyhanko_certvalidator import ValidationContext

    document = Path(source).read_bytes()
    for _, p12 in keys:
        signer(p12, passphrase)
    began = time.perf_counter()
    for number, (name, p12) in enumerate(keys):
        long_term: dict[str, Any] = {}
        if level == "B-LTA":
            long_term = {
                "embed_validation_info": True,
                "use_pades_lta": number == len(keys) - 1,
                "validation_context": ValidationContext(trust_roots=roots(root), allow_fetching=True),
            }
        meta = signers.PdfSignatureMetadata(
            field_name=name,
            md_algorithm="sha256",
            subfilter=fields.SigSeedSubFilter.PADES,
            certify=name == "seal",
            docmdp_permissions=fields.MDPPerm.FILL_FORMS,
            **long_term,
        )
        output = BytesIO()
        signers.PdfSigner(meta, signer=signer(p12, passphrase), timestamper=stamper(tsa)).sign_pdf(
            IncrementalPdfFileWriter(BytesIO(document)), existing_fields_only=True, output=output
        )
        document = output.getvalue()
    seconds = time.perf_counter() - began
    Path(target).write_bytes(document)
    return {"seconds": seconds}


@functools.cache
def stamper(url: str) -> Any:
    from pyhanko.sign.timestamps import HTTPTimeStamper

    return HTTPTimeStamper(url)


@functools.cache
def opened(p12: str, passphrase: str) -> Any:
    from cryptography.hazmat.primitives.serialization import pkcs12

    return pkcs12.load_key_and_certificates(Path(p12).read_bytes(), passphrase.encode())


def endesive(source: str, target: str, p12: str, passphrase: str) -> dict[str, Any]:
    """B-B: endesive has no PAdES with timestamp and evidence in one go. Key loaded once a process."""
    # Its verifying half needs oscrypto 1.3, which does not start with OpenSSL 3.0.10 and later. Signing does without.
    sys.modules.setdefault("certvalidator", mock.MagicMock())
    from endesive.pdf import cms

    document = Path(source).read_bytes()
    key, certificate, others = opened(p12, passphrase)
    wanted = {
        "aligned": 0,
        "sigflags": 3,
        "sigpage": 0,
        "sigfield": "endesive",
        "contact": "",
        "location": "Oslo",
        "signingdate": "D:20261122120000+00'00'",
        "reason": "",
    }
    began = time.perf_counter()
    increment = cms.sign(document, wanted, key, certificate, others, "sha256")
    signed = document + increment
    seconds = time.perf_counter() - began
    Path(target).write_bytes(signed)
    return {"seconds": seconds}


CALLS = {each.__name__: each for each in (unoserver, pyhanko, endesive)}


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = CALLS[request.pop("call")](**request)
        except Exception as error:  # noqa: BLE001 (told to the one who asked)
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
