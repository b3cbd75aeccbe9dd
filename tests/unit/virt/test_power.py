# SPDX-License-Identifier: Apache-2.0
"""How long a start is looked after."""

import os

import pytest

from nova_multi.virt import power


@pytest.mark.parametrize(
    "running, blocked, cores, seconds",
    [
        (0, 0, 2, 0.05),
        (2, 0, 2, 0.05),
        (6, 0, 2, 0.15),
        (2, 4, 2, 0.15),
        (6, 0, 1, 0.3),
        (99, 0, 2, 1.0),
    ],
)
def test_the_longer_the_queue_the_longer_the_wait(
    tmp_path, monkeypatch, running, blocked, cores, seconds
):
    stat = tmp_path / "stat"
    stat.write_text(f"cpu  1 2 3\nprocs_running {running}\nprocs_blocked {blocked}\n")
    monkeypatch.setattr(power, "_STAT", str(stat))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert power.settle_time() == pytest.approx(seconds)


def test_this_machine_has_a_queue():
    assert 0.05 <= power.settle_time() <= 1.0
