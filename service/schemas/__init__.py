"""Marshmallow schemas of everything that comes in by the queue and goes out as events, version 1.

command = load_command("submit", payload, today=date.today())
"""

from service.schemas.commands import (
    COMMAND_SCHEMAS,
    Command,
    check_evidence,
    check_version_data,
    load_agreement,
    load_command,
    valid_command_id,
)
from service.schemas.events import event_schema

__all__ = [
    "COMMAND_SCHEMAS",
    "Command",
    "check_evidence",
    "check_version_data",
    "event_schema",
    "load_agreement",
    "load_command",
    "valid_command_id",
]
