"""An agreement as its parties read it: what it is, where it stands, what comes next, and what there is to read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from flask import url_for

from service.domain.access import Resource, Sight, Standing
from service.domain.agreement import Agreement, Party, PartyStatus, Status, Version
from service.domain.appearance import full_name
from service.domain.due import open_items
from service.domain.presentation import organisation_number
from service.domain.presentation.words import words_of
from service.domain.screening import screened
from service.domain.steps import end_of
from service.domain.template import Manifest
from service.entrypoints.http.pages.texts import Texts
from service.errors import NotFound, TemplateError
from service.pipeline.ledger import Ledger
from service.pipeline.reading import Document, Seen, View
from service.pipeline.services import Catalogue

__all__ = [
    "AgreementPage",
    "Headline",
    "Link",
    "agreement_page",
    "content_sight",
    "data_for",
    "headline",
    "manifest_of",
    "other_side",
    "roles_for",
]

_NEXT_DATES: Final = 4


@dataclass(frozen=True)
class Headline:
    """Where it stands. `kind` colours the panel: done, you, waiting, making or stopped."""

    kind: str
    title: str
    texts: tuple[str, ...] = ()

    @property
    def icon(self) -> str:
        return "waiting" if self.kind == "making" else self.kind


@dataclass(frozen=True)
class PartyLine:
    role: str
    name: str | None
    icon: str
    text: str
    is_you: bool


@dataclass(frozen=True)
class Link:
    id: str
    href: str
    icon: str
    text: str
    help: str
    lang: str | None = None
    is_download: bool = False


@dataclass
class AgreementPage:
    title: str
    title_lang: str
    your_role: str | None
    headline: Headline
    parties: list[PartyLine]
    parties_heading: str
    next: list[str]
    reading: list[Link] = field(default_factory=list)
    reading_note: str | None = None
    dates: list[str] = field(default_factory=list)
    downloads: list[Link] = field(default_factory=list)
    downloads_note: str | None = None
    check_action: str | None = None
    facts: list[tuple[str, str, str | None]] = field(default_factory=list)
    versions_text: str = ""
    versions_href: str | None = None


def content_sight(seen: Seen) -> Sight:
    """How much this reader sees of what the version says."""
    return seen.sight(Resource.DOCUMENT if seen.version.status is Status.SIGNED else Resource.RENDERED)


def data_for(ledger: Ledger, agreement: Agreement, seen: Seen) -> Mapping[str, Any] | None:
    """The version's data as far as this reader may know them; None for nothing, and where they were erased."""
    sight = content_sight(seen)
    if sight is Sight.NONE:
        return None
    try:
        data = ledger.get_json(agreement.id, seen.version.input_sha256)
        if sight is Sight.WHOLE:
            return data
        former = [
            ledger.get_json(agreement.id, v.input_sha256).get("parties", {}).get("participant", {})
            for v in agreement.versions
            if v is not seen.version
        ]
    except NotFound:
        return None
    return screened(data, words_of(seen.version.language).screened, former)


def manifest_of(templates: Catalogue, version: Version) -> Manifest | None:
    try:
        return templates.get(version.template, version.template_version, version.language).manifest
    except TemplateError:
        return None


def title_of(manifest: Manifest | None, version: Version, language: str) -> tuple[str, str]:
    """The template's title, and in which language it is."""
    titles = manifest.titles if manifest else {}
    for each in (language, version.language):
        if each in titles:
            return titles[each], each
    return version.template, version.language


def roles_for(seen: Seen) -> set[str]:
    """The roles in which the reader sees this version."""
    return {str(s) for s in seen.standings if s not in seen.situation.ended}


