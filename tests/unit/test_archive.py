"""What an agreement is in the archive's terms, which packages are opened, and which agreements are chosen."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.adapters.archive import find_packages, open_package
from service.adapters.archive.formats import claimed_pdf_a, format_of
from service.adapters.archive.noark import Case, Disposal, case_of
from service.adapters.archive.premis import event_type
from service.adapters.archive.xml import identifier, parse
from service.domain.agreement import Status
from service.domain.archive import Chapter, Content, Dossier, Holding, Kind, contents
from service.domain.places import place_of_time
from service.errors import PackageRefused, SignertError
from service.pipeline.export import Selection, select
from service.pipeline.ledger import Ledger
from tests.fakes import ManualClock, MemoryStore
from tests.story import Story

ID = "0b6f6a2e-58f5-4a6b-8d7b-2b6c0a4f7d13"


# --- mappings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"%PDF-1.7 <pdfaid:part>2</pdfaid:part>\n<pdfaid:conformance>A</pdfaid:conformance>", "2A"),
        (b"%PDF-1.7 <rdf pdfaid:part='3' pdfaid:conformance='u'/>", "3U"),
        (b"%PDF-1.7 nothing", None),
        (b"PK <pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>", None),
    ],
)
def test_a_pdf_says_which_pdf_a_it_is(body: bytes, expected: str | None) -> None:
    assert claimed_pdf_a(body) == expected


@pytest.mark.parametrize(
    ("path", "pdf_a", "expected"),
    [
        ("version-1/agreement.pdf", "2A", ("application/pdf", "PDF/A-2a", "fmt/476")),
        ("version-1/receipt.pdf", "3A", ("application/pdf", "PDF/A-3a", "fmt/479")),
        ("version-1/scan-1.pdf", None, ("application/pdf", "PDF", None)),
        ("version-1/receipt.json", None, ("application/json", "JSON", "fmt/817")),
        ("version-1/receipt.json.p7s", None, ("application/pkcs7-signature", "CMS signature (CAdES)", None)),
        ("evidence/0a.prepared", None, ("application/octet-stream", "Binary", None)),
    ],
)
def test_formats_have_their_registered_names(
    path: str, pdf_a: str | None, expected: tuple[str, str, str | None]
) -> None:
    found = format_of(Holding(Content("k", path, Kind.DOCUMENT, 1, "t"), "0a", 1, pdf_a))
    assert (found.media_type, found.full_name, found.puid) == expected


def test_events_have_the_vocabularys_names_where_it_has_one() -> None:
    assert event_type("submitted") == ("capture", True)
    assert event_type("rendered") == ("creation", True)
    assert event_type("sealed") == event_type("party-signed") == ("digital signature generation", True)
    assert event_type("verified") == ("digital signature validation", True)
    assert event_type("an-entry-of-a-later-release") == ("an-entry-of-a-later-release", False)


PARTIES = {
    "adviser": {"first_name": "Bjørn Åge", "last_name": "Sæther", "ident": "Z990123"},
    "participant": {"first_name": "Ájlin", "last_name": "Øvergård", "address_protection": "none"},
    "guardian": {"first_name": "Siv", "last_name": "Ås"},
    "employer": {
        "organisation": {"number": "312300028", "name": "Fjordbakeriet & Kafé AS"},
        "first_name": "Łukasz",
        "last_name": "Żółkiewski",
    },
}
DATA: dict[str, Any] = {
    "measure": "work_training",
    "unit": {"number": "0219", "name": "Nav Bærum"},
    "period": {"start": "2036-12-01", "end": "2037-05-31"},
    "parties": PARTIES,
}


def case(story: Story, data: dict[str, Any] = DATA, reference: str = "2036-88412") -> Case:
    agreement = replace(story.agreement, case_reference=reference)
    names = {e.seq: () for e in story.entries}
    dossier = Dossier(
        agreement,
        story.entries,
        [Chapter(v, "Avtale", data) for v in agreement.versions],
        contents(agreement, story.entries, names),
        names,
    )
    return case_of(dossier, [], data_path="data/", disposal=Disposal())


def test_a_case_has_the_parties_by_role_and_no_identity_numbers() -> None:
    found = case(Story({"participant": 0, "employer": 0, "adviser": 1}))
    assert [(p.role, p.name, p.contact, p.internal) for p in found.parts] == [
        ("Deltaker", "Ájlin Øvergård", None, False),
        ("Verge", "Siv Ås", None, False),
        ("Arbeidsgiver", "Fjordbakeriet & Kafé AS", "Łukasz Żółkiewski", False),
        ("Veileder", "Bjørn Åge Sæther", None, True),
    ]
    assert (found.unit, found.responsible) == ("Nav Bærum", "Bjørn Åge Sæther")
    assert found.measure_name == "Arbeidstrening"
    assert found.disposed_on == "2047-05-31"


@pytest.mark.parametrize("protection", ["confidential", "strictly_confidential", None])
def test_who_is_protected_or_may_be_is_screened_with_the_guardian(protection: str | None) -> None:
    participant = {**PARTIES["participant"], "address_protection": protection}
    found = case(Story({"participant": 0}), {**DATA, "parties": {**PARTIES, "participant": participant}})
    for parts in (found.parts, found.records[0].parts):
        assert [p.name for p in parts[:2]] == ["Skjermet", "Skjermet"]
        assert parts[2].name == "Fjordbakeriet & Kafé AS"


@pytest.mark.parametrize(
    ("reference", "year", "sequence"),
    [("2036-88412", 2036, 88412), ("2036/7", 2036, 7), ("SAK-A1", 2026, None), ("1234567", 2026, None)],
)
def test_year_and_number_of_a_case_are_its_references_or_derived(
    reference: str, year: int, sequence: int | None
) -> None:
    found, again = (case(Story({"participant": 0}), reference=reference) for _ in range(2))
    assert found.year == year
    assert found.sequence == again.sequence == (sequence or found.sequence)
    assert found.case_id == reference


def test_statuses() -> None:
    story = Story({"participant": 0, "adviser": 1})
    assert (case(story).status, case(story).records[0].status) == ("Under behandling", "Journalført")
    story.rest()
    assert story.agreement.current.status is Status.SIGNED
    assert (case(story).status, case(story).records[0].status) == ("Under behandling", "Arkivert")
    story.amend(change=["termination"], supersedes=1)
    assert case(story).status == "Under behandling"
    story.rest()
    ended = case(story)
    assert (ended.status, [r.number for r in ended.records]) == ("Avsluttet", [1, 2])


def test_a_case_of_which_nothing_came_is_closed() -> None:
    story = Story({"participant": 0, "adviser": 1})
    story.append("rendered", template_sha256="t", docx_sha256="d", revision={"sha256": "r", "bytes": 1})
    story.append("cancelled", reason="withdrawn")
    assert (case(story).status, case(story).records[0].status) == ("Avsluttet", "Utgår")


def test_a_leap_day_has_a_day_to_be_disposed_on() -> None:
    data = {**DATA, "period": {"start": "2036-01-01", "end": "2036-02-29"}}
    assert case(Story({"participant": 0}), data).disposed_on == "2046-02-28"


def test_ids_are_the_same_each_time() -> None:
    assert identifier("case", "tiltak", "1") == identifier("case", "tiltak", "1")
    assert identifier("case", "tiltak", "1") != identifier("case", "tiltak", "2")


# --- XML that would do harm ----------------------------------------------------------------------------------

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
    b"<a>&c;</a>"
)
EXTERNAL = b"""<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a x="1">&b;</a>"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (BOMB, "package_unsafe"),
        (EXTERNAL, "package_unsafe"),
        (BOMB.decode().encode("utf-16"), "package_unsafe"),
        (BOMB.decode().encode("utf-32-be"), "package_unsafe"),
        (b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>', "package_unsafe"),
        (b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "package_unsafe"),
        (b"<a>", "package_altered"),
        (b"<a>" * 10_000 + b"</a>" * 10_000, "package_altered"),
        (b"", "package_altered"),
    ],
)
def test_xml_that_could_reach_out_or_swell_is_not_read(body: bytes, code: str) -> None:
    with pytest.raises(PackageRefused, match=r"^METS\.xml ") as caught:
        parse(body, "METS.xml")
    assert caught.value.code == code


