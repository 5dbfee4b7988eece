"""`python -m benchmarks.large read|sign|augment MIB`: a PDF so large is signed here; prints its own peak, as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from pyhanko.pdf_utils import generic, writer

from benchmarks.keys import ring
from signing import (
    DOCUMENT_TIMESTAMP_FIELD,
    FieldPlace,
    Parts,
    SignatureRequest,
    augment,
    embed,
    open_credential,
    place_fields,
    prepare,
    sign,
)


def _page() -> bytes:
    made = writer.PdfFileWriter()
    page = writer.PageObject(
        contents=made.add_object(generic.StreamObject(stream_data=b"")),
        media_box=generic.ArrayObject(map(generic.NumberObject, (0, 0, 595, 842))),
    )
    made.insert_page(page)
    output = BytesIO()
    made.write(output)
    return output.getvalue()


def _large(folder: Path, mebibytes: int) -> Path:
    """A document with fields and a stream of random bytes of that size, written in a process that ends."""
    path = folder / "large.pdf"
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert status == 0
        return path
    try:
        fields = [FieldPlace("seal", "Segl"), FieldPlace(DOCUMENT_TIMESTAMP_FIELD, "Tidsstempel")]
        small = place_fields(_page(), fields)
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

        adding = IncrementalPdfFileWriter(BytesIO(small))
        stream = generic.StreamObject(stream_data=os.urandom(1024**2) * mebibytes)
        adding.root["/PieceInfo"] = adding.add_object(stream)
        adding.update_root()
        with path.open("wb") as output:
            adding.write(output)
    finally:
        os._exit(0 if path.exists() and path.stat().st_size > mebibytes * 1024**2 else 1)


def main(action: str, mebibytes: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        path = _large(Path(temporary), mebibytes)
        with ring(Path(temporary) / "pki", "ECDSA P-256") as keys:
            credential = open_credential(keys.pki.seal)
            began = time.perf_counter()
            document = Parts(path.read_bytes())
            if action != "read":
                now = datetime.now(UTC)
                prepared = prepare(
                    document, SignatureRequest("seal", certify=True), credential.identity, at=now
                )
                document = embed(
                    prepared, sign(prepared, credential), revision=document, timestamps=keys.timestamps
                )
            if action == "augment":
                document = augment(
                    document, trust=keys.trust, timestamps=keys.timestamps, collector=keys.collector
                )
            seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "seconds": seconds, "bytes": len(document)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
