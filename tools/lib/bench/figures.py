# SPDX-License-Identifier: Apache-2.0
"""The results as a page of the documentation."""

from __future__ import annotations

from typing import Any

from bench.stats import Summary, summary

#: What is aimed at: against Nova's FakeDriver, MB of all services, and seconds.
GOAL_RATIO = 1.4
GOAL_MEMORY_MB = 3000
GOAL_SECOND_RUN = 40
FLOOR = "fake"
TITLES = {
    "fake": "Nova's FakeDriver (the floor)",
    "docker": "Docker",
    "lxd": "LXD",
    "libvirt": "libvirt",
}


def page(results: dict[str, Any]) -> str:
    """Markdown of all that was measured.

    :param results: as tools/bench keeps them; parts that were not measured are left
        out.
    """
    machine = results["machine"]
    parts = [
        "# Measured figures",
        f"Made by `tools/bench` on {results['date']}: {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_mb']} MB, {machine['system']}, "
        f"kernel {machine['kernel']}. Figures compare with one another within one run; "
        "those of another machine are others.",
    ]
    for key, section in (
        ("servers", _servers),
        ("engines", _engines),
        ("memory", _memory),
        ("second_run", _second_run),
    ):
        if key in results:
            parts.append(section(results[key]))
    return "\n\n".join(parts) + "\n"


def _servers(servers: dict[str, dict[str, list[float]]]) -> str:
    floor = summary(servers[FLOOR]["create"]).median if FLOOR in servers else None
    rows = []
    for name, title in TITLES.items():
        if name not in servers:
            continue
        create = summary(servers[name]["create"])
        delete = summary(servers[name]["delete"])
        ratio = f"{create.median / floor:.2f}" if floor else ""
        rows.append(
            f"| {title} | {create.count} | {create.median:.2f} | {create.p95:.2f} | "
            f"{ratio} | {delete.median:.2f} | {delete.p95:.2f} |"
        )
    return "\n".join(
        [
            "## Servers, one at a time, with a port of OVN",
            "",
            "Seconds from the request to Nova until the server is ACTIVE, and from the "
            "request to delete it until Nova no longer knows it. The hypervisors take "
            "turns within one run; the image is in the host's cache, as after the "
            f"first boot. Docker and LXD aim at a ratio of at most {GOAL_RATIO}.",
            "",
            "| Driver | Servers | Create: median | p95 | Ratio to FakeDriver "
            "| Delete: median | p95 |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        ]
    )


def _engines(engines: dict[str, list[float]]) -> str:
    figures: dict[str, Summary] = {name: summary(s) for name, s in engines.items()}
    return "\n".join(
        [
            "## The engines alone",
            "",
            "Seconds of the engine's own command for the same image, without a network "
            "and without Nova.",
            "",
            "| Command | Guests | Median | p95 |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| `{name}` | {one.count} | {one.median:.2f} | {one.p95:.2f} |"
                for name, one in figures.items()
            ),
        ]
    )


def _memory(memory: dict[str, float]) -> str:
    return "\n".join(
        [
            "## Memory of the services, idle",
            "",
            "Proportional set size in MB, without the guests' processes. The aim is "
            f"less than {GOAL_MEMORY_MB} MB for the control plane and three computes.",
            "",
            "| Service | MB |",
            "| --- | ---: |",
            *(f"| {name} | {size:.0f} |" for name, size in memory.items()),
            f"| **All** | **{sum(memory.values()):.0f}** |",
        ]
    )


def _second_run(seconds: float) -> str:
    return "\n".join(
        [
            "## `deploy/up` where everything is there already",
            "",
            f"{seconds:.0f} s; the aim is less than {GOAL_SECOND_RUN} s.",
        ]
    )
