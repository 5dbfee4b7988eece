"""Where agreements are found by what people know of them. Made anew from the logs when it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from service.errors import AlreadyExists
from service.pipeline.services import Services

__all__ = ["index"]


def index(services: Services, data: Mapping[str, Any]) -> None:
    """Enter the agreement of these `data` under its case."""
    case = data["case"]
    key = f"index/case/{case['system']}/{case['reference']}/{data['id']}"
    with contextlib.suppress(AlreadyExists):
        services.store.create(key, b"")
