"""An agreement and its documents, for those who are party to it. Every read is in the access log first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue

from service.bootstrap import read_structure
from service.domain.access import Resource, Sight
from service.domain.agreement import Status
from service.domain.summary import Query
from service.domain.tagged_text import Block, Grid, Heading
from service.entrypoints.http.access import record, refuse
from service.entrypoints.http.pages import faults
from service.entrypoints.http.pages.answers import answer
from service.entrypoints.http.pages.checking import check_version
from service.entrypoints.http.pages.frame import current_session, page, pages, texts_for
from service.entrypoints.http.pages.login import ask_to_log_in
from service.entrypoints.http.pages.texts import Texts
from service.entrypoints.http.pages.views import (
    agreement_page,
    content_sight,
    data_for,
    headline,
    manifest_of,
    other_side,
    roles_for,
    title_of,
)
from service.entrypoints.http.site import set_reader, site, trace
from service.errors import LogCorrupt, NotFound, QueryRefused
from service.pipeline.access_log import Outcome, Read
from service.pipeline.history import chapter
from service.pipeline.ledger import Ledger
from service.pipeline.reading import Document, Seen, View, parse_id, roles_of, view_of
from service.pipeline.search import search

__all__ = ["add"]

_FILES: Final[Mapping[str, str]] = {
    "avtale.pdf": "document",
    "lesekopi.pdf": "rendered",
    "skjermet.pdf": "screened",
    "oversettelse.pdf": "courtesy",
    "kvittering.pdf": "receipt.pdf",
    "kvittering.json": "receipt",
}
"""Addresses of documents: never one that half of the parties have signed."""
_PAGE: Final = 20

_View = Callable[..., ResponseReturnValue]


def add(blueprint: Blueprint) -> None:
    one = "/avtale/<agreement_id>"
    version = f"{one}/<int:number>"
    blueprint.add_url_rule("/mine", "mine", _logged_in(_mine, about_agreement=False))
    blueprint.add_url_rule(one, "agreement", _logged_in(_agreement))
    blueprint.add_url_rule(f"{one}/versjoner", "versions", _logged_in(_versions))
    blueprint.add_url_rule(f"{version}/tekst", "text", _logged_in(_text))
    blueprint.add_url_rule(f"{version}/sjekk", "check", _logged_in(_check), methods=["GET", "POST"])
    blueprint.add_url_rule(f"{version}/<name>", "document", _logged_in(_document))


def _logged_in(view: _View, *, about_agreement: bool = True) -> _View:
    """The view for those who are logged in; for others, the page that asks them to."""

    @wraps(view)
    def guarded(**values: Any) -> ResponseReturnValue:
        session = current_session()
        if session is None:
            return ask_to_log_in(request.path, about_agreement=about_agreement)
        set_reader(session.reader)
        return view(**values)

    return guarded


def _opened(agreement_id: str, what: str) -> View:
    """Raises `NotFound` for what is not there and for what is others', and `AccessEnded`; both are recorded alike."""
    here, session = site(), current_session()
    assert session is not None
    now = here.clock.now()
    try:
        agreement = here.agreements.find(agreement_id, now)
    except NotFound:
        refuse(agreement_id, what)
    view = view_of(here.ledger, agreement, session.reader, now)
    if not view.is_empty:
        return view
    was_party = any(roles_of(here.ledger, agreement, v, session.reader) for v in agreement.versions)
    try:
        refuse(agreement_id, what)
    except NotFound:
        if was_party:
            raise faults.AccessEnded from None
        raise


def _seen(view: View, number: int, what: str) -> Seen:
    seen = view.versions.get(number)
    if seen is None:
        refuse(view.agreement.id, what, number)
    return seen


def _newest(view: View) -> Seen:
    return view.versions[max(view.versions)]


def _home(view: View) -> str:
    return url_for("pages.agreement", agreement_id=view.agreement.id)


# --- the agreement ---


def _agreement(agreement_id: str) -> ResponseReturnValue:
    here, view = site(), _opened(agreement_id, "page")
    record(view, "page", Outcome.READ)
    prefer = _newest(view).version.language
    t = texts_for(prefer)
    shown = agreement_page(t, here.ledger, pages().templates, view, here.clock.now())
    return page("agreement.html", prefer=prefer, title=shown.title, page=shown)


@dataclass(frozen=True)
class _Chapter:
    number: int
    lang: str
    is_in_force: bool
    state: str
    types: str | None = None
    reason: str | None = None
    ending: str | None = None
    changes: Sequence[Mapping[str, str | None]] = ()
    note: str | None = None
    told: str | None = None
    href: str | None = None


