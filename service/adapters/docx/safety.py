"""What a Word file may not carry: anything that runs, fetches, embeds or changes by itself.

LibreOffice is told not to follow links and not to run macros; a template with either is refused all the same.
Parts are held to a list of what is allowed (ECMA-376 part 1, 11.3), so what nobody thought of is refused too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from lxml import etree

from service.adapters.docx.language import tag_findings
from service.adapters.docx.package import NAMESPACES, W, parse, read_parts
from service.adapters.docx.styles import enclosing_text
from service.domain.template import Finding
from service.errors import TemplateError

__all__ = ["unsafe_content"]

_SIGNATURE_LINK = re.compile(r"https://signature\.invalid/[a-z_]+")
_HYPERLINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"
_WML = "application/vnd.openxmlformats-officedocument.wordprocessingml."
_CONTENT_TYPES = frozenset(
    {
        "application/vnd.openxmlformats-package.relationships+xml",
        "application/vnd.openxmlformats-package.core-properties+xml",
        "application/vnd.openxmlformats-officedocument.extended-properties+xml",
        "application/vnd.openxmlformats-officedocument.custom-properties+xml",
        "application/vnd.openxmlformats-officedocument.customXmlProperties+xml",
        "application/vnd.openxmlformats-officedocument.theme+xml",
        "image/png",
        "image/jpeg",
        *(
            f"{_WML}{kind}+xml"
            for kind in (
                "document.main",
                "styles",
                "settings",
                "webSettings",
                "fontTable",
                "numbering",
                "header",
                "footer",
                "footnotes",
                "endnotes",
            )
        ),
    }
)
# Relationship types that bring in something of their own, by the last segment of their URI.
_RELATIONSHIPS = {
    "attachedTemplate": "attached_template",
    "vbaProject": "macro",
    "wordVbaData": "macro",
    "oleObject": "embedded_object",
    "package": "embedded_object",
    "control": "embedded_object",
    "aFChunk": "embedded_document",
    "subDocument": "embedded_document",
    "glossaryDocument": "embedded_document",
    "frame": "embedded_document",
    "mailMergeSource": "external_target",
    "mailMergeHeaderSource": "external_target",
}
_ELEMENTS = {
    "altChunk": "embedded_document",
    "subDoc": "embedded_document",
    "frameset": "embedded_document",
    "object": "embedded_object",
    "OLEObject": "embedded_object",
    "control": "embedded_object",
    "movie": "embedded_object",
    "attachedTemplate": "attached_template",
    "mailMerge": "external_target",
    "dataBinding": "data_binding",
    "ins": "tracked_changes",
    "del": "tracked_changes",
    "moveFrom": "tracked_changes",
    "moveTo": "tracked_changes",
}
_MESSAGES = {
    "attached_template": ("The document is attached to another template.", "Attach it to Normal.dotm."),
    "macro": ("The document carries macros.", "Save it as a .docx document, without macros."),
    "embedded_object": ("The document embeds an object or a control.", "Remove it, or use a picture."),
    "embedded_document": ("The document embeds another document.", "Put its text into the document itself."),
    "external_target": ("The document points to something outside of itself.", "Remove the link."),
    "data_binding": ("A content control takes its text from elsewhere.", "Remove the content control."),
    "tracked_changes": (
        "There are changes that are neither accepted nor rejected.",
        "Accept or reject them.",
    ),
    "active_field": ("A field other than PAGE and NUMPAGES is used.", "Write the text itself, or a tag."),
    "unknown_part": ("The document has a part of a kind that is not allowed.", "Remove it."),
}
_FIELDS = frozenset({"PAGE", "NUMPAGES"})


def unsafe_content(docx: bytes) -> list[Finding]:
    """What makes the file unfit to be a template; empty when it is safe.

    Codes: `not_a_word_file`, `unsafe_zip`, `invalid_xml`, `unknown_part`, `external_target`,
    `attached_template`, `macro`, `embedded_object`, `embedded_document`, `active_field`, `data_binding`,
    `tracked_changes`, `template_syntax`, `forbidden_tag`.
    """
    return list(_unsafe_content(docx))


@lru_cache(maxsize=32)
def _unsafe_content(docx: bytes) -> tuple[Finding, ...]:
    try:
        parts = read_parts(docx)
        found = [*_content_types(parts)]
        for name, body in parts.items():
            if name.endswith(".rels"):
                found += _relationships(name, parse(body), parts)
            elif name.endswith(".xml"):
                found += _elements(name, parse(body))
        if not found:
            return tuple(tag_findings(parts))
    except TemplateError as exc:
        return (Finding("file", exc.code, exc.message, exc.remedy),)
    return tuple(dict.fromkeys(_finding(where, code) for where, code in found))


def _finding(where: str, code: str) -> Finding:
    message, remedy = _MESSAGES[code]
    return Finding(where, code, message, remedy)


def _content_types(parts: dict[str, bytes]) -> Iterator[tuple[str, str]]:
    root = parse(parts["[Content_Types].xml"])
    overrides = {
        e.get("PartName", "").lstrip("/").lower(): e.get("ContentType", "")
        for e in root.iterfind("ct:Override", NAMESPACES)
    }
    defaults = {
        e.get("Extension", "").lower(): e.get("ContentType", "")
        for e in root.iterfind("ct:Default", NAMESPACES)
    }
    for name in parts:
        if name == "[Content_Types].xml":
            continue
        extension = name.rpartition(".")[2].lower()
        kind = overrides.get(name.lower()) or defaults.get(extension, "")
        if "vba" in kind.lower() or "macro" in kind.lower() or name.lower().endswith("vbaproject.bin"):
            yield name, "macro"
        elif "oleobject" in kind.lower() or "activex" in kind.lower() or name.startswith("word/embeddings/"):
            yield name, "embedded_object"
        elif kind == "application/xml" and name.startswith("customXml/"):
            continue
        elif kind not in _CONTENT_TYPES:
            yield name, "unknown_part"


def _relationships(name: str, root: etree._Element, parts: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    for relation in root.iterfind("rel:Relationship", NAMESPACES):
        if code := _fault_of(relation):
            yield _user(name, relation.get("Id", ""), parts), code


def _fault_of(relation: etree._Element) -> str | None:
    kind, target = relation.get("Type", ""), relation.get("Target", "")
    if code := _RELATIONSHIPS.get(kind.rpartition("/")[2]):
        return code
    if relation.get("TargetMode", "Internal") != "Internal":
        is_place = kind == _HYPERLINK and _SIGNATURE_LINK.fullmatch(target)
        return None if is_place else "external_target"
    return "external_target" if ":" in target or target.startswith(("\\", "//")) else None


def _user(name: str, relation: str, parts: Mapping[str, bytes]) -> str:
    """Where a relationship is used: part and paragraph; the relationship itself when nothing in the text names it."""
    part = name.replace("_rels/", "", 1).removesuffix(".rels")
    if part in parts and part.endswith(".xml"):
        prefix = f"{{{NAMESPACES['r']}}}"
        for element in parse(parts[part]).iter("{*}*"):
            if any(str(k).startswith(prefix) and v == relation for k, v in element.attrib.items()):
                return enclosing_text(part, element)
    return f"{name}: {relation}"


def _elements(name: str, root: etree._Element) -> Iterator[tuple[str, str]]:
    for element in root.iter("{*}*"):
        local = etree.QName(element).localname
        if code := _ELEMENTS.get(local):
            yield enclosing_text(name, element), code
        elif local == "imagedata" and (element.get("src") or element.get(f"{{{NAMESPACES['r']}}}href")):
            yield enclosing_text(name, element), "external_target"
    for element, instruction in _instructions(root):
        if not _is_passive(instruction):
            kind = f" [{' '.join(instruction.split())[:30]}]" if instruction.strip() else ""
            yield f"{enclosing_text(name, element)}{kind}", "active_field"


def _instructions(root: etree._Element) -> Iterator[tuple[etree._Element, str]]:
    """Every field's instruction (17.16): in `fldSimple`, or over several runs between `fldChar` marks."""
    open_fields: list[tuple[etree._Element, list[str]]] = []
    for element in root.iter(f"{W}fldSimple", f"{W}fldChar", f"{W}instrText", f"{W}delInstrText"):
        kind = element.get(f"{W}fldCharType")
        if element.tag == f"{W}fldSimple":
            yield element, element.get(f"{W}instr", "")
        elif kind == "begin":
            open_fields.append((element, []))
        elif kind == "end":
            begin, pieces = open_fields.pop() if open_fields else (element, [])
            yield begin, "".join(pieces)
        elif kind is None:
            # An instruction outside of a field is nothing that Word writes: it stands as a field of its own.
            if not open_fields:
                open_fields.append((element, []))
            open_fields[-1][1].append(element.text or "")
    yield from ((begin, "".join(pieces)) for begin, pieces in open_fields)


def _is_passive(instruction: str) -> bool:
    words = instruction.split()
    return bool(words) and words[0].upper() in _FIELDS
