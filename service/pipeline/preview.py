"""A template's document as its parties would get it, made from an example: for those who own the template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from service.domain.presentation import signing_roles
from service.domain.template import Template
from service.domain.template_fields import SHAPES
from service.errors import TemplateError
from service.pipeline.render import field_places, typeset
from service.pipeline.services import Typesetting
from signing import FieldPlaceError, place_fields

__all__ = ["Preview", "preview"]

_NO_AGREEMENT: Final = "00000000-0000-0000-0000-000000000000"
"""What stands for the agreement's id, which an example has none of."""


@dataclass(frozen=True)
class Preview:
    """The finished PDF with its signature fields; `lost` are the paths of values that are not in its text."""

    pdf: bytes
    lost: list[str]


def preview(tools: Typesetting, template: Template, data: Mapping[str, Any], *, created: datetime) -> Preview:
    """Make the document of `data` with every step of the real one, but for the signatures.

    Raises `TemplateError` (`signature_place` too) and `RenderFailed`.
    """
    if "id" in SHAPES[template.manifest.kind]:
        data = {"id": _NO_AGREEMENT, **data, "language": template.language}
    document = typeset(tools, template, data, identifier=_NO_AGREEMENT, version=1, created=created)
    roles = signing_roles(data) if template.manifest.signers_only else data.get("parties", {})
    try:
        pdf = place_fields(document.pdf, field_places(template, roles))
    except FieldPlaceError as exc:
        raise TemplateError(
            f"A place for a signature does not fit: {exc}.",
            code="signature_place",
            remedy="Leave more room for it in the Word file, or make it smaller in the manifest.",
        ) from exc
    return Preview(pdf, [path for path in document.lost if path != "id"])
