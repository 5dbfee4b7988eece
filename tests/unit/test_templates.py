"""The catalogue holds published templates to their hashes, and the templates themselves are what they should be."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from service.adapters import docx
from service.adapters.templates import LOCK, Catalogue, parse_manifest
from service.domain.presentation import context, printed_values
from service.errors import TemplateError

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
AGREEMENT, RECEIPT = "tilretteleggingsavtale", "kvittering"
EVERY = [(name, language) for name in (AGREEMENT, RECEIPT) for language in ("nb", "nn")]
NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
NS = {"w": W.strip("{}")}


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(TEMPLATES)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The catalogue's folder, to alter."""
    return Path(shutil.copytree(TEMPLATES, tmp_path / "templates"))


def part(file: bytes, name: str = "word/document.xml") -> etree._Element:
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return etree.fromstring(archive.read(name))


def repacked(file: bytes, name: str, old: str, new: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.namelist():
            body = source.read(entry)
            if entry == name:
                assert old.encode() in body
                body = body.replace(old.encode(), new.encode(), 1)
            target.writestr(entry, body)
    return out.getvalue()


# --- the catalogue ---


def test_lists_what_is_published(catalogue: Catalogue) -> None:
    listed = {(m.name, m.version): m for m in catalogue.list()}

    assert listed.keys() >= {(AGREEMENT, "1.0.0"), (RECEIPT, "1.0.0")}
    assert listed[AGREEMENT, "1.0.0"].languages == ("nb", "nn")
    assert listed[RECEIPT, "1.0.0"].kind == "receipt"


def test_gives_a_template_with_its_hash_and_places(catalogue: Catalogue) -> None:
    template = catalogue.get(AGREEMENT, "1.0.0", "nn")

    assert template.title == "Personleg tilretteleggings- og oppfølgingsavtale"
    assert (
        template.sha256 == hashlib.sha256((TEMPLATES / AGREEMENT / "1.0.0/nn.docx").read_bytes()).hexdigest()
    )
    assert next(p.role for p in template.places) == "participant"
    assert {p.role: p.tooltip for p in template.places}["adviser"] == "Signatur: rettleiar i Nav"
    assert all((p.width, p.height) == (240, 56) for p in template.places)


def test_the_parties_sign_in_the_usual_order(catalogue: Catalogue) -> None:
    parties = catalogue.get(AGREEMENT, "1.0.0", "nb").manifest.parties

    assert {role: rule.order for role, rule in parties.items()} == {
        "participant": 0,
        "guardian": 0,
        "employer": 0,
        "mentor": 1,
        "organiser": 1,
        "adviser": 2,
        "decider": 3,
    }
    assert {role for role, rule in parties.items() if rule.required} == {"participant", "employer", "adviser"}


@pytest.mark.parametrize(
    ("name", "version", "language", "code", "told"),
    [
        ("avtale", "1.0.0", "nb", "unknown_template", AGREEMENT),
        (AGREEMENT, "9.9.9", "nb", "unknown_template", "1.0.0"),
        (AGREEMENT, "1.0.0", "se", "unknown_language", "nb, nn"),
        ("../../etc", "1.0.0", "nb", "unknown_template", AGREEMENT),
        (AGREEMENT, "../1.0.0", "nb", "unknown_template", "1.0.0"),
    ],
)
def test_an_unknown_template_is_answered_with_what_there_is(
    catalogue: Catalogue, name: str, version: str, language: str, code: str, told: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        catalogue.get(name, version, language)
    assert caught.value.code == code
    assert told in caught.value.remedy


@pytest.mark.parametrize("file", ["nb.docx", "nn.docx", "manifest.toml", "sample.json"])
def test_an_altered_file_is_not_used(copy: Path, file: str) -> None:
    path = copy / AGREEMENT / "1.0.0" / file
    path.write_bytes(path.read_bytes() + b"\n")

    with pytest.raises(TemplateError, match=re.escape(file)) as caught:
        Catalogue(copy).get(AGREEMENT, "1.0.0", "nb")
    assert caught.value.code == "template_altered"
    with pytest.raises(TemplateError):
        Catalogue(copy).list()


def test_a_file_that_is_gone_or_new_is_an_alteration(copy: Path) -> None:
    folder = copy / AGREEMENT / "1.0.0"
    (folder / "se.docx").write_bytes((folder / "nb.docx").read_bytes())
    with pytest.raises(TemplateError, match=r"se\.docx"):
        Catalogue(copy).get(AGREEMENT, "1.0.0", "nb")

    (folder / "se.docx").unlink()
    (folder / "nn.docx").unlink()
    with pytest.raises(TemplateError, match=r"nn\.docx is missing"):
        Catalogue(copy).get(AGREEMENT, "1.0.0", "nb")


def test_word_s_own_lock_file_is_no_alteration(copy: Path) -> None:
    (copy / AGREEMENT / "1.0.0" / "~$nb.docx").write_bytes(b"x")

    assert Catalogue(copy).get(AGREEMENT, "1.0.0", "nb").language == "nb"


def test_a_new_version_is_published_once(copy: Path) -> None:
    shutil.copytree(copy / RECEIPT / "1.0.0", copy / RECEIPT / "1.10.0")
    manifest = copy / RECEIPT / "1.10.0" / "manifest.toml"
    manifest.write_text(manifest.read_text().replace('version = "1.0.0"', 'version = "1.10.0"'))
    catalogue = Catalogue(copy)
    before = (copy / LOCK).read_text().splitlines()

    with pytest.raises(TemplateError) as caught:
        catalogue.get(RECEIPT, "1.10.0", "nb")
    assert caught.value.code == "template_unpublished"

    assert catalogue.lock() == ((RECEIPT, "1.10.0"),)
    assert catalogue.get(RECEIPT, "1.10.0", "nb").version == "1.10.0"
    assert set(before) < set((copy / LOCK).read_text().splitlines())
    assert catalogue.lock() == ()


def test_a_published_version_is_never_published_again(copy: Path) -> None:
    path = copy / RECEIPT / "1.0.0" / "nb.docx"
    path.write_bytes(path.read_bytes() + b"x")
    before = (copy / LOCK).read_text()

    with pytest.raises(TemplateError) as caught:
        Catalogue(copy).lock()
    assert caught.value.code == "template_altered"
    assert (copy / LOCK).read_text() == before


def test_a_folder_of_another_name_than_its_manifest_is_not_published(copy: Path) -> None:
    shutil.copytree(copy / RECEIPT / "1.0.0", copy / RECEIPT / "2.0.0")

    with pytest.raises(TemplateError) as caught:
        Catalogue(copy).lock()
    assert caught.value.code == "template_manifest"


def test_a_lock_that_cannot_be_read_is_not_guessed_at(copy: Path) -> None:
    (copy / LOCK).write_text((copy / LOCK).read_text() + "whatever\n")

    with pytest.raises(TemplateError) as caught:
        Catalogue(copy).list()
    assert caught.value.code == "catalogue_lock"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "agreement"', 'kind = "letter"', "kind"),
        ('nb = "Signatur: deltaker", ', "", "tooltip"),
        ("width = 240", "width = 0", "width"),
        ("order = 0", "order = 10", "order"),
        ("signature.invalid/mentor", "signature.example/mentor", "link"),
        ('planned = "Planlagt"\n', "", r"labels\.nb lacks need_status\.planned"),
        ("[titles]", "[title]", "title"),
        ('name = "', "name = ", "manifest"),
    ],
)
def test_a_faulty_manifest_says_where(old: str, new: str, told: str) -> None:
    text = (TEMPLATES / AGREEMENT / "1.0.0/manifest.toml").read_text()
    assert old in text

    with pytest.raises(TemplateError, match=told) as caught:
        parse_manifest(text.replace(old, new, 1))
    assert caught.value.code == "template_manifest"


