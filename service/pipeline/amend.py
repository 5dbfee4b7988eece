"""Amendments: a new version of what is in force, whole, with what changed and why.

The producer sends what changed only (JSON Merge Patch, RFC 7396). What comes of it is held to every rule that a new
agreement is held to, and to what an amendment may touch. The version in force holds until the new one is signed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import rfc8785

from service.domain.agreement import Agreement, Version
from service.domain.changes import TERMINATION, Change, differences, merged, signing_again, types_covering
from service.domain.log import Draft, Occurrence
from service.domain.moves import amendable
from service.domain.periods import norwegian_date
from service.domain.presentation import ROLES, is_represented
from service.errors import CommandRejected, FieldError
from service.pipeline.declare import declarations
from service.pipeline.follow_up import plan_follow_up
from service.pipeline.opening import check_plan, fitting_template, opening
from service.pipeline.services import Services
from service.schemas import load_agreement

__all__ = ["amend", "content_of", "terminate"]

_OWN = ("amendment", "termination")
"""Sections of a version's data that the service writes itself."""
_UNSEEN = ("template",)
"""Fields whose change is no amendment: the newest template is taken."""


def amend(services: Services, agreement: Agreement, values: Mapping[str, Any]) -> Draft:
    """The command `amend`. Raises `CommandRejected`."""
    base = amendable(agreement, number=values.get("version"))
    before = _content(services, agreement, base)
    today = norwegian_date(services.clock.now())
    if today.isoformat() > before["period"]["end"]:
        raise _refused(
            "agreement_id", "period_over", "The agreement's end date has passed; send a new agreement."
        )
    template = _template(services, before, values.get("template_version"))
    after = load_agreement(
        merged({**before, "template": template}, values["patch"]), today=_made_on(agreement), root="patch"
    )
    changes = [c for c in differences(before, after) if c.path.split(".")[0] not in _UNSEEN]
    types, asked_by = values["change"], values.get("asked_by")
    if faults := [*_faults(before, after, changes, types), *_asking(after, types, asked_by)]:
        raise CommandRejected(f"the amendment cannot be made: {faults[0].message}", faults)
    joined = [r for r in after["parties"] if _person(after, r) != _person(before, r)]
    amendment = {"reason": values["reason"], "changes": [c.as_json() for c in changes]}
    return _opened(services, agreement, base, after, values, types, amendment, joined=joined)


def terminate(services: Services, agreement: Agreement, values: Mapping[str, Any]) -> Draft:
    """The command `terminate`: a last version, which says that the agreement ends, when, and why."""
    base = amendable(agreement, number=values.get("version"))
    before = _content(services, agreement, base)
    if values["date"] > before["period"]["end"]:
        raise _refused(
            "date",
            "after_the_end",
            f"The agreement ends on {before['period']['end']} anyway. Send an earlier date.",
        )
    ending = {name: values[name] for name in ("reason", "date", "explanation") if name in values}
    template = _template(services, before, values.get("template_version"))
    after = {**before, "template": template, "termination": ending}
    return _opened(services, agreement, base, after, values, [TERMINATION], {"changes": []})


def _opened(
    services: Services,
    agreement: Agreement,
    base: Version,
    after: Mapping[str, Any],
    values: Mapping[str, Any],
    types: Sequence[str],
    amendment: Mapping[str, Any],
    *,
    joined: Sequence[str] = (),
) -> Draft:
    """The entry of a version of the content `after`, whose signers follow from the types of change."""
    number, asked_by = len(agreement.versions) + 1, values.get("asked_by")
    plan = values.get("signing", {})
    check_plan(after, plan)
    manifest = fitting_template(services, after, root="patch")
    signs = signing_again(
        types, after["parties"], asked_by=asked_by, joined=joined, rules=manifest.amendments
    )
    if not signs:
        raise _refused("change", "nobody_signs", "No party of this agreement signs such a change.")
    silent = {*signs, *(("participant",) if is_represented(after["parties"]) else ())}
    told = [r for r in ROLES if r in after["parties"] and r not in silent]
    data = {
        **after,
        "amendment": {
            "version": number,
            "supersedes": base.number,
            "types": list(types),
            "asked_by": asked_by,
            "told": told,
            **amendment,
        },
    }
    sent = {"supersedes": base.number, "change": list(types), "signs": list(signs), "told": told}
    return opening(
        "amended",
        data,
        plan,
        manifest,
        input_sha256=services.ledger.put_blob(agreement.id, rfc8785.dumps(data), "json"),
        told=told,
        follow_up=plan_follow_up(services, after, agreement=agreement, base=base),
        occurrences=(Occurrence("agreement.amended", sent),),
        version=number,
        supersedes=base.number,
        change=list(types),
        declarations=declarations(services, agreement.id, number, joined, manifest),
    )


