"""What the parties and the case system may do to an agreement in its present state.

Each function gives the entry to append, or raises `CommandRejected` with the reason and the way out. Nothing that
is signed is undone by any of them.
"""

from __future__ import annotations

from service.domain.moves.checks import refuse_erased
from service.domain.moves.papers import attach_paper
from service.domain.moves.signatures import (
    ENDED_AUTHORIZATIONS,
    approve,
    end_authorization,
    receive_answer,
)
from service.domain.moves.versions import amendable, cancel, decline, follow_up_done, reject

__all__ = [
    "ENDED_AUTHORIZATIONS",
    "amendable",
    "approve",
    "attach_paper",
    "cancel",
    "decline",
    "end_authorization",
    "follow_up_done",
    "receive_answer",
    "refuse_erased",
    "reject",
]
