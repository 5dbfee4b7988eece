"""The names of the data that a template's tags use, found in the syntax tree, so in every branch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jinja2 import TemplateSyntaxError, nodes
from lxml import etree

from service.adapters.docx.language import environment, line_text, source
from service.adapters.docx.package import parse, read_parts, story_parts
from service.domain.word_content import Variable

__all__ = ["variables"]

_Scope = Mapping[str, str | None]


def variables(docx: bytes) -> list[Variable]:
    """Every use of a name, in order. A part whose tags are not well-formed is left out."""
    parts = read_parts(docx)
    found = []
    for name in story_parts(parts):
        text = source(etree.tostring(parse(parts[name]), encoding="unicode"))
        try:
            tree = environment().parse(text)
        except TemplateSyntaxError:
            continue
        found += [
            Variable(path, f"{name}: {line_text(text, line)}", printed)
            for path, line, printed in _walk(tree, {}, printed=False)
        ]
    return found


def _walk(node: nodes.Node, scope: _Scope, *, printed: bool) -> Iterator[tuple[str, int, bool]]:
    if isinstance(node, nodes.Name | nodes.Getattr):
        if path := _path(node, scope):
            yield path, node.lineno, printed
        return
    if isinstance(node, nodes.For):
        yield from _walk(node.iter, scope, printed=False)
        inner = _inside(node, scope)
        for child in (*([node.test] if node.test is not None else []), *node.body):
            yield from _walk(child, inner, printed=False)
        for child in node.else_:
            yield from _walk(child, scope, printed=False)
        return
    asked = node.test if isinstance(node, nodes.CondExpr | nodes.If) else None
    if isinstance(node, nodes.Output):
        printed = True
    elif isinstance(node, nodes.Compare | nodes.Not):
        printed = False  # what is printed is true or false
    for child in node.iter_child_nodes():
        yield from _walk(child, scope, printed=printed and child is not asked)


def _inside(loop: nodes.For, scope: _Scope) -> _Scope:
    """The names in a loop's body. `loop`, and items of what is no list of the data, are not the data's."""
    over = _path(loop.iter, scope)
    targets = [loop.target] if isinstance(loop.target, nodes.Name) else loop.target.find_all(nodes.Name)
    return {**scope, "loop": None, **{name.name: f"{over}.*" if over else None for name in targets}}


def _path(node: nodes.Node, scope: _Scope) -> str | None:
    """`parties.employer.name`, loop variables as the path of their items; None for what is not of the data."""
    if isinstance(node, nodes.Name):
        return scope.get(node.name, node.name)
    if isinstance(node, nodes.Getattr):
        base = _path(node.node, scope)
        return f"{base}.{node.attr}" if base else None
    return None