def headline(t: Texts, agreement: Agreement, seen: Seen) -> Headline:
    version, mine = seen.version, roles_for(seen)
    in_force = agreement.in_force
    before = in_force if in_force and in_force is not version and version.supersedes else None
    if version.status in {Status.DECLINED, Status.CANCELLED, Status.EXPIRED, Status.REJECTED}:
        if before:
            again = t("status.amend_failed_text", number=before.number)
            return Headline("stopped", t("status.amend_failed"), (again,))
        who = next((p.role for p in version.parties if p.status is PartyStatus.DECLINED), None)
        named = _capital(t(f"role_the.{who}")) if who else ""
        key = f"status.{version.status}"
        return Headline("stopped", t(key), (t(f"{key}_text", who=named),))
    if version.status is Status.SIGNED:
        if version.terminates:
            return Headline("done", t("status.ended"), ())
        return Headline(
            "done", t("status.signed"), (t("status.signed_text", date=t.day(version.signed_at or "")),)
        )
    if version.status is Status.COMPLETED:
        return Headline("done", t("status.completed"), (t("status.completed_text"),))
    more = (t("status.amended_text", number=before.number),) if before else ()
    if version.status is not Status.SIGNING:
        return Headline("making", t("status.making"), (t("status.making_text"), *more))
    if any(version.must_declare(role) for role in mine):
        return Headline("you", t("status.declare"), (t("status.declare_text"), *more))
    asked = [p for p in version.open_parties() if p.role in mine and p.requested_at]
    if asked:
        deadline = t("status.your_turn_deadline", date=t.day(asked[0].deadline or end_of(version)))
        return Headline("you", t("status.your_turn"), (t("status.your_turn_text"), deadline, *more))
    done = sum(p.status.has_signed for p in version.asked)
    counted = t("status.signing_text", done=done, total=len(version.asked))
    title = t("status.amended") if before else t("status.signing")
    return Headline("waiting", title, (counted, *more))


def agreement_page(
    t: Texts, ledger: Ledger, templates: Catalogue, view: View, now: datetime
) -> AgreementPage:
    """The page of an agreement that this reader may know of."""
    agreement = view.agreement
    seen = view.versions[max(view.versions)]
    version = seen.version
    in_force = view.versions.get(agreement.in_force.number) if agreement.in_force else None
    manifest = manifest_of(templates, version)
    title, title_lang = title_of(manifest, version, t.language)
    mine = [p.role for p in _in_order(version) if p.role in roles_for(seen)]
    data = data_for(ledger, agreement, seen)
    page = AgreementPage(
        title=title,
        title_lang=title_lang,
        your_role=t("agreement.your_role", role=t.series([t(f"role_you.{r}") for r in mine]))
        if mine
        else None,
        headline=_with_ending(t, headline(t, agreement, seen), version, data),
        parties=[_party(t, version, p, data, p.role in mine) for p in _in_order(version)],
        parties_heading=t("parties.heading" if version.status.is_open else "parties.heading_done"),
        next=_next(t, agreement, version, set(mine)),
    )
    size = _sizes(ledger)
    page.reading, page.reading_note = _reading(t, agreement, seen, size)
    if in_force:
        page.downloads = _downloads(t, agreement, in_force, size)
        if in_force is not seen:
            page.downloads_note = t("download.in_force", number=in_force.version.number)
        if "document" in in_force.documents and content_sight(in_force):
            page.check_action = url_for(
                "pages.check", agreement_id=agreement.id, number=in_force.version.number
            )
    if content_sight(seen) and not (agreement.in_force and agreement.in_force.terminates):
        page.dates = [
            t(f"next.{item.kind}", date=_capital(t.date(item.date)))
            for item in open_items(agreement, now)[:_NEXT_DATES]
        ]
    page.facts = list(_facts(t, manifest, version, data))
    count = len(view.versions)
    page.versions_text = t("versions.count", count=count) if count > 1 else t("versions.only")
    page.versions_href = url_for("pages.versions", agreement_id=agreement.id) if count > 1 else None
    return page


def _with_ending(t: Texts, found: Headline, version: Version, data: Mapping[str, Any] | None) -> Headline:
    if version.status is Status.SIGNED and version.terminates and data and "termination" in data:
        return Headline(
            found.kind, found.title, (t("status.ended_text", date=t.date(data["termination"]["date"])),)
        )
    return found


def _in_order(version: Version) -> list[Party]:
    return sorted(version.parties, key=lambda p: (p.order, list(Standing).index(Standing(p.role))))


