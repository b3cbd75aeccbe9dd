# SPDX-License-Identifier: Apache-2.0
"""Every command against the real application."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from openstackclient.shell import OpenStackShell

from nova_multi.client import errors
from nova_multi.osc import base, exits
from nova_multi.osc.progress import Progress
from nova_multi.provision.service import Scope
from tests.fixtures.commands import entry_points
from tests.unit.osc.conftest import Shell

NOUNS = ("partition", "host", "environment", "image", "file")
NOUNS += ("provisioner", "instance", "task", "user")


@pytest.fixture
def full(shell: Shell) -> Shell:
    """One of each."""
    shell.service.add_host("node")
    for line in (
        "multi partition create co --description things",
        "multi environment create dev --partition co --user alice --user bob",
        "multi image create debian --type disk --os-name debian",
        "multi provisioner create site --image debian --memory 1 --cpus 1 --var A=b=c",
        "multi instance create web --environment dev --provisioner site --driver lxd"
        " --publish 8080:80 --publish 53:53/udp --memory 512 --hdsize 2GB --tag a",
        "multi user create alice --group team --type system",
    ):
        assert shell(line) == 0, shell.err
    return shell


def test_every_noun_has_its_verbs() -> None:
    commands = set(entry_points())
    for noun in NOUNS:
        verbs = {"list", "show", "delete"}
        if noun != "task":
            verbs |= {"create", "set"}
        if noun == "instance":
            verbs |= {"start", "stop", "restart", "clone"}
        assert {f"multi_{noun}_{verb}" for verb in verbs} <= commands


def test_every_command_is_an_entry_point() -> None:
    from osc_lib.command import command

    from nova_multi.osc.v1 import (
        definition,
        environment,
        file,
        host,
        image,
        instance,
        partition,
        provisioner,
        task,
        user,
    )

    named = set(entry_points().values())
    modules = (environment, file, host, image, instance, partition, provisioner)
    modules = (*modules, definition)
    for module in (*modules, task, user):
        for thing in vars(module).values():
            if isinstance(thing, type) and issubclass(thing, command.Command):
                private = thing.__name__.startswith("_")
                foreign = thing.__module__ != module.__name__
                assert private or foreign or thing in named, thing


@pytest.mark.parametrize("name", entry_points())
def test_every_command_explains_itself(name: str) -> None:
    kind = entry_points()[name]
    command = kind(None, None)
    assert len(command.get_description()) > 8
    for action in command.get_parser("openstack")._actions:
        assert action.help, f"{name} {action.option_strings}"


@pytest.mark.parametrize("name", entry_points())
def test_no_option_is_one_of_openstacks_own(name: str) -> None:
    """It reads its own wherever they stand, also by their beginnings."""
    known = [*OpenStackShell().parser._option_string_actions]
    known += ["--os-cloud", "--os-username", "--insecure", "--verify"]
    parser = entry_points()[name](None, None).get_parser("openstack")
    own = {option for each in parser._actions for option in each.option_strings}
    for option in own - {"-h", "--help"}:
        assert not [each for each in known if each.startswith(option)], option


def test_what_is_created_is_shown(full: Shell) -> None:
    partition = full.json("multi partition show co")
    assert partition["name"] == "co" and partition["description"] == "things"
    environment = full.json("multi environment show dev")
    assert environment["users"] == ["alice", "bob"]
    provisioner = full.json("multi provisioner show site")
    assert provisioner["memory"] == 1 and provisioner["variables"] == {"A": "b=c"}
    instance = full.json("multi instance show web --environment dev")
    assert instance["publish"] == ["8080:80", "53:53/udp"]
    assert (instance["memory"], instance["hdsize"]) == (512, "2GB")
    assert full.json(f"multi instance show {instance['uuid']}") == instance
    user = full.json("multi user show alice")
    assert (user["type"], user["groups"]) == ("system", ["team"])
    assert full.json("multi host show node")["free"]["memory_mb"] == 6144


def test_where_something_is_created(full: Shell) -> None:
    assert full("multi provisioner create two --partition co --environment dev") == 0
    assert full.service.scope == Scope(partition="co", environment="dev")
    assert full("multi image create arch --type disk --partition co") == 0
    assert full.service.scope == Scope(partition="co")


def test_lists_have_columns_and_filters(full: Shell) -> None:
    for noun in NOUNS:
        if noun != "file":
            assert full.json(f"multi {noun} list"), noun
    rows = full.json("multi instance list --driver lxd --long")
    assert [row["Name"] for row in rows] == ["web"]
    assert rows[0]["Host"] == ""
    assert full.json("multi instance list --driver docker") == []
    assert full.json("multi task list --status received") == []
    assert len(full.json("multi task list --limit 2")) == 2
    assert full("multi instance list -f value -c Name") == 0
    assert full.out == "web\n"
    assert full("multi instance list -f csv") == 0
    (row,) = csv.DictReader(io.StringIO(full.out))
    assert row["Environment"] == "dev"
    for formatter in ("table", "yaml"):
        assert full(f"multi provisioner show site -f {formatter}") == 0
        assert "debian" in full.out


def test_set(full: Shell) -> None:
    assert full("multi instance set web --cpus 4 --description hello") == 0
    assert full("multi host set node --disable") == 0
    assert full("multi partition set co --name company") == 0
    assert full("multi user set alice --group other") == 0
    assert full("multi image set debian --permissions rwxr-----") == 0
    assert full.json("multi instance show web")["cpus"] == 4
    assert full.json("multi host show node")["enabled"] is False
    assert full.json("multi partition show company")["description"] == "things"
    assert full("multi host set node --enable") == 0
    assert full.json("multi host show node")["enabled"] is True


def test_hosts_of_a_partition(full: Shell) -> None:
    assert full("multi partition add host co node") == 0
    assert full.json("multi host list --partition co")[0]["Name"] == "node"
    assert full("multi partition remove host co node") == 0
    assert full.json("multi host list --partition co") == []


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_actions(full: Shell, verb: str) -> None:
    assert full(f"multi instance {verb} web") == 0
    assert full.json(f"multi task list --type {verb}_instance")


def test_limits(full: Shell) -> None:
    line = "multi partition create big --limit cpus=8 --limit memory=16GB"
    limits = full.json(line)["limits"]
    assert limits == {"instances": None, "cpus": 8, "memory": 16384}
    assert full("multi partition create odd --limit disk=1") != 0
    assert "limits.disk" in full.err


def test_clone(full: Shell) -> None:
    answer = full.json("multi instance clone web --name web2")
    assert answer["name"] == "web2" and answer["task"]
    assert full.json("multi instance show web2")["driver"] == "lxd"


def test_files(full: Shell, tmp_path: Any) -> None:
    local = tmp_path / "seed.txt"
    local.write_bytes(bytes(range(256)))
    made = full.json(f"multi file create {local} --folder-name seeds")
    assert (made["name"], made["size"]) == ("seed.txt", 256)
    assert full(f"multi file save seed.txt --file {tmp_path}/back") == 0
    assert (tmp_path / "back").read_bytes() == local.read_bytes()
    local.write_text("new")
    assert full(f"multi file set seed.txt --content {local} --name other.txt") == 0
    assert full("multi file set other.txt --permissions rw-------") == 0
    shown = full.json("multi file show other.txt")
    assert (shown["size"], shown["permissions"]) == (3, "rw-------")
    assert [row["Name"] for row in full.json("multi file list")] == ["other.txt"]
    assert full("multi file delete other.txt") == 0
    assert full.json("multi file list") == []


def test_scripts_are_read_here(full: Shell, tmp_path: Any) -> None:
    script = tmp_path / "site.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    line = f"multi provisioner create p --script {script} --depends site"
    assert full.json(line)["script"] == script.read_text()
    assert full.json("multi provisioner show p")["depends"] == ["site"]
    with pytest.raises(SystemExit) as ended:
        full("multi provisioner create q --script /nowhere/at/all")
    assert ended.value.code == 2


def test_deleting_several_goes_on_after_a_failure(full: Shell) -> None:
    full("multi user create bob")
    assert full("multi user delete alice nobody bob") == 3
    assert "nobody: there is no user nobody" in full.err
    assert full.json("multi user list") == []


def _end_with(shell: Shell, *statuses: str, message: str = "") -> None:
    """Let the newest task take one step at each pause."""
    waiting = list(statuses)

    def step() -> None:
        task = max(shell.service.tasks.items.values(), key=lambda task: task.created)
        shell.service.advance(task.uuid, waiting.pop(0), message=message)

    shell.on_wait = step


CREATE = "multi instance create db --environment dev --wait"


def test_waiting_tells_each_state_on_a_line(full: Shell) -> None:
    _end_with(full, "dispatching", "creating", "created")
    assert full(f"{CREATE} -f value -c name") == 0
    assert full.out == "db\n"
    lines = full.err.splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "db: pending",
        "db: dispatching",
        "db: creating",
        "db: created",
    ]
    assert all(re.match(r"2026-11-20T12:00:\d\d\.000000Z ", line) for line in lines)


def test_waiting_on_a_terminal_has_one_live_line(full: Shell, monkeypatch: Any) -> None:
    from tests.unit.osc.conftest import Stream

    monkeypatch.setattr(Stream, "terminal", True)
    _end_with(full, "dispatching", "creating", "created", message="on node1")
    assert full(f"{CREATE} -f value -c name") == 0
    assert "\n" not in full.err
    assert "db: creating (0 s) on node1" in full.err
    assert full.err.endswith("\r\x1b[K")


def test_a_task_that_fails(full: Shell) -> None:
    _end_with(full, "dispatching", "error", message="no host runs docker")
    assert full(CREATE) == 8
    assert full.err.splitlines()[-1] == "no host runs docker"
    assert full.out == ""


def test_a_task_that_takes_too_long(full: Shell) -> None:
    assert full(f"{CREATE} --timeout 0.1") == 9
    assert "still pending" in full.err and "goes on" in full.err


def test_waiting_for_actions(full: Shell) -> None:
    _end_with(full, "dispatching", "done")
    assert full("multi instance start web --wait") == 0
    assert "web: done" in full.err
    _end_with(full, "deleting", "error", message="Nova said no")
    assert full("multi instance delete web --wait") == 8
    assert "Nova said no" in full.err


def test_a_task_is_shown_with_its_history(full: Shell) -> None:
    full("multi instance start web")
    (row,) = full.json("multi task list --type start_instance")
    _end_with(full, "dispatching", "done")
    assert full(f"multi task show {row['Uuid']} --wait") == 0
    assert re.search(r"2026-11-20T12:00:\S+ dispatching", full.out)
    shown = full.json(f"multi task show {row['Uuid']}")
    assert shown["status_history"][-1]["status"] == "done"
    assert full(f"multi task delete {row['Uuid']}") == 0
    assert full(f"multi task show {row['Uuid']}") == 3


def test_what_makes_several_is_shown_as_a_task(full: Shell, monkeypatch: Any) -> None:
    """Its task stands for no object of its own."""
    tasks = type(full.client_manager.multi.tasks)
    wait = tasks.wait
    monkeypatch.setattr(
        tasks, "wait", lambda *args: {**wait(*args), "object_uuid": None}
    )
    _end_with(full, "dispatching", "creating", "created")
    assert full(f"{CREATE} --count 2") == 0
    assert re.search(r"\| 2026-11-20T12:00:\S+ creating +\|\n", full.out)
    assert "{" not in full.out
    _end_with(full, "dispatching", "creating", "created")
    shown = full.json("multi instance create x --environment dev --wait --count 2")
    assert [change["status"] for change in shown["status_history"]] == [
        "pending",
        "dispatching",
        "creating",
        "created",
    ]


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("multi instance show nothing", 3, "no instance nothing"),
        ("multi partition create co", 4, "is there already"),
        ("multi host create new", 7, "deploy/up"),
        ("multi instance create a_b! --memory 0 --cpus 0", 10, "memory"),
        ("multi instance set web", 10, "nothing to change"),
        ("multi instance delete nothing", 3, "nothing"),
    ],
)
def test_refusals(full: Shell, line: str, code: int, words: str) -> None:
    assert full(line) == code
    assert words in full.err
    assert full.out == ""


def test_each_wrong_field_has_a_line(full: Shell) -> None:
    assert full("multi instance create a --memory 0 --cpus 0 --driver xen") == 10
    assert len(full.err.splitlines()) == 3


@pytest.mark.parametrize(("token", "code"), [("reader-token", 5), ("unknown", 5)])
def test_who_may_not(full: Shell, monkeypatch: Any, token: str, code: int) -> None:
    auth = full.client_manager.multi._adapter.session.auth
    monkeypatch.setattr(auth, "token", token)
    assert full("multi partition create new") == code
    assert full.err


def test_a_service_that_is_away(full: Shell, monkeypatch: Any) -> None:
    import requests

    def send(*_: Any, **__: Any) -> None:
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(full.transport, "send", send)
    assert full("multi instance list") == 6
    assert "does not answer" in full.err


def test_exit_codes_are_told_apart() -> None:
    assert exits.code_of(errors.ClientError("x")) == 1
    codes = [code for _, code in exits._CODES]
    documented = [
        int(line.split()[0])
        for line in (exits.__doc__ or "").splitlines()
        if line[:1].isdigit()
    ]
    assert {0, 1, 2, *codes} == set(documented)


def test_a_server_error_tells_the_request() -> None:
    error = errors.RequestError("broken", status=500, request_id="req-1")
    assert exits.lines_of(error) == ["broken", "(request req-1)"]
    problems = [{"message": "a"}, {"message": "b"}]
    several = errors.Invalid("a; b", status=400, details=problems)
    assert exits.lines_of(several) == ["a", "b"]


def test_cells() -> None:
    assert base.cell([{"name": "a"}, {"name": "b"}]).human_readable() == "a, b"
    assert base.cell({"a": 1}).human_readable() == "a='1'"
    assert base.cell(5) == 5


def test_when_something_was_made() -> None:
    stamp = {"at": "2027-01-05T10:00:00Z", "by": "u1"}
    assert base.cell(stamp).human_readable() == "2027-01-05T10:00:00Z by u1"
    assert base.cell({**stamp, "by": None}).human_readable() == stamp["at"]
    assert base.cell(stamp).machine_readable() == stamp


def test_what_the_guest_is_doing_is_told_anew() -> None:
    stream = io.StringIO()
    change = {"status": "provisioning", "at": "2026-11-20T14:58:09Z"}
    with Progress("web", stream) as progress:
        for message in ("", "Installing", "Installing", "Starting"):
            told = [{**change, "message": message}]
            progress({"status": "provisioning", "status_history": told})
    assert stream.getvalue().splitlines() == [
        "2026-11-20T14:58:09Z web: provisioning",
        "web: provisioning (Installing)",
        "web: provisioning (Starting)",
    ]


def test_what_was_heard_of_late_is_told_once() -> None:
    stream = io.StringIO()
    told = [{"status": "pending"}, {"status": "creating"}]
    with Progress("web", stream) as progress:
        progress({"status": "creating", "status_history": told})
        told.insert(1, {"status": "dispatched"})
        progress({"status": "creating", "status_history": told})
    assert stream.getvalue() == "web: pending\nweb: creating\nweb: dispatched\n"
