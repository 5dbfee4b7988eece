"""The parts of the guides in docs/ that are made from the code: between `<!-- made: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from docs.worked import body, command, events, properties
from service.adapters.producers import MAX_AHEAD, MAX_SIGNATURE
from service.config import load_settings
from service.domain.access import Resource, Sight, Situation, Standing, sight
from service.domain.paper import MAX_SCAN
from service.domain.presentation import example_contexts
from service.domain.signals import METRICS
from service.domain.template_fields import SHAPES
from service.entrypoints.consumer import MAX_MESSAGE
from service.pipeline.opening import EXPIRES_AFTER_DAYS
from service.pipeline.sign import PREPARED_LIFETIME
from service.schemas.commands import COMMAND_SCHEMAS, MAX_ERRORS
from service.schemas.events import EVENT_SCHEMAS
from service.schemas.signing import MAX_CERTIFICATE, MAX_CHAIN, MAX_CMS, MAX_SCAN_INSIDE
from service.transport import DELIVERY_LIMIT, RETRY_AFTER

__all__ = ["current"]

_PART = re.compile(r"(<!-- made: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def current(text: str) -> str:
    """The guide with each part as the code has it. Raises `KeyError` for a part that nothing makes."""
    return _PART.sub(lambda m: f"{m[1]}\n{_PARTS[m['name']]()}\n\n{m[3]}", text)


def _properties() -> str:
    return _json(properties("submit"))


def _body() -> str:
    text = json.dumps(body("submit"), ensure_ascii=False, indent=2)
    sent = text.encode()
    return (
        f"{_fenced(text)}\n\nThe body is what stands between the fences, without the last line break, in UTF-8:\n"
        f"{len(sent)} bytes, SHA-256 `{hashlib.sha256(sent).hexdigest()}`."
    )


def _commands() -> str:
    told = []
    for name, schema in COMMAND_SCHEMAS.items():
        if name != "submit":
            summary = " ".join((schema.__doc__ or "").split())
            told.append(f"#### `{name}`\n\n{summary}\n\n{_json(command(name))}")
    return "\n\n".join(told)


def _limits() -> str:
    age = timedelta(seconds=load_settings({}).command_max_age)
    rows = [
        ("a message's body", f"{MAX_MESSAGE} bytes ({MAX_MESSAGE // 1024**2} MiB)", "`malformed_message`"),
        ("a signature", f"{MAX_SIGNATURE} characters", "`signature_malformed`"),
        (
            "a signature's age, for a command that is new to Signert",
            f"{_hours(age)} (`SIGNERT_COMMAND_MAX_AGE`)",
            "`signature_too_old`",
        ),
        (
            "how far ahead a signature's clock may be",
            f"{int(MAX_AHEAD.total_seconds())} s",
            "`signature_in_future`",
        ),
        (
            "faults named in one answer",
            str(MAX_ERRORS),
            "`more_errors` is added, and says how many are left out",
        ),
        ("deliveries that each end with a worker's death", str(DELIVERY_LIMIT), "`delivery_limit`"),
        (
            "a certificate in `sign`",
            f"{MAX_CERTIFICATE} characters of base64; {MAX_CHAIN} of them",
            "`too_long`",
        ),
        ("a CMS in `complete-signature`", f"{MAX_CMS} characters of base64", "`too_long`"),
        ("a scan in `attach-paper`", f"{MAX_SCAN_INSIDE} characters of base64", "`too_long`"),
        ("a scan in the store", f"{MAX_SCAN} bytes ({MAX_SCAN // 1024**2} MiB)", "`scan_too_large`"),
        (
            "from `to_sign` until the signature is back",
            f"{int(PREPARED_LIFETIME.total_seconds()) // 60} minutes (`to_sign.expires_at`)",
            "`signature_too_late`: send `sign` again",
        ),
        (
            "days without a signature, where the plan does not say",
            str(EXPIRES_AFTER_DAYS),
            "`agreement.expired`",
        ),
        (
            "wait before a command is tried again that could not be taken in",
            f"{RETRY_AFTER} s",
            "none: it is tried until it can be",
        ),
    ]
    lines = [f"| {what} | {limit} | {answer} |" for what, limit, answer in rows]
    return "\n".join(["| What | Limit | Beyond it |", "|---|---|---|", *lines])


def _events() -> str:
    return "\n\n".join(
        f"#### `{name}`\n\n{_told(EVENT_SCHEMAS[name])}\n\n{_json(event)}" for name, event in events().items()
    )


def _told(schema: type[Any]) -> str:
    return " ".join((type(schema().fields["data"].schema).__doc__ or "").split())


def _template_fields() -> str:
    """Every name that a template's tags may use, section by section."""
    parts = []
    for kind in SHAPES:
        sections: dict[str, list[str]] = {}
        _gather(example_contexts(kind)["full"], "", sections)
        rows = [
            f"| {f'`{path}`' if path else ''} | {', '.join(f'`{name}`' for name in names)} |"
            for path, names in sections.items()
            if names
        ]
        parts.append(f'**`kind = "{kind}"`**\n\n| Del | Felter |\n|---|---|\n' + "\n".join(rows))
    return "\n\n".join(parts)


def _gather(node: Mapping[str, Any], path: str, sections: dict[str, list[str]]) -> None:
    own = sections.setdefault(path, [])
    for name, inner in node.items():
        below = f"{path}.{name}" if path else name
        if isinstance(inner, Mapping):
            _gather(inner, below, sections)
        elif isinstance(inner, list):
            _gather(inner[0], f"{below}.*", sections)
        else:
            own.append(name)


def _hours(age: timedelta) -> str:
    return f"{age // timedelta(hours=1)} hours"


def _json(value: object) -> str:
    return _fenced(json.dumps(value, ensure_ascii=False, indent=2))


def _fenced(text: str) -> str:
    return f"```json\n{text}\n```"


_MARKS = {
    Sight.WHOLE: "yes",
    Sight.ON_REQUEST: "on request",
    Sight.SCREENED: "screened",
    Sight.NONE: "–",
}


def _access() -> str:
    """The matrix, as `domain/access.py` answers: each cell open, and where it differs, protected."""

    def cell(standing: Standing, resource: Resource) -> str:
        found = [_MARKS[sight({standing}, resource, Situation(protected=p))] for p in (False, True)]
        return found[0] if found[0] == found[1] else f"{found[0]} / {found[1]}"

    heads = ["", *(standing.replace("_", " ") for standing in Standing)]
    rows = [[f"`{resource}`", *(cell(standing, resource) for standing in Standing)] for resource in Resource]
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _api() -> str:
    """The paths of the OpenAPI document."""
    paths = json.loads((Path(__file__).parent / "openapi.json").read_text(encoding="utf-8"))["paths"]
    rows = [
        f"| `{path.removeprefix('/api/v1')}` | {item['get']['summary']} |" for path, item in paths.items()
    ]
    return "\n".join(["| `GET /api/v1…` | What |", "|---|---|", *rows])


def _metrics() -> str:
    rows = ["| metric | kind | labels | made at | what |", "|---|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.told} | {metric.help} |")
    return "\n".join(rows)


_PARTS: Mapping[str, Callable[[], str]] = {
    "access": _access,
    "api": _api,
    "properties": _properties,
    "body": _body,
    "commands": _commands,
    "events": _events,
    "limits": _limits,
    "metrics": _metrics,
    "template-fields": _template_fields,
}