# --- packages that are none, or lead elsewhere ---------------------------------------------------------------

_METS = """<mets xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink" OBJID="{id}">
<metsHdr><metsDocumentID>00</metsDocumentID></metsHdr>
<fileSec><fileGrp>
<file ID="a" SIZE="{size}" CHECKSUM="{sum}" CHECKSUMTYPE="{kind}">{location}</file>
</fileGrp></fileSec>
</mets>"""
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def small(
    folder: Path, *, href: str | None = "a.txt", size: str = "0", sum: str = _EMPTY, kind: str = "SHA-256"
) -> Path:
    """A package of one empty file, `a.txt`, which METS has under `href`."""
    package = folder / ID
    package.mkdir(parents=True)
    (package / "a.txt").write_bytes(b"")
    location = f'<FLocat LOCTYPE="URL" xlink:href="{href}"/>' if href is not None else ""
    mets = _METS.format(id=ID, size=size, sum=sum, kind=kind, location=location)
    (package / "METS.xml").write_text(mets)
    return package


def refusal(package: Path) -> PackageRefused:
    with pytest.raises(PackageRefused) as caught:
        open_package(package)
    return caught.value


def test_the_small_package_is_whole(tmp_path: Path) -> None:
    assert open_package(small(tmp_path)).agreement_id == ID


