# SPDX-License-Identifier: Apache-2.0
"""What a guest's script reports reaches its task and its instance."""

from types import SimpleNamespace

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.provision.service import Query
from nova_multi.provision.steps import script
from tests.unit.provision.conftest import ADMIN, NOWHERE, console_text, nonce_of


def test_the_script_tells_what_it_does_and_what_came_of_it(stage):
    stage.ready()
    reports = ["output url http://a/", "progress Installing", r"output key a\nb"]
    seen = []

    def console(data):
        (task,) = stage.store.tasks(None, status="provisioning") or [None]
        seen.append(task and task.history[-1].message)
        exit_code = 0 if len(seen) > 3 else None
        return console_text(data, (), exit_code, reports[: len(seen)])

    stage.world.consoles["web"] = console
    task = stage.instance(provisioner="site")
    assert seen == [None, "", "Installing", "Installing"]
    assert task.status == "provisioned"
    assert "progress: Installing" in task.log
    assert task.history[-2].message == "Installing"
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert shown.outputs == {"url": "http://a/", "key": "a\nb"}
    (listed,) = stage.service.instances.list(ADMIN, Query()).items
    assert listed.outputs == shown.outputs


def clocked(stage, began, ended):
    """A guest whose script begins and ends so many seconds from now, by its clock."""
    now = int(stage.clock().timestamp())

    def console(data):
        words = (f"begin {now + began}", f"exit 0 {now + ended}")
        return "".join(
            f"@nova-multi {nonce_of(data)} {n} {each}\n"
            for n, each in enumerate(words, 1)
        )

    stage.world.consoles["web"] = console
    task = stage.done(stage.accept(provisioner="site"))
    assert task.status == "provisioned"
    times = {change.status: change.at.timestamp() - now for change in task.history}
    return times["created"], times["provisioning"], times["provisioned"]


def test_a_scripts_times_are_the_guests(stage):
    created, began, ended = clocked(stage.ready(), 0, 0)
    assert created <= began <= ended < created + 1


@pytest.mark.parametrize("wrong", [-86400, 86400])
def test_a_clock_that_is_wrong_tells_nothing(stage, wrong):
    created, began, ended = clocked(stage.ready(), wrong, wrong)
    assert created <= began <= ended < 3600


@pytest.mark.parametrize(
    ("parked", "quiet", "seconds"),
    [(1, 0, 1), (8, 30, 1), (24, 0, 3), (99, 0, 5), (1, 120, 4), (1, 900, 5)],
)
def test_few_consoles_are_looked_at_each_second(parked, quiet, seconds):
    work = SimpleNamespace(tools=SimpleNamespace(memory={"parked": parked}))
    assert script._longest(work, quiet) == seconds


def test_too_many_outputs_are_told(stage):
    stage.ready()
    reports = [f"output name{number} x" for number in range(70)]
    stage.world.consoles["web"] = lambda data: console_text(data, reports=reports)
    task = stage.instance(provisioner="site")
    shown = stage.service.instances.show(ADMIN, "web", NOWHERE)
    assert len(shown.outputs) == 64
    assert task.log.count("is left out: there are too many") == 6


def test_an_error_has_the_scripts_last_lines(stage):
    stage.ready()
    stage.speak("web", *(f"line {n}" for n in range(9)), "E: no package x", exit_code=3)
    task = stage.done(stage.accept(provisioner="site"))
    last = task.history[-1].message
    assert (
        "exit status 3, after: line 5 | line 6 | line 7 | line 8 | E: no pack" in last
    )


def test_a_script_that_the_guest_has_ended(stage):
    stage.ready()
    stage.world.consoles["web"] = lambda data: (
        console_text(data, ["waits for ever", ""], None, ())
        + "\n"
        + "".join(
            f"@nova-multi {nonce_of(data)} {n} {each}\n"
            for n, each in enumerate(("timeout 60", "exit 124", "end"), 5)
        )
    )
    task = stage.done(stage.accept(provisioner="site"))
    last = task.history[-1].message
    assert "the guest ended the script after its 60 s, after: waits for ever" in last


def test_a_provisioner_has_a_time_limit_of_its_own(make_stage):
    stage = make_stage(report_timeout=60, script_timeout=600).ready()
    stage.provisioner("slow", script="echo\n", timeout=300)
    stage.speak("web", "half of it", exit_code=None)
    begin = stage.clock()
    task = stage.done(stage.accept(provisioner="slow"))
    (request,) = stage.world.requests.values()
    assert "nm_limit='300'" in request.user_data.decode()
    assert "has not ended within 300 s, after: half of it" in task.history[-1].message
    assert (stage.clock() - begin).total_seconds() > 300
    for timeout in (0, 601):
        with pytest.raises(Invalid, match="timeout") as caught:
            stage.provisioner("wrong", script="echo\n", timeout=timeout)
        assert caught.value.field == "timeout"
    with pytest.raises(Invalid, match="needs a script"):
        stage.provisioner("wrong", timeout=60)
