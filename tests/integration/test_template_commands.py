"""`signert templates …`, as an author meets it: what is printed, and what is written."""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pypdf import PdfReader

from service.adapters.docx.package import read_parts, write_parts
from service.adapters.fontconfig import installed_font
from service.adapters.pdf import text as pdf_text
from service.entrypoints.cli import main

pytestmark = pytest.mark.office

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


@dataclass
class Author:
    """Somebody at a command line, with a catalogue of their own."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    @property
    def catalogue(self) -> Path:
        return self.home / "templates"

    def __call__(self, *arguments: str | Path) -> Told:
        self.monkeypatch.setattr(sys, "argv", ["signert", "templates", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exc:
            code = int(exc.code or 0)
        told = self.capsys.readouterr()
        return Told(code, told.out, told.err)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a Word file's body, or in another file."""
        path = self.catalogue / file
        if path.suffix == ".docx":
            parts = read_parts(path.read_bytes())
            body = parts["word/document.xml"].decode()
            assert old in body
            path.write_bytes(write_parts({**parts, "word/document.xml": body.replace(old, new, 1).encode()}))
        else:
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new, 1))


@pytest.fixture
def author(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Author:
    monkeypatch.setenv("SIGNERT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SIGNERT_TEMPLATES", str(tmp_path / "templates"))
    shutil.copytree(
        ROOT / "templates" / "kvittering" / "1.1.0", tmp_path / "templates" / "kvittering" / "1.1.0"
    )
    lines = (ROOT / "templates" / "catalogue.lock").read_text().splitlines(keepends=True)
    receipt = [line for line in lines if line.startswith("#") or " kvittering/1.1.0/" in line]
    (tmp_path / "templates" / "catalogue.lock").write_text("".join(receipt))
    return Author(tmp_path, monkeypatch, capsys)


# --- new ---


def test_a_new_name_starts_with_a_plain_agreement(author: Author) -> None:
    told = author("new", "mentoravtale")

    assert told.code == 0
    assert "signert templates preview mentoravtale 1.0.0" in told.out
    folder = author.catalogue / "mentoravtale" / "1.0.0"
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.toml", "nb.docx", "nn.docx", "sample.json"]
    assert 'name = "mentoravtale"' in (folder / "manifest.toml").read_text()
    assert json.loads((folder / "sample.json").read_text())["template"] == {
        "name": "mentoravtale",
        "version": "1.0.0",
    }
    assert author("check", "mentoravtale").out == "mentoravtale 1.0.0: no faults\n"


def test_a_new_version_is_a_copy_of_the_newest_with_the_next_number(author: Author) -> None:
    author("new", "avtale", "--version", "1.9.0")
    author.edit("avtale/1.9.0/nb.docx", "Kort om avtalen", "Kort fortalt")
    told = author("new", "avtale", "--json")

    assert json.loads(told.out)["copy_of"] == {"name": "avtale", "version": "1.9.0"}
    assert (author.catalogue / "avtale/1.10.0/nb.docx").read_bytes() == (
        author.catalogue / "avtale/1.9.0/nb.docx"
    ).read_bytes()
    manifest = (author.catalogue / "avtale/1.10.0/manifest.toml").read_text()
    assert 'version = "1.10.0"' in manifest
    assert "# " in manifest  # comments stay


def test_a_version_can_start_from_another_template(author: Author) -> None:
    assert author("new", "bekreftelse", "--from", "kvittering", "1.1.0", "--version", "0.1.0").code == 0
    assert author("check", "bekreftelse", "0.1.0", "--no-render").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("kvittering", "--version", "1.1.0"), "template_exists", "--version"),
        (("Mentor avtale",), "template_name", "a–z"),
        (("avtale", "--version", "1.0"), "template_name", "1.2.0"),
        (("../avtale",), "template_name", "a–z"),
        (("avtale", "--from", "borte", "1.1.0"), "unknown_template", "kvittering"),
    ],
)
def test_new_refuses_and_writes_nothing(
    author: Author, arguments: tuple[str, ...], code: str, told: str
) -> None:
    before = sorted(author.home.rglob("*"))
    answer = author("new", *arguments)

    assert answer.code == 3
    assert f"[{code}]" in answer.err
    assert told in answer.err
    assert sorted(author.home.rglob("*")) == before


# --- check ---


def test_check_tells_where_and_what_to_do(author: Author) -> None:
    author("new", "avtale")
    author.edit("avtale/1.0.0/nb.docx", "{{ unit.name }}", "{{ unit.nmae }}")
    told = author("check", "avtale", "1.0.0", "--no-render")

    assert told.code == 3
    assert "nb.docx: word/document.xml: Følges opp av: {{ unit.nmae }}" in told.out
    assert "The data has no unit.nmae." in told.out
    assert "Is it unit.name that is meant? [undefined_variable]" in told.out

    findings = json.loads(author("check", "avtale", "--no-render", "--json").out)["avtale 1.0.0"]
    assert [f["code"] for f in findings] == ["undefined_variable"]