@pytest.mark.parametrize(
    "href",
    [
        "../a.txt", "b/../a.txt", "..", ".", "./a.txt", "/etc/passwd", "//host/a.txt", "file:///etc/passwd",
        "http://127.0.0.1/a.txt", "a.txt?b", "a%2e.txt", "b\\\\a.txt", "b//a.txt", "a.txt/", "", "a .txt", "\u00e5.txt",
    ],
)  # fmt: skip
def test_an_address_that_leads_out_of_the_package_is_refused(tmp_path: Path, href: str) -> None:
    found = refusal(small(tmp_path, href=href))
    assert found.code == "package_unsafe"
    assert found.message.startswith("METS.xml leads out of the package")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"href": None}, "package_altered"),
        ({"size": "-1"}, "package_altered"),
        ({"size": "1"}, "package_altered"),
        ({"sum": "00" * 32}, "package_altered"),
        ({"sum": _EMPTY.upper()}, "package_altered"),
        ({"kind": "MD5"}, "package_altered"),
        ({"href": "b.txt"}, "package_incomplete"),
        ({"size": str(2**40)}, "package_unsafe"),
    ],
)
def test_a_file_that_is_not_as_listed_is_refused(tmp_path: Path, changes: dict[str, Any], code: str) -> None:
    assert refusal(small(tmp_path, **changes)).code == code


def _link_out(package: Path) -> None:
    (package / "a.txt").unlink()
    (package / "a.txt").symlink_to("/dev/null")


def _folder_link(package: Path) -> None:
    (package / "more").symlink_to("/etc")


def _pipe(package: Path) -> None:
    import os

    os.mkfifo(package / "pipe")


def _odd_name(package: Path) -> None:
    (package / "Ájlin Øvergård.txt").write_bytes(b"")


@pytest.mark.parametrize("change", [_link_out, _folder_link, _pipe, _odd_name])
def test_links_pipes_and_odd_names_are_refused(tmp_path: Path, change: Callable[[Path], None]) -> None:
    package = small(tmp_path)
    change(package)
    found = refusal(package)
    assert found.code == "package_unsafe"
    assert "Øvergård" not in found.message + str(found.detail)


def test_a_link_to_a_package_is_none(tmp_path: Path) -> None:
    package = small(tmp_path / "real")
    (tmp_path / ID).symlink_to(package)
    assert refusal(tmp_path / ID).code == "package_unsafe"


