"""What the command line prints: for people by default, JSON when asked.

One module for each thing that is spoken of:

    agreements   one agreement: where it stands, what was written, how it verifies
    finding      agreements that were found, their versions, the index made anew
    history      its versions, and what is different between them
    operations   a whole store: what a sweep did, what a check found
    quarantine   refused messages, and those that were sent again
    catalogue    the templates at hand and their faults
    steps        the log in words, and progress
    errors       what went wrong and what to do
    access       who read what over HTTP
    logs         the worker's log

Progress, errors for people and the log go to standard error.
"""

from __future__ import annotations

from service.entrypoints.output.access import access_log
from service.entrypoints.output.agreements import agreement, link, sent, verdict, wrote
from service.entrypoints.output.catalogue import (
    differences,
    findings,
    previewed,
    published,
    started,
    templates,
)
from service.entrypoints.output.errors import error
from service.entrypoints.output.finding import found, reindexed, reindexing, versions
from service.entrypoints.output.follow_up import follow_up
from service.entrypoints.output.history import changes, history
from service.entrypoints.output.logs import start_log
from service.entrypoints.output.operations import checked, checking, swept
from service.entrypoints.output.quarantine import KeptLine, kept_list, kept_message, resubmitted
from service.entrypoints.output.steps import progress, step_text

__all__ = [
    "KeptLine",
    "access_log",
    "agreement",
    "changes",
    "checked",
    "checking",
    "differences",
    "error",
    "findings",
    "follow_up",
    "found",
    "history",
    "kept_list",
    "kept_message",
    "link",
    "previewed",
    "progress",
    "published",
    "reindexed",
    "reindexing",
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