def test_check_of_what_is_not_there(author: Author) -> None:
    assert "[unknown_template]" in author("check", "avtale").err
    told = author("check", "kvittering", "9.0.0")
    assert told.code == 3
    assert "Choose one of: 1.1.0" in told.err


def test_a_published_file_that_was_changed_is_found(author: Author) -> None:
    path = author.catalogue / "kvittering" / "1.1.0" / "nn.docx"
    path.write_bytes(path.read_bytes() + b"\n")

    told = author("check", "kvittering", "--no-render")
    assert told.code == 3
    assert "nn.docx: The files of kvittering 1.1.0 are not those that were published." in told.out
    assert "[template_altered]" in author("list").err
    assert "[template_altered]" in author("preview", "kvittering", "-o", author.home / "out").err
    path.parent.rename(author.home / "away")
    assert "template_altered" in author("check", "kvittering", "--no-render").out


# --- preview ---


def test_preview_writes_the_document_and_its_pages(author: Author) -> None:
    author("new", "avtale")
    out = author.home / "ut" / "her"
    out.mkdir(parents=True)
    stale = out / "avtale-1.0.0-nb-page-9.png"
    stale.write_bytes(b"of an earlier preview")
    told = author("preview", "avtale", "-o", out)

    assert told.code == 0, told.err
    written = [Path(line) for line in told.out.splitlines()]
    assert {p.name for p in out.iterdir()} == {p.name for p in written}
    for language in ("nb", "nn"):
        pdf = (out / f"avtale-1.0.0-{language}.pdf").read_bytes()
        reader = PdfReader(out / f"avtale-1.0.0-{language}.pdf")
        pages = sorted(out.glob(f"avtale-1.0.0-{language}-page-*.png"))
        assert len(pages) == len(reader.pages)
        assert all(page.read_bytes().startswith(b"\x89PNG") for page in pages)
        assert reader.root_object["/Lang"] == f"{language}-NO"
        assert b"<pdfaid:conformance>A" in pdf
        assert "Ájlin Šárá Øvergård" in pdf_text(pdf)
        framed = {name for name, look in _fields(reader).items() if b"re S" in look}
        assert framed == {"participant", "employer", "adviser"}


def _fields(reader: PdfReader) -> dict[str, bytes]:
    """How each signature field with a place on a page is drawn."""
    annotations = (a.get_object() for page in reader.pages for a in page.get("/Annots", ()))
    return {
        str(a["/T"]): a["/AP"]["/N"].get_object().get_data()
        for a in annotations
        if a.get("/FT") == "/Sig" and "/AP" in a
    }


def test_preview_of_own_data_in_one_language(author: Author) -> None:
    author("new", "avtale")
    sample = json.loads((author.catalogue / "avtale/1.0.0/sample.json").read_text())
    sample["position"]["title"] = "Gartner"
    data = author.home / "data.json"
    data.write_text(json.dumps(sample))

    told = author(
        "preview", "avtale", "1.0.0", "--language", "nn", "--data", data, "-o", author.home / "ut", "--json"
    )

    written = json.loads(told.out)["written"]
    assert {Path(p).suffix for p in written} == {".pdf", ".png"}
    assert not list((author.home / "ut").glob("*-nb*"))
    assert "Gartner" in pdf_text((author.home / "ut" / "avtale-1.0.0-nn.pdf").read_bytes())


def test_preview_shows_a_template_that_does_not_print_all(author: Author) -> None:
    author("new", "avtale")
    author.edit("avtale/1.0.0/nb.docx", "{{ case.reference }}", "ukjent")
    told = author("preview", "avtale", "--language", "nb", "-o", author.home)

    assert told.code == 0
    assert (author.home / "avtale-1.0.0-nb.pdf").exists()
    assert told.err == "nb: not in the document's text: case.reference\n"


def test_preview_refuses_what_it_cannot_show(author: Author) -> None:
    author("new", "avtale")
    out = author.home / "ut"
    assert "[unknown_language]" in author("preview", "avtale", "--language", "se", "-o", out).err
    assert "[unknown_template]" in author("preview", "avtale", "3.0.0", "-o", out).err

    data = author.home / "data.json"
    data.write_text('{"language": "nb"}')
    told = author("preview", "avtale", "--data", data, "-o", out)
    assert told.code == 3
    assert "[sample]" in told.err
    assert "period: Send this field." in told.err

    author.edit("avtale/1.0.0/nb.docx", "{{ unit.name }}", "{{ unit.nmae }}")
    assert "unit.nmae" in author("preview", "avtale", "-o", out).err
    told = author("preview", "avtale", "--language", "nn", "-o", author.catalogue / "catalogue.lock" / "ut")
    assert "cannot be made" in told.err
    assert not out.exists() or not list(out.iterdir())