def _party(
    t: Texts, version: Version, party: Party, data: Mapping[str, Any] | None, is_you: bool
) -> PartyLine:
    icon, text = _party_state(t, version, party)
    return PartyLine(t(f"role.{party.role}"), _name(data, party.role), icon, text, is_you)


def other_side(data: Mapping[str, Any] | None, mine: Collection[str]) -> str | None:
    """Whom the agreement is with, to tell it from others: the employer for the participant, else the participant."""
    return _name(data, "employer" if "participant" in mine else "participant")


def _name(data: Mapping[str, Any] | None, role: str) -> str | None:
    """The party as the data have it, with its organisation."""
    found = ((data or {}).get("parties") or {}).get(role)
    if not found or "first_name" not in found:
        return None
    name = full_name(found).strip()
    organisation = (found.get("organisation") or {}).get("name")
    return f"{name}, {organisation}" if organisation else name


def _party_state(t: Texts, version: Version, party: Party) -> tuple[str, str]:
    """Icon and text."""
    match party.status:
        case PartyStatus.SIGNED:
            day = t.day(party.signed_at) if party.signed_at else None
            if day and party.signed_by:
                return "done", t("parties.signed_for", by=t(f"role_the.{party.signed_by}"), date=day)
            return "done", t("parties.signed_at", date=day) if day else t("parties.signed")
        case PartyStatus.SIGNED_ON_PAPER:
            day = t.date(party.paper.signed_on) if party.paper else None
            return "done", t("parties.paper", date=day) if day else t("parties.signed")
        case PartyStatus.DECLINED:
            return "stopped", t("parties.declined")
        case PartyStatus.EXPIRED:
            return "none", t("parties.expired")
        case PartyStatus.CANCELLED:
            return "none", t("parties.cancelled")
        case PartyStatus.NOT_APPLICABLE:
            return "none", t("parties.represented")
        case PartyStatus.TOLD:
            return "none", t("parties.told")
        case _:
            return _waiting(t, version, party)


def _waiting(t: Texts, version: Version, party: Party) -> tuple[str, str]:
    if not version.status.is_open:
        return "none", t("parties.cancelled")
    if party not in version.open_parties():
        return "none", t("parties.later")
    if party.requested_at is None:
        return "waiting", t("parties.waiting")
    return "waiting", t("parties.waiting_until", date=t.day(party.deadline or end_of(version)))


def _next(t: Texts, agreement: Agreement, version: Version, mine: set[str]) -> list[str]:
    if version.status in {Status.SUBMITTED, Status.RENDERED}:
        return [t("next.nothing")]
    if version.status is Status.SIGNING:
        turn = version.open_parties()
        now = [t("parties.you") if p.role in mine else t(f"role_the.{p.role}") for p in turn]
        later = [p for p in _in_order(version) if p.status is PartyStatus.WAITING and p not in turn]
        found = [t("next.waiting_for", who=t.series(now))] if now else []
        if later:
            names = [t("parties.you_sign") if p.role in mine else t(f"role_the.{p.role}") for p in later]
            found.append(t("next.then_others", who=t.series(names)))
        return [*found, t("next.then"), t("next.deadline", date=t.day(end_of(version)))]
    if version.status is Status.COMPLETED:
        return [t("next.nothing")]
    if version.status is Status.SIGNED:
        return [t("next.nothing")] if version.terminates else [t("next.nothing"), t("next.change")]
    return [t("next.nothing")] if agreement.in_force else [t("next.new_one")]


_Size = Callable[[Document], int]


def _sizes(ledger: Ledger) -> _Size:
    return lambda document: document.size if document.size is not None else ledger.store.size(document.key)


def _file(agreement: Agreement, seen: Seen, name: str) -> str:
    return url_for("pages.document", agreement_id=agreement.id, number=seen.version.number, name=name)


def _text_href(agreement: Agreement, seen: Seen, edition: str | None = None) -> str:
    return url_for("pages.text", agreement_id=agreement.id, number=seen.version.number, utgave=edition)


