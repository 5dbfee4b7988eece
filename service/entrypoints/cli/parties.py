"""Commands of the parties and the case system about an agreement: sign, complete, attach-paper, decline, cancel."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from service.bootstrap import read_certificates
from service.domain.agreement import Agreement
from service.domain.paper import EXTENSIONS, MAX_SCAN, media_type_of
from service.domain.presentation import ROLES
from service.entrypoints.cli.sending import send, sender_options
from service.entrypoints.cli.shared import (
    LoadSettings,
    agreement_argument,
    as_json_option,
    open_ledger,
    parse_agreement_id,
    read_agreement,
    settings_option,
    show_agreement,
)
from service.errors import SignertError
from service.pipeline.ledger import Ledger

__all__ = ["COMMANDS"]

_F = TypeVar("_F", bound=Callable[..., Any])
_WAIT_SECONDS = 120

role_option = click.option("--role", type=click.Choice(ROLES), required=True, help="The party.")
file_type = click.Path(exists=True, dir_okay=False, path_type=Path)


def _common(command: _F) -> _F:
    """What each of these commands takes: the agreement, how it is sent, and whether its effect is awaited."""
    wait = click.option("--wait/--no-wait", default=True, help="Wait until it is taken in.  [default: wait]")
    wrapped = settings_option(as_json_option(sender_options(wait(command))))
    return agreement_argument(wrapped)


@click.command()
@role_option
@click.option(
    "--certificate",
    type=file_type,
    help="For a signing service that returns a bare signature value: the signer's certificate and those above (PEM).",
)
@click.option(
    "--by-adviser",
    "reason",
    type=click.Choice(["no_bankid", "reserved", "digital_skills"]),
    help="The adviser signs for the participant, for this REASON; the participant is informed and agrees.",
)
@_common
def sign(
    load: LoadSettings,
    agreement_id: str,
    role: str,
    certificate: Path | None,
    reason: str | None,
    **sending: Any,
) -> None:
    """Say that a party signs now.

    A party whose key the service reaches is signed for. For one that signs outside, what is to be signed is printed:
    sign it within fifteen minutes and send the result with `signert complete`. For one whose signing service asks the
    person, the address to open is printed: send what the person comes back with in the same way.
    """
    fields: dict[str, Any] = {"role": role}
    if certificate:
        fields["certificates"] = [base64.b64encode(c).decode() for c in read_certificates(certificate)]
    if reason:
        fields["on_behalf"] = {"by": "adviser", "reason": reason, "informed": True}
    _send(load, "sign", agreement_id, fields, **sending)


@click.command()
@role_option
@click.option("--prepared", help="The `prepared` that `sign` printed. Needed with --signature and --cms.")
@click.option("--signature", type=file_type, help="File with the bare signature value.")
@click.option("--cms", type=file_type, help="File with the detached CMS (DER).")
@click.option("--code", help="The code that a person came back with from a signing service.")
@click.option("--state", help="The state that came with it.")
@click.option("--error", help="The error that came instead of a code, e.g. access_denied.")
@_common
def complete(
    load: LoadSettings,
    agreement_id: str,
    role: str,
    prepared: str | None,
    signature: Path | None,
    cms: Path | None,
    code: str | None,
    state: str | None,
    error: str | None,
    **sending: Any,
) -> None:
    """Bring back a signature that was made outside, or what a person brought from a signing service."""
    if sum(given is not None for given in (signature, cms, code, error)) != 1:
        raise click.UsageError("Give one of --signature, --cms, --code and --error.")
    fields: dict[str, Any] = {"role": role, **({"prepared": prepared} if prepared else {})}
    if path := signature or cms:
        if prepared is None:
            raise click.UsageError("--prepared is needed with --signature and --cms.")
        fields["signature" if signature else "cms"] = base64.b64encode(path.read_bytes()).decode()
    else:
        if code is not None and state is None:
            raise click.UsageError("--code and --state go together.")
        came = {"code": code, "state": state, "error": error}
        fields["authorization"] = {name: value for name, value in came.items() if value is not None}
    _send(load, "complete-signature", agreement_id, fields, **sending)


@click.command("attach-paper")
@click.option(
    "--role",
    "roles",
    type=click.Choice(ROLES),
    multiple=True,
    required=True,
    help="A party whose signature the scan bears; may be given more than once.",
)
@click.option("--scan", "path", type=file_type, required=True, help="The scan: PDF, JPEG or PNG.")
@click.option(
    "--signed-on",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    help="The day on which the copy was signed.",
)
@_common
def attach_paper(
    load: LoadSettings, agreement_id: str, roles: tuple[str, ...], path: Path, signed_on: Any, **sending: Any
) -> None:
    """Attach the scan of a copy that parties have signed by hand.

    The copy is printed from `signert fetch ID --what copy`. The adviser attests the scan by its own signature: look at
    it with `signert fetch ID --what scan --role ROLE`, then `signert sign ID --role adviser`.
    """
    from service.schemas.signing import MAX_SCAN_INSIDE

    body = _read_scan(path)
    media_type = media_type_of(body)
    if media_type is None:
        raise SignertError(
            f"{path} is neither PDF, JPEG nor PNG",
            code="scan_type_differs",
            remedy="Save the scan as one of these.",
        )
    scan = {"media_type": media_type, "sha256": hashlib.sha256(body).hexdigest()}
    content = base64.b64encode(body).decode()
    if len(content) <= MAX_SCAN_INSIDE:
        scan["content_base64"] = content
    else:
        agreement = read_agreement(settings := load(), agreement_id)
        open_ledger(settings).put_blob(agreement.id, body, EXTENSIONS[media_type])
    fields = {"roles": list(roles), "scan": scan, "signed_on": f"{signed_on:%Y-%m-%d}"}
    _send(load, "attach-paper", agreement_id, fields, **sending)


def _read_scan(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_SCAN:
        raise SignertError(
            f"{path} has {size} bytes, and a scan has at most {MAX_SCAN}",
            code="scan_too_large",
            remedy="Scan in greyscale, or at a lower resolution.",
        )
    return path.read_bytes()


@click.command()
@role_option
@click.option(
    "--reason", type=click.Choice(["content", "not_involved", "withdrawn", "other"]), default="other"
)
@_common
def decline(load: LoadSettings, agreement_id: str, role: str, reason: str, **sending: Any) -> None:
    """Say that a party will not sign: the version ends, and all are told."""
    _send(load, "decline", agreement_id, {"role": role, "reason": reason}, **sending)


@click.command()
@click.option(
    "--reason",
    type=click.Choice(["wrongly_registered", "replaced", "withdrawn", "other"]),
    default="other",
)
@_common
def cancel(load: LoadSettings, agreement_id: str, reason: str, **sending: Any) -> None:
    """Take a version back before all have signed."""
    _send(load, "cancel", agreement_id, {"reason": reason}, **sending)


COMMANDS = (sign, complete, attach_paper, decline, cancel)


def _send(
    load: LoadSettings,
    name: str,
    agreement_id: str,
    fields: Mapping[str, Any],
    *,
    wait: bool,
    sign_with: Path | None,
    producer: str | None,
    as_json: bool,
) -> None:
    settings = load()
    agreement = read_agreement(settings, agreement_id)
    payload = {
        "command_id": str(uuid.uuid4()),
        "agreement_id": parse_agreement_id(agreement_id),
        "version": agreement.current.number,
        **fields,
    }
    ended = send(
        settings, name, payload, seconds=_WAIT_SECONDS if wait else None,
        sign_with=sign_with, producer=producer, as_json=as_json,
    )  # fmt: skip
    if ended is not None:
        _refuse_discarded(open_ledger(settings), ended, payload["command_id"])
        show_agreement(settings, ended, as_json=as_json)


def _refuse_discarded(ledger: Ledger, agreement: Agreement, command_id: object) -> None:
    """Raise what a party was told when the command was taken in, but its signature could not be used."""
    entries = ledger.read(agreement.id)
    taken_in = next(e.seq for e in entries if e.data.get("command_id") == command_id)
    for entry in entries[taken_in + 1 :]:  # that a person did not approve is what the command itself says
        for told in entry.occurrences:
            if told.type == "agreement.signature-refused":
                remedy = "The party can sign again."
                raise SignertError(told.data["message"], code=told.data["code"], remedy=remedy)
