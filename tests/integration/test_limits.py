"""Files made to exhaust the one who looks at them: each gets a verdict, by name of the limit where there is one."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from signing import (
    Limits,
    TrustStore,
    ValidationReport,
    validate,
    validate_untrusted,
    verify_detached_untrusted,
)
from tests.signing_documents import Signers

SMALL = Limits(
    size=4_000_000, pages=50, objects=5_000, decompressed=8_000_000, signatures=3, revisions=20, seconds=20
)
NOBODY = TrustStore(())


def _pdf(*objects: bytes, root: bytes = b"1 0 R", trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1."""
    body = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<</Size %d/Root %s%s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        root,
        trailer,
        table,
    )
    return bytes(body)


def _stream(content: bytes, words: bytes = b"/Filter/FlateDecode") -> bytes:
    return b"<</Length %d%s>>\nstream\n%s\nendstream" % (len(content), words, content)


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"


def _zeros(size: int) -> bytes:
    packer = zlib.compressobj(9)
    chunk = bytes(1_000_000)
    return b"".join(packer.compress(chunk) for _ in range(size // len(chunk))) + packer.flush()


def _flate_bomb() -> bytes:
    """The catalogue lies in an object stream that unpacks to far more than the file."""
    packed = _zeros(200_000_000)
    return _by_xref_stream(_stream(packed, b"/Type/ObjStm/N 1/First 4/Filter/FlateDecode"))


def _nested_bomb() -> bytes:
    packed = zlib.compress(_zeros(400_000_000), 9)
    words = b"/Type/ObjStm/N 1/First 4/Filter[/FlateDecode/FlateDecode]"
    return _by_xref_stream(_stream(packed, words))


def _by_xref_stream(holder: bytes) -> bytes:
    """Object 2 holds object 1, the catalogue; the cross-reference stream says so."""
    body = bytearray(b"%PDF-1.7\n")
    place = len(body)
    body += b"2 0 obj\n%s\nendobj\n" % holder
    table = len(body)
    rows = [(0, 0, 255), (2, 2, 0), (1, place, 0), (1, table, 0)]
    packed = b"".join(bytes([kind]) + where.to_bytes(4, "big") + bytes([last]) for kind, where, last in rows)
    words = b"/Type/XRef/Size 4/W[1 4 1]/Root 1 0 R"
    body += b"3 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (_stream(packed, words), table)
    return bytes(body)


def _xref_loop() -> bytes:
    first = _pdf(CATALOG, PAGES, PAGE)
    start = first.rindex(b"xref\n0")
    return first.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % start)


def _endless_prev() -> bytes:
    """Thousands of cross-reference sections, each with the one before it as /Prev, and one startxref."""
    body = bytearray(_pdf(CATALOG, PAGES, PAGE))
    before = body.rindex(b"xref\n0")
    for _ in range(10_000):
        here = len(body)
        body += b"xref\n0 0\ntrailer\n<</Size 4/Root 1 0 R/Prev %d>>\n" % before
        before = here
    return bytes(body) + b"startxref\n%d\n%%%%EOF\n" % before


def _many_revisions() -> bytes:
    body = bytearray(_pdf(CATALOG, PAGES, PAGE))
    before = body.rindex(b"xref\n0")
    for _ in range(200):
        here = len(body)
        body += b"xref\n0 0\ntrailer\n<</Size 4/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
            before,
            here,
        )
        before = here
    return bytes(body)


def _million_objects() -> bytes:
    """In the table they take 20 bytes each, and are all the same one."""
    body = bytearray(b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n")
    body += b"2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n"
    table = len(body)
    body += b"xref\n0 1000001\n0000000000 65535 f \n" + b"0000000009 00000 n \n" * 1_000_000
    body += b"trailer\n<</Size 1000001/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % table
    return bytes(body)


def _many_objects() -> bytes:
    return _pdf(CATALOG, PAGES, PAGE, *[b"null"] * 20_000)


def _deep_arrays() -> bytes:
    return _pdf(CATALOG, b"[" * 100_000 + b"]" * 100_000, PAGE)


def _deep_references() -> bytes:
    """A chain of form fields, each the kid of the one before."""
    fields = [
        b"<</T(f)/Kids[%d 0 R]/Parent %d 0 R>>" % (number + 1, number - 1) for number in range(5, 3_000)
    ]
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>>>"
    return _pdf(catalog, PAGES, PAGE, b"<</T(f)/Kids[5 0 R]>>", *fields, b"<</T(end)/FT/Sig>>")


def _cyclic_pages() -> bytes:
    return _pdf(CATALOG, b"<</Type/Pages/Kids[2 0 R 3 0 R 2 0 R]/Count 1>>", PAGE)


def _cyclic_fields() -> bytes:
    catalog = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]>>>>"
    return _pdf(catalog, PAGES, PAGE, b"<</T(a)/Kids[4 0 R 4 0 R]/Parent 4 0 R>>")


