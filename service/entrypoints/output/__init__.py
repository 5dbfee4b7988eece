"""What the command line prints: for people by default, JSON when asked.

One module for each thing that is spoken of:

    agreements   one agreement: where it stands, what was written
    verification how a document, an agreement or a receipt verifies
    finding      agreements that were found, their versions, the index made anew
    history      its versions, and what is different between them
    doctor       what a check-up found
    disposal     what may be erased, and what was
    operations   a whole store: what a sweep did, what a check found
    archive      archive packages: what was exported, what was taken in
    quarantine   refused messages, and those that were sent again
    renewals     when agreements are renewed, and what was
    catalogue    the templates at hand and their faults
    steps        the log in words, and progress
    errors       what went wrong and what to do
    access       who read what over HTTP
    logs         the worker's log

Progress, errors for people and the log go to standard error.
"""

from __future__ import annotations

from service.entrypoints.output.access import access_log
from service.entrypoints.output.agreements import agreement, link, sent, wrote
from service.entrypoints.output.archive import exported, imported
from service.entrypoints.output.catalogue import (
    differences,
    findings,
    previewed,
    published,
    started,
    templates,
)
from service.entrypoints.output.disposal import Erased, disposal_file, disposal_list, erased
from service.entrypoints.output.doctor import examination
from service.entrypoints.output.errors import error
from service.entrypoints.output.finding import found, reindexed, reindexing, versions
from service.entrypoints.output.follow_up import follow_up
from service.entrypoints.output.history import changes, history
from service.entrypoints.output.logs import log_line, start_log
from service.entrypoints.output.operations import checked, checking, recovered, recovering, swept
from service.entrypoints.output.quarantine import KeptLine, kept_list, kept_message, resubmitted
from service.entrypoints.output.renewals import renewals, renewing
from service.entrypoints.output.steps import progress, step_text
from service.entrypoints.output.verification import receipt_verdict, verdict

__all__ = [
    "Erased",
    "KeptLine",
    "access_log",
    "agreement",
    "changes",
    "checked",
    "checking",
    "differences",
    "disposal_file",
    "disposal_list",
    "erased",
    "error",
    "examination",
    "exported",
    "findings",
    "follow_up",
    "found",
    "history",
    "imported",
    "kept_list",
    "kept_message",
    "link",
    "log_line",
    "previewed",
    "progress",
    "published",
    "receipt_verdict",
    "recovered",
    "recovering",
    "reindexed",
    "reindexing",
    "renewals",
    "renewing",
    "resubmitted",
    "sent",
    "start_log",
    "started",
    "step_text",
    "swept",
    "templates",
    "verdict",
    "versions",
    "wrote",
]
