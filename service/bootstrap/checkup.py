"""What `signert doctor` checks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from service.bootstrap.keys import open_keys
from service.bootstrap.stores import check_store, open_store, system_clock
from service.bootstrap.templates import open_preview, open_workshop
from service.config import S3Location, Settings
from service.domain.steps import Capability
from service.domain.template import Finding, Template

if TYPE_CHECKING:
    from service.pipeline import doctor

__all__ = ["open_checkup"]


@contextlib.contextmanager
def open_checkup(settings: Settings) -> Iterator[list[tuple[str, doctor.Check]]]:
    """What `signert doctor` checks of these settings but for the broker, by name; nothing is done before the call."""
    from service.adapters import docx
    from service.adapters.fontconfig import installed_font
    from service.adapters.templates.checks.appearance import check_fonts
    from service.pipeline import doctor

    catalogue, clock = open_workshop(settings), system_clock()

    def newest() -> list[Template]:
        found = {m.name: m for m in catalogue.list() if m.kind != "receipt"}
        return [
            catalogue.get(m.name, m.version, language) for m in found.values() for language in m.languages
        ]

    def store() -> Iterator[doctor.Said]:
        check_store(settings)
        place = settings.store
        retained = bool(settings.retention_days) or any(m.retention for m in catalogue.list())
        locks = isinstance(place, S3Location) and place.lock is not None
        yield from doctor.check_store(open_store(settings), locks=locks, retained=retained)

    def templates() -> Iterator[doctor.Said]:
        versions = ((m.name, m.version, m.languages) for m in catalogue.list())
        yield from doctor.check_templates(versions, catalogue.get)

    def fonts() -> Iterator[doctor.Said]:
        def faults(template: Template) -> Iterator[Finding]:
            return check_fonts(f"{template.language}.docx", docx.looks(template.docx), installed_font)

        yield from doctor.check_fonts(newest(), faults)
        for path in (settings.font, settings.bold_font):
            yield doctor.file_readable(path, "Set SIGNERT_FONT and SIGNERT_BOLD_FONT to TrueType files.")

    with contextlib.ExitStack() as stack:
        keys = cache(lambda: open_keys(settings, stack))

        def office() -> Iterator[doctor.Said]:
            make = stack.enter_context(open_preview(settings))
            template = next(t for t in newest() if t.manifest.kind == "agreement")
            sample = catalogue.example(template.name, template.version)
            yield from doctor.check_office(make, template, sample)

        checks: list[tuple[str, doctor.Check]] = [("store", store), ("templates", templates)]
        if Capability.RENDER in settings.capabilities:
            checks += [("fonts", fonts), ("office", office)]
        if Capability.SIGN in settings.capabilities:
            checks += [
                ("anchors", lambda: doctor.check_anchors(keys().trust, clock.now())),
                ("keys", lambda: doctor.check_keys(keys(), clock.now())),
                ("timestamps", lambda: doctor.check_timestamps(keys(), clock.now)),
            ]
        yield checks
