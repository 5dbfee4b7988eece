"""Verdicts on documents that were changed, damaged, or signed by those one should not trust."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from signing import TimestampClient, TrustStore, ValidationReport, revisions, validate
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


def _sub_indications(report: ValidationReport) -> set[str | None]:
    return {s.sub_indication for s in report.signatures}


# Bytes changed


def _flip(document: bytes, at: int) -> bytes:
    changed = bytearray(document)
    changed[at] ^= 1
    return bytes(changed)


def test_changed_byte_in_the_content(final: bytes, fielded: bytes, signers: Signers) -> None:
    """In a stream of the first revision: every signature covers it."""
    start = final.index(b"\nstream\n") + 60
    report = validate(_flip(final, start), signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert report.sub_indication == "HASH_FAILURE"
    assert _sub_indications(report) == {"HASH_FAILURE"}
    assert report.document_timestamps[0].sub_indication == "HASH_FAILURE"
    assert {s.level for s in report.signatures} == {None}


def test_changed_byte_in_a_later_revision(final: bytes, signers: Signers) -> None:
    """Earlier signatures still hold for their own revision; the one over the byte does not."""
    lengths = [r.length for r in revisions(final)]
    start = final.index(b"stream", lengths[3]) + 60
    assert start < lengths[4]
    report = validate(_flip(final, start), signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert report.signatures[3].sub_indication == "HASH_FAILURE"


def test_changed_signature_value(final: bytes, signers: Signers) -> None:
    value = signers_value(final)
    at = final.index(value.hex().upper().encode())
    changed = bytearray(final)
    changed[at + 20] = ord("1") if changed[at + 20] != ord("1") else ord("2")
    report = validate(bytes(changed), signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert report.signatures[0].sub_indication == "SIG_CRYPTO_FAILURE"


def signers_value(document: bytes) -> bytes:
    from pyhanko.pdf_utils.reader import PdfFileReader

    signature = PdfFileReader(BytesIO(document)).embedded_signatures[0]
    value: bytes = signature.signer_info["signature"].native
    return value


def test_signature_moved_to_another_document(final: bytes, fielded: bytes, signers: Signers) -> None:
    """The same container over other bytes of the same length."""
    other = final.replace(b"/F 132", b"/F 133", 1)
    assert other != final
    report = validate(other, signers.trust)
    assert report.indication == "TOTAL-FAILED"


# Files that are not sound


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7\n",
        b"%PDF-1.7\n%%EOF\n",
        b"PK\x03\x04" + bytes(100),
        b"hello",
        b"\x00" * 5000,
        "æøå".encode() * 9,
    ],
)
def test_no_pdf(content: bytes, signers: Signers) -> None:
    report = validate(content, signers.trust)
    assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "FORMAT_FAILURE")
    assert report.signatures == ()
    assert report.explanation


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.95, 0.999])
def test_truncated(final: bytes, signers: Signers, share: float) -> None:
    report = validate(final[: int(len(final) * share)], signers.trust)
    assert not report.passed


def test_unsigned(fielded: bytes, signable: bytes, signers: Signers) -> None:
    for document in (fielded, signable):
        report = validate(document, signers.trust)
        assert (report.indication, report.sub_indication) == ("INDETERMINATE", "SIGNED_DATA_NOT_FOUND")


def test_from_a_path(final: bytes, signers: Signers, tmp_path: Path) -> None:
    path = tmp_path / "final.pdf"
    path.write_bytes(final)
    assert validate(path, signers.trust).passed
    with pytest.raises(FileNotFoundError):
        validate(tmp_path / "missing.pdf", signers.trust)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_damage_gets_a_verdict(final: bytes, signers: Signers, data: st.DataObject) -> None:
    """Wherever bytes are changed, cut out or put in, the document does not pass, and nothing is raised: not by the
    report in its forms either.
    """
    at = data.draw(st.integers(0, len(final) - 1))
    size = data.draw(st.sampled_from([0, 1, 7, 400]))
    put = data.draw(st.binary(max_size=12))
    damaged = final[:at] + put + final[at + size :]
    report = validate(damaged, signers.trust)
    # Line ends behind the last one, and the case of hexadecimal digits in the last signature, say nothing.
    same = damaged.rstrip().lower() == final.rstrip().lower()
    harmless = same or _is_unused_space(final, at, size, put)
    assert report.passed is False or harmless
    assert ValidationReport.from_json(json.loads(json.dumps(report.as_json()))).as_json() == report.as_json()
    assert etree.fromstring(report.as_xml()).tag.endswith("ValidationReport")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_damage_in_many_places_gets_a_verdict(final: bytes, signers: Signers, data: st.DataObject) -> None:
    """Words that steer the reading of a PDF, written over others, and numbers that are not what they were."""
    damaged = bytearray(final)
    words = [
        b"obj",
        b"/Prev",
        b"/Kids",
        b"/Length",
        b"/ByteRange",
        b"/W",
        b"/Size",
        b"/Index",
        b"/Contents",
        b"stream",
    ]
    for _ in range(data.draw(st.integers(1, 4))):
        word = data.draw(st.sampled_from(words))
        places = [match.end() for match in re.finditer(re.escape(word), final)]
        at = data.draw(st.sampled_from(places)) + data.draw(st.integers(0, 3))
        put = data.draw(
            st.sampled_from([b"-1", b"9" * 12, b"0 0 R", b"[[[[", b"<<", b"/Prev 0", b"null", b"\x00"])
        )
        damaged[at : at + len(put)] = put
    report = validate(bytes(damaged), signers.trust)
    assert report.passed is False or bytes(damaged) == final
    assert etree.fromstring(report.as_xml()).tag.endswith("ValidationReport")


def _is_unused_space(final: bytes, at: int, size: int, put: bytes) -> bool:
    """Zeros after a signature within its place are covered by no signature of their own revision; with the next
    revision's signature they are. Only those of the last timestamp can change unseen.
    """
    last = final.rindex(b"/Contents <")
    return size == len(put) and at > last and at + size < final.index(b">", last)


# Changes added after signing


def _add(document: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(BytesIO(document))
    change(writer)
    output = BytesIO()
    writer.write(output)
    return output.getvalue()


def _page(writer: IncrementalPdfFileWriter, number: int) -> Any:
    return writer.find_page_for_modification(number)[0].get_object()


def _add_note(writer: IncrementalPdfFileWriter) -> None:
    page, _ = writer.find_page_for_modification(1)
    note = writer.add_object(
        generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Annot"),
                pdf_name("/Subtype"): pdf_name("/FreeText"),
                pdf_name("/Rect"): generic.ArrayObject(generic.NumberObject(n) for n in (90, 400, 300, 450)),
                pdf_name("/Contents"): pdf_string("Beløpet er 900 000 kroner"),
            }
        )
    )
    writer.register_annotation(page, note)


def _change_content(writer: IncrementalPdfFileWriter) -> None:
    writer.add_stream_to_page(
        0, writer.add_object(generic.StreamObject(stream_data=b"1 0 0 rg 0 0 500 500 re f"))
    )


def _override_content(writer: IncrementalPdfFileWriter) -> None:
    """The stream itself is replaced; the page dictionary stays as it was."""
    stream = _page(writer, 0)["/Contents"]
    stream._data = b"1 0 0 rg 0 0 500 500 re f"
    stream._encoded_data = None
    writer.update_container(stream)


def _change_appearance(writer: IncrementalPdfFileWriter) -> None:
    """What a party's signature looks like is replaced."""
    for entry in _page(writer, 1)["/Annots"]:
        widget = entry.get_object()
        if widget["/T"] == "participant":
            stream = widget["/AP"]["/N"]
            stream._data = b"0 1 0 rg 0 0 500 500 re f"
            stream._encoded_data = None
            writer.update_container(stream)


