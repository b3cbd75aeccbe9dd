# SPDX-License-Identifier: Apache-2.0
"""Plans of many instances: what reading the file and planning cost, without a cloud.

Each is made in a process of its own, so that its memory can be told.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.errors import BenchError

#: Instances of each plan.
COUNTS = (1_000, 10_000)
#: Instances of each part of the file.
PART = 10
#: Seconds for one process.
TIMEOUT = 300

Log = Callable[[str], None]


def text(count: int) -> str:
    """A file with so many instances: parts of ten that are told of a database.

    :param count: with the database.
    """
    instances: dict[str, Any] = {
        "db": {"driver": "lxd", "image": "debian", "memory": 512, "provisioner": "db"}
    }
    parts, rest = divmod(count - 1, PART)
    for number in range(parts + bool(rest)):
        instances[f"web{number}"] = {
            "driver": ("docker", "lxd", "libvirt")[number % 3],
            "image": "debian",
            "count": PART if number < parts else rest,
            "provisioner": "web",
            "publish": ["80"],
            "tags": ["web"],
            "variables": {"DB": "${instances.db.address}", "NUMBER": str(number)},
        }
    script = "#!/bin/sh\necho ready\n"
    data = {
        "name": "large",
        "partition": "large-co",
        "provisioners": {"db": {"script": script}, "web": {"script": script}},
        "instances": instances,
        "outputs": {"database": "${instances.db.address}"},
    }
    return yaml.safe_dump(data, sort_keys=False)


def run(count: int) -> dict[str, float]:
    """Plan in this process.

    :returns: seconds for reading the file, for the plan of all that is to be made, and
        for that of all that stands already; MB of this process before, and at its most.
    """
    # The service's modules are there only where it is deployed.
    from nova_multi import spec
    from nova_multi.provision import planner

    told = text(count).encode()
    gc.collect()
    before = _status("VmRSS")
    start = time.perf_counter()
    wanted = spec.load_text(told)
    read = time.perf_counter() - start
    facts = _facts(wanted)
    start = time.perf_counter()
    plan = planner.plan(wanted, _nothing(), facts)
    new = time.perf_counter() - start
    most = _status("VmHWM")
    made = [step for step in plan.steps if step.kind == "instance"]
    if len(made) != count:
        raise BenchError(f"a plan of {count} instances makes {len(made)}")
    present = _standing(plan, wanted, facts)
    start = time.perf_counter()
    again = planner.plan(wanted, present, facts)
    same = time.perf_counter() - start
    if not again.is_empty or again.unchanged != count:
        raise BenchError(f"of {count} instances {len(again.steps)} are to be changed")
    return {"read": read, "new": new, "same": same, "before": before, "most": most}


def _status(key: str) -> float:
    """MB of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) / 1024
    raise BenchError(f"/proc/self/status has no {key}")


def _nothing() -> Any:
    from nova_multi.domain.plan import Present

    return Present()


def _facts(wanted: Any) -> Any:
    """Every image that a definition names is there."""
    from nova_multi.domain.plan import Facts, ImageFacts
    from nova_multi.provision.recipes import image_key

    facts = Facts()
    keys = {image_key(wanted, facts, part) for part in wanted.instances}
    images = {key: ImageFacts(f"{key[1]}-{key[0]}", key[0], key[1]) for key in keys}
    return dataclasses.replace(facts, images=images)


def _standing(plan: Any, wanted: Any, facts: Any) -> Any:
    """What stands when everything is done that a plan says."""
    from nova_multi.domain.plan import Present, PresentEnvironment, PresentInstance
    from nova_multi.domain.publish import Publish
    from nova_multi.provision.recipes import recipes

    by_part = recipes(wanted, facts)
    made = [step for step in plan.steps if step.kind == "instance"]
    found = []
    for number, step in enumerate(made):
        recipe = by_part[step.part]
        found.append(
            PresentInstance(
                uuid=f"uuid-{number}",
                name=step.name,
                part=step.part,
                index=step.index,
                words=recipe.words,
                image=recipe.image,
                driver=recipe.driver,
                size=recipe.size,
                provisioner=recipe.provisioner,
                tags=recipe.tags,
                publish=recipe.publish,
                published=tuple(
                    Publish(20_000 + number, each.inside, each.protocol)
                    for each in recipe.publish
                ),
                told={str(each): "10.0.0.1" for each in recipe.references},
                needs=recipe.needs,
                addresses=("10.0.0.1",) if step.part == "db" else ("10.0.0.2",),
            )
        )
    there = PresentEnvironment(
        wanted.name, wanted.partition, publish_address="203.0.113.9", made=True
    )
    return Present(there, tuple(found))


def measure(log: Log) -> dict[str, Mapping[str, float]]:
    """Each count in a process of its own; the figures of :func:`run` by count."""
    found = {}
    for count in COUNTS:
        log(f"a plan of {count} instances")
        done = subprocess.run(
            [sys.executable, "-m", "bench.plans", str(count)],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason is told"])[-1]
            raise BenchError(f"the plan of {count} instances failed: {last}")
        figures = json.loads(done.stdout)
        found[str(count)] = {key: round(value, 3) for key, value in figures.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]))))
