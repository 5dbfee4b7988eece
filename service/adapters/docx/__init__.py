"""Word files as templates: fill them, look for what is unsafe in them, and read what they hold.

    filled = fill(template, {"number": "2026-1"}, title="Avtale", language="nb", created=now)

A template's tags are Jinja's: `{{ value }}`, `{% if … %}`, `{% for … %}`. As docxtpl has it, `{%p … %}` and
`{%tr … %}` take their whole paragraph or table row away. Nothing else of Jinja is allowed.
"""

from __future__ import annotations

from service.adapters.docx.composing import compose
from service.adapters.docx.easing import eased
from service.adapters.docx.filling import fill
from service.adapters.docx.looks import looks
from service.adapters.docx.reading import Link, Properties, own_text, properties, signature_links, tags, text
from service.adapters.docx.safety import unsafe_content
from service.adapters.docx.structure import paragraphs, pictures, tables
from service.adapters.docx.variables import variables

__all__ = [
    "Link",
    "Properties",
    "compose",
    "eased",
    "fill",
    "looks",
    "own_text",
    "paragraphs",
    "pictures",
    "properties",
    "signature_links",
    "tables",
    "tags",
    "text",
    "unsafe_content",
    "variables",
]