def _versions(agreement_id: str) -> ResponseReturnValue:
    view = _opened(agreement_id, "versions")
    record(view, "versions", Outcome.READ)
    prefer = _newest(view).version.language
    t = texts_for(prefer)
    chapters = [_chapter(t, view, seen) for _, seen in sorted(view.versions.items(), reverse=True)]
    return page(
        "versions.html", prefer=prefer, title=t("versions.title"), chapters=chapters, back=_home(view)
    )


_STATES: Final = {
    Status.SUBMITTED: "making",
    Status.RENDERED: "waiting",
    Status.SIGNING: "waiting",
    Status.COMPLETED: "completed",
    Status.REJECTED: "rejected",
    Status.DECLINED: "declined",
    Status.CANCELLED: "cancelled",
    Status.EXPIRED: "expired",
}


def _chapter(t: Texts, view: View, seen: Seen) -> _Chapter:
    version, sight = seen.version, content_sight(seen)
    in_force = view.agreement.in_force
    if version.signed_at:
        state = t("versions.signed", date=t.day(version.signed_at))
    else:
        opened = t("versions.opened", date=t.day(version.opened_at))
        state = f"{opened}. {t(f'versions.{_STATES[version.status]}')}."
    readable = sight and ("rendered" if sight is Sight.WHOLE else "screened") in seen.documents
    common: dict[str, Any] = {
        "number": version.number,
        "lang": version.language,
        "is_in_force": in_force is not None and in_force.number == version.number,
        "state": state,
        "href": url_for("pages.text", agreement_id=view.agreement.id, number=version.number)
        if readable
        else None,
    }
    if version.number == 1:
        return _Chapter(**common, note=t("versions.first"))
    if sight is not Sight.WHOLE:
        # The words of a change may tell who the participant is; the screened edition has those that do not.
        return _Chapter(**common, note=t("versions.hidden"))
    try:
        told = chapter(site().ledger, pages().templates, view.agreement.id, version)
    except NotFound:
        return _Chapter(**common, note=t("error.gone_text"))
    return _Chapter(
        **common,
        types=", ".join(told.types) or None,
        reason=told.reason,
        ending=t("versions.ends", date=t.date(told.termination["date"])) if told.termination else None,
        changes=[
            {
                "what": change.what,
                "before": None if change.before == "–" else change.before,
                "after": None if change.after == "–" else change.after,
            }
            for change in told.changes
        ],
        told=t("versions.told", who=", ".join(told.told)) if told.told else None,
    )


def _check(agreement_id: str, number: int) -> ResponseReturnValue:
    view = _opened(agreement_id, "check")
    seen = _seen(view, number, "check")
    home = _home(view)
    if request.method != "POST":  # reached by a link to this page, which has an answer only when asked
        record(view, "page", Outcome.READ)
        return Response(status=303, headers={"Location": home})
    if content_sight(seen) is Sight.NONE or seen.version.status is not Status.SIGNED:
        refuse(agreement_id, "check", number)
    record(view, "check", Outcome.READ, seen)
    try:
        report, differences = check_version(view.agreement, seen.version)
    except NotFound:
        raise faults.Erased from None
    prefer = seen.version.language
    t = texts_for(prefer)
    whole = seen.sight(Resource.REPORT) is Sight.WHOLE
    return page(
        "check.html",
        prefer=prefer,
        here=home,
        title=t("check.title"),
        answer=answer(t, report, ours=True, faults=differences, detailed=whole),
        back=home,
        again=request.path,
    )


# --- what there is to read ---


def _document(agreement_id: str, number: int, name: str) -> ResponseReturnValue:
    view = _opened(agreement_id, "document")
    seen = _seen(view, number, "document")
    wanted = seen.documents.get(_FILES.get(name, ""))
    if wanted is None or seen.sight(wanted.resource) is not Sight.WHOLE:
        refuse(agreement_id, _FILES.get(name, "document"), number)
    record(view, wanted.name, Outcome.READ, seen, sha256=wanted.sha256)
    body = _bytes(site().ledger, view, wanted)
    response = Response(body, mimetype=wanted.media_type)
    way = "attachment" if "last-ned" in request.args else "inline"
    response.headers["Content-Disposition"] = f'{way}; filename="{wanted.filename}"'
    return response


def _bytes(ledger: Ledger, view: View, document: Document) -> bytes:
    try:
        return ledger.get_blob(view.agreement.id, document.sha256, document.key.rpartition(".")[2])
    except NotFound:
        raise faults.Erased from None


