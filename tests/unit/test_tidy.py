"""What a task leaves behind is let go once it is done."""

from __future__ import annotations

import gc
import weakref

import pytest
from celery import Celery

from service.config import load_settings
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