def test_preview_without_poppler_says_what_to_install(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    author("new", "avtale")
    only = author.home / "bin"
    only.mkdir()
    for tool in [
        "unshare",
        "env",
        "sh",
        "bash",
        "dirname",
        "basename",
        "uname",
        "sed",
        "readlink",
        "ls",
        "grep",
    ]:
        if found := shutil.which(tool):
            (only / tool).symlink_to(found)
    monkeypatch.setenv("PATH", str(only))
    installed_font.cache_clear()

    told = author("preview", "avtale", "--language", "nb", "-o", author.home / "ut")
    assert told.code == 3
    assert "poppler-utils" in told.err
    assert (author.home / "ut" / "avtale-1.0.0-nb.pdf").exists()
    assert "fontconfig" in author("check", "avtale", "--no-render").err


# --- diff ---


def test_diff_tells_in_words_what_changed(author: Author) -> None:
    author("new", "avtale")
    author("new", "avtale")
    author.edit("avtale/1.1.0/nb.docx", "Følges opp av: ", "Oppfølging ved: ")
    author.edit(
        "avtale/1.1.0/nb.docx", "Sak: {{ case.reference }}", "Spørsmål? Ring Nav på telefon 55 55 33 33."
    )
    author.edit("avtale/1.1.0/manifest.toml", "employer = { order = 0", "employer = { order = 1")
    author.edit("avtale/1.1.0/manifest.toml", '    "case.system",', '    "case",')
    told = author("diff", "avtale", "1.0.0", "1.1.0")

    assert told.code == 0
    assert told.out.startswith("avtale 1.0.0 → 1.1.0\n")
    assert re.search(
        r"under «Kort om avtalen»:\n\s+was:  Følges opp av: \{\{ unit.name \}\}\n\s+is:   Oppfølging ved",
        told.out,
    )
    assert "gone: Sak: {{ case.reference }}" in told.out
    assert "new:  Spørsmål? Ring Nav" in told.out
    assert "case.reference is no longer printed" in told.out
    assert "parties.employer.order: was 0, is 1" in told.out
    assert "unprinted: case is now listed" in told.out
    assert "unprinted: case.system is no longer listed" in told.out
    assert "nn.docx" not in told.out

    changes = json.loads(author("diff", "avtale", "1.0.0", "1.1.0", "--language", "nn", "--json").out)
    assert {c["file"] for c in changes} == {"manifest.toml"}


def test_diff_of_what_is_the_same_or_only_looks_different(author: Author) -> None:
    author("new", "avtale")
    author("new", "avtale")
    assert "nothing is different" in author("diff", "avtale", "1.0.0", "1.1.0").out

    author.edit("avtale/1.1.0/nb.docx", '<w:pStyle w:val="ListBullet"/>', '<w:pStyle w:val="Normal"/>')
    told = author("diff", "avtale", "1.0.0", "1.1.0")
    assert "no text is different, but the styles, the layout or the properties of the file" in told.out


def test_diff_of_a_version_or_language_that_is_not_there(author: Author) -> None:
    assert "[unknown_template]" in author("diff", "kvittering", "1.1.0", "2.0.0").err
    assert "[unknown_language]" in author("diff", "kvittering", "1.1.0", "1.1.0", "--language", "se").err


# --- publish ---


def test_publish_fixes_a_version_that_is_without_faults(author: Author) -> None:
    author("new", "avtale")
    assert "avtale 1.0.0  draft, not published" in author("list").out
    assert author("publish", "avtale", "1.0.0").out == "published avtale 1.0.0; it never changes again\n"
    assert "avtale 1.0.0  agreement  nb, nn" in author("list").out
    assert (
        author("publish", "avtale", "1.0.0").out == "avtale 1.0.0 is published already, and has not changed\n"
    )

    author.edit("avtale/1.0.0/nb.docx", "Kort om avtalen", "Kort fortalt")
    before = (author.catalogue / "catalogue.lock").read_text()
    told = author("publish", "avtale", "1.0.0")
    assert told.code == 3
    assert "template_altered" in told.out
    assert (author.catalogue / "catalogue.lock").read_text() == before


def test_publish_refuses_a_version_with_faults(author: Author) -> None:
    author("new", "avtale")
    author("new", "annen-avtale")
    author.edit("avtale/1.0.0/nb.docx", "<w:tblHeader/>", "")
    before = (author.catalogue / "catalogue.lock").read_text()
    told = author("publish", "avtale", "1.0.0", "--json")

    assert told.code == 3
    refused = json.loads(told.out)["refused"]["avtale 1.0.0"]
    assert [f["code"] for f in refused] == ["table_header"]
    assert (author.catalogue / "catalogue.lock").read_text() == before

    told = author("publish", "--all")
    assert told.code == 3
    assert "published annen-avtale 1.0.0" in told.out
    assert "avtale 1.0.0 is not published" in told.err
    assert "annen-avtale/1.0.0/nb.docx" in (author.catalogue / "catalogue.lock").read_text()

    author.edit("avtale/1.0.0/nb.docx", "<w:cantSplit/>", "<w:cantSplit/><w:tblHeader/>")
    assert author("publish", "--all").code == 0
    assert author("publish", "--all").out == "every version is published\n"


@pytest.mark.parametrize("wrong", [(), ("avtale",), ("avtale", "1.0.0", "--all")])
def test_publish_is_told_what(author: Author, wrong: tuple[str, ...]) -> None:
    told = author("publish", *wrong)
    assert told.code == 64
    assert "Name a template and its version, or give --all." in told.err
