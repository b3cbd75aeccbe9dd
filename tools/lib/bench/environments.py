# SPDX-License-Identifier: Apache-2.0
"""Environments on the deployed cloud.

Plans, applies against plain openstacksdk, and how soon a script's end is told.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import provisioning, requests
from bench.errors import BenchError
from bench.service import TIMEOUT, Service

#: Instances of plans that are asked of the service; nothing of them is made.
PLANNED = (1_000, 10_000)
#: Instances of each part of these.
PART = 500
#: Times that what stands is applied again.
AGAINS = 5
#: Instances by which requests are counted: their number does not depend on how many.
COUNTED = 3
#: The script that is waited for.
SITE = Path(__file__).resolve().parents[3] / "examples" / "site.sh"
#: What it is waited for on.
CONTAINERS = ("docker", "lxd")
#: Seconds between looks at a task.
LOOK = 0.1

Log = Callable[[str], None]


def definition(name: str, count: int) -> dict[str, Any]:
    """An environment of so many instances, on all hypervisors in turn.

    :param name: of the environment and its partition.
    """
    turns = provisioning.TURNS
    counts = Counter(turns[number % len(turns)] for number in range(count))
    instances = {
        driver: {
            "driver": driver,
            "image": image,
            "count": number,
            "cpus": 1,
            "memory": provisioning.MEMORY_MB,
            "disk": 1,
        }
        for (driver, image), number in counts.items()
    }
    return {"name": name, "partition": name, "instances": instances}


def large(name: str, count: int) -> dict[str, Any]:
    """The same in parts of some hundreds: one may not have more than a thousand."""
    wanted = definition(name, PART)
    parts = wanted.pop("instances")
    rest = definition(name, count % PART).pop("instances")
    instances = {
        f"{driver}-{number}": part
        for number in range(count // PART)
        for driver, part in parts.items()
    }
    return {**wanted, "instances": instances | rest}


def apply(service: Service, name: str, count: int) -> None:
    """Have so many instances stand in an environment, and wait for them."""
    body = {"definition": definition(name, count), "wait": True}
    service.do("POST", f"/environments/{name}/apply", body)


@contextlib.contextmanager
def partition(service: Service) -> Iterator[str]:
    """A partition for the time of the block, and the environment in it of that name.

    What is in the environment at the end is taken away.
    """
    name = f"bench-{secrets.token_hex(3)}"
    service.do("POST", "/partitions", {"name": name})
    try:
        yield name
    finally:
        listed = service.ask("GET", f"/environments?name={name}")["environments"]
        if listed:
            service.do("POST", f"/environments/{name}/destroy", {"wait": True})
        service.do("DELETE", f"/partitions/{name}")


def planned(service: Service, name: str) -> dict[str, float]:
    """Seconds of plans by the service, by how many instances they make."""
    found = {}
    for count in PLANNED:
        start = time.monotonic()
        plan = service.ask("POST", "/environments/plan", large(name, count))
        found[str(count)] = round(time.monotonic() - start, 3)
        # With the environment itself.
        if plan["create"] != count + 1:
            raise BenchError(f"a plan of {count} instances makes {plan['create']}")
    return found


def again(
    service: Service, cloud: str, name: str, count: int
) -> dict[str, list[float]]:
    """Seconds of applies that have nothing to do: by the API, and by the command.

    :param cloud: the command's entry of clouds.yaml.
    """

    def times(do: Callable[[], object]) -> list[float]:
        found = []
        for _ in range(AGAINS):
            start = time.monotonic()
            do()
            found.append(round(time.monotonic() - start, 3))
        return found

    with tempfile.TemporaryDirectory(prefix="nova-multi-bench-") as scratch:
        file = Path(scratch) / "bench.json"
        file.write_text(json.dumps(definition(name, count)))
        command = [str(Path(sys.executable).with_name("openstack")), "--os-cloud"]
        command += [cloud, "multi", "environment", "apply", str(file), "--yes"]
        by_command = times(lambda: _run(command))
    return {"api": times(lambda: apply(service, name, count)), "command": by_command}


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")


def script() -> str:
    """The example's script, which tells when it began and ended, too."""
    return "\n".join(
        (
            "#!/bin/sh",
            "read -r began rest </proc/uptime",
            "(",
            SITE.read_text(),
            ")",
            "status=$?",
            "read -r ended rest </proc/uptime",
            'output ran "$began $ended"',
            "exit $status",
            "",
        )
    )


