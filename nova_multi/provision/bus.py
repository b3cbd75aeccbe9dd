# SPDX-License-Identifier: Apache-2.0
"""The message bus: signals between our processes, Nova's notifications, audit records.

Nothing is lost if a message is: the database is the queue, and workers look by
themselves. So everything here is sent without waiting for anybody.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from oslo_service import backend

from nova_multi.domain.errors import Unavailable
from nova_multi.provision import audit
from nova_multi.provision.events import Listener
from nova_multi.provision.outbox import Outbox

# Decided when oslo.messaging is imported, unless somebody has before; its own choice
# would be eventlet.
backend.register_backend_default_hook(lambda: backend.BackendType.THREADING)

import oslo_messaging  # noqa: E402
from oslo_messaging import opts as oslo_messaging_opts  # noqa: E402

LOG = logging.getLogger(__name__)

#: Topic of our own casts; each worker has a queue of its own through the fanout.
TOPIC = "nova_multi_worker"
#: Where ``[notifications]`` of Nova is told to send, besides its usual topic.
NOTIFICATIONS = "nova_multi_notifications"
_VERSION = "1.0"
#: Seconds between attempts to listen where the bus is away.
_RETRY = 5.0
_AMQP_PORT = 5672
#: Seconds that a host of the bus has to take a connection.
_REACH_TIMEOUT = 2.0

_RABBIT = "oslo_messaging_rabbit"
_HEADER = b"AMQP\x00\x00\x09\x01"
#: The begin of a frame with the method connection.start; its size is left out.
_START = b"\x01\x00\x00" + 4 * b"." + b"\x00\x0a\x00\x0a"

_GLOBALS = ("metrics", "tracing")

#: What of Nova's is of interest; the rest is thrown away at once.
_FILTER = oslo_messaging.NotificationFilter(event_type=r"^instance\.")


def transport(conf: cfg.ConfigOpts) -> Any:
    """Connection for casts, from ``transport_url``."""
    return oslo_messaging.get_rpc_transport(conf)


def is_configured(conf: cfg.ConfigOpts) -> bool:
    """Whether there is a bus at all: ``transport_url`` has a default that is none."""
    for group, options in oslo_messaging_opts.list_opts():
        if group is None:
            conf.register_opts([o for o in options if o.name == "transport_url"])
    _declare_globals(conf)
    return conf.transport_url not in ("", "rabbit://", None)


def reach(conf: cfg.ConfigOpts) -> None:
    """See whether a message broker answers on one of the bus's hosts.

    Without logging in. Over TLS only whether the host takes connections.

    :raises Unavailable: none does.
    """
    hosts = oslo_messaging.TransportURL.parse(conf).hosts
    faults: list[OSError] = []
    for host in hosts:
        try:
            address = (host.hostname, host.port or _AMQP_PORT)
            with socket.create_connection(address, _REACH_TIMEOUT) as connected:
                if not _uses_tls(conf):
                    _greet(connected)
            return
        except OSError as error:
            faults.append(error)
    # A bus in memory has no hosts.
    if faults:
        raise Unavailable(f"the message bus does not answer: {faults[-1]}")


def _uses_tls(conf: cfg.ConfigOpts) -> bool:
    for group, options in oslo_messaging_opts.list_opts():
        if group == _RABBIT:
            conf.register_opts([o for o in options if o.name == "ssl"], group=group)
    return bool(conf[_RABBIT].ssl)


def _greet(connected: socket.socket) -> None:
    """Begin with AMQP 0-9-1 as clients do; the broker's first frame is its answer.

    :raises OSError: what answers is no broker, or nothing does.
    """
    connected.sendall(_HEADER)
    answer = b""
    while len(answer) < len(_START):
        piece = connected.recv(64)
        if not piece:
            raise ConnectionError("it closed the connection")
        answer += piece
    # Type, channel and, after the frame's size, class and method.
    if answer[:3] + answer[7:11] != _START[:3] + _START[7:]:
        raise ConnectionError("it is no broker of AMQP 0-9-1")


def _declare_globals(conf: cfg.ConfigOpts) -> None:
    """What oslo.messaging reads of any configuration and declares on the global one."""
    for name in _GLOBALS:
        with contextlib.suppress(ImportError):
            module = importlib.import_module(f"oslo_messaging._{name}.client")
            group = f"oslo_messaging_{name}"
            conf.register_opts(getattr(module, group, []), group=group)


class BusSignals:
    """Signals to the workers of all processes."""

    def __init__(self, transport: Any) -> None:
        target = oslo_messaging.Target(topic=TOPIC, version=_VERSION, fanout=True)
        # Not again and again, as is usual: workers look by themselves meanwhile.
        self._client = oslo_messaging.get_rpc_client(transport, target, retry=0)
        self._outbox = Outbox("signals")

    def work(self) -> None:
        """There is a new task."""
        self._cast("work")

    def wake(self, task_uuid: str) -> None:
        """Something happened that the task may be waiting for."""
        self._cast("wake", task_uuid=task_uuid)

    def _cast(self, method: str, **arguments: str) -> None:
        if not self._outbox.send(lambda: self._send(method, arguments)):
            LOG.debug("too many signals are waiting for the bus")

    def _send(self, method: str, arguments: Mapping[str, str]) -> None:
        try:
            self._client.cast({}, method, **arguments)
        except Exception as error:
            LOG.warning("workers can't be told: %s", error)


class _Endpoint:
    """What workers understand."""

    target = oslo_messaging.Target(version=_VERSION)

    def __init__(
        self, on_work: Callable[[], None], on_wake: Callable[[str], None]
    ) -> None:
        self._on_work = on_work
        self._on_wake = on_wake

    def work(self, context: Mapping[str, Any]) -> None:
        """There is a new task."""
        self._on_work()

    def wake(self, context: Mapping[str, Any], task_uuid: str) -> None:
        """Something happened that the task may be waiting for."""
        self._on_wake(task_uuid)


class _Notifications:
    """Takes Nova's notifications of every priority."""

    filter_rule = _FILTER

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def info(
        self,
        context: Mapping[str, Any],
        publisher_id: str,
        event_type: str,
        payload: Mapping[str, Any],
        metadata: Mapping[str, Any],
    ) -> None:
        """One notification."""
        try:
            self._listener.heard(
                event_type, payload, metadata.get("timestamp"), publisher_id
            )
        except Exception:
            # Never back to the bus: it would come again, and again.
            LOG.exception("notification %s", event_type)

    error = warn = critical = audit = sample = debug = info


