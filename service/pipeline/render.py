"""Data to document: fill the Word template, convert it, finish it as PDF/A and PDF/UA, place the signature fields.

Every value that the template prints must be found in the PDF's text: a document that lost one is never signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import rfc8785

from service.domain.agreement import SEAL, Agreement, Version
from service.domain.log import Draft, Occurrence, log_key, timestamp
from service.domain.ports import Attachment
from service.domain.presentation import context, is_protected, printed_values
from service.domain.receipt import receipt
from service.domain.steps import Step
from service.domain.template import Template
from service.errors import CommandRejected, FieldError, NotArchivable, TemplateError
from service.pipeline.ledger import blob_key
from service.pipeline.scans import scan_key
from service.pipeline.screen import check_screened, screened_data
from service.pipeline.services import Services, Typesetting
from signing import DOCUMENT_TIMESTAMP_FIELD, FieldPlace, page_count, place_fields

__all__ = [
    "Typeset",
    "field_places",
    "render_agreement",
    "render_receipt",
    "typeset",
    "typeset_version",
]

RECEIPT_TEMPLATE: Final = ("kvittering", "1.1.0")
_TOOLTIPS: Final = {
    "nb": {SEAL: "Virksomhetens segl", DOCUMENT_TIMESTAMP_FIELD: "Tidsstempel for hele dokumentet"},
    "nn": {SEAL: "Segl frå verksemda", DOCUMENT_TIMESTAMP_FIELD: "Tidsstempel for heile dokumentet"},
}
_LOCALES: Final = {"nb": "nb-NO", "nn": "nn-NO", "en": "en-GB"}
_DATA_FAULTS: Final = frozenset({"undefined_variable", "value_not_printed", "label_missing", "glyph_missing"})
"""Faults of a template with this data: no later attempt can end otherwise, so the command is answered."""


@dataclass(frozen=True)
class Typeset:
    """A document as Word file and as PDF, without fields for signatures.

    `lost` are the paths of values that should be printed and are not in the PDF's text.
    """

    docx: bytes
    pdf: bytes
    lost: list[str]


def render_agreement(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Render the current version with a field for the seal and one for each party that signs.

    A courtesy translation, where the agreement asks for one, and a screened edition, where the participant is
    protected, are made of the same data and kept beside it. Raises `CommandRejected` when the template cannot print
    this data, `RenderFailed` (`not_screened`).
    """
    version, ledger = agreement.current, services.ledger
    template = services.templates.get(version.template, version.template_version, version.language)
    data = ledger.get_json(agreement.id, version.input_sha256)
    document = _typeset_data(services, agreement, version, template, data)
    # Older templates have a place for every party of the agreement, and every place becomes a field.
    fielded = version.asked if template.manifest.signers_only else version.parties
    pdf = place_fields(document.pdf, field_places(template, {p.role for p in fielded}))
    with ledger.storing_together():
        revision = {"sha256": ledger.put_blob(agreement.id, pdf, "pdf"), "bytes": len(pdf)}
        docx_sha256 = ledger.put_blob(agreement.id, document.docx, "docx")
        screened = _screened(services, agreement, template, data)
        courtesy = _courtesy(services, agreement, data)
    told = {
        "command_id": version.command_id,
        "template": {"name": template.name, "version": template.version, "sha256": template.sha256},
        "document": _stored(agreement, str(revision["sha256"])),
        **({"screened": _stored(agreement, screened)} if screened else {}),
    }
    return Draft(
        "rendered",
        {
            "template_sha256": template.sha256,
            "docx_sha256": docx_sha256,
            "revision": revision,
            **courtesy,
            **({"screened_sha256": screened} if screened else {}),
        },
        (Occurrence("agreement.rendered", told),),
    )