# --- check ---


@pytest.mark.parametrize("name", [AGREEMENT, RECEIPT])
def test_the_templates_of_the_repository_are_without_findings(catalogue: Catalogue, name: str) -> None:
    assert list(catalogue.check(name, "1.0.0", word=docx)) == []


def test_check_of_an_unknown_template(catalogue: Catalogue) -> None:
    with pytest.raises(TemplateError) as caught:
        catalogue.check("avtale", "1.0.0", word=docx)
    assert caught.value.code == "unknown_template"


DOCUMENT, STYLES, CORE = "word/document.xml", "word/styles.xml", "docProps/core.xml"


@pytest.mark.parametrize(
    ("where", "old", "new", "codes"),
    [
        (DOCUMENT, "{{ position.title }}", "{{ position.salary }}", {"undefined_variable"}),
        (DOCUMENT, "{{ position.title }}", "x", {"value_not_printed", "language_parity"}),
        (DOCUMENT, "{{ position.title }}", "{{ position.title }", {"template_syntax"}),
        (DOCUMENT, "{{ position.title }}", "{{ ''.__class__ }}", {"forbidden_tag"}),
        (DOCUMENT, "{{ mentor.tasks }}", "{{ mentor.task }}", {"undefined_variable"}),
        (DOCUMENT, 'w:tooltip="Signatur: deltaker"', "", {"signature_place"}),
        (DOCUMENT, '<w:rStyle w:val="Hyperlink"/>', "", {"signature_place"}),
        ("word/_rels/document.xml.rels", "invalid/mentor", "invalid/coach", {"signature_place"}),
        ("word/_rels/document.xml.rels", "https://signature.invalid/", "https://x/", {"external_target"}),
        (CORE, "<dc:title>Personlig", "<dc:title>Generell", {"document_title"}),
        (CORE, "<dc:language>nb-NO", "<dc:language>en-GB", {"document_language"}),
        (STYLES, '<w:lang w:val="nb-NO"', '<w:lang w:val="en-GB"', {"document_language"}),
    ],
)
def test_check_finds_what_is_wrong(copy: Path, where: str, old: str, new: str, codes: set[str]) -> None:
    path = copy / AGREEMENT / "1.0.0" / "nb.docx"
    path.write_bytes(repacked(path.read_bytes(), where, old, new))

    findings = Catalogue(copy).check(AGREEMENT, "1.0.0", word=docx)

    assert codes <= {f.code for f in findings}
    assert "template_altered" in {f.code for f in findings}
    assert all(f.where and f.message and f.remedy for f in findings)


