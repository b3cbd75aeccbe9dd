# SPDX-License-Identifier: Apache-2.0
"""The results as a page of the documentation, in reStructuredText."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bench.stats import summary

#: What is aimed at: against Nova's FakeDriver, MB of all services, and seconds.
GOAL_RATIO = 1.4
GOAL_MEMORY_MB = 3000
GOAL_SECOND_RUN = 40
#: Of the provisioning service: seconds, and against openstacksdk in threads.
GOAL_ACCEPT = 0.030
GOAL_PAGE = 0.050
GOAL_DELAY = 1.0
GOAL_BURST = 1.1
#: Of environments: seconds of a plan by its instances, of an apply that has nothing to
#: do, against openstacksdk in threads, and seconds until a script's end is told.
GOAL_PLAN = {"1000": 1.0, "10000": 10.0}
GOAL_AGAIN = 2.0
GOAL_APPLY = 1.15
GOAL_WAIT = 1.0
FLOOR = "fake"
TITLES = {
    "fake": "Nova's FakeDriver (the floor)",
    "docker": "Docker",
    "lxd": "LXD",
    "libvirt": "libvirt",
}
_HEAD = """\
..
   SPDX-License-Identifier: Apache-2.0
   Written by tools/bench --figures; edits get lost.

================
Measured figures
================

