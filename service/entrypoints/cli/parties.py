"""Commands of the parties and the case system about an agreement: sign, complete, attach-paper, decline, cancel."""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import click

from service.bootstrap import read_certificates
from service.domain.agreement import Agreement
from service.domain.paper import EXTENSIONS, MAX_SCAN, media_type_of
from service.domain.presentation import ROLES
from service.entrypoints.cli.following import follow_options, send_about
from service.entrypoints.cli.shared import LoadSettings, open_ledger, read_agreement, read_json, write
from service.errors import SignertError
from service.pipeline.ledger import Ledger
from service.schemas import check_evidence

__all__ = ["COMMANDS"]

role_option = click.option("--role", type=click.Choice(ROLES), required=True, help="The party.")
file_type = click.Path(exists=True, dir_okay=False, path_type=Path)
evidence_option = click.option(
    "--evidence",
    type=click.File("rb"),
    help="How the person was identified, as the provider tells it: JSON with method, level (substantial, high), time "
    "(RFC 3339, UTC), and where there is one reference; subject_serial and national_id where the certificate has no "
    "identity number. - for standard input.",
)


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
@evidence_option
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the bytes that are to be signed outside to this file.",
)
@follow_options
def sign(
    load: LoadSettings,
    agreement_id: str,
    role: str,
    certificate: Path | None,
    reason: str | None,
    evidence: Any,
    target: Path | None,
    **sending: Any,
) -> None:
    """Say that a party signs now.

    A party whose key the service reaches is signed for. For one that signs outside, what is to be signed is printed:
    sign it within fifteen minutes and send the result with `signert complete`. Its bytes are written by --output, or by
    `signert fetch --what to-sign`: of them a signing service makes a detached CMS, or with --certificate, of what are
    the signed attributes then, a bare signature value. For one whose signing service asks the person, the address to
    open is printed: send what the person comes back with in the same way.
    """
    if target and not sending["wait"]:
        raise click.UsageError("--output needs --wait.")
    fields: dict[str, Any] = {"role": role}
    if certificate:
        fields["certificates"] = [base64.b64encode(c).decode() for c in read_certificates(certificate)]
    if reason:
        fields["on_behalf"] = {"by": "adviser", "reason": reason, "informed": True}
    fields |= _evidence(evidence)
    written = partial(_write_to_sign, role, target) if target else None
    send_about(load, "sign", agreement_id, fields, before_show=written, **sending)


@click.command()
@role_option
@click.option("--prepared", help="The `prepared` that `sign` printed. Needed with --signature and --cms.")
@click.option("--signature", type=file_type, help="File with the bare signature value.")
@click.option("--cms", type=file_type, help="File with the detached CMS (DER).")
@click.option("--code", help="The code that a person came back with from a signing service.")
@click.option("--state", help="The state that came with it.")
@click.option("--error", help="The error that came instead of a code, e.g. access_denied.")
@evidence_option
@follow_options
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
    evidence: Any,
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
    fields |= _evidence(evidence)
    send_about(load, "complete-signature", agreement_id, fields, **sending)


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
@follow_options
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
    send_about(load, "attach-paper", agreement_id, fields, **sending)


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
@follow_options
def decline(load: LoadSettings, agreement_id: str, role: str, reason: str, **sending: Any) -> None:
    """Say that a party will not sign: the version ends, and all are told."""
    send_about(load, "decline", agreement_id, {"role": role, "reason": reason}, **sending)


@click.command()
@click.option(
    "--reason",
    type=click.Choice(["wrongly_registered", "replaced", "withdrawn", "other"]),
    default="other",
)
@follow_options
def cancel(load: LoadSettings, agreement_id: str, reason: str, **sending: Any) -> None:
    """Take a version back before all have signed."""
    send_about(load, "cancel", agreement_id, {"reason": reason}, **sending)


COMMANDS = (sign, complete, attach_paper, decline, cancel)


def _evidence(file: Any) -> dict[str, Any]:
    """The command's field for it. Raises `CommandRejected` that names every fault, before anything is sent."""
    if file is None:
        return {}
    found = read_json(file, remedy="Evidence is described in docs/integration.md.")
    check_evidence(found)
    return {"evidence": found}


def _write_to_sign(role: str, target: Path, ledger: Ledger, agreement: Agreement) -> None:
    prepared = agreement.current.prepared
    if prepared is None or prepared.field != role or prepared.to_sign_sha256 is None:
        raise SignertError(
            f"the command is carried out, but there is nothing for '{role}' to sign outside: {target} is not written",
            code="nothing_to_sign",
            remedy="See `signert show`: this party's key is one that the service reaches.",
        )
    write(target, ledger.get_blob(agreement.id, prepared.to_sign_sha256, "bin"))