def waits(service: Service, name: str, rounds: int) -> dict[str, list[float]]:
    """Seconds that "provisioned" comes later than the script alone would take.

    From the moment in which Nova says ACTIVE until the task is seen to be provisioned,
    less the time that the script ran.

    :returns: by driver.
    """
    found: dict[str, list[float]] = {}
    images = dict(provisioning.TURNS)
    for driver in CONTAINERS:
        sizes = {"cpus": 1, "memory": provisioning.MEMORY_MB / 1024, "hdsize": 1}
        body = {"name": f"{name}-site-{driver}", "image": images[driver]}
        body |= {"driver": driver, "script": script()}
        service.ask("POST", "/provisioners", {**body, **sizes})
    try:
        for number in range(rounds):
            for driver in CONTAINERS:
                instance = f"{name}-site-{driver}-{number}"
                seconds = _waited(service, name, instance, f"{name}-site-{driver}")
                found.setdefault(driver, []).append(round(seconds, 3))
    finally:
        for driver in CONTAINERS:
            service.ask("DELETE", f"/provisioners/{name}-site-{driver}")
    return found


def _waited(service: Service, name: str, instance: str, provisioner: str) -> float:
    body = {"name": instance, "environment": name, "provisioner": provisioner}
    task = service.ask("POST", "/instances", body)["task"]
    deadline = time.monotonic() + TIMEOUT
    while not (found := service.ask("GET", f"/tasks/{task}"))["ended"]:
        if time.monotonic() > deadline:
            raise BenchError(f"task {task}: not within {TIMEOUT:g} s")
        time.sleep(LOOK)
    seen = datetime.datetime.now(datetime.UTC)
    try:
        history = {each["status"]: each for each in found["status_history"]}
        if "provisioned" not in history:
            message = found["status_history"][-1]["message"]
            raise BenchError(f"task {task}: {message}")
        active = datetime.datetime.fromisoformat(history["created"]["at"])
        shown = service.ask("GET", f"/instances/{instance}?environment={name}")
        began, ended = map(float, shown["outputs"]["ran"].split())
        return (seen - active).total_seconds() - (ended - began)
    finally:
        service.do("DELETE", f"/instances/{instance}?environment={name}")


def measure(
    cloud: Any, deployed: str, count: int, rounds: int, log: Log
) -> dict[str, Any]:
    """All of it.

    :param deployed: the configuration of the deployed service.
    :param count: instances that are applied in one go.
    :param rounds: instances of each kind whose scripts are waited for.
    """
    service = Service(cloud)
    load = round(os.getloadavg()[0], 2)
    with partition(service) as name:
        log("plans by the service")
        plans = planned(service, name)
        # These aren't counted: they make the environment and flavors, and fetch images.
        few = len(provisioning.TURNS)
        apply(service, name, few)
        log(f"{count} instances by an apply")
        start = time.monotonic()
        apply(service, name, few + count)
        wall = time.monotonic() - start
        log(f"{wall:.1f} s; the same again")
        agains = again(service, cloud.config.name, name, few + count)
        # A container of each kind stays: others are not the first of the network.
        apply(service, name, len(CONTAINERS))
        log(f"{agains}; waiting for scripts")
        waited = waits(service, name, rounds)
    log(f"{waited}; {count} instances by openstacksdk")
    plain = provisioning.plain(cloud, count)
    log(f"{plain:.1f} s")
    counts = requests.measure(
        cloud, deployed, f"bench-{secrets.token_hex(3)}", apply, COUNTED, log
    )
    return {
        "load": load,
        "count": count,
        "stand": few + count,
        "plans": plans,
        "wall": round(wall, 1),
        "plain": round(plain, 1),
        "again": agains,
        "waits": waited,
        "requests": counts,
    }
