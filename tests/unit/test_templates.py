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
from service.adapters.fontconfig import installed_font
from service.adapters.templates import LOCK, Catalogue, parse_manifest
from service.adapters.templates.checks import Tools
from service.adapters.templates.checks.appearance import contrast
from service.adapters.templates.workshop import Workshop
from service.domain.presentation import context, printed_values
from service.errors import TemplateError

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "templates"
AGREEMENT, RECEIPT, DECLARATION = "tilretteleggingsavtale", "kvittering", "taushetserklaering"
VERSIONS = [
    (AGREEMENT, "1.0.0"),
    (AGREEMENT, "1.1.0"),
    (AGREEMENT, "1.2.0"),
    (DECLARATION, "1.0.0"),
    (DECLARATION, "1.1.0"),
    (RECEIPT, "1.0.0"),
    (RECEIPT, "1.1.0"),
]
BINDING = [(*version, language) for version in VERSIONS for language in ("nb", "nn")]
EVERY = [*BINDING, (AGREEMENT, "1.1.0", "en"), (AGREEMENT, "1.2.0", "en")]
TOOLS = Tools(docx, installed_font)
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

    assert listed.keys() == set(VERSIONS)
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


def test_the_newest_version_is_found_by_number(copy: Path) -> None:
    shutil.copytree(copy / RECEIPT / "1.0.0", copy / RECEIPT / "1.10.0")
    shutil.copytree(copy / RECEIPT / "1.0.0", copy / RECEIPT / "1.9.0")
    for version in ("1.9.0", "1.10.0"):
        manifest = copy / RECEIPT / version / "manifest.toml"
        manifest.write_text(manifest.read_text().replace('version = "1.0.0"', f'version = "{version}"'))
    catalogue = Catalogue(copy)

    assert catalogue.newest(RECEIPT) == "1.1.0"  # the others are not published yet
    catalogue.lock()
    assert catalogue.newest(RECEIPT) == "1.10.0"
    with pytest.raises(TemplateError, match="avtale") as caught:
        catalogue.newest("avtale")
    assert caught.value.code == "unknown_template"


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
        ('courtesy = ["en"]', 'courtesy = ["sv"]', "courtesy"),
        ('courtesy = ["en"]', 'courtesy = ["nb", "nn", "en"]', "courtesy"),
        ("signers_only = true", "signers_only = 1", "signers_only"),
        ("screened = true", 'screened = "yes"', "screened"),
        ('"period.end" = "Siste dag"\n', "", r"fields\.nb lacks period\.end"),
        ('"period.end" = "Last day"', '"period end" = "Last day"', "fields"),
        ("[fields.en]", "[fields.sv]", "fields has a table"),
    ],
)
def test_a_faulty_manifest_says_where(old: str, new: str, told: str) -> None:
    text = (TEMPLATES / AGREEMENT / "1.1.0/manifest.toml").read_text()
    assert old in text

    with pytest.raises(TemplateError, match=told) as caught:
        parse_manifest(text.replace(old, new, 1))
    assert caught.value.code == "template_manifest"


# --- check ---


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "version"), VERSIONS)
def test_the_templates_of_the_repository_are_without_findings(name: str, version: str) -> None:
    assert Workshop(TEMPLATES).check(name, version, tools=TOOLS) == []


def test_check_of_an_unknown_template() -> None:
    with pytest.raises(TemplateError) as caught:
        Workshop(TEMPLATES).check("avtale", "1.0.0", tools=TOOLS)
    assert caught.value.code == "unknown_template"