def _reading(t: Texts, agreement: Agreement, seen: Seen, size: _Size) -> tuple[list[Link], str | None]:
    sight, documents = content_sight(seen), seen.documents
    if sight is Sight.NONE:
        first = next(
            (d for d in seen.version.declarations if d.role in roles_for(seen) and not d.is_done), None
        )
        if first is None:
            return [], t("read.not_yours")
        href = url_for("pages.agreement", agreement_id=first.agreement_id)
        told = t("read.declaration_help")
        return [Link("h-declaration", href, "text", t("read.declaration"), told)], t("read.undeclared")
    signed = "document" in documents
    note = None if signed else t("read.not_signed") if seen.version.status.is_open else None
    lang = seen.version.language
    if sight is not Sight.WHOLE:
        if "screened" not in documents:
            return [], t("read.none")
        note = " ".join(filter(None, (note, t("read.screened"))))
    elif "rendered" not in documents:
        return [], t("read.none")
    links = [Link("h-text", _text_href(agreement, seen), "text", t("read.text"), t("read.text_help"), lang)]
    if sight is not Sight.WHOLE:
        name, key = "skjermet.pdf", "pdf"
        document = documents["screened"]
    elif signed:
        name, key, document = "avtale.pdf", "pdf", documents["document"]
    else:
        name, key, document = "lesekopi.pdf", "pdf_unsigned", documents["rendered"]
    told = t(f"read.{key}_help", size=t.size(size(document)))
    links.append(Link("h-pdf", _file(agreement, seen, name), "file", t(f"read.{key}"), told, lang))
    if "courtesy" in documents and seen.sight(Resource.COURTESY) is Sight.WHOLE:
        href = _text_href(agreement, seen, "oversettelse")
        links.append(
            Link("h-courtesy", href, "text", t("read.translation"), t("read.translation_help"), "en")
        )
    return links, note


def _downloads(t: Texts, agreement: Agreement, seen: Seen, size: _Size) -> list[Link]:
    wanted: Iterable[tuple[str, str, str, Resource]] = (
        ("signed", "document", "avtale.pdf", Resource.DOCUMENT),
        ("screened", "screened", "skjermet.pdf", Resource.SCREENED),
        ("receipt", "receipt.pdf", "kvittering.pdf", Resource.RECEIPT),
        ("receipt_json", "receipt", "kvittering.json", Resource.RECEIPT),
        ("translation", "courtesy", "oversettelse.pdf", Resource.COURTESY),
    )
    whole = seen.sight(Resource.DOCUMENT) is Sight.WHOLE
    return [
        Link(
            f"d-{key}",
            f"{_file(agreement, seen, name)}?last-ned=1",
            "download",
            t(f"download.{key}"),
            t(f"download.{key}_help", size=t.size(size(seen.documents[document]))),
            is_download=True,
        )
        for key, document, name, resource in wanted
        if document in seen.documents
        and seen.sight(resource) is Sight.WHOLE
        # A reader of the whole document has no use for the edition that shows less.
        and not (whole and document == "screened")
    ]


def _facts(
    t: Texts, manifest: Manifest | None, version: Version, data: Mapping[str, Any] | None
) -> Iterable[tuple[str, str, str | None]]:
    if data is None:
        return
    labels = manifest.labels if manifest else {}
    spoken = t.language if t.language in labels else version.language
    if measure := labels.get(spoken, {}).get("measure", {}).get(data.get("measure", "")):
        yield t("agreement.measure_label"), measure, spoken
    if period := data.get("period"):
        text = t("agreement.period", start=t.date(period["start"]), end=t.date(period["end"]))
        yield t("agreement.period_label"), text, None
    organisation = (data.get("parties", {}).get("employer") or {}).get("organisation")
    if organisation:
        shown = organisation["name"]
        if str(organisation.get("number", "")).isdecimal():
            shown = f"{shown} ({organisation_number(organisation['number'])})"
        yield t("agreement.employer_label"), shown, None
    if number := data.get("number"):
        yield t("agreement.number_label"), str(number), None
    yield t("agreement.version_label"), str(version.number), None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
