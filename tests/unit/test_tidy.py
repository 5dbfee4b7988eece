"""What a task leaves behind is let go once it is done."""

from __future__ import annotations

import contextlib
import gc
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from service.config import load_settings
from service.domain.steps import Capability
from service.entrypoints import tasks
from service.entrypoints.tasks import Runtime


class Circle:
    """Which only the garbage collector lets go."""

    def __init__(self) -> None:
        self.own = self


@pytest.mark.parametrize("older", [False, True])
def test_circles_are_let_go_after_a_task(older: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_TASKS_TO_COLLECT_ALL", 3)
    runtime = Runtime(Celery("tidied", set_as_current=False), load_settings({}))
    gc.collect()
    gc.disable()
    try:
        circle = Circle()
        left = weakref.ref(circle)
        if older:
            gc.collect()  # it has outlived some tasks
        del circle
        runtime.tidy()
        assert (left() is None) is not older
        for _ in range(2):
            runtime.tidy()
        assert left() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("capabilities", "rests"), [({Capability.RENDER}, 1), ({Capability.SIGN}, 0)])
def test_libreoffice_is_told_that_nobody_waits(
    capabilities: set[Capability], rests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[None] = []
    office = SimpleNamespace(rest=lambda: told.append(None))
    services: Any = SimpleNamespace(
        capabilities=capabilities, typesetting=SimpleNamespace(office=office) if rests else None
    )
    monkeypatch.setattr(tasks, "open_connected_services", lambda *_: contextlib.nullcontext(services))
    runtime = Runtime(Celery("rested", set_as_current=False), load_settings({}))
    runtime.tidy()
    assert not told  # with nothing opened there is nothing to replace
    runtime.services()
    runtime.tidy()
    assert len(told) == rests