DOCUMENT, STYLES, CORE = "word/document.xml", "word/styles.xml", "docProps/core.xml"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("where", "old", "new", "codes"),
    [
        (DOCUMENT, "{{ position.title }}", "{{ position.salary }}", {"undefined_variable"}),
        (DOCUMENT, "{{ position.title }}", "x", {"language_parity"}),
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

    findings = Workshop(copy).check(AGREEMENT, "1.0.0", tools=TOOLS)

    assert codes <= {f.code for f in findings}
    assert "template_altered" in {f.code for f in findings}
    assert all(f.where and f.message and f.remedy for f in findings)


# --- what the templates look like inside ---


@pytest.mark.parametrize(("name", "version", "language"), BINDING)
def test_both_languages_have_the_same_shape(
    catalogue: Catalogue, name: str, version: str, language: str
) -> None:
    def shape(code: str) -> list[str]:
        body = part(catalogue.get(name, version, code).docx)
        return [
            str(e.get(f"{W}val") if e.tag == f"{W}pStyle" else e.tag)
            for e in body.iter(f"{W}pStyle", f"{W}tbl", f"{W}tr", f"{W}hyperlink")
        ]

    assert shape(language) == shape("nb")


def test_the_courtesy_translation_says_what_the_original_says_and_that_it_does_not_bind(
    catalogue: Catalogue,
) -> None:
    banner = "Courtesy translation. Only the Norwegian text is binding."
    original, translation = (catalogue.get(AGREEMENT, "1.1.0", language) for language in ("nb", "en"))

    def headings(file: bytes) -> list[str]:
        styles = part(file).iter(f"{W}pStyle")
        return [name for e in styles if (name := str(e.get(f"{W}val"))).startswith("Heading")]

    assert headings(translation.docx) == headings(original.docx)
    assert len(docx.tags(translation.docx)) == len(docx.tags(original.docx))
    assert banner in docx.text(translation.docx)
    for header in ("word/header1.xml", "word/header2.xml"):  # the first page, and the others
        assert banner in "".join(part(translation.docx, header).itertext())
    assert docx.signature_links(translation.docx) == []
    assert translation.places == ()


@pytest.mark.parametrize(("name", "version", "language"), EVERY)
def test_everything_is_done_with_styles(catalogue: Catalogue, name: str, version: str, language: str) -> None:
    body = part(catalogue.get(name, version, language).docx)
    styles = part(catalogue.get(name, version, language).docx, STYLES)
    known = {s.get(f"{W}styleId") for s in styles.iterfind("w:style", NS)}

    for paragraph in body.iter(f"{W}p"):
        assert [e.tag for e in paragraph.iterfind("w:pPr/*", NS)] == [f"{W}pStyle"]
    for run in body.iter(f"{W}r"):
        assert {e.tag for e in run.iterfind("w:rPr/*", NS)} <= {f"{W}rStyle"}
    used = {e.get(f"{W}val") for e in body.iter(f"{W}pStyle", f"{W}rStyle", f"{W}tblStyle")}
    assert used <= known


@pytest.mark.parametrize(("name", "version", "language"), EVERY)
def test_tables_are_made_for_reading_aloud_and_for_page_breaks(
    catalogue: Catalogue, name: str, version: str, language: str
) -> None:
    body = part(catalogue.get(name, version, language).docx)
    tables = list(body.iter(f"{W}tbl"))

    assert tables
    for table in tables:
        first, *rest = table.findall("w:tr", NS)
        assert first.find("w:trPr/w:tblHeader", NS) is not None
        assert all(cell.xpath("string()").strip() for cell in first.findall("w:tc", NS))
        for row in rest:
            # A change may be of a whole section, longer than a page: its row may break.
            may_break = row.xpath("string()").startswith(("{%tr", "{{ change.what }}"))
            assert may_break or row.find("w:trPr/w:cantSplit", NS) is not None
            assert len(row.findall("w:tc", NS)) == len(first.findall("w:tc", NS))
        assert table.find(".//w:gridSpan", NS) is None
        assert table.find(".//w:vMerge", NS) is None
        assert table.find("w:tblPr/w:tblCaption", NS) is not None


@pytest.mark.parametrize(("name", "version", "language"), EVERY)
def test_headings_descend_one_level_at_a_time(
    catalogue: Catalogue, name: str, version: str, language: str
) -> None:
    body = part(catalogue.get(name, version, language).docx)
    levels = [
        int(str(e.get(f"{W}val"))[-1])
        for e in body.iter(f"{W}pStyle")
        if str(e.get(f"{W}val")).startswith("Heading")
    ]

    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


@pytest.mark.parametrize(("name", "version", "language"), EVERY)
def test_every_colour_of_text_has_contrast(
    catalogue: Catalogue, name: str, version: str, language: str
) -> None:
    """WCAG 2.1, 1.4.3: at least 4.5 to 1, on white and on the shade of table headings."""
    styles = part(catalogue.get(name, version, language).docx, STYLES)
    texts = {str(e.get(f"{W}val")) for e in styles.iter(f"{W}color")}
    grounds = {"FFFFFF"} | {str(e.get(f"{W}fill")) for e in styles.iter(f"{W}shd")}

    for text in texts:
        for ground in grounds:
            assert contrast(text, ground) >= 4.5


# --- filled ---


def _filled(
    catalogue: Catalogue,
    name: str,
    language: str,
    data: dict[str, Any],
    *,
    version: str = "1.2.0",
    signers: tuple[str, ...] | None = None,
) -> bytes:
    template = catalogue.get(name, version, language)
    filled = context(
        template.manifest.kind,
        data,
        labels=template.labels,
        language=language,
        field_labels=template.field_labels,
        unprinted=template.manifest.unprinted,
        signers=signers,
    )
    return docx.fill(template.docx, filled, title=template.title, language=language, created=NOW)


# What 1.0.0 prints; it has no sections for the wage subsidies.
FIRST = ("agreement", "inclusion_grant", "mentor", "minimal")


def _cases() -> list[Any]:
    examples = sorted((ROOT / "examples").glob("*.json"))
    files = [(AGREEMENT, "1.0.0", f) for f in examples if f.stem in FIRST]
    files += [(AGREEMENT, version, f) for f in examples for version in ("1.1.0", "1.2.0")]
    files += [(*version, TEMPLATES.joinpath(*version, "sample.json")) for version in VERSIONS]
    return [
        pytest.param(name, version, language, file, id=f"{name}-{version}-{file.stem}-{language}")
        for name, version, file in files
        for language in ("nb", "nn", *(("en",) if name == AGREEMENT and version != "1.0.0" else ()))
    ]


@pytest.mark.parametrize(("name", "version", "language", "file"), _cases())
def test_every_value_that_is_sent_is_printed(
    catalogue: Catalogue, name: str, version: str, language: str, file: Path
) -> None:
    data = json.loads(file.read_text())
    template = catalogue.get(name, version, language)

    printed = "".join(docx.text(_filled(catalogue, name, language, data, version=version)).split())
    values = printed_values(
        template.manifest.kind,
        data,
        labels=template.labels,
        language=language,
        field_labels=template.field_labels,
        unprinted=template.manifest.unprinted,
    )

    assert [path for path, text in values.items() if "".join(text.split()) not in printed] == []


@pytest.mark.parametrize(("name", "version", "language", "file"), _cases())
def test_no_empty_paragraph_is_left_behind(
    catalogue: Catalogue, name: str, version: str, language: str, file: Path
) -> None:
    body = part(_filled(catalogue, name, language, json.loads(file.read_text()), version=version))

    assert [p for p in body.iter(f"{W}p") if not str(p.xpath("string()")).strip()] == []


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0"])
@pytest.mark.parametrize("language", ["nb", "nn"])
def test_a_party_that_is_not_there_has_no_place_to_sign(
    catalogue: Catalogue, language: str, version: str
) -> None:
    data = json.loads((ROOT / "examples" / "mentor.json").read_text())

    links = docx.signature_links(_filled(catalogue, AGREEMENT, language, data, version=version))

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


# --- amendments ---


def amended(example: str, **amendment: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((ROOT / "examples" / f"{example}.json").read_text())
    given = {"version": 3, "supersedes": 2, "reason": "Nytt nummer.", "told": [], "changes": []} | amendment
    return {**data, "amendment": given}


PHONE = {"path": "parties.employer.phone", "before": "+47 000 00 099", "after": "+47 000 00 002"}
CONTACT = amended(
    "agreement", types=["contact_information"], told=["participant", "employer"], changes=[PHONE]
)


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("nb", "Deltaker og arbeidsgiver er orientert om endringen"),
        ("nn", "Deltakar og arbeidsgivar har fått melding om endringa"),
    ],
)
def test_who_only_is_told_has_no_place_to_sign(catalogue: Catalogue, language: str, told: str) -> None:
    file = _filled(catalogue, AGREEMENT, language, CONTACT, signers=("adviser",))

    assert [link.target.rpartition("/")[2] for link in docx.signature_links(file)] == ["adviser"]
    assert told in docx.text(file)
    table = part(file).findall(".//w:tbl", NS)[-1]
    assert "Łukasz" not in str(table.xpath("string()"))  # not in the table of signatures


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nb", ["Versjon 3, erstatter versjon 2", "Hva som er endret", "Arbeidsgiver: Telefon"]),
        ("nn", ["Versjon 3, kjem i staden for versjon 2", "Kva som er endra", "Arbeidsgivar: Telefon"]),
        ("en", ["Version 3, replaces version 2", "What has changed", "Employer: Phone"]),
    ],
)
def test_an_amended_version_says_what_it_changes(
    catalogue: Catalogue, language: str, words: list[str]
) -> None:
    text = docx.text(_filled(catalogue, AGREEMENT, language, CONTACT))

    assert [w for w in [*words, "+47 000 00 099", "Nytt nummer."] if w not in text] == []


