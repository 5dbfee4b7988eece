"""What a Word file holds: properties, tags, links for signatures, and its text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lxml import etree

from service.adapters.docx.language import TAG, source
from service.adapters.docx.package import NAMESPACES, W, parse, read_parts, story_parts

__all__ = ["Link", "Properties", "own_text", "properties", "signature_links", "tags", "text"]


@dataclass(frozen=True)
class Properties:
    """Title and language of the core properties, and the language of the text (`w:lang`; BCP 47)."""

    title: str
    language: str
    text_language: str


@dataclass(frozen=True)
class Link:
    """A hyperlink to https://signature.invalid/. `is_styled`: its text has the character style Hyperlink,
    without which LibreOffice makes no annotation of it."""

    target: str
    tooltip: str
    is_styled: bool


def properties(docx: bytes) -> Properties:
    """Empty strings for what is missing. Raises `TemplateError` when the file cannot be read."""
    parts = read_parts(docx)
    core = parse(parts.get("docProps/core.xml", b"<empty/>"))
    styles = parse(parts.get("word/styles.xml", b"<empty/>"))
    languages = styles.findall("w:docDefaults//w:lang", NAMESPACES)
    return Properties(
        (core.findtext("dc:title", "", NAMESPACES) or "").strip(),
        (core.findtext("dc:language", "", NAMESPACES) or "").strip(),
        languages[0].get(f"{W}val", "") if languages else "",
    )


def signature_links(docx: bytes) -> list[Link]:
    """The links that mark places for signatures, in the document's order."""
    parts = read_parts(docx)
    relations = parse(parts.get("word/_rels/document.xml.rels", b"<empty/>"))
    targets = {
        e.get("Id", ""): e.get("Target", "")
        for e in relations.iterfind("rel:Relationship", NAMESPACES)
        if e.get("TargetMode") == "External"
    }
    links = []
    for element in parse(parts["word/document.xml"]).iter(f"{W}hyperlink"):
        target = targets.get(element.get(f"{{{NAMESPACES['r']}}}id", ""), "")
        if target:
            runs = element.findall("w:r", NAMESPACES)
            styles = [r.find("w:rPr/w:rStyle[@w:val='Hyperlink']", NAMESPACES) for r in runs]
            styled = bool(runs) and all(s is not None for s in styles)
            links.append(Link(target, element.get(f"{W}tooltip", ""), styled))
    return links


def tags(docx: bytes) -> list[str]:
    """Every Jinja tag in the document, its headers and footers, in order, white space folded."""
    parts = read_parts(docx)
    return [
        " ".join(match.group().split())
        for name in story_parts(parts)
        for match in TAG.finditer(source(etree.tostring(parse(parts[name]), encoding="unicode")))
    ]


def text(docx: bytes) -> str:
    """The printed text, paragraphs on lines of their own; headers and footers come last."""
    parts = read_parts(docx)
    return _text(parts, story_parts(parts))


def own_text(docx: bytes) -> str:
    """What a template says itself, footnotes included: its text without the tags."""
    parts = read_parts(docx)
    notes = [name for name in ("word/footnotes.xml", "word/endnotes.xml") if name in parts]
    return TAG.sub(" ", _text(parts, [*story_parts(parts), *notes]))


def _text(parts: Mapping[str, bytes], names: Iterable[str]) -> str:
    lines = []
    for name in names:
        for paragraph in parse(parts[name]).iter(f"{W}p"):
            pieces = []
            for element in paragraph.iter(f"{W}t", f"{W}br", f"{W}tab"):
                pieces.append(element.text or "" if element.tag == f"{W}t" else "\n")
            lines.append("".join(pieces))
    return "\n".join(lines)
