# SPDX-License-Identifier: Apache-2.0
"""Signals and notifications over oslo.messaging's bus in memory."""

import contextlib
import os
import socket
import subprocess
import sys
import threading

import oslo_messaging
import pytest
from oslo_config import cfg

from nova_multi.domain.errors import Unavailable
from nova_multi.provision import bus, outbox
from tests.unit.provision.test_events import payload


class Heard:
    """Remembers what came, and lets the test wait for it."""

    def __init__(self):
        self.words = []
        self.changed = threading.Condition()

    def __call__(self, *word):
        with self.changed:
            self.words.append(word)
            self.changed.notify_all()

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.words) >= count, timeout=60)
        return self.words

    def until(self, send):
        """Send again and again until something comes."""
        with self.changed:
            for _ in range(600):
                if self.words:
                    return
                send()
                self.changed.wait(0.1)
        raise AssertionError("nothing came")


class FakeListener:
    """Takes what the bus gives."""

    def __init__(self):
        self.heard = Heard()


@pytest.fixture
def conf():
    conf = cfg.ConfigOpts()
    conf([])
    assert not bus.is_configured(conf)
    conf.set_override("transport_url", "fake://")
    assert bus.is_configured(conf)
    return conf


def test_workers_of_all_processes_hear(conf):
    heard = [Heard(), Heard()]
    wakes = [Heard(), Heard()]
    ears = [bus.Ears(conf, f"w{n}", heard[n], wakes[n], None) for n in range(2)]
    for each in ears:
        each.start()
        for thread in each._threads:
            thread.join(60)
    signals = bus.BusSignals(bus.transport(conf))
    # The bus in memory forgets what is sent before somebody has listened once.
    for n in range(2):
        heard[n].until(signals.work)
        wakes[n].until(lambda: signals.wake("t1"))
        assert set(heard[n].words) == {()}
        assert set(wakes[n].words) == {("t1",)}
    for each in ears:
        each.stop()


def test_novas_notifications_arrive(conf):
    listener = FakeListener()
    ears = bus.Ears(conf, "w1", Heard(), Heard(), listener)
    ears.start()
    for thread in ears._threads:
        thread.join(60)
    notifier = oslo_messaging.Notifier(
        oslo_messaging.get_notification_transport(conf),
        "nova-compute:node1",
        driver="messagingv2",
        topics=[bus.NOTIFICATIONS],
    )
    notifier.info({}, "service.update", {"nova_object.data": {}})
    notifier.info({}, "instance.create.end", payload())
    ((event_type, sent, timestamp, publisher),) = listener.heard.wait(1)
    assert publisher == "nova-compute:node1"
    assert event_type == "instance.create.end"
    assert sent["nova_object.data"]["uuid"] == "s1"
    assert timestamp
    ears.stop()


def test_a_bus_that_is_away_stops_nobody(conf, monkeypatch):
    signals = bus.BusSignals(bus.transport(conf))

    def away(*args, **named):
        raise oslo_messaging.MessageDeliveryFailure("away")

    monkeypatch.setattr(type(signals._client), "cast", away)
    signals.work()
    signals.wake("t1")
    assert signals._outbox.flush(60)


def test_nobody_waits_for_a_bus_that_is_silent(conf, monkeypatch):
    signals = bus.BusSignals(bus.transport(conf))
    asked, answered = threading.Event(), threading.Event()
    sent = []

    def silent(client, context, method, **arguments):
        asked.set()
        assert answered.wait(60)
        sent.append((method, arguments))

    monkeypatch.setattr(type(signals._client), "cast", silent)
    signals.work()
    assert asked.wait(60)
    # Here still nothing is answered.
    signals.wake("t1")
    assert sent == []
    answered.set()
    assert signals._outbox.flush(60)
    assert sent == [("work", {}), ("wake", {"task_uuid": "t1"})]