class Ears:
    """What a worker listens to.

    :param server: name of this worker on the bus.
    :param listener: of Nova's notifications; None leaves them alone.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        server: str,
        on_work: Callable[[], None],
        on_wake: Callable[[str], None],
        listener: Listener | None,
    ) -> None:
        rpc = oslo_messaging.get_rpc_transport(conf)
        target = oslo_messaging.Target(topic=TOPIC, server=server, version=_VERSION)
        self._servers = [
            oslo_messaging.get_rpc_server(
                rpc, target, [_Endpoint(on_work, on_wake)], executor="threading"
            )
        ]
        if listener:
            self._servers.append(
                oslo_messaging.get_notification_listener(
                    oslo_messaging.get_notification_transport(conf),
                    [oslo_messaging.Target(topic=NOTIFICATIONS)],
                    [_Notifications(listener)],
                    executor="threading",
                )
            )
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(each,), daemon=True)
            for each in self._servers
        ]

    def start(self) -> None:
        """Listen, as soon as the bus is there; does not wait for it."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopped.set()
        for server in self._servers:
            try:
                server.stop()
                server.wait()
            except Exception as error:
                LOG.debug("stop listening: %s", error)

    def _listen(self, server: Any) -> None:
        while not self._stopped.is_set():
            try:
                server.start()
                return
            except Exception as error:
                LOG.warning("the message bus is away: %s", error)
                self._stopped.wait(_RETRY)


class AuditNotifier:
    """Sends audit records to the topic that the operator's collectors read."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._notifier = oslo_messaging.Notifier(
            oslo_messaging.get_notification_transport(conf),
            "nova_multi",
            # What can't be sent goes to the log.
            retry=1,
        )
        self._outbox = Outbox("audit")
        #: Whether the operator has named a driver; else all is thrown away.
        self.sends = bool(conf.oslo_messaging_notifications.driver)

    def __call__(self, event_type: str, event: Mapping[str, Any]) -> None:
        if not self._outbox.send(lambda: self._send(event_type, event)):
            audit.to_log(event_type, event)

    def _send(self, event_type: str, event: Mapping[str, Any]) -> None:
        try:
            self._notifier.info({}, event_type, dict(event))
        except Exception as error:
            LOG.warning("an audit record can't be sent: %s", error)
            audit.to_log(event_type, event)
