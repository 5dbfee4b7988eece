"""When a worker counts as alive and as ready; and the port that says so."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.config import load_settings
from service.entrypoints.heartbeat import Heart, Readiness
from service.entrypoints.management import Answer, serve_management, state
from service.errors import ConfigurationError
from tests.probes import Probes

OK, PATIENCE = state(None), 90


class Clocked(Heart):
    """A heart with a clock of its own: `later` lets time go by, second by second."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(PATIENCE, Readiness(), lambda: self.now)

    def later(self, seconds: float, *, turns: bool = True, broker: bool = True, waits: bool = False) -> None:
        for _ in range(int(seconds)):
            self.now += 1
            if turns:
                self.turn(busy=False)
            if broker:
                self.broker_answers(waits=waits)
            else:
                self.broker_away()

    @property
    def told(self) -> tuple[str, str]:
        return said(self.livez()), said(self.readyz())


def said(answer: Answer) -> str:
    if answer == OK:
        return "ok"
    assert answer.status == 503
    return answer.body.decode().split('"reason":"')[1].partition('"')[0]


@pytest.fixture
def heart() -> Clocked:
    heart = Clocked()
    assert heart.told == ("ok", "starting")
    heart.connected()
    heart.later(1)
    assert heart.told == ("ok", "ok")
    return heart


def test_a_quiet_worker_is_well(heart: Clocked) -> None:
    heart.later(10_000)
    assert heart.told == ("ok", "ok")


def test_a_loop_that_stands_still(heart: Clocked) -> None:
    heart.later(60, turns=False)
    assert heart.told == ("ok", "blocked")
    heart.later(60, turns=False)
    assert heart.told == ("blocked", "blocked")
    heart.later(1)
    assert heart.told == ("ok", "ok")


def test_a_broker_that_is_away_is_no_fault_of_the_worker(heart: Clocked) -> None:
    heart.disconnected()
    heart.later(10_000, turns=False, broker=False)
    assert heart.told == ("ok", "broker")
    heart.later(PATIENCE, turns=False)  # back, but the worker has not noticed: it has as long as ever
    assert heart.told == ("ok", "broker")
    heart.later(5, turns=False)
    assert heart.told == ("blocked", "blocked")
    heart.connected()
    heart.later(1)
    assert heart.told == ("ok", "ok")


def test_messages_that_wait_and_do_not_come(heart: Clocked) -> None:
    heart.later(60, waits=True)
    heart.received()
    heart.later(60, waits=True)
    assert heart.told == ("ok", "ok")
    heart.later(60, waits=True)
    assert heart.told == ("starved", "starved")
    heart.received()
    heart.later(1, waits=True)
    assert heart.told == ("ok", "ok")


def test_who_has_work_is_not_starved(heart: Clocked) -> None:
    heart.keep(+1)  # a message that cannot be put in quarantine yet: the store is away
    heart.later(1000, waits=True)
    assert heart.told == ("ok", "ok")
    heart.keep(-1)
    for _ in range(1000):
        heart.later(1, turns=False, waits=True)
        heart.turn(busy=True)
    heart.later(1, turns=False, waits=True)
    assert heart.told == ("ok", "ok")


def test_a_start_may_take_longer(heart: Clocked) -> None:
    starting = Clocked()
    starting.later(500, turns=False)
    assert starting.told == ("ok", "starting")
    starting.later(200, turns=False)
    assert starting.told == ("blocked", "blocked")


def test_what_stops_is_alive_to_its_end(heart: Clocked) -> None:
    heart.stop()
    heart.later(1000, turns=False)
    assert heart.told == ("ok", "stopping")


def test_processes_that_could_not_get_ready(heart: Clocked) -> None:
    heart.readiness.tell(1, "office")
    assert heart.told == ("ok", "office")
    heart.readiness.tell(0, None)
    assert heart.told == ("ok", "office")
    heart.readiness.tell(1, None)  # its successor
    assert heart.told == ("ok", "ok")


# --- the port ---


def broken() -> Answer:
    raise RuntimeError("inside")


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probes]:
    probes = Probes()
    routes = {"/livez": lambda: state(None), "/readyz": lambda: state("broker"), "/broken": broken}
    with serve_management(load_settings(probes.environ), routes):
        yield probes


def test_what_the_port_answers(probes: Probes) -> None:
    assert probes.ask("/livez") == (200, '{"status":"ok"}\n')
    assert probes.ask("/livez?verbose") == (200, '{"status":"ok"}\n')
    assert probes.ask("/livez", "HEAD") == (200, "")
    assert probes.says("/readyz", "broker")
    assert probes.ask("/nothing") == (404, '{"status":"unknown"}\n')
    assert probes.ask("/broken") == (500, '{"status":"error"}\n')
    assert probes.ask("/livez", "POST")[0] == 501


def test_callers_that_say_nothing_keep_nobody_out_for_long(probes: Probes) -> None:
    silent = [socket.create_connection(("127.0.0.1", probes.port)) for _ in range(20)]
    for connection in silent[16:]:
        connection.settimeout(20)
        assert connection.recv(1) == b""  # no room: closed at once
    for connection in silent:
        connection.close()
    while not probes.alive:
        pass


def test_a_fork_lets_go_of_the_port(tmp_path: Path) -> None:
    probes = Probes()
    go_on, told = os.pipe()
    with serve_management(load_settings(probes.environ), {"/livez": lambda: state(None)}):
        child = os.fork()
        if not child:
            os.close(told)
            os.read(go_on, 1)  # until the parent has looked
            os._exit(0)
    try:
        with serve_management(load_settings(probes.environ), {"/livez": lambda: state("broker")}):
            assert probes.says("/livez", "broker")
    finally:
        os.close(told)
        os.close(go_on)
        assert os.waitpid(child, 0)[1] == 0


def test_a_port_that_cannot_be_had_is_named(probes: Probes) -> None:
    with (
        pytest.raises(ConfigurationError, match="SIGNERT_MANAGEMENT_PORT"),
        serve_management(load_settings(probes.environ), {}),
    ):
        pass
    with pytest.raises(ConfigurationError, match="SIGNERT_MANAGEMENT_HOST"):
        load_settings({"SIGNERT_MANAGEMENT_HOST": "everywhere"})
