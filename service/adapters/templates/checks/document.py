"""Checks of what the document says of itself, and of its places for signatures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from service.adapters.templates.checks.tools import Link, Properties
from service.domain.template import Finding, Manifest

__all__ = ["check_places", "check_properties"]


def check_properties(manifest: Manifest, language: str, found: Properties) -> Iterator[Finding]:
    file = f"{language}.docx"
    if found.title != manifest.titles[language]:
        yield Finding(
            f"{file}: docProps/core.xml",
            "document_title",
            "The document's title is missing or is another than the manifest's.",
            f"Set it in Word, under File, Info, Title: «{manifest.titles[language]}».",
        )
    for where, tag, remedy in (
        (
            "docProps/core.xml",
            found.language,
            "Set Language under File, Info, Properties, Advanced, Statistics",
        ),
        (
            "word/styles.xml",
            found.text_language,
            "Set the language of the text under Review, Language, Set as default",
        ),
    ):
        if tag.split("-")[0] != language:
            yield Finding(
                f"{file}: {where}",
                "document_language",
                f"The document says that its language is {tag or 'unknown'}; it stands as {language}.",
                f"{remedy}: {language}.",
            )


def check_places(manifest: Manifest, language: str, links: Sequence[Link]) -> Iterator[Finding]:
    file = f"{language}.docx"
    count = Counter(link.target for link in links)
    found = {link.target: link for link in links}

    def fault(role: str, message: str, remedy: str) -> Finding:
        return Finding(f"{file}: {role}", "signature_place", message, remedy)

    for place in manifest.places if language not in manifest.courtesy else ():
        link = found.pop(place.link, None)
        if link is None:
            yield fault(place.role, "The place for the signature is missing.", f"Add a link to {place.link}.")
        elif count[place.link] > 1:
            yield fault(place.role, "The place for the signature is there more than once.", "Keep one link.")
        elif not link.is_styled:
            yield fault(
                place.role, "The link's text is not in the style Hyperlink.", "Set that character style."
            )
        elif link.tooltip != place.tooltips[language]:
            yield fault(
                place.role,
                "The link's tooltip is another than the manifest's.",
                f"Make it «{place.tooltips[language]}»: screen readers say it.",
            )
    for target in found:
        yield fault(
            target,
            "The link is to a place that is not signed in this language.",
            "Add the place, or remove it.",
        )
