"""The straightforward assembly of the same libraries, as a good afternoon's work: what Signert is measured against.

A Celery worker in the peers' venv that knows nothing of Signert (`celery -A baseline worker`): docxtpl, the soffice
command, pyHanko as documented, boto3's `put_object`, an event on the same broker. It does for an agreement what the
receipt promises: document rendered and sealed, three parties' signatures and evidence, document timestamp (B-LTA),
validation of it all, a receipt as JSON with a CMS of its own and as a sealed PDF (B-LTA), everything stored, the
event sent.

It is written fairly: late acknowledgement, one LibreOffice profile per process which stays warm, keys, timestamper,
clients and connections made once per process, one validation at the end. It is spared what Signert does beyond that:
the log, checks of the input and of each step, what the template prints (that comes with the message), the search
index, retries.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import logging
import os
import subprocess
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from celery import Celery
from docxtpl import DocxTemplate
from kombu import Exchange, Queue
from pyhanko.keys import load_certs_from_pemder
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import HTTPTimeStamper
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext

for name in ("pyhanko", "pyhanko_certvalidator", "fontTools"):  # a line a request, of no use here
    logging.getLogger(name).setLevel(logging.WARNING)

PLACE: dict[str, str] = json.loads(os.environ["BASELINE"])
"""broker, endpoint, bucket, keys (folder of PKCS#12 files), tsa, templates."""
PARTIES = ("participant", "employer", "adviser")
EXPORT = {
    "SelectPdfVersion": {"type": "long", "value": "2"},
    "UseTaggedPDF": {"type": "boolean", "value": "true"},
    "PDFUACompliance": {"type": "boolean", "value": "true"},
}

app = Celery("baseline", broker=PLACE["broker"])
app.conf.update(
    task_default_queue="baseline.commands",
    task_queues=[Queue("baseline.commands", durable=True, queue_arguments={"x-queue-type": "quorum"})],
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_enable_remote_control=False,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)
EVENTS = Queue(
    "baseline.events",
    Exchange("baseline.events", type="topic"),
    "#",
    queue_arguments={"x-queue-type": "quorum"},
)


@functools.cache
def store() -> Any:
    return boto3.client(
        "s3",
        endpoint_url=PLACE["endpoint"],
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=4),
    )


@functools.cache
def signer(name: str) -> signers.SimpleSigner:
    keys = Path(PLACE["keys"])
    return signers.SimpleSigner.load_pkcs12(
        str(keys / f"{name}.p12"), passphrase=(keys / "passphrase").read_bytes(), prefer_pss=True
    )


@functools.cache
def roots() -> list[Any]:
    return list(load_certs_from_pemder([str(Path(PLACE["keys"]) / "root.pem")]))


@functools.cache
def timestamper() -> HTTPTimeStamper:
    return HTTPTimeStamper(PLACE["tsa"])


@functools.cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="baseline-"))


def rendered(template: str, context: dict[str, Any]) -> bytes:
    document = DocxTemplate(Path(PLACE["templates"]) / template)
    document.render(context, autoescape=True)
    source = folder() / "document.docx"
    document.save(source)
    subprocess.run(
        [
            "soffice", "--headless", "--norestore", f"-env:UserInstallation={(folder() / 'profile').as_uri()}",
            "--convert-to", f"pdf:writer_pdf_Export:{json.dumps(EXPORT)}", "--outdir", folder(), source,
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    return source.with_suffix(".pdf").read_bytes()


def with_fields(pdf: bytes, names: tuple[str, ...]) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(pdf))
    for number, name in enumerate(names):
        low = 60 + 70 * number
        box = None if name == "seal" else (60, low, 260, low + 60)
        fields.append_signature_field(writer, fields.SigFieldSpec(name, on_page=-1, box=box))
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def signed(pdf: bytes, names: tuple[str, ...]) -> bytes:
    for number, name in enumerate(names):
        meta = signers.PdfSignatureMetadata(
            field_name=name,
            md_algorithm="sha256",
            subfilter=fields.SigSeedSubFilter.PADES,
            certify=name == "seal",
            docmdp_permissions=fields.MDPPerm.FILL_FORMS,
            embed_validation_info=True,
            use_pades_lta=number == len(names) - 1,
            validation_context=ValidationContext(trust_roots=roots(), allow_fetching=True),
        )
        output = BytesIO()
        signers.PdfSigner(meta, signer=signer(name), timestamper=timestamper()).sign_pdf(
            IncrementalPdfFileWriter(BytesIO(pdf)), existing_fields_only=True, output=output
        )
        pdf = output.getvalue()
    return pdf


def validated(pdf: bytes) -> list[dict[str, Any]]:
    """Every signature and the document timestamp, with the evidence in the document alone."""
    reader = PdfFileReader(BytesIO(pdf))
    evidence = DocumentSecurityStore.read_dss(reader)

    def context() -> ValidationContext:
        return evidence.as_validation_context({"trust_roots": roots(), "allow_fetching": False})

    found = []
    for signature in reader.embedded_regular_signatures:
        status = validate_pdf_signature(signature, context(), ts_validation_context=context())
        if not status.bottom_line:
            raise RuntimeError(f"{signature.field_name} does not hold")
        found.append({"field": signature.field_name, "time": str(status.timestamp_validity.timestamp)})
    for stamp in reader.embedded_timestamp_signatures:
        proof = validate_pdf_timestamp(stamp, context())
        if not (proof.intact and proof.valid and proof.trusted):
            raise RuntimeError("the document timestamp does not hold")
    return found


def put(agreement_id: str, name: str, body: bytes) -> dict[str, Any]:
    key = f"{agreement_id}/{name}"
    store().put_object(Bucket=PLACE["bucket"], Key=key, Body=body)
    return {"key": key, "sha256": hashlib.sha256(body).hexdigest()}


@app.task(name="baseline.submit")
def submit(
    agreement_id: str, agreement: dict[str, Any], context: dict[str, Any], receipt_context: dict[str, Any]
) -> None:
    taken = put(agreement_id, "input.json", json.dumps(agreement).encode())
    fielded = with_fields(rendered(PLACE["agreement_template"], context), ("seal", *PARTIES))
    document = signed(fielded, ("seal", *PARTIES))
    stated = {
        "agreement": agreement_id,
        "input": taken,
        "document": put(agreement_id, "document.pdf", document),
        "signatures": validated(document),
    }
    receipt = json.dumps(stated, sort_keys=True).encode()
    seal = asyncio.run(
        signer("seal").async_sign_general_data(receipt, "sha256", timestamper=timestamper())
    ).dump()
    page = signed(with_fields(rendered(PLACE["receipt_template"], receipt_context), ("seal",)), ("seal",))
    validated(page)
    stored = {
        "receipt": put(agreement_id, "receipt.json", receipt),
        "receipt_signature": put(agreement_id, "receipt.json.p7s", seal),
        "receipt_pdf": put(agreement_id, "receipt.pdf", page),
    }
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish(
            {"subject": agreement_id, "type": "agreement.signed", "data": stated | stored},
            exchange=EVENTS.exchange, routing_key="agreement.signed", declare=[EVENTS],
        )  # fmt: skip