def _many_pages() -> bytes:
    kids = b" ".join(b"3 0 R" for _ in range(5_000))
    return _pdf(CATALOG, b"<</Type/Pages/Kids[%s]/Count 5000>>" % kids, PAGE)


def _cyclic_reference() -> bytes:
    return _pdf(b"1 0 R")


@pytest.mark.parametrize(
    ("make", "limit"),
    [
        (_flate_bomb, "decompressed"),
        (_nested_bomb, "decompressed"),
        (_xref_loop, None),
        (_endless_prev, "revisions"),
        (_many_revisions, "revisions"),
        (_million_objects, "size"),
        (_many_objects, "objects"),
        (_deep_arrays, "nesting"),
        (_deep_references, "nesting"),
        (_cyclic_pages, "pages"),
        (_cyclic_fields, None),
        (_many_pages, "pages"),
        (_cyclic_reference, "nesting"),
    ],
)
def test_a_bomb_gets_a_verdict(make: Callable[[], bytes], limit: str | None) -> None:
    report = validate(make(), NOBODY, limits=SMALL)
    assert report.limit == limit
    if limit:
        assert (report.indication, report.sub_indication) == ("INDETERMINATE", "GENERIC")
        assert "grensen" in report.explanation
    else:
        assert report.indication in ("TOTAL-FAILED", "INDETERMINATE")
        assert report.explanation


@pytest.mark.parametrize("make", [_flate_bomb, _cyclic_pages, _deep_arrays])
def test_a_bomb_gets_the_same_verdict_in_a_process_of_its_own(make: Callable[[], bytes]) -> None:
    content = make()
    here = validate(content, NOBODY, limits=SMALL)
    there = validate_untrusted(content, NOBODY, limits=SMALL, at=here.validated_at)
    assert there.as_json() == here.as_json()


def test_a_million_objects_within_the_size() -> None:
    assert validate_untrusted(_million_objects(), NOBODY).limit == "objects"


def test_time_runs_out() -> None:
    late = validate_untrusted(_million_objects(), NOBODY, limits=Limits(seconds=1, objects=2_000_000))
    assert (late.indication, late.limit) == ("INDETERMINATE", "seconds")


def test_memory_runs_out() -> None:
    tight = validate_untrusted(bytes(150_000_000), NOBODY, limits=Limits(memory=200_000_000))
    assert (tight.indication, tight.limit) == ("INDETERMINATE", "memory")


def test_too_many_signatures(final: bytes, signers: Signers) -> None:
    assert validate(final, signers.trust, limits=Limits(signatures=2)).limit == "signatures"
    assert validate(final, signers.trust, limits=Limits(signatures=5)).passed


def test_a_sound_document_gets_the_same_report(final: bytes, signers: Signers, tmp_path: Path) -> None:
    here = validate(final, signers.trust)
    there = validate_untrusted(final, signers.trust, at=here.validated_at)
    assert there.as_json() == here.as_json()
    assert here.passed
    path = tmp_path / "final.pdf"
    path.write_bytes(final)
    assert validate_untrusted(path, signers.trust).passed
    over = validate_untrusted(path, signers.trust, limits=Limits(size=1000))
    assert (over.limit, over.sha256) == ("size", "")
    with pytest.raises(FileNotFoundError):
        validate_untrusted(tmp_path / "missing.pdf", signers.trust)


def test_a_detached_signature_of_nonsense(signers: Signers) -> None:
    for signature in (b"", b"\x30\x80" * 50_000, b"{}"):
        found = verify_detached_untrusted(b"content", signature, signers.trust)
        assert found.indication in ("TOTAL-FAILED", "INDETERMINATE")
        assert found.explanation


def test_reports_of_earlier_versions_are_read(final: bytes, signers: Signers) -> None:
    report = validate(final, signers.trust)
    stored = json.loads(json.dumps(report.as_json()))
    assert ValidationReport.from_json(stored).as_json() == stored
    # The first releases wrote these fields, and no others.
    for name in set(stored) - {
        "indication",
        "sub_indication",
        "explanation",
        "sha256",
        "validated_at",
        "signatures",
        "document_timestamps",
        "modifications",
        "revisions",
    }:
        del stored[name]
    old = ValidationReport.from_json(stored)
    assert old.passed
    with pytest.raises(ValueError, match="not a validation report"):
        ValidationReport.from_json({"indication": "TOTAL-PASSED"})