def _move_widget(writer: IncrementalPdfFileWriter) -> None:
    for entry in _page(writer, 1)["/Annots"]:
        widget = entry.get_object()
        if widget["/T"] == "employer":
            widget["/Rect"] = generic.ArrayObject(generic.NumberObject(n) for n in (0, 0, 200, 60))
            writer.mark_update(entry.reference)


def _remove_widget(writer: IncrementalPdfFileWriter) -> None:
    page = _page(writer, 1)
    page["/Annots"].pop()
    writer.update_container(page["/Annots"])
    writer.update_container(page)


def _change_size(writer: IncrementalPdfFileWriter) -> None:
    page = _page(writer, 0)
    page["/MediaBox"] = generic.ArrayObject(generic.NumberObject(n) for n in (0, 0, 100, 100))
    writer.update_container(page)


def _change_metadata(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/Metadata"] = writer.add_object(generic.StreamObject(stream_data=b"<x/>"))
    writer.update_root()


def _open_action(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/OpenAction"] = generic.DictionaryObject(
        {pdf_name("/S"): pdf_name("/JavaScript"), pdf_name("/JS"): pdf_string("app.alert(1)")}
    )
    writer.update_root()


def _add_page(writer: IncrementalPdfFileWriter) -> None:
    from pyhanko.pdf_utils.writer import PageObject

    contents = writer.add_object(generic.StreamObject(stream_data=b""))
    writer.insert_page(PageObject(contents=contents, media_box=(0, 0, 595, 842)))


@pytest.mark.parametrize(
    ("change", "code", "page"),
    [
        (_add_note, "annotation-added", 2),
        (_change_content, "page-changed", 1),
        (_override_content, "page-changed", 1),
        (_change_appearance, "annotation-changed", 2),
        (_move_widget, "annotation-changed", 2),
        (_remove_widget, "annotation-removed", 2),
        (_change_size, "page-changed", 1),
        (_open_action, "action-changed", None),
        (_add_page, "page-added", 3),
    ],
)
def test_change_after_signing(
    final: bytes,
    signers: Signers,
    change: Callable[[IncrementalPdfFileWriter], None],
    code: str,
    page: int | None,
) -> None:
    report = validate(_add(final, change), signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert _sub_indications(report) == {"FORMAT_FAILURE"}
    found = {(m.code, m.page) for m in report.modifications}
    assert (code, page) in found
    assert all(not m.permitted and m.after_field == "document-timestamp" for m in report.modifications)
    assert all(m.text for m in report.modifications)


def test_metadata_changed_after_signing(final: bytes, signers: Signers) -> None:
    """Metadata may be touched by a later signature, as many programs do; it is not what was agreed."""
    report = validate(_add(final, _change_metadata), signers.trust)
    assert report.indication in ("TOTAL-FAILED", "TOTAL-PASSED")


def test_change_between_signatures(sealed: bytes, signers: Signers) -> None:
    """The change came before the participant signed: their signature covers it, the seal's forbids it."""
    changed = _add(sealed, _add_note)
    final = signers.augment(signers.sign(changed, "participant"))
    report = validate(final, signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert [(s.field, s.indication) for s in report.signatures] == [
        ("seal", "TOTAL-FAILED"),
        ("participant", "TOTAL-PASSED"),
    ]
    assert {m.after_field for m in report.modifications} == {"seal"}
    assert "annotation-added" in {m.code for m in report.modifications}


def test_appended_rubbish(final: bytes, signers: Signers) -> None:
    report = validate(final + b"\n% more\n", signers.trust)
    assert report.indication == "TOTAL-FAILED"
    assert [m.code for m in report.modifications] == ["bytes-appended"]


def test_a_line_end_at_the_end_is_no_change(final: bytes, signers: Signers) -> None:
    assert validate(final + b"\n", signers.trust).passed


# Signers


def test_unknown_root(final: bytes, signers: Signers) -> None:
    foreign = TrustStore.from_pem(signers.pki.foreign_root)
    report = validate(final, foreign)
    assert report.indication == "INDETERMINATE"
    assert _sub_indications(report) == {"NO_CERTIFICATE_CHAIN_FOUND"}
    assert report.document_timestamps[0].sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"
    assert validate(final, TrustStore(())).indication == "INDETERMINATE"


def test_stranger_among_the_signers(sealed: bytes, signers: Signers) -> None:
    signed = signers.sign(sealed, "participant", by="stranger")
    report = validate(signed, signers.trust)
    assert report.signatures[1].signer == "Stranger"
    assert report.signatures[1].sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"


def test_timestamp_of_a_stranger_counts_for_nothing(fielded: bytes, signers: Signers) -> None:
    client = TimestampClient([signers.pki.foreign_tsa_url])
    signed = signers.sign(fielded, "participant", timestamps=client)
    client.close()
    (signature,) = validate(signed, signers.trust).signatures
    assert signature.time is None
    assert signature.level == "B-B"


def test_evidence_without_document_timestamp_is_b_lt(fielded: bytes, signers: Signers) -> None:
    signed = signers.with_evidence(signers.sign(fielded, "participant"), "participant")
    (signature,) = validate(signed, signers.trust).signatures
    assert (signature.indication, signature.level) == ("TOTAL-PASSED", "B-LT")


def test_revoked_signer(fielded: bytes, signers: Signers) -> None:
    signed = signers.with_evidence(signers.sign(fielded, "participant", by="revoked"), "revoked")
    report = validate(signed, signers.trust)
    assert report.indication == "INDETERMINATE"
    assert report.signatures[0].sub_indication == "REVOKED_NO_POE"


def test_expired_signer(fielded: bytes, signers: Signers) -> None:
    """Signed with a false clock: the timestamp shows that the certificate had expired."""
    signed = signers.sign(fielded, "participant", by="expired", at=datetime.now(UTC) - timedelta(days=3))
    report = validate(signers.with_evidence(signed, "expired"), signers.trust)
    assert report.indication == "INDETERMINATE"
    assert report.signatures[0].sub_indication == "OUT_OF_BOUNDS_NO_POE"


def test_personal_data_stays_out_of_the_log(fielded: bytes, signers: Signers) -> None:
    seen: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(self.format(record))

    listener, root = Listener(level=logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        validate(signers.sign(fielded, "participant", by="stranger"), signers.trust)
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    assert seen
    assert not [line for line in seen if "Stranger" in line]


def test_a_document_with_many_bookmarks(fielded: bytes, signers: Signers) -> None:
    """Each points to the next, so that the last is a long way down."""

    def bookmark(writer: IncrementalPdfFileWriter) -> None:
        following: Any = None
        for number in range(600):
            entry = generic.DictionaryObject({pdf_name("/Title"): pdf_string(f"Side {number}")})
            if following is not None:
                entry[pdf_name("/Next")] = following
            following = writer.add_object(entry)
        writer.root["/Outlines"] = writer.add_object(
            generic.DictionaryObject({pdf_name("/First"): following})
        )
        writer.update_root()

    sealed = signers.sign(_add(fielded, bookmark), "seal")
    signed = signers.with_evidence(signers.sign(sealed, "participant"), "seal", "participant")
    assert validate(signed, signers.trust).passed
