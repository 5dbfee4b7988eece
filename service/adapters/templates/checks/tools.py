"""What the checks need of others: who reads and fills Word files, which fonts there are, who makes the PDF."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.domain.template import Finding, Template
from service.domain.word_content import Look, Paragraph, Picture, Table, Variable

__all__ = ["Link", "Properties", "Renderer", "Tools", "WordFiles"]


class Link(Protocol):
    @property
    def target(self) -> str: ...
    @property
    def tooltip(self) -> str: ...
    @property
    def is_styled(self) -> bool: ...


class Properties(Protocol):
    @property
    def title(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def text_language(self) -> str: ...


class WordFiles(Protocol):
    """Who fills and reads Word files; the module `service.adapters.docx` is one."""

    def fill(
        self,
        template_docx: bytes,
        context: Mapping[str, Any],
        *,
        title: str,
        language: str,
        created: datetime,
    ) -> bytes: ...

    def unsafe_content(self, docx: bytes) -> list[Finding]: ...

    def properties(self, docx: bytes) -> Properties: ...

    def signature_links(self, docx: bytes) -> Sequence[Link]: ...

    def tags(self, docx: bytes) -> list[str]: ...

    def text(self, docx: bytes) -> str: ...

    def paragraphs(self, docx: bytes) -> list[Paragraph]: ...

    def tables(self, docx: bytes) -> list[Table]: ...

    def pictures(self, docx: bytes) -> list[Picture]: ...

    def looks(self, docx: bytes) -> list[Look]: ...

    def variables(self, docx: bytes) -> list[Variable]: ...


class Renderer(Protocol):
    def __call__(self, template: Template, data: Mapping[str, Any]) -> list[str]:
        """Make the finished PDF; gives the paths of values that are not in its text.

        Raises `TemplateError`, `NotArchivable` and `UnreadableDocument` for what is the template's fault.
        """


@dataclass(frozen=True)
class Tools:
    """`installed_font` gives the family that stands in for a font's name where documents are rendered.

    Without `render` no PDF is made: whether the sample's values are printed is looked for in the Word file.
    """

    word: WordFiles
    installed_font: Callable[[str], str]
    render: Renderer | None = None
