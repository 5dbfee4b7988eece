"""What the command line prints: for people by default, JSON when asked.

One module for each thing that is spoken of:

    agreements   one agreement: where it stands, what was written
    verification how a document, an agreement or a receipt verifies
    history      its versions, and what is different between them
    operations   a whole store: what a sweep did, what a check found
    quarantine   refused messages, and those that were sent again
    catalogue    the templates at hand and their faults
    steps        the log in words, and progress
    errors       what went wrong and what to do
    logs         the worker's log

Progress, errors for people and the log go to standard error.
"""

from __future__ import annotations

from service.entrypoints.output.agreements import agreement, link, sent, wrote
from service.entrypoints.output.catalogue import (
    differences,
    findings,
    previewed,
    published,
    started,
    templates,
)
from service.entrypoints.output.errors import error
from service.entrypoints.output.follow_up import follow_up
from service.entrypoints.output.history import changes, history
from service.entrypoints.output.logs import start_log
from service.entrypoints.output.operations import checked, checking, swept
from service.entrypoints.output.quarantine import KeptLine, kept_list, kept_message, resubmitted
from service.entrypoints.output.steps import progress, step_text
from service.entrypoints.output.verification import receipt_verdict, verdict

__all__ = [
    "KeptLine",
    "agreement",
    "changes",
    "checked",
    "checking",
    "differences",
    "error",
    "findings",
    "follow_up",
    "history",
    "kept_list",
    "kept_message",
    "link",
    "previewed",
    "progress",
    "published",
    "receipt_verdict",
    "resubmitted",
    "sent",
    "start_log",
    "started",
    "step_text",
    "swept",
    "templates",
    "verdict",
    "wrote",
]
