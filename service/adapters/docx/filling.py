"""Filling a template: docxtpl's tags on a sandbox, strict in what it takes and the same bytes each time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from docx.opc.constants import CONTENT_TYPE
from docx.opc.coreprops import CoreProperties
from docx.opc.packuri import PackURI
from docx.opc.parts.coreprops import CorePropertiesPart
from docx.package import Package
from docxtpl import DocxTemplate
from jinja2 import UndefinedError
from jinja2.exceptions import TemplateError as JinjaError
from lxml import etree

from service.adapters.docx.language import TAG, compiled, line_text
from service.adapters.docx.opened import Story, opened
from service.adapters.docx.package import write_parts
from service.adapters.docx.safety import unsafe_content
from service.errors import TemplateError

__all__ = ["fill"]

# What XML 1.0 (2.2) has no place for: libxml and docxtpl drop some of these in silence.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_PARAGRAPH = re.compile(r"<w:p(?: [^>]*)?>.*?</w:p>", re.DOTALL)
_BREAK = re.compile("[\t\n\a\f]")
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"


def fill(
    template_docx: bytes,
    context: Mapping[str, Any],
    *,
    title: str,
    language: str,
    created: datetime,
    subject: str = "",
    identifier: str = "",
    author: str = "Signert",
) -> bytes:
    """The template with its tags replaced by `context`'s values (strings, booleans, lists and mappings).

    Line breaks and tabs in a value become Word's. `language` (BCP 47) and the others are set as core
    properties, `created` (aware) as both times. The same arguments give the same bytes.

    Raises `TemplateError`: `template_unsafe` (see `unsafe_content`), `undefined_variable` (the template names
    what the context lacks), `illegal_character` (a value that XML cannot hold), `template_syntax`.
    """
    if findings := unsafe_content(template_docx):
        first = findings[0]
        syntax = first.code == "template_syntax"
        raise TemplateError(
            f"The template cannot be used: {first.message} ({first.where})",
            code="template_syntax" if syntax else "template_unsafe",
            remedy=first.remedy,
            detail={"findings": [f.as_json() for f in findings]},
        )
    for path, value in _strings(context):
        if _ILLEGAL.search(value):
            raise TemplateError(
                f"The value of {path} has a character that a document cannot hold.",
                code="illegal_character",
                remedy="Remove control characters and lone surrogates from the data.",
                detail={"path": path},
            )
    template = opened(template_docx)
    parts = dict(template.parts)
    parts[template.document.part] = _document(template.document, context)
    for story in template.headers:
        parts[story.part] = _serialized(_parsed(_rendered(story, context)))
    for story in template.footnotes:
        parts[story.part] = _rendered(story, context).encode("utf-8")
    # Set afterwards: tags in properties would be escaped twice.
    moment = created.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    properties = CorePropertiesPart.load(
        PackURI(f"/{template.core}"), CONTENT_TYPE.OPC_CORE_PROPERTIES, parts[template.core], Package()
    )
    core = CoreProperties(properties.element)
    core.title, core.language, core.subject, core.identifier = title, language, subject, identifier
    core.author = core.last_modified_by = author
    core.created = core.modified = moment
    core.revision = 1
    parts[template.core] = properties.blob
    return write_parts(parts)


def _strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{path}.{index}")


def _rendered(story: Story, context: Mapping[str, Any]) -> str:
    """The story's XML with its tags carried out, without docxtpl's leniency: see `language.py`."""
    text, template = compiled(story.source)
    try:
        rendered = template.render(context)
    except UndefinedError as exc:
        raise _undefined(exc, text) from exc
    except (JinjaError, TypeError) as exc:
        raise TemplateError(
            f"A tag of the template cannot be carried out in /{story.part}: {type(exc).__name__}.",
            code="template_syntax",
            remedy="Correct the tag; `signert templates check` shows where it stands.",
        ) from exc
    rendered = rendered.replace("\n<w:p>", "<w:p>").replace("\n<w:p ", "<w:p ")
    return _PARAGRAPH.sub(_with_breaks, rendered) if _BREAK.search(rendered) else rendered


def _with_breaks(paragraph: re.Match[str]) -> str:
    """Line breaks and tabs of the values as Word's, as docxtpl has them."""
    found = paragraph[0]
    if not _BREAK.search(found):
        return found
    return str(DocxTemplate.resolve_listing(DocxTemplate.__new__(DocxTemplate), found))


def _document(story: Story, context: Mapping[str, Any]) -> bytes:
    rendered = _rendered(story, context)
    root = _parsed(f"{story.before}{rendered.removeprefix(story.own)}{story.after}", keep_blank=True)
    # A picture that a loop repeats would have the same number each time.
    for number, drawing in enumerate(root.iter(f"{_WP}docPr"), start=1001):
        drawing.set("id", str(number))
    return _serialized(root)


def _parsed(xml: str, *, keep_blank: bool = False) -> etree._Element:
    try:
        return etree.fromstring(
            xml, etree.XMLParser(remove_blank_text=not keep_blank, resolve_entities=False, no_network=True)
        )
    except etree.XMLSyntaxError as exc:
        raise TemplateError(
            "The filled template is not well-formed XML.",
            code="template_syntax",
            remedy="A tag opens in one paragraph or row and closes in another: use {%p %} or {%tr %}.",
        ) from exc


def _serialized(root: etree._Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", standalone=True)


def _undefined(exc: UndefinedError, text: str) -> TemplateError:
    name, line, trace = str(exc.message), 0, exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    place = line_text(text, line)
    # The whole dotted name as it stands in the tag, where it can be found.
    found = re.search(rf"[\w.]*\b{re.escape(name)}\b", " ".join(TAG.findall(place)))
    dotted = found.group() if found else name
    return TemplateError(
        f"The template names {dotted}, which the data does not have, in: {place}",
        code="undefined_variable",
        remedy="Correct the name in the template, or ask for it only where it is (`{% if … %}`).",
        detail={"variable": dotted, "place": place},
    )
