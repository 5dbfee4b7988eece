"""What a template of the catalogue is: its manifest, its Word file in one language, and findings about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.ports import SignaturePlace
from service.domain.presentation import Kind
from service.domain.retention import RetentionRule
from service.errors import TemplateError

__all__ = ["Finding", "Manifest", "PartyRule", "Place", "Template"]


@dataclass(frozen=True)
class Finding:
    """One fault in a template. `where` is a file, and a part or tag in it where that is known."""

    where: str
    code: str
    message: str
    remedy: str

    def as_json(self) -> dict[str, str]:
        return {"where": self.where, "code": self.code, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True)
class PartyRule:
    """When a party signs (order group 0–9, lower first) and whether the template demands that party."""

    order: int
    required: bool


@dataclass(frozen=True)
class Place:
    """A party's place for a signature; `tooltips` by language, width and height in points."""

    role: str
    link: str
    tooltips: Mapping[str, str]
    width: float
    height: float


@dataclass(frozen=True)
class Manifest:
    """A template version's `manifest.toml`.

    `labels[language][enumeration][value]` is what is printed for a code; `unprinted` lists the field paths
    (`*` for one segment; a path covers all beneath it) whose values need not be in the document's text.
    `fields[language][path]` names fields in a list of changes (see `describe_changes`). `courtesy` lists those of
    `languages` in which a document may be read but not signed. `signers_only` says that a party that does not sign a
    version gets no place for a signature in it; `screened` that the Word files know of the screened edition.
    """

    name: str
    version: str
    kind: Kind
    titles: Mapping[str, str]
    measures: tuple[str, ...]
    parties: Mapping[str, PartyRule]
    places: tuple[Place, ...]
    labels: Mapping[str, Mapping[str, Mapping[str, str]]]
    unprinted: tuple[str, ...]
    declarations: Mapping[str, str] = field(default_factory=dict)
    """The template of the declaration that a role signs before it may sign the agreement."""
    amendments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Who must sign a change again, by change type, where it is not as `domain/changes.py` has it."""
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    courtesy: tuple[str, ...] = ()
    signers_only: bool = False
    screened: bool = False
    retention: RetentionRule | None = None
    """How long what is signed is kept; None where the manifest leaves it to the archive."""

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(self.titles)

    def label(self, enumeration: str, value: str, language: str) -> str:
        """The printed form of `value`. Raises `TemplateError` (`label_missing`)."""
        try:
            return self.labels[language][enumeration][value]
        except KeyError:
            raise TemplateError(
                f"Template {self.name} {self.version} has no label for {enumeration}.{value} in {language}.",
                code="label_missing",
                remedy=f"Add it to the manifest under [labels.{language}.{enumeration}].",
            ) from None


@dataclass(frozen=True)
class Template:
    """One template version in one language: the Word file's bytes and their SHA-256 (hex)."""

    manifest: Manifest
    language: str
    docx: bytes
    sha256: str

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> str:
        return self.manifest.version

    @property
    def title(self) -> str:
        return self.manifest.titles[self.language]

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Labels in the template's language: `labels[enumeration][value]`."""
        return self.manifest.labels[self.language]

    @property
    def field_labels(self) -> Mapping[str, str]:
        """Names of fields in the template's language, by path; empty where the manifest has none."""
        return self.manifest.fields.get(self.language, {})

    @property
    def places(self) -> tuple[SignaturePlace, ...]:
        """The places for signatures, in the manifest's order, with tooltips in the template's language.

        A courtesy translation has none.
        """
        if self.language in self.manifest.courtesy:
            return ()
        return tuple(
            SignaturePlace(p.role, p.link, p.tooltips[self.language], p.width, p.height)
            for p in self.manifest.places
        )