def test_what_is_no_package_is_told_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(PackageRefused) as caught:
            find_packages(path)
        assert caught.value.code == "package_unknown"
    package = small(tmp_path)
    assert find_packages(tmp_path) == find_packages(package) == [package]
    named = Path(shutil.move(package, tmp_path / "avtale"))
    assert refusal(named).code == "package_unknown"
    (tmp_path / f"{ID}.tar").write_bytes(b"no tar")
    assert refusal(tmp_path / f"{ID}.tar").code == "package_altered"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (f"{ID}/../../out.txt", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("other/a.txt", tarfile.REGTYPE),
        (f"{ID}/a.txt", tarfile.REGTYPE),  # once more
        (f"{ID}/b.txt", tarfile.SYMTYPE),
        (f"{ID}/b.txt", tarfile.LNKTYPE),
        (f"{ID}/b.txt", tarfile.CHRTYPE),
        (f"{ID}/b.txt", tarfile.GNUTYPE_SPARSE),
    ],
)
def test_a_tar_file_with_tricks_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    package, path = small(tmp_path / "real"), tmp_path / f"{ID}.tar"
    with tarfile.open(path, "w") as tar:
        for file in sorted(package.iterdir()):
            tar.add(file, f"{ID}/{file.name}")
    open_package(path)
    with tarfile.open(path, "a") as tar:
        more = tarfile.TarInfo(name)
        more.type, more.linkname = kind, "/etc/passwd"
        tar.addfile(more, io.BytesIO(b""))
    assert refusal(path).code == "package_unsafe"
    assert {p.name for p in tmp_path.iterdir()} == {"real", f"{ID}.tar"}


def test_a_list_of_checksums_beside_it_that_is_none_is_refused(tmp_path: Path) -> None:
    package = small(tmp_path)
    for text in (f"{_EMPTY}  {ID}/a.txt\n", "something\n", f"{_EMPTY}  {ID}/a.txt\n" * 2, "\u00e5"):
        package.with_name(f"{ID}.sha256").write_text(text, encoding="utf-8")
        assert refusal(package).code == "package_altered"


# --- which agreements ----------------------------------------------------------------------------------------


def store_with(*ages: int) -> tuple[Ledger, list[str]]:
    """A log for each age, in days before 2026-11-21T09:00Z; the first two are of one case."""
    store, ids = MemoryStore(), []
    for number, age in enumerate(ages):
        agreement_id = f"00000000-0000-4000-8000-{number:012d}"
        clock = ManualClock(datetime(2026, 11, 21, 9, tzinfo=UTC) - timedelta(days=age))
        story = Story({"participant": 0})
        first = replace(
            story.entries[0], agreement_id=agreement_id, at=clock.now().isoformat()[:19] + ".000Z"
        )
        store.create(first.key, first.body)
        reference = "2026-1" if number < 2 else "2026-2"
        store.create(f"index/case/tiltak/{reference}/{place_of_time(clock.now())}-{agreement_id}", b"")
        ids.append(agreement_id)
    store.create("agreements/00000000-0000-4000-8000-00000000000f/blobs/00.json", b"{}")  # refused late
    return Ledger(store, ManualClock()), ids


def test_selection() -> None:
    ledger, ids = store_with(0, 10, 20)

    def chosen(**wanted: Any) -> list[str]:
        return list(select(ledger, Selection(**wanted)))

    def before(days: int) -> datetime:
        return datetime(2026, 11, 21, 9, tzinfo=UTC) - timedelta(days=days)

    assert chosen() == ids
    assert chosen(ids=[ids[2], ids[0], ids[2]]) == [ids[2], ids[0]]
    assert chosen(case=("tiltak", "2026-1")) == ids[:2]
    assert chosen(case=("tiltak", "2026")) == []
    assert chosen(since=before(10)) == ids[:2]
    assert chosen(until=before(10)) == ids[2:]
    assert chosen(since=before(15), until=before(5)) == [ids[1]]
    assert chosen(case=("tiltak", "2026-1"), since=before(5)) == ids[:1]


def test_two_exports_to_one_folder_do_not_meet(tmp_path: Path) -> None:
    from service.adapters.archive import SipWriter

    with SipWriter(tmp_path):
        with pytest.raises(SignertError) as caught, SipWriter(tmp_path):
            raise AssertionError
        assert caught.value.code == "export_in_use"
    with SipWriter(tmp_path):
        pass