@dataclass(frozen=True)
class _Shown:
    """A block as the template has it. A table has `labels` for its columns, and a `caption`."""

    kind: str
    block: Block
    labels: Sequence[str] = ()
    caption: str = ""


def _text(agreement_id: str, number: int) -> ResponseReturnValue:
    view = _opened(agreement_id, "text")
    seen = _seen(view, number, "text")
    version, sight = seen.version, content_sight(seen)
    prefer = version.language
    t = texts_for(prefer)
    translated = request.args.get("utgave") == "oversettelse"
    if translated:
        name = "courtesy"
    elif sight is Sight.SCREENED:
        name = "screened"
    else:
        name = "document" if "document" in seen.documents else "rendered"
    document = seen.documents.get(name)
    if document is None or seen.sight(document.resource) is not Sight.WHOLE or sight is Sight.NONE:
        refuse(agreement_id, "text", number)
    record(view, f"text/{document.name}", Outcome.READ, seen, sha256=document.sha256)
    blocks = list(_shown(t, read_structure(_bytes(site().ledger, view, document))))
    title = next((b.block.text for b in blocks if isinstance(b.block, Heading)), t("text.title"))
    return page(
        "text.html",
        prefer=prefer,
        title=title,
        blocks=blocks,
        document_lang="en" if translated else version.language,
        notes=list(_notes(t, view, seen, translated=translated, screened=name == "screened")),
        back=_home(view),
    )


def _notes(t: Texts, view: View, seen: Seen, *, translated: bool, screened: bool) -> Iterator[str]:
    version, in_force = seen.version, view.agreement.in_force
    if translated:
        yield t("text.note_translation")
    if screened:
        yield t("text.note_screened")
    if in_force and version.number < in_force.number:
        yield t("text.note_old", number=version.number)
    if version.status is not Status.SIGNED:
        yield t("text.note_unsigned")
    elif not (translated or screened):
        yield t("text.note")


def _shown(t: Texts, blocks: Sequence[Block]) -> Iterator[_Shown]:
    heading = ""
    for block in blocks:
        if isinstance(block, Heading):
            heading = block.text
        if isinstance(block, Grid):
            columns = [" ".join(cell.paragraphs) for cell in block.head]
            widest = max((len(row) for row in block.body), default=0)
            labels = columns + [""] * max(0, widest - len(columns))
            yield _Shown("Grid", block, labels, heading or t("text.table"))
        else:
            yield _Shown(type(block).__name__, block)


# --- the reader's own ---


@dataclass(frozen=True)
class _Mine:
    href: str
    title: str
    title_lang: str
    headline: Any
    about: str | None
    period: str | None


def _mine() -> ResponseReturnValue:
    here, session, t = site(), current_session(), texts_for()
    assert session is not None
    reader = session.reader
    found: list[_Mine] | None = None
    more = None
    queries = [Query(organisation=number) for number in sorted(reader.organisations)]
    if reader.national_id:
        queries.insert(0, Query(party=here.pseudonyms.of(reader.national_id)))
    if queries:
        found = []
        asked = request.args.get("fra")
        for query in queries if asked is None else queries[:1]:
            try:
                result = search(here.ledger.store, query, cursor=asked, limit=_PAGE)
            except QueryRefused:
                continue
            known = {one.href for one in found}
            found += [
                one for item in result.items if (one := _own(t, item.agreement_id)) and one.href not in known
            ]
            if len(queries) == 1 and result.cursor:
                more = url_for("pages.mine", fra=result.cursor)
        here.access_log.record(
            reader, Read("agreements", Outcome.READ, detail={"found": len(found)}), trace=trace()
        )
    return page("mine.html", title=t("mine.title"), found=found, more=more)


def _own(t: Texts, agreement_id: str) -> _Mine | None:
    """The index is a hint: what is told is what the log and the data say that this reader may see."""
    here, session = site(), current_session()
    assert session is not None
    now = here.clock.now()
    try:
        agreement = here.agreements.find(parse_id(agreement_id), now)
        view = view_of(here.ledger, agreement, session.reader, now)
    except (NotFound, LogCorrupt):
        return None
    if view.is_empty:
        return None
    seen = _newest(view)
    title, lang = title_of(manifest_of(pages().templates, seen.version), seen.version, t.language)
    data = data_for(here.ledger, agreement, seen)
    period = None
    if data and (days := data.get("period")):
        period = t("agreement.period", start=t.date(days["start"]), end=t.date(days["end"]))
    return _Mine(
        _home(view), title, lang, headline(t, agreement, seen), other_side(data, roles_for(seen)), period
    )