Made by ``tools/bench`` on {date}: {cores} cores ({processor}), {memory_mb} MB,
{system}, kernel {kernel}.
"""
_NOTE = "Figures compare with one another within one run; other machines have others."


def page(results: dict[str, Any]) -> str:
    """All that was measured; what was not is left out.

    :param results: as tools/bench keeps them.
    """
    head = _HEAD.format(date=results["date"], **results["machine"])
    parts = [head, f"{_NOTE}\n"]
    if results.get("note"):
        parts.append(f".. note::\n   {results['note']}\n")
    for key, section in (
        ("servers", _servers),
        ("engines", _engines),
        ("memory", _memory),
        ("provisioning", _provisioning),
        ("plans", _plans),
        ("environments", _environments),
        ("second_run", _second_run),
    ):
        if key in results:
            parts.append(section(results[key]))
    return "\n".join(parts)


def _servers(servers: dict[str, Any]) -> str:
    found = servers["seconds"]
    floor = summary(found[FLOOR]["create"]).median if FLOOR in found else None
    rows = []
    for name, title in TITLES.items():
        if name not in found:
            continue
        create = summary(found[name]["create"])
        delete = summary(found[name]["delete"])
        rows.append(
            (
                title,
                create.count,
                f"{create.median:.2f}",
                f"{create.p95:.2f}",
                f"{create.median / floor:.2f}" if floor else "",
                f"{delete.median:.2f}",
                f"{delete.p95:.2f}",
            )
        )
    return _section(
        "Servers, one at a time, with a port of OVN",
        "Seconds from the request to Nova until the server is ACTIVE, and from the",
        "request to delete it until Nova no longer knows it. The hypervisors take",
        "turns within one run; the image is in the host's cache, as after the first",
        "boot, and another server is on the network already.",
        f"Docker and LXD aim at a ratio of at most {GOAL_RATIO}. The machine's",
        f"load was {servers['load']:.1f} when the run began: above 1, something else",
        "took part.",
        table=_table(
            ("Driver", "Servers", "Create: median", "p95", "Ratio to FakeDriver")
            + ("Delete: median", "p95"),
            rows,
        ),
    )


def _engines(engines: dict[str, list[float]]) -> str:
    figures = {name: summary(seconds) for name, seconds in engines.items()}
    return _section(
        "The engines alone",
        "Seconds of the engine's own command for the same image, without a network and",
        "without Nova.",
        table=_table(
            ("Command", "Guests", "Median", "p95"),
            (
                (f"``{name}``", one.count, f"{one.median:.2f}", f"{one.p95:.2f}")
                for name, one in figures.items()
            ),
        ),
    )


def _memory(memory: dict[str, float]) -> str:
    return _section(
        "Memory of the services, idle",
        "Proportional set size in MB, without the guests' processes. The aim is less",
        f"than {GOAL_MEMORY_MB} MB for the control plane and three computes.",
        table=_table(
            ("Service", "MB"),
            [
                *((name, f"{size:.0f}") for name, size in memory.items()),
                ("**All**", f"**{sum(memory.values()):.0f}**"),
            ],
        ),
    )


def _provisioning(found: dict[str, Any]) -> str:
    count = found["count"]
    rows = [
        (told, one.count, f"{one.median:.3f}", f"{one.p95:.3f}", aim)
        for told, key, aim in (
            ("Accepting an instance, 8 clients, as they see it", "accept", ""),
            ("Of that, without waiting for OpenStack", "own", ""),
            ("Of that, the service's own: processor time", "cpu", GOAL_ACCEPT),
            (
                "A page of 100 of 10,000 tasks",
                "page",
                GOAL_PAGE,
            ),
            ("From Nova's notification until the task shows it", "delay", GOAL_DELAY),
        )
        for one in [summary(found[key])]
    ]
    ratio = found["wall"] / found["plain"]
    return _section(
        "The provisioning service",
        f"{count} instances in one go: {found['wall']:.1f} s by the service,"
        f" {found['plain']:.1f} s by openstacksdk",
        f"in 8 threads ({ratio:.2f} times; the aim is at most {GOAL_BURST}). Load of"
        f" the machine before: {found['load']}. Seconds:",
        table=_table(("What", "Count", "Median", "p95", "Aim"), rows),
    )


def _plans(plans: dict[str, dict[str, float]]) -> str:
    rows = [
        (
            f"{int(count):,}",
            f"{found['read']:.2f}",
            f"{found['new']:.2f}",
            f"{found['same']:.2f}",
            f"{found['read'] + max(found['new'], found['same']):.2f}",
            GOAL_PLAN.get(count, ""),
            f"{(found['most'] - found['before']) * 1024 / int(count):.1f}",
        )
        for count, found in plans.items()
    ]
    return _section(
        "Plans",
        "Seconds of one process without a cloud, for a file with so many instances in",
        "parts of ten, each of which is told the address of a database: for reading",
        "the file, for the plan where nothing stands, and for that where all do.",
        "The memory is what the process has at its most while it reads and plans, less",
        "what it had before.",
        table=_table(
            ("Instances", "Read", "Plan: nothing stands", "Plan: all stand")
            + ("Read and plan", "Aim", "kB per instance"),
            rows,
        ),
    )


def _environments(found: dict[str, Any]) -> str:
    count, sent = found["count"], found["requests"]
    ratio = found["wall"] / found["plain"]
    rows = [
        (f"Plan of {int(number):,} instances", 1, f"{value:.2f}", f"{value:.2f}", aim)
        for number, value in found["plans"].items()
        for aim in [GOAL_PLAN.get(number, "")]
    ]
    stand = f"Apply of {found['stand']} instances that stand already"
    for title, seconds, aim in (
        (f"{stand}, by the API", found["again"]["api"], GOAL_AGAIN),
        (f"{stand}, by the command", found["again"]["command"], GOAL_AGAIN),
        *(
            (f"Waiting too long for a script, {TITLES[driver]}", each, GOAL_WAIT)
            for driver, each in found["waits"].items()
        ),
    ):
        one = summary(seconds)
        rows.append((title, one.count, f"{one.median:.2f}", f"{one.p95:.2f}", aim))
    return _section(
        "Environments",
        f"Apply of {count} instances on the three hypervisors: {found['wall']:.1f} s,"
        f" {found['plain']:.1f} s by openstacksdk in",
        f"8 threads ({ratio:.2f} times; the aim is at most {GOAL_APPLY}). An apply of"
        f" {sent['count']} instances",
        f"sent {sent['first_all']} requests to OpenStack, {sent['first']} of which may"
        f" change something; the same apply again",
        f"{sent['again_all']}, and {sent['again']} of those (the aim is none). What a"
        " script is waited for",
        "too long is the time from ACTIVE until the task is seen to be provisioned,",
        "less the time for which the example's ``site.sh`` ran.",
        f"Load of the machine before: {found['load']}. Seconds:",
        table=_table(("What", "Count", "Median", "p95", "Aim"), rows),
    )


def _second_run(seconds: float) -> str:
    return _section(
        "deploy/up where everything is there already",
        f"{seconds:.0f} s; the aim is less than {GOAL_SECOND_RUN} s.",
    )


def _section(title: str, *lines: str, table: str = "") -> str:
    parts = [title, "-" * len(title), "", *lines, ""]
    return "\n".join([*parts, table] if table else parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        first, *rest = row
        lines.append(f"   * - {first}")
        lines += [f"     - {cell}".rstrip() for cell in rest]
    return "\n".join([*lines, ""])
