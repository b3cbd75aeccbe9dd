# SPDX-License-Identifier: Apache-2.0
"""How many requests an apply sends to OpenStack, told by the service's own log.

The deployed service tells no requests. So a second one is started, of the same code,
whose log has each of them.
"""

from __future__ import annotations

import configparser
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.service import Service

#: What changes nothing; tokens are asked for by POST.
_READS = frozenset({"GET", "HEAD"})
#: As nova_multi.cloud tells it.
_LOGGER = "nova_multi.cloud.clouds"
_REQUEST = re.compile(rf" {re.escape(_LOGGER)} \[.*?\] (\w+) (\S+): HTTP \d")
_LOGIN = "/auth/tokens"
#: Seconds until the service answers, and until its end.
_PATIENCE = 60
#: Options of the deployed service that the second one has, too.
_OPTIONS = (
    "docker_image",
    "lxd_image",
    "libvirt_image",
    "external_network",
    "environment_cidr",
    "dns",
)

Log = Callable[[str], None]


def counted(log: str) -> Counter[str]:
    """Requests in a log of keystoneauth, by method; logins are left out."""
    return Counter(
        method for method, url in _REQUEST.findall(log) if not url.endswith(_LOGIN)
    )


def writes(log: str) -> int:
    """How many of the requests in a log may change something."""
    return sum(n for method, n in counted(log).items() if method not in _READS)


def configuration(deployed: str) -> str:
    """Options of the second service.

    :param deployed: the configuration of the first one.
    """
    there = configparser.RawConfigParser(strict=False)
    there.read_string(deployed)
    levels = f"amqp=WARN,sqlalchemy=WARN,urllib3=WARN,{_LOGGER}=DEBUG"
    lines = ["[DEFAULT]", f"default_log_levels = {levels}", "[provision]"]
    for key in _OPTIONS:
        if there.has_option("provision", key):
            lines.append(f"{key} = {there.get('provision', key)}")
    return "\n".join([*lines, ""])


@contextmanager
def service(cloud: Any, deployed: str) -> Iterator[tuple[Service, Path]]:
    """A second service for the time of the block, and its log.

    It works within the project of the cloud's account.
    """
    with tempfile.TemporaryDirectory(prefix="nova-multi-bench-") as scratch:
        folder = Path(scratch)
        options, told = folder / "serve.conf", folder / "log"
        options.write_text(configuration(deployed))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [sys.executable, "-m", "nova_multi.cmd.main", "serve"]
        words += ["--cloud", cloud.config.name, "--port", str(port)]
        words += ["--folder", str(folder / "state"), "--config-file", str(options)]
        with told.open("wb") as output:
            process = subprocess.Popen(words, stdout=output, stderr=output)
        try:
            _answers(process, port, told)
            yield Service(cloud, f"http://127.0.0.1:{port}/v1"), told
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(process: subprocess.Popen[bytes], port: int, told: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    last = (told.read_text().strip().splitlines() or ["nothing is told"])[-1]
    raise BenchError(f"a second service does not begin: {last}")


def measure(
    cloud: Any,
    deployed: str,
    name: str,
    apply: Callable[[Service, str, int], None],
    count: int,
    log: Log,
) -> dict[str, int]:
    """Requests of an apply that makes instances, and of the next one.

    :param deployed: the configuration of the deployed service.
    :param name: of the environment and its partition.
    :param apply: makes so many instances in the environment of a name, and waits.
    """
    with service(cloud, deployed) as (second, told):
        second.do("POST", "/partitions", {"name": name})
        try:
            log(f"requests of an apply of {count} instances")
            begin = told.stat().st_size
            apply(second, name, count)
            middle = told.stat().st_size
            log("requests of the same again")
            apply(second, name, count)
            text = told.read_bytes()
            second.do("POST", f"/environments/{name}/destroy", {})
        finally:
            second.do("DELETE", f"/partitions/{name}")
    first = text[begin:middle].decode(errors="replace")
    again = text[middle:].decode(errors="replace")
    if not writes(first):
        raise BenchError("the log of the second service tells no requests")
    return {
        "count": count,
        "first": writes(first),
        "first_all": counted(first).total(),
        "again": writes(again),
        "again_all": counted(again).total(),
    }
