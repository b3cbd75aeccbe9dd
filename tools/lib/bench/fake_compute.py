# SPDX-License-Identifier: Apache-2.0
"""A compute service with Nova's FakeDriver: the floor below which no driver can be.

It runs on the same node, through the same launcher, on the same OVN chassis, for as
long as it is measured.
"""

from __future__ import annotations

import configparser
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import BenchError

ETC = Path(os.environ.get("NOVA_MULTI_ETC", "/etc/nova-multi"))
#: Seconds for a compute to come up, and to end.
START_TIMEOUT = 90
STOP_TIMEOUT = 60
POLL = 0.5


def configuration(common: str, node: str, folder: Path) -> str:
    """The fake compute's nova.conf, from that of the node's libvirt compute.

    :param common: text of the libvirt compute's.
    :param node: host name of the chassis.
    :param folder: for state, instances and locks.
    """
    # Nova's files repeat sections and options, and oslo.config takes the last value.
    parser = configparser.RawConfigParser(strict=False, default_section="")
    parser.read_string(common)
    own = {
        "DEFAULT": {
            "host": f"{node}-fake",
            "compute_driver": "fake.FakeDriver",
            "state_path": str(folder),
            "instances_path": str(folder / "instances"),
            "debug": "false",
        },
        "nova_multi": {"chassis_hosts": f"{node}-fake:{node}"},
        "oslo_concurrency": {"lock_path": str(folder / "locks")},
        "serial_console": {"enabled": "false"},
    }
    for section, options in own.items():
        if not parser.has_section(section):
            parser.add_section(section)
        for key, value in options.items():
            parser.set(section, key, value)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


@contextlib.contextmanager
def running(cloud: Any, node: str, folder: Path) -> Iterator[str]:
    """Have a fake compute for the time of the block; afterwards it is unknown again.

    :param cloud: connection of an administrator.
    :param folder: private and empty.
    :returns: its host name.
    :raises BenchError: it does not come up.
    """
    host = f"{node}-fake"
    path = folder / "nova.conf"
    source = ETC / "compute-libvirt" / "nova.conf"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(configuration(source.read_text(), node, folder))
    launcher = Path(sys.executable).with_name("nova-multi-compute")
    log = folder / "compute.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(launcher), "--config-file", str(path)],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"},
        ) as process,
    ):
        try:
            _wait_until_up(cloud, host, process, log)
            yield host
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
            for service in cloud.compute.services(host=host):
                cloud.compute.delete_service(service)


def _wait_until_up(
    cloud: Any, host: str, process: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    known = False
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        if not known and any(cloud.compute.services(host=host, binary="nova-compute")):
            _discover()
            known = True
        if known and any(
            entry.state == "up" and entry.name == host
            for entry in cloud.compute.hypervisors(details=True)
        ):
            return
        time.sleep(POLL)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise BenchError(f"the fake compute {host} did not come up:\n{last}")


def _discover() -> None:
    manage = Path(sys.executable).with_name("nova-manage")
    subprocess.run(
        [
            str(manage),
            f"--config-file={ETC / 'nova' / 'nova.conf'}",
            "cell_v2",
            "discover_hosts",
        ],
        check=True,
        capture_output=True,
        timeout=START_TIMEOUT,
    )