# --- what the templates look like inside ---


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_both_languages_have_the_same_shape(catalogue: Catalogue, name: str, language: str) -> None:
    def shape(code: str) -> list[str]:
        body = part(catalogue.get(name, "1.0.0", code).docx)
        return [
            str(e.get(f"{W}val") if e.tag == f"{W}pStyle" else e.tag)
            for e in body.iter(f"{W}pStyle", f"{W}tbl", f"{W}tr", f"{W}hyperlink")
        ]

    assert shape(language) == shape("nb")


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_everything_is_done_with_styles(catalogue: Catalogue, name: str, language: str) -> None:
    body = part(catalogue.get(name, "1.0.0", language).docx)
    styles = part(catalogue.get(name, "1.0.0", language).docx, STYLES)
    known = {s.get(f"{W}styleId") for s in styles.iterfind("w:style", NS)}

    for paragraph in body.iter(f"{W}p"):
        assert [e.tag for e in paragraph.iterfind("w:pPr/*", NS)] == [f"{W}pStyle"]
    for run in body.iter(f"{W}r"):
        assert {e.tag for e in run.iterfind("w:rPr/*", NS)} <= {f"{W}rStyle"}
    used = {e.get(f"{W}val") for e in body.iter(f"{W}pStyle", f"{W}rStyle", f"{W}tblStyle")}
    assert used <= known


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_tables_are_made_for_reading_aloud_and_for_page_breaks(
    catalogue: Catalogue, name: str, language: str
) -> None:
    body = part(catalogue.get(name, "1.0.0", language).docx)
    tables = list(body.iter(f"{W}tbl"))

    assert tables
    for table in tables:
        first, *rest = table.findall("w:tr", NS)
        assert first.find("w:trPr/w:tblHeader", NS) is not None
        assert all(cell.xpath("string()").strip() for cell in first.findall("w:tc", NS))
        for row in rest:
            tag_row = row.xpath("string()").startswith("{%tr")
            assert tag_row or row.find("w:trPr/w:cantSplit", NS) is not None
            assert len(row.findall("w:tc", NS)) == len(first.findall("w:tc", NS))
        assert table.find(".//w:gridSpan", NS) is None
        assert table.find(".//w:vMerge", NS) is None
        assert table.find("w:tblPr/w:tblCaption", NS) is not None


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_headings_descend_one_level_at_a_time(catalogue: Catalogue, name: str, language: str) -> None:
    body = part(catalogue.get(name, "1.0.0", language).docx)
    levels = [
        int(str(e.get(f"{W}val"))[-1])
        for e in body.iter(f"{W}pStyle")
        if str(e.get(f"{W}val")).startswith("Heading")
    ]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_every_colour_of_text_has_contrast(catalogue: Catalogue, name: str, language: str) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1, on white and on the shade of table headings."""
    styles = part(catalogue.get(name, "1.0.0", language).docx, STYLES)
    texts = {str(e.get(f"{W}val")) for e in styles.iter(f"{W}color")}
    grounds = {"FFFFFF"} | {str(e.get(f"{W}fill")) for e in styles.iter(f"{W}shd")}

    for text in texts:
        for ground in grounds:
            assert (_luminance(ground) + 0.05) / (_luminance(text) + 0.05) >= 4.5


# --- filled ---


def _filled(catalogue: Catalogue, name: str, language: str, data: dict[str, Any]) -> bytes:
    template = catalogue.get(name, "1.0.0", language)
    filled = context(template.manifest.kind, data, labels=template.labels, language=language)
    return docx.fill(template.docx, filled, title=template.title, language=language, created=NOW)


def _cases() -> list[Any]:
    files = [(AGREEMENT, f) for f in sorted((ROOT / "examples").glob("*.json"))]
    files += [(RECEIPT, TEMPLATES / RECEIPT / "1.0.0" / "sample.json")]
    return [
        pytest.param(name, language, file, id=f"{file.stem}-{language}")
        for name, file in files
        for language in ("nb", "nn")
    ]


@pytest.mark.parametrize(("name", "language", "file"), _cases())
def test_every_value_that_is_sent_is_printed(
    catalogue: Catalogue, name: str, language: str, file: Path
) -> None:
    data = json.loads(file.read_text())
    template = catalogue.get(name, "1.0.0", language)

    printed = "".join(docx.text(_filled(catalogue, name, language, data)).split())
    values = printed_values(
        template.manifest.kind,
        data,
        labels=template.labels,
        language=language,
        unprinted=template.manifest.unprinted,
    )

    assert [path for path, text in values.items() if "".join(text.split()) not in printed] == []


@pytest.mark.parametrize(("name", "language", "file"), _cases())
def test_no_empty_paragraph_is_left_behind(
    catalogue: Catalogue, name: str, language: str, file: Path
) -> None:
    body = part(_filled(catalogue, name, language, json.loads(file.read_text())))

    assert [p for p in body.iter(f"{W}p") if not str(p.xpath("string()")).strip()] == []


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_a_party_that_is_not_there_has_no_place_to_sign(catalogue: Catalogue, language: str) -> None:
    data = json.loads((ROOT / "examples" / "mentor.json").read_text())

    links = docx.signature_links(_filled(catalogue, AGREEMENT, language, data))

    assert [link.target.rpartition("/")[2] for link in links] == [
        "participant",
        "employer",
        "mentor",
        "adviser",
    ]
    assert all(link.is_styled and link.tooltip.startswith("Signatur: ") for link in links)


@pytest.mark.parametrize(
    ("language", "words"),
    [("nb", "Vi vet ikke ennå hva som trengs, og det er helt i orden."), ("nn", "det er heilt i orden.")],
)
def test_unknown_needs_are_met_with_warm_words(catalogue: Catalogue, language: str, words: str) -> None:
    data = json.loads((ROOT / "examples" / "minimal.json").read_text())

    text = docx.text(_filled(catalogue, AGREEMENT, language, data))

    assert words in text
    assert data["parties"]["participant"]["national_id"] not in text  # it is printed in two groups


def test_a_protected_participant_is_reached_through_nav(catalogue: Catalogue) -> None:
    data = json.loads((ROOT / "examples" / "agreement.json").read_text())
    participant = data["parties"]["participant"]
    participant["address_protection"] = "strictly_confidential"

    text = docx.text(_filled(catalogue, AGREEMENT, "nb", data))

    assert participant["phone"] not in text
    assert participant["email"] not in text
    assert "Kontakt gjennom Nav" in text
