"""Templates, and the documents that are made of them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.bootstrap.stores import system_clock
from service.config import Settings
from service.domain.ports import Signals
from service.domain.signals import OFFICE_STARTS, SILENT
from service.domain.template import Template
from service.domain.template_diff import Change, WordVersion

if TYPE_CHECKING:
    from service.adapters.templates import Catalogue
    from service.adapters.templates.checks import Tools
    from service.adapters.templates.workshop import Workshop
    from service.pipeline.preview import Preview
    from service.pipeline.services import Typesetting

__all__ = [
    "compare_templates",
    "open_catalogue",
    "open_checks",
    "open_preview",
    "open_workshop",
    "page_pictures",
    "shown_places",
    "start_template",
    "typesetting",
]


def open_catalogue(settings: Settings) -> Catalogue:
    from service.adapters.templates import Catalogue

    return Catalogue(settings.templates)


def open_workshop(settings: Settings) -> Workshop:
    """The catalogue with the tools of its authors."""
    from service.adapters.templates.workshop import Workshop

    return Workshop(settings.templates)


def start_template(
    settings: Settings, name: str, *, source: tuple[str, str] | None, version: str | None
) -> tuple[Path, tuple[str, str], tuple[str, str] | None]:
    """A new draft in the catalogue: its folder, its name and version, and what it is a copy of."""
    from service.adapters import docx

    return open_workshop(settings).start(name, compose=docx.compose, source=source, version=version)


@contextlib.contextmanager
def open_checks(settings: Settings, *, render: bool) -> Iterator[Tools]:
    """What templates are checked with; with `render`, one LibreOffice for as long as this context."""
    from service.adapters import docx
    from service.adapters.fontconfig import installed_font
    from service.adapters.templates.checks import Tools

    with contextlib.ExitStack() as stack:
        make = stack.enter_context(open_preview(settings)) if render else None
        yield Tools(
            docx, installed_font, (lambda template, data: make(template, data).lost) if make else None
        )


@contextlib.contextmanager
def open_preview(settings: Settings) -> Iterator[Callable[[Template, Mapping[str, Any]], Preview]]:
    """Makes previews, with one LibreOffice for as long as this context."""
    from service.pipeline.preview import preview

    with contextlib.ExitStack() as stack:
        tools = cache(lambda: typesetting(settings, stack))
        yield lambda template, data: preview(tools(), template, data, created=system_clock().now())


def shown_places(pdf: bytes) -> bytes:
    """The PDF with a frame in each place for a signature."""
    from service.adapters.pdf import show_places

    return show_places(pdf)


def page_pictures(pdf: bytes, *, dots_per_inch: int) -> Sequence[bytes]:
    """A PNG of each page. Raises `ConfigurationError` (`tool_missing`)."""
    from service.adapters.pdf import page_pictures

    return page_pictures(pdf, dots_per_inch=dots_per_inch)


def compare_templates(
    workshop: Workshop, name: str, old: str, new: str, language: str | None
) -> Sequence[Change]:
    """What is different between two versions, in all languages or in one. Raises `TemplateError`."""
    from service.adapters import docx

    def read(body: bytes) -> WordVersion:
        return WordVersion(hashlib.sha256(body).hexdigest(), docx.paragraphs(body), docx.variables(body))

    return workshop.compare(name, old, new, read=read, language=language)


def typesetting(settings: Settings, stack: contextlib.ExitStack, signals: Signals = SILENT) -> Typesetting:
    """What turns data into a PDF; LibreOffice is ended with the stack."""
    from service.adapters import docx, pdf
    from service.adapters.office import Office, OfficeSettings
    from service.pipeline.services import Typesetting

    office = Office(
        OfficeSettings(
            soffice=settings.soffice,
            uno_python=settings.uno_python,
            timeout_seconds=settings.render_timeout,
        ),
        on_start=lambda reason: signals.count(OFFICE_STARTS, reason),
        eased=docx.eased,
    )
    return Typesetting(fill=docx.fill, own_text=docx.own_text, office=stack.enter_context(office), pdf=pdf)
