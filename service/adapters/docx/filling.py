"""Filling a template: docxtpl on a sandbox, strict in what it takes and the same bytes each time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from docxtpl import DocxTemplate
from jinja2 import UndefinedError
from jinja2.exceptions import TemplateError as JinjaError
from lxml import etree

from service.adapters.docx.language import TAG, compiled, line_text
from service.adapters.docx.package import read_parts, write_parts
from service.adapters.docx.safety import unsafe_content
from service.errors import TemplateError

__all__ = ["fill"]

# What XML 1.0 (2.2) has no place for: libxml and docxtpl drop some of these in silence.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
    template = _Template(io.BytesIO(template_docx))
    template.render(dict(context))
    moment = created.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    core = template.docx.core_properties
    core.title, core.language, core.subject, core.identifier = title, language, subject, identifier
    core.author = core.last_modified_by = author
    core.created = core.modified = moment
    core.revision = 1
    out = io.BytesIO()
    template.save(out)
    return write_parts(read_parts(out.getvalue()))


def _strings(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _strings(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, Sequence):
        for index, inner in enumerate(value):
            yield from _strings(inner, f"{path}.{index}")


class _Template(DocxTemplate):  # type: ignore[misc]
    """docxtpl without its leniency: no recovery from broken XML, no tags in properties, no `{_{`."""

    def render_xml_part(
        self,
        src_xml: str,
        part: Any,
        context: dict[str, Any],
        jinja_env: Any = None,  # noqa: ARG002 — docxtpl's signature; the environment is always our own
    ) -> str:
        self.current_rendering_part = part
        text = ""
        try:
            text, jinja_template = compiled(src_xml)
            rendered = jinja_template.render(context)
        except UndefinedError as exc:
            raise self._undefined(exc, text) from exc
        except (JinjaError, TypeError) as exc:
            raise TemplateError(
                f"A tag of the template cannot be carried out in {part.partname}: {type(exc).__name__}.",
                code="template_syntax",
                remedy="Correct the tag; `signert templates check` shows where it stands.",
            ) from exc
        rendered = re.sub(r"\n<w:p([ >])", r"<w:p\1", rendered)
        return str(self.resolve_listing(rendered))

    def patch_xml(self, src_xml: str) -> str:
        # `compiled` patches, together with the line breaks that places are found by.
        return src_xml

    def fix_tables(self, xml: str) -> etree._Element:
        try:
            return etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError as exc:
            raise TemplateError(
                "The filled template is not well-formed XML.",
                code="template_syntax",
                remedy="A tag opens in one paragraph or row and closes in another: use {%p %} or {%tr %}.",
            ) from exc

    def render_properties(self, context: dict[str, Any], jinja_env: Any = None) -> None:
        """The properties are set afterwards: tags in them would be escaped twice."""

    @staticmethod
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
