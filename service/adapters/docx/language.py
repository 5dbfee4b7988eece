"""The part of Jinja that a template may use, and the environment that runs it.

docxtpl's own environment can run a shell from a template. Here a template has values, conditions and loops:
no calls, filters, tests, assignments or imports, checked on the syntax tree; the sandbox is the second wall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from docxtpl import DocxTemplate
from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from lxml import etree

from service.adapters.docx.package import W, parse, story_parts
from service.domain.template import Finding

__all__ = ["TAG", "compiled", "environment", "line_text", "source", "tag_findings"]

TAG = re.compile(r"\{[{%].*?[}%]\}", re.DOTALL)

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Getattr,
    nodes.Const,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Not,
    nodes.And,
    nodes.Or,
    nodes.Compare,
    nodes.Operand,
)


class _Missing(StrictUndefined):
    """Fails at any use, and its message is the name alone."""

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


def environment() -> ImmutableSandboxedEnvironment:
    jinja = ImmutableSandboxedEnvironment(undefined=_Missing, autoescape=True)
    jinja.globals.clear()
    jinja.filters.clear()
    jinja.tests.clear()
    return jinja


def source(xml: str) -> str:
    """A part's XML as Jinja's source, with each paragraph on a line of its own to find places by."""
    patched: str = DocxTemplate.patch_xml(DocxTemplate.__new__(DocxTemplate), xml)
    return re.sub(r"<w:p([ >])", r"\n<w:p\1", patched)


@lru_cache(maxsize=64)
def compiled(xml: str) -> tuple[str, Template]:
    """A part's source and its compiled template, kept: compiling takes longer than all the rest of filling."""
    text = source(xml)
    return text, environment().from_string(text)


def line_text(text: str, number: int) -> str:
    """The paragraph on a source's line (from 1), tags and all, as the author sees it."""
    lines = text.split("\n")
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    return " ".join(re.sub(r"<[^>]+>", " ", line).split())[:120]


def tag_findings(parts: dict[str, bytes]) -> list[Finding]:
    """Tags that are not well-formed, or use more of Jinja than a template may."""
    findings = []
    for name in story_parts(parts):
        root = parse(parts[name])
        findings += [
            Finding(
                f"{name}: {torn}",
                "template_syntax",
                "A tag does not end in the paragraph where it begins.",
                "Write each tag whole, with both of its brackets.",
            )
            for torn in _torn_tags(root)
        ]
        text = source(etree.tostring(root, encoding="unicode"))
        try:
            tree = environment().parse(text)
        except TemplateSyntaxError as exc:
            findings.append(
                Finding(
                    f"{name}: {line_text(text, exc.lineno)}",
                    "template_syntax",
                    f"A tag cannot be understood: {exc.message}",
                    "Correct the tag; every if and for needs its end tag, in the same part of the document.",
                )
            )
            continue
        findings += [
            Finding(
                f"{name}: {line_text(text, line)}",
                "forbidden_tag",
                f"{what} is not allowed in a template.",
                "Use values, if and for only; everything else belongs to the data.",
            )
            for what, line in _forbidden(tree)
        ]
    return findings


def _torn_tags(root: etree._Element) -> Iterator[str]:
    """Paragraphs with half a tag: docxtpl takes the other half from the next one, and drops what is between."""
    for paragraph in root.iter(f"{W}p"):
        text = "".join(t.text or "" for t in paragraph.iter(f"{W}t"))
        if re.search(r"\{[{%]|[%}]\}", TAG.sub("", text)):
            yield " ".join(text.split())[:120]


def _forbidden(tree: nodes.Node) -> Iterator[tuple[str, int]]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if not isinstance(node, _ALLOWED):
            yield type(node).__name__.lower(), node.lineno
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield f"The name {node.attr}", node.lineno
        elif isinstance(node, nodes.Name) and node.name.startswith("_"):
            yield f"The name {node.name}", node.lineno
        stack.extend(node.iter_child_nodes())