def test_what_waits_for_the_bus_is_limited(monkeypatch):
    monkeypatch.setattr(outbox, "_MOST", 2)
    box = outbox.Outbox("test")
    begun, go_on = threading.Event(), threading.Event()
    box.send(lambda: begun.set() or go_on.wait(60))
    assert begun.wait(60)
    assert [box.send(lambda: None) for _ in range(3)] == [True, True, False]
    go_on.set()


def test_a_letter_that_breaks_stops_no_others(caplog):
    box = outbox.Outbox("test")
    assert box.send(lambda: 1 / 0)
    assert box.flush(60)
    assert "ZeroDivisionError" in caplog.text


def test_audit_records_that_can_not_be_sent_are_in_the_log(conf, monkeypatch, caplog):
    caplog.set_level("INFO")
    notifier = bus.AuditNotifier(conf)

    def away(*args, **named):
        raise oslo_messaging.MessageDeliveryFailure("away")

    monkeypatch.setattr(notifier._notifier, "info", away)
    notifier("audit.nova_multi.instance.create", {"outcome": "pending"})
    assert notifier._outbox.flush(60)
    assert 'audit.nova_multi.instance.create {"outcome": "pending"}' in caplog.text


def test_a_notification_that_breaks_the_listener_is_left(caplog):
    class Broken:
        def heard(self, *args):
            raise ZeroDivisionError

    endpoint = bus._Notifications(Broken())
    endpoint.info({}, "nova", "instance.create.end", {}, {})
    assert "instance.create.end" in caplog.text


def test_no_eventlet():
    """oslo.service would choose it where it is installed."""
    program = (
        "from nova_multi.provision import bus;"
        "from oslo_service import backend;"
        "backend.get_backend();"
        "assert backend.get_backend_type() is backend.BackendType.THREADING"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_audit_goes_to_the_bus_only_if_it_is_sent_on(conf):
    assert not bus.AuditNotifier(conf).sends
    conf.set_override("driver", ["messagingv2"], group="oslo_messaging_notifications")
    assert bus.AuditNotifier(conf).sends


def test_a_bus_that_is_away_keeps_nobody_waiting():
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"rabbit://user:secret@127.0.0.1:{taken.getsockname()[1]}/"
        conf = cfg.ConfigOpts()
        conf([])
        bus.is_configured(conf)
        conf.set_override("transport_url", url)
        signals = bus.BusSignals(bus.transport(conf))
        told = threading.Thread(target=signals.work, daemon=True)
        told.start()
        told.join(20)
        assert not told.is_alive()


START = b"\x01\x00\x00\x00\x00\x01\xf4\x00\x0a\x00\x0a\x00\x09"


@contextlib.contextmanager
def broker_that_says(answer):
    """Something that listens; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            while True:
                try:
                    connected, _ = server.accept()
                except OSError:
                    return
                with connected:
                    if connected.recv(8) == b"AMQP\x00\x00\x09\x01":
                        connected.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"rabbit://u:p@127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_whether_a_broker_answers(conf):
    bus.reach(conf)  # in memory: always
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"u:p@127.0.0.1:{nobody.getsockname()[1]}"
        conf.set_override("transport_url", f"rabbit://{dead},{dead}/")
        with pytest.raises(Unavailable, match="does not answer"):
            bus.reach(conf)
        with broker_that_says(START) as url:
            conf.set_override("transport_url", f"{url[:-1]},{dead}/")
            bus.reach(conf)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n", START[:8]])
def test_an_open_port_is_no_broker(conf, answer):
    with broker_that_says(answer) as url:
        conf.set_override("transport_url", url)
        with pytest.raises(Unavailable, match="does not answer"):
            bus.reach(conf)


def test_over_tls_an_open_port_is_all_that_is_looked_for(conf):
    with broker_that_says(b"") as url:
        conf.set_override("transport_url", url)
        assert not bus._uses_tls(conf)
        conf.set_override("ssl", True, group="oslo_messaging_rabbit")
        bus.reach(conf)