def content_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a version's data say of the agreement, without what its own amendment said of itself."""
    return {name: value for name, value in data.items() if name not in _OWN}


def _content(services: Services, agreement: Agreement, base: Version) -> dict[str, Any]:
    return content_of(services.ledger.get_json(agreement.id, base.input_sha256))


def _template(services: Services, before: Mapping[str, Any], asked: str | None) -> dict[str, str]:
    """The template asked for, or the newest of that name: older ones may not know what an amendment is."""
    name = before["template"]["name"]
    return {"name": name, "version": asked or services.templates.newest(name)}


def _made_on(agreement: Agreement) -> date:
    """The day from which dates are judged: a start that was in time stays in time."""
    return norwegian_date(datetime.fromisoformat(agreement.versions[0].opened_at))


def _person(data: Mapping[str, Any], role: str) -> tuple[object, object]:
    """Who the party is: another one has signed nothing yet. Advisers change without a signature of the new one."""
    party = data["parties"].get(role, {})
    return role in data["parties"], party.get("national_id")


def _asking(after: Mapping[str, Any], types: Sequence[str], asked_by: str | None) -> Iterator[FieldError]:
    if "shorten" in types and asked_by is None:
        yield FieldError("asked_by", "required", "Say which party asks for the shorter period: it signs.")
    if asked_by is not None and asked_by not in after["parties"]:
        yield FieldError("asked_by", "no_such_party", "The agreement has no party of this role.")


def _faults(
    before: Mapping[str, Any], after: Mapping[str, Any], changes: Sequence[Change], types: Sequence[str]
) -> Iterator[FieldError]:
    """Where the change and the types named for it do not fit."""
    if not changes:
        yield FieldError(
            "patch", "no_change", "The patch leaves everything as it is. Send what is to change."
        )
        return
    covering = [types_covering(change) for change in changes]
    for change, fits in zip(changes, covering, strict=True):
        if not fits:
            yield FieldError(
                f"patch.{change.path}",
                "read_only",
                "An amendment cannot change this. Leave it out, or cancel and send a new agreement.",
            )
        elif not set(fits) & set(types):
            yield FieldError(
                f"patch.{change.path}",
                "change_type_missing",
                f"Name the type of this change: {' or '.join(fits)}.",
            )
    for index, kind in enumerate(types):
        if not any(kind in fits for fits in covering):
            yield FieldError(
                f"change.{index}", "change_without_effect", "The patch has no change of this type."
            )
    yield from _grant_faults(before, after)


def _grant_faults(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[FieldError]:
    """Lines of an inclusion grant that are agreed are never edited, only added (DOMAIN "The content")."""
    agreed = before.get("inclusion_grant", {}).get("lines", [])
    lines = after.get("inclusion_grant", {}).get("lines", [])
    for index, line in enumerate(agreed):
        if index >= len(lines) or lines[index] != line:
            yield FieldError(
                f"patch.inclusion_grant.lines.{index}",
                "grant_line_changed",
                "An agreed line is never changed or removed. Send all agreed lines as they are, new ones after them.",
            )


def _refused(path: str, code: str, message: str) -> CommandRejected:
    return CommandRejected(
        f"the agreement does not allow this: {message}", [FieldError(path, code, message)], code=code
    )