def test_the_first_version_says_nothing_of_changes(catalogue: Catalogue) -> None:
    data = json.loads((ROOT / "examples" / "agreement.json").read_text())

    text = docx.text(_filled(catalogue, AGREEMENT, "nb", data))

    assert "endret\n" not in text
    assert "erstatter" not in text
    assert "avsluttet" not in text
    assert "orientert" not in text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nb", ["Avtalen er avsluttet", "Begynt i arbeid", "31.\N{NO-BREAK SPACE}mars 2037"]),
        ("nn", ["Avtalen er avslutta", "Begynt i arbeid", "31.\N{NO-BREAK SPACE}mars 2037"]),
        ("en", ["The agreement has ended", "Started in a job", "31\N{NO-BREAK SPACE}March 2037"]),
    ],
)
def test_a_version_that_ends_the_agreement_says_so(
    catalogue: Catalogue, language: str, words: list[str]
) -> None:
    data = amended("agreement", types=["termination"])
    data["termination"] = {"reason": "started_in_job", "date": "2037-03-31"}

    text = docx.text(_filled(catalogue, AGREEMENT, language, data))

    assert [w for w in words if w not in text] == []
    assert "Når avtalen må endres" not in text


def test_a_represented_participant_has_no_place_to_sign(catalogue: Catalogue) -> None:
    data = json.loads((ROOT / "examples" / "permanent_wage_subsidy.json").read_text())
    data["parties"]["guardian"]["scope"] = "for"

    links = docx.signature_links(_filled(catalogue, AGREEMENT, "nn", data))

    assert [link.target.rpartition("/")[2] for link in links] == [
        "guardian",
        "employer",
        "adviser",
        "decider",
    ]