def typeset_version(services: Services, agreement: Agreement, version: Version, language: str) -> Typeset:
    """Any version's document, of its own data and template alone: the same text at any later time.

    Raises `CommandRejected` when the template cannot print the data, `TemplateError` when the template is not there
    or not as it was.
    """
    template = services.templates.get(version.template, version.template_version, language)
    data = services.ledger.get_json(agreement.id, version.input_sha256)
    return _typeset_data(services, agreement, version, template, data)


def _typeset_data(
    services: Services, agreement: Agreement, version: Version, template: Template, data: Mapping[str, Any]
) -> Typeset:
    try:
        return _typeset(
            services,
            template,
            data,
            identifier=agreement.id,
            version=version.number,
            signers=[p.role for p in version.asked],
        )
    except (TemplateError, NotArchivable) as exc:
        if exc.code not in _DATA_FAULTS:
            raise
        fields = [f"agreement.{path}" for path in _paths_at_fault(exc, template, data)]
        raise CommandRejected(
            f"template {template.name} {template.version} cannot print this agreement",
            [FieldError(field, exc.code, f"{exc.message.rstrip('.')}. {exc.remedy}") for field in fields],
            code=exc.code,
        ) from exc


def _courtesy(services: Services, agreement: Agreement, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the entry says of the courtesy translation: a PDF that nobody signs."""
    version, language = agreement.current, data.get("courtesy_translation")
    if language is None:
        return {}
    template = services.templates.get(version.template, version.template_version, language)
    document = _typeset_data(services, agreement, version, template, data)
    sha256 = services.ledger.put_blob(agreement.id, document.pdf, "pdf")
    return {"courtesy_language": language, "courtesy_sha256": sha256}


def _screened(
    services: Services, agreement: Agreement, template: Template, data: Mapping[str, Any]
) -> str | None:
    """SHA-256 of the PDF that nobody signs and that does not tell who the participant is.

    None when anybody may know, or when the template's Word files have no notice that it is not the signed document.
    """
    if not (template.manifest.screened and is_protected(data)):
        return None
    shown, secrets = screened_data(services.ledger, agreement, data)
    document = _typeset(
        services,
        template,
        shown,
        identifier=agreement.id,
        version=agreement.current.number,
        signers=(),
        screened=True,
    )
    tools = services.typesetting
    printed, own_text = _printed(template, shown), tools.own_text(template.docx)
    check_screened(tools.pdf.text(document.pdf), template, own_text, printed, secrets)
    return services.ledger.put_blob(agreement.id, document.pdf, "pdf")


def _stored(agreement: Agreement, sha256: str) -> dict[str, str]:
    return {"sha256": sha256, "storage_key": blob_key(agreement.id, sha256, "pdf")}


def _organisation_fields(language: str) -> list[FieldPlace]:
    """The fields that no party fills. All fields are there before the first signature; none is added later."""
    return [FieldPlace(name, tooltip) for name, tooltip in _TOOLTIPS[language].items()]


def _paths_at_fault(
    fault: TemplateError | NotArchivable, template: Template, data: Mapping[str, Any]
) -> list[str]:
    """The fields of the agreement that the fault is about; `template` when it is the template's own."""
    match fault.detail:
        case {"paths": list(paths)}:
            return paths
        case {"characters": str(characters)}:
            values = _printed(template, data)
            return [path for path, text in values.items() if not set(characters).isdisjoint(text)]
        case _:
            return ["template"]


def _printed(template: Template, data: Mapping[str, Any]) -> Mapping[str, str]:
    manifest = template.manifest
    return printed_values(
        manifest.kind,
        data,
        labels=template.labels,
        language=template.language,
        field_labels=template.field_labels,
        unprinted=manifest.unprinted,
    )


def render_receipt(services: Services, agreement: Agreement, _step: Step) -> Draft:
    """Write the receipt of the verified version, as JSON and as a PDF that carries the JSON."""
    version, ledger = agreement.current, services.ledger
    assert version.report_sha256 is not None
    assert version.verified_head is not None
    data = ledger.get_json(agreement.id, version.input_sha256)
    titled = services.templates.get(version.template, version.template_version, version.language)
    document = ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    stated = receipt(
        agreement,
        title=titled.title,
        data=data,
        report=ledger.get_json(agreement.id, version.report_sha256),
        sha512=hashlib.sha512(document).hexdigest(),
        pages=page_count(document),
        storage={
            "document": blob_key(agreement.id, version.document.sha256, "pdf"),
            "input": blob_key(agreement.id, version.input_sha256, "json"),
            "report": blob_key(agreement.id, version.report_sha256, "json"),
            "log": log_key(agreement.id, version.verified_head[0]),
            **{paper.scan_sha256: scan_key(agreement.id, paper) for _, paper in version.papers},
        },
        issued_at=timestamp(services.clock.now()),
    )
    body = rfc8785.dumps(stated)
    rendered = _typeset(
        services,
        services.templates.get(*RECEIPT_TEMPLATE, version.language),
        stated,
        identifier=agreement.id,
        version=version.number,
        attachments=[Attachment("receipt.json", "application/json", "Receipt (RFC 8785 JSON)", body)],
    )
    pdf = place_fields(rendered.pdf, _organisation_fields(version.language))
    with ledger.storing_together():
        hashes = {
            "receipt_sha256": ledger.put_blob(
                agreement.id, body, "json", archived=True, until=version.kept_until
            ),
            "receipt_pdf_sha256": ledger.put_blob(agreement.id, pdf, "pdf"),
        }
    return Draft("receipt-rendered", hashes)


def _typeset(
    services: Services,
    template: Template,
    data: Mapping[str, Any],
    *,
    identifier: str,
    version: int,
    attachments: Sequence[Attachment] = (),
    signers: Sequence[str] | None = None,
    screened: bool = False,
) -> Typeset:
    """The finished document, with everything that was sent in it."""
    document = typeset(
        services.typesetting,
        template,
        data,
        identifier=identifier,
        version=version,
        created=services.clock.now(),
        attachments=attachments,
        signers=signers,
        screened=screened,
    )
    if lost := document.lost:
        raise TemplateError(
            f"Template {template.name} {template.version} ({template.language}) does not print: {', '.join(lost)}.",
            code="value_not_printed",
            remedy="Add the values to the template, or name them under `unprinted` in its manifest.",
            detail={"paths": lost},
        )
    return document


def typeset(
    tools: Typesetting,
    template: Template,
    data: Mapping[str, Any],
    *,
    identifier: str,
    version: int,
    created: datetime,
    attachments: Sequence[Attachment] = (),
    signers: Sequence[str] | None = None,
    screened: bool = False,
) -> Typeset:
    """The finished document, even when it does not hold all that was sent: see `Typeset.lost`.

    `signers` are the roles that sign it; None for all that the data say. `screened` says that the data are.
    Raises `TemplateError` and `RenderFailed`.
    """
    title, language = template.title, _LOCALES[template.language]
    docx = tools.fill(
        template.docx,
        {
            **context(
                template.manifest.kind,
                data,
                labels=template.labels,
                language=template.language,
                field_labels=template.field_labels,
                unprinted=template.manifest.unprinted,
                signers=signers,
                screened=screened,
            ),
            "version": str(version),
        },
        title=title,
        language=language,
        created=created,
        identifier=identifier,
    )
    draft = tools.office.to_pdf(docx, part=3 if attachments else 2)
    done = tools.pdf.finish(draft, title=title, language=language, created=created, attachments=attachments)
    return Typeset(docx, done.pdf, tools.pdf.missing_values(done.text, _printed(template, data)))


def field_places(template: Template, roles: Container[str]) -> list[FieldPlace]:
    """The fields of a document: the organisation's, which no party fills, and those of the parties there are.

    A courtesy translation has none.
    """
    if template.language in template.manifest.courtesy:
        return []
    places = [
        FieldPlace(p.role, p.tooltip, link=p.link, width=p.width, height=p.height)
        for p in template.places
        if p.role in roles
    ]
    return [*_organisation_fields(template.language), *places]
