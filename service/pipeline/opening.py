"""How a version begins: valid data, the template that is to print them, and the plan for signing, as one entry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from service.domain.follow_up import FollowUp, last_date
from service.domain.log import Draft, Occurrence
from service.domain.presentation import ROLES, is_represented
from service.domain.template import Manifest
from service.errors import CommandRejected, FieldError, TemplateError
from service.pipeline.services import Services

__all__ = ["EXPIRES_AFTER_DAYS", "check_plan", "fitting_template", "opening"]

EXPIRES_AFTER_DAYS = 84
"""Twelve weeks without change, as today's agreements have it."""

_UNKNOWN = {"unknown_template": "template", "unknown_language": "language"}


def fitting_template(services: Services, data: Mapping[str, Any], *, root: str = "agreement") -> Manifest:
    """The manifest of the template asked for, of its newest version when none is named.

    Raises `CommandRejected` when it does not fit the agreement.
    `root` is where the agreement stands in the command, for the paths of the faults.
    """
    asked = data["template"]

    def refused(path: str, code: str, message: str) -> CommandRejected:
        fault = FieldError(f"{root}.{path}", code, message)
        return CommandRejected("the agreement does not fit its template", [fault])

    try:
        version = asked.get("version") or services.templates.newest(asked["name"])
        manifest = services.templates.get(asked["name"], version, data["language"]).manifest
    except TemplateError as exc:
        if exc.code not in _UNKNOWN:
            raise
        raise refused(_UNKNOWN[exc.code], exc.code, f"{exc.message} {exc.remedy}") from exc
    if manifest.kind != "agreement":
        raise refused("template.name", "unknown_template", "This template is not for agreements.")
    if data["measure"] not in manifest.measures:
        served = ", ".join(manifest.measures)
        raise refused("measure", "measure_not_served", f"The template is for: {served}.")
    if data.get("courtesy_translation", data["language"]) not in {data["language"], *manifest.courtesy}:
        said = f"Template {manifest.name} {manifest.version} has no such translation."
        way_out = "Leave the field out, or name another version of the template."
        raise refused("courtesy_translation", "courtesy_not_served", f"{said} {way_out}")
    for role, rule in manifest.parties.items():
        if rule.required and role not in data["parties"]:
            raise refused(f"parties.{role}", "required", "The template needs this party.")
    for role in data["parties"]:
        if role not in manifest.parties:
            raise refused(f"parties.{role}", "party_not_served", "The template has no place for this party.")
    return manifest


def check_plan(data: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Raise `CommandRejected` when the plan for signing names a party that the agreement has not."""
    for role in plan.get("parties", {}):
        if role not in data["parties"]:
            raise CommandRejected(
                "the plan for signing names a party that the agreement has not",
                [FieldError(f"signing.parties.{role}", "no_such_party", "Leave it out, or add the party.")],
            )


def opening(
    entry_type: str,
    data: Mapping[str, Any],
    plan: Mapping[str, Any],
    manifest: Manifest,
    *,
    input_sha256: str,
    told: Collection[str] = (),
    follow_up: FollowUp | None = None,
    occurrences: tuple[Occurrence, ...] = (),
    version: int | None = None,
    **more: Any,
) -> Draft:
    """The entry with which a version of `data` begins. The roles in `told` need not sign it.

    Whom the template has no place for, a declaration names without asking for a signature. `follow_up` is what comes
    after, where it is an agreement between parties.
    """
    planned = plan.get("parties", {})
    represented = is_represented(data["parties"])

    def party(role: str) -> dict[str, Any]:
        own = planned.get(role, {})
        return {
            "role": role,
            "order": data["parties"][role].get("order", manifest.parties[role].order),
            "method": own.get("method"),
            "deadline_days": own.get("deadline_days"),
            "level": own.get("level"),
            "eidas": own.get("eidas"),
            "signs": role not in told and not (represented and role == "participant"),
            "told": role in told,
        }

    return Draft(
        entry_type,
        {
            "input_sha256": input_sha256,
            "template": {"name": manifest.name, "version": manifest.version},
            "language": data["language"],
            "signing": {
                "expires_after_days": plan.get("expires_after_days", EXPIRES_AFTER_DAYS),
                "deadline_days": plan.get("deadline_days"),
            },
            "parties": [
                party(role) for role in ROLES if role in data["parties"] and role in manifest.parties
            ],
            **(follow_up.as_data() if follow_up else {}),
            **({"retention": manifest.retention.of(last_date(data)).as_data()} if manifest.retention else {}),
            **more,
        },
        occurrences,
        version,
    )