@pytest.mark.parametrize("language", ["nb", "nn"])
def test_the_declaration_names_nobody_but_the_mentor(catalogue: Catalogue, language: str) -> None:
    data = json.loads((TEMPLATES / DECLARATION / "1.0.0/sample.json").read_text())
    data["parties"]["participant"] = {"first_name": "Agnieszka", "last_name": "Wójcik Hæreid"}

    file = _filled(catalogue, DECLARATION, language, data, version="1.0.0")

    assert "Marit Sælen" in docx.text(file)
    assert "Agnieszka" not in docx.text(file)
    assert [link.target for link in docx.signature_links(file)] == ["https://signature.invalid/mentor"]


@pytest.mark.parametrize(
    ("addition", "said"),
    [
        ('[amendments]\ncolour = ["adviser"]', "unknown types of change: colour"),
        ("[amendments]\ngoals = []", "amendments.goals names at least one role"),
        ('[amendments]\ngoals = ["boss"]', "only roles under parties"),
        ('[declarations]\nboss = "taushetserklaering"', "only roles under parties"),
    ],
)
def test_who_signs_again_and_who_declares_is_held_to_the_parties(addition: str, said: str) -> None:
    text = (TEMPLATES / AGREEMENT / "1.0.0" / "manifest.toml").read_text()
    with pytest.raises(TemplateError, match=said):
        parse_manifest(f"{text}\n{addition}\n")


def test_a_manifest_may_name_who_signs_again() -> None:
    text = (TEMPLATES / AGREEMENT / "1.0.0" / "manifest.toml").read_text()
    signers = parse_manifest(f'{text}\n[amendments]\ninclusion_grant = ["adviser", "decider"]\n').amendments
    assert signers == {"inclusion_grant": ("adviser", "decider")}
