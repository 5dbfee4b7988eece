"""A real RabbitMQ for tests: one private node in a temporary folder, on free loopback ports, with TLS.

Debian's package `rabbitmq-server` serves as it is, without its service and its user: by root and by anyone. Name,
data, log, cookie and port mapper (epmd) are the node's own, so that any number may run beside one another.

    with running_rabbitmq(folder) as node:
        Connection(node.url)
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ports import free_ports
from tests.processes import started, until_it_answers

__all__ = ["RabbitNode", "rabbitmq", "running_rabbitmq"]

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in /usr/sbin changes the user
_ERL_CALL = "/usr/lib/erlang/bin/erl_call"
_PATH = (
    "/usr/sbin:/usr/bin:/sbin:/bin"  # the Erlang that the package was built for, whatever else is installed
)
_PORTS = ("amqp", "amqps", "distribution", "epmd")
_START_LIMIT = 90.0
_STOP_LIMIT = 60.0
_ASK_LIMIT = 30


class RabbitNode:
    """Start, stop and start again: the ports and the data stay the same.

    The node ends with the thread that started it, however that ends: start it from one that stays.
    """

    USER = "signert"
    PASSWORD = "not-a-secret"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect without TLS; the virtual host is `/`."""
        return f"amqp://{self.USER}:{self.PASSWORD}@127.0.0.1:{self._ports['amqp']}/"

    @property
    def tls_url(self) -> str:
        """Where clients connect with TLS. The certificate is for `localhost` and 127.0.0.1, issued by `ca`."""
        return f"amqps://{self.USER}:{self.PASSWORD}@localhost:{self._ports['amqps']}/"

    @property
    def ca(self) -> Path:
        """The certificate authority of the server and of `client_certificate` (PEM)."""
        return self._folder / "ca.pem"

    @property
    def other_ca(self) -> Path:
        """An authority that the node has nothing to do with (PEM)."""
        return self._folder / "other-ca.pem"

    @property
    def client_certificate(self) -> Path:
        """A certificate (PEM) that the node accepts. It asks for one, and does without when none is shown."""
        return self._folder / "client.pem"

    @property
    def client_key(self) -> Path:
        return self._folder / "client-key.pem"

    @property
    def log(self) -> Path:
        return self._folder / "log" / "rabbitmq.log"

    @property
    def pids(self) -> list[int]:
        """The processes that run: port mapper and server. Those they start end with them."""
        return [p.pid for p in (self._epmd, self._server) if p is not None]

    def start(self) -> None:
        """Start, and return when clients can work. Does nothing when it runs."""
        if self._server is not None and self._server.poll() is None:
            return
        self.stop()
        if not (self._folder / "rabbitmq.conf").exists():
            self._prepare()
        try:
            # Were there none, the server would start one that outlives it.
            self._epmd = self._run("epmd", "-address", "127.0.0.1", "-port", str(self._ports["epmd"]))
            self._wait_for(self._epmd, self._find_epmd)
            self._server = self._run(str(self._folder / "home" / "sbin" / "rabbitmq-server"))
            self._wait_for(self._server, self._connect)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, as a crash would (SIGKILL); what was confirmed stays.

        RabbitMQ 3.10 writes the name of a new quorum queue to disk up to 3 s after it said that it has the queue; a
        crash before that loses the queue and leaves it without a leader. That is not ours to test: the names are
        written first.
        """
        if self._server is not None and self._server.poll() is None:
            with contextlib.suppress(RuntimeError):
                self._ask('[dets:sync(Table) || Table <- dets:all()], io:put_chars("null").')
        for process in (self._server, self._epmd):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._server = self._epmd = None

    def stop_gracefully(self) -> None:
        """Ask it to end (SIGTERM): clients are told, and everything is written down. Takes about 3 s."""
        if self._server is not None:
            self._server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(_STOP_LIMIT)
        self.stop()

    @contextlib.contextmanager
    def away(self, *, gracefully: bool = False) -> Iterator[None]:
        """Stopped as long as the context, started again whatever happens there."""
        if gracefully:
            self.stop_gracefully()
        else:
            self.stop()
        try:
            yield
        finally:
            self.start()

    def restart(self, *, gracefully: bool = False) -> None:
        with self.away(gracefully=gracefully):
            pass

    def wipe(self) -> None:
        """Delete all queues, exchanges and bindings; clients are cut off first."""
        self._ask(
            """
            Clients = rabbit_networking:local_connections(),
            ok = rabbit_vhost:delete(<<"/">>, <<"tests">>),
            [receive {'DOWN', R, _, _, _} -> ok after 10000 -> ok end
             || C <- Clients, R <- [erlang:monitor(process, C)]],
            ok = rabbit_vhost:add(<<"/">>, <<"tests">>),
            All = <<".*">>,
            ok = rabbit_auth_backend_internal:set_permissions(User, <<"/">>, All, All, All, <<"tests">>),
            io:put_chars("null").
            """,
            User=self.USER,
        )

    def queue(self, name: str) -> dict[str, Any] | None:
        """What the node knows of a queue now, or None when there is none of that name.

        `type` (quorum, classic), `durable`, `arguments`, `policy`, `consumers`, `messages`, and of those the
        `ready` (waiting for a consumer; the others have been handed to one).
        """
        found: dict[str, Any] | None = self._ask(
            # `info` counts a quorum queue's messages every five seconds only.
            """
            case rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, Name)) of
                {error, not_found} -> io:put_chars("null");
                {ok, Q} ->
                    Info = maps:from_list(rabbit_amqqueue:info(
                        Q, [type, durable, policy, consumers, messages, messages_ready])),
                    Count = fun(Key, Query) -> case Info of
                        #{type := quorum} -> {ok, N, _} = ra:consistent_query(amqqueue:get_pid(Q), Query), N;
                        #{Key := N} -> N
                    end end,
                    io:put_chars(rabbit_json:encode((maps:with([type, durable, policy, consumers], Info))#{
                        arguments => rabbit_misc:amqp_table(amqqueue:get_arguments(Q)),
                        messages => Count(messages, fun rabbit_fifo:query_messages_total/1),
                        ready => Count(messages_ready, fun rabbit_fifo:query_messages_ready/1)}))
            end.
            """,
            Name=name,
        )
        return found and found | {"arguments": dict(found["arguments"])}

    def queues(self) -> list[str]:
        """The names of all queues, sorted."""
        names: list[str] = self._ask(
            """
            io:put_chars(rabbit_json:encode(
                [Name || {resource, _, queue, Name} <- rabbit_amqqueue:list_names()])).
            """
        )
        return sorted(names)

    def suspend_channels(self) -> None:
        """Let the processes of all clients' channels hang: connections live on, and nothing comes through them."""
        self._ask(
            """[sys:suspend(Channel) || Channel <- rabbit_channel:list_local()], io:put_chars("null")."""
        )

    def _ask(self, expression: str, **values: str) -> Any:
        """Have the node itself evaluate Erlang that prints JSON: 10 ms, where rabbitmqctl takes a second."""
        bindings = "".join(f"{name} = <<{json.dumps(value)}/utf8>>,\n" for name, value in values.items())
        answer = subprocess.run(
            [
                _ERL_CALL, "-address", f"localhost:{self._ports['distribution']}", "-c", self._cookie(),
                "-timeout", str(_ASK_LIMIT), "-fetch_stdout", "-e",
            ],
            input=f"{bindings}{expression.strip()}\n".encode(), capture_output=True, env=self._environ(), check=False,
        )  # fmt: skip
        said = answer.stdout.decode(errors="replace")
        try:
            return json.JSONDecoder().raw_decode(said)[0]  # what the expression returned comes after it
        except ValueError:
            said += answer.stderr.decode(errors="replace")
            raise RuntimeError(f"RabbitMQ does not answer: {said[-2000:]}") from None

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / "output.log").open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=self._folder, env=self._environ(),
            )  # fmt: skip

    def _environ(self) -> dict[str, str]:
        folder = self._folder
        return {
            "PATH": _PATH,
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),  # the cookie is there
            "ERL_CRASH_DUMP": os.devnull,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._ports["epmd"]),
            "RABBITMQ_SCRIPTS_DIR": str(folder / "home" / "sbin"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),  # nothing from /etc/rabbitmq
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "none"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.log.parent),
            "RABBITMQ_NODENAME": f"signert-{self._ports['amqp']}@localhost",
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # With this the script becomes the server instead of staying as its parent.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _cookie(self) -> str:
        return (self._folder / ".erlang.cookie").read_text()

    def _prepare(self) -> None:
        from tests.certificates import write_certificates

        assert _SERVER.exists(), "rabbitmq-server is not installed: run scripts/setup.sh --tests"
        self._folder.mkdir(parents=True, exist_ok=True)
        cookie = self._folder / ".erlang.cookie"
        cookie.touch(0o600)
        cookie.write_text(secrets.token_hex(20))
        self._link_server(_SERVER.resolve().parent.parent)
        write_certificates(self._folder)
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self._ports['amqp']}",
            "listeners.ssl.1": f"127.0.0.1:{self._ports['amqps']}",
            "ssl_options.cacertfile": str(self.ca),
            "ssl_options.certfile": str(self._folder / "server.pem"),
            "ssl_options.keyfile": str(self._folder / "server-key.pem"),
            "ssl_options.verify": "verify_peer",
            "ssl_options.fail_if_no_peer_cert": "false",
            "default_user": self.USER,
            "default_pass": self.PASSWORD,
            "log.file": self.log.name,
            "log.console": "false",
        }
        (self._folder / "rabbitmq.conf").write_text("".join(f"{k} = {v}\n" for k, v in settings.items()))

    def _link_server(self, installed: Path) -> None:
        """Lay out the server without its 40 optional plugins: looking through them takes it 2 s of 5."""
        home = self._folder / "home"
        (home / "plugins").mkdir(parents=True)
        for name in ("sbin", "escript"):
            (home / name).symlink_to(installed / name)
        for plugin in (installed / "plugins").iterdir():
            if not plugin.name.startswith("rabbitmq_") or plugin.name.startswith("rabbitmq_prelaunch"):
                (home / "plugins" / plugin.name).symlink_to(plugin)

    def _find_epmd(self) -> None:
        socket.create_connection(("127.0.0.1", self._ports["epmd"])).close()

    def _connect(self) -> None:
        import amqp

        # Listening is the last thing that it begins with.
        with amqp.Connection(
            f"127.0.0.1:{self._ports['amqp']}", self.USER, self.PASSWORD, connect_timeout=5, read_timeout=5
        ):
            pass

    def _wait_for(self, process: subprocess.Popen[bytes], ready: Any) -> None:
        from amqp import AMQPError

        until_it_answers(
            "RabbitMQ",
            process,
            ready,
            (OSError, AMQPError),
            self._folder / "output.log",
            seconds=_START_LIMIT,
        )


@contextlib.contextmanager
def running_rabbitmq(folder: Path) -> Iterator[RabbitNode]:
    """A node that runs as long as the context."""
    node = started(RabbitNode(folder / f"rabbitmq-{attempt}") for attempt in range(3))
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """One node for all tests of a session: clean up, and stop it by `away` or `restart`, which start it again."""
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node
