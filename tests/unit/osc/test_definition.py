# SPDX-License-Identifier: Apache-2.0
"""Environments as files: plan, apply, destroy on the command line."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import sys
from typing import Any

import pytest

from nova_multi.domain.errors import Invalid
from nova_multi.domain.names import Kind
from nova_multi.domain.plan import Action, Difference, PlanStep
from nova_multi.domain.task import Task
from nova_multi.osc.tree import Tree
from tests.unit.osc.conftest import Shell

SHOP = """\
name: shop
partition: co
inputs:
  domain: {default: shop.test}
  password: {secret: true}
provisioners:
  site: {script: {file: site.sh}}
instances:
  web:
    image: debian-12
    driver: docker
    provisioner: site
    variables: {DOMAIN: "${inputs.domain}", PASSWORD: "${inputs.password}"}
"""
STEPS = (
    PlanStep(Action.CREATE, Kind.INSTANCE, "db", "make db", "db"),
    PlanStep(
        Action.REPLACE,
        Kind.INSTANCE,
        "web",
        "make web",
        "web",
        differences=(
            Difference("memory", "256", "512"),
            Difference("server gone", drift=True),
        ),
        needs=("make db",),
        level=1,
    ),
    PlanStep(Action.DELETE, Kind.INSTANCE, "log", "delete log", "log"),
)
ARGUMENTS = "-i password=x"


@pytest.fixture
def file(shell: Shell, tmp_path: pathlib.Path) -> pathlib.Path:
    """A file, and the environment that it is of."""
    assert shell("multi partition create co") == 0
    assert shell("multi environment create shop --partition co") == 0
    (tmp_path / "site.sh").write_text("echo site\n")
    path = tmp_path / "shop.yaml"
    path.write_text(SHOP)
    return path


def end(shell: Shell, *statuses: str, message: str = "") -> None:
    """Every pause lets the newest task go on to its end."""
    remaining = list(statuses)

    def on_wait() -> None:
        if remaining:
            uuid = list(shell.service.tasks.items)[-1]
            shell.service.advance(uuid, remaining.pop(0), message=message)

    shell.on_wait = on_wait


def test_a_plan_with_nothing_to_do(shell: Shell, file: pathlib.Path) -> None:
    assert shell(f"multi environment plan {file} {ARGUMENTS}") == 0
    assert shell.out == "shop: nothing to do; 0 instances as it is to be\n"


def test_a_plan(shell: Shell, file: pathlib.Path) -> None:
    shell.service.environments.steps = STEPS
    assert shell(f"multi environment plan {file} {ARGUMENTS}") == 2
    assert shell.out.splitlines() == [
        "shop:",
        "    + db",
        "  -/+ web",
        "        memory 256 -> 512: replaced",
        "        server gone: replaced (changed by other hands)",
        "    - log (not in the definition any more)",
        "1 to create, 1 to replace, 1 to delete, 0 unchanged",
    ]
    assert shell(f"multi environment plan {file} {ARGUMENTS} --json") == 2
    plan = json.loads(shell.out)
    assert plan["changes"] and plan["steps"][1]["needs"] == ["make db"]


def test_all_errors_of_a_file_with_their_places(
    shell: Shell, file: pathlib.Path
) -> None:
    file.write_text(SHOP.replace("driver: docker", "driver: xen\n    memmory: 1"))
    assert shell(f"multi environment plan {file} {ARGUMENTS}") == 1
    lines = shell.err.splitlines()
    assert len(lines) == 2 and shell.out == ""
    assert lines[0].startswith(f"{file}:11:13: ")
    assert lines[1].startswith(f"{file}:12:5: ") and "memory" in lines[1]
    assert shell(f"multi environment apply {file} {ARGUMENTS} --yes") == 1
    assert shell.err.splitlines() == lines
    assert shell("multi environment plan nothing.yaml") == 1
    assert shell.err == "nothing.yaml: No such file or directory\n"


def test_what_the_service_refuses(
    shell: Shell, file: pathlib.Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        shell.client_manager.multi._adapter.session.auth, "token", "unknown"
    )
    assert shell(f"multi environment plan {file} {ARGUMENTS}") == 1
    assert shell(f"multi environment apply {file} {ARGUMENTS} --dry-run") == 1
    assert shell(f"multi environment apply {file} {ARGUMENTS} --yes") == 5


def test_what_the_service_refuses_has_its_place_in_the_file(
    shell: Shell, file: pathlib.Path, monkeypatch: Any
) -> None:
    def refuse(*given: Any, **named: Any) -> None:
        raise Invalid.together(
            [
                Invalid("there is no image debian-12", field="instances.web.image"),
                Invalid("the environment is full", field="limits"),
            ]
        )

    monkeypatch.setattr(shell.service.environments, "plan", refuse)
    told = [
        f"{file}:10:12: there is no image debian-12",
        f"{file}: the environment is full",
    ]
    assert shell(f"multi environment plan {file} {ARGUMENTS}") == 1
    assert shell.err.splitlines() == told
    assert shell(f"multi environment apply {file} {ARGUMENTS} --yes") == 10
    assert shell.err.splitlines() == told


def test_a_dry_run(shell: Shell, file: pathlib.Path) -> None:
    line = f"multi environment apply {file} {ARGUMENTS} --dry-run"
    assert shell(line) == 0
    shell.service.environments.steps = STEPS
    assert shell(line) == 2
    assert "+ db" in shell.out
    types = {task.type for task in shell.service.tasks.items.values()}
    assert "apply_environment" not in types


def test_applying(shell: Shell, file: pathlib.Path) -> None:
    shell.service.environments.steps = STEPS
    end(shell, "dispatching", "done")
    line = f"multi environment apply {file} {ARGUMENTS} --yes --width 3 --queue"
    shown = shell.json(line)
    assert (shown["create"], shown["replace"], shown["unchanged"]) == (1, 1, 0)
    assert shown["outputs"] == {"url": "http://192.0.2.1:8080"}
    asked = shell.service.environments.asked
    assert (asked["width"], asked["wait"]) == (3, True)
    assert asked["values"] == {"password": "x"}
    # Contents are sent, not paths; a secret is not in what is kept.
    definition = asked["definition"]
    assert definition["provisioners"]["site"]["script"] == "echo site\n"
    assert "x" not in definition["instances"]["web"]["variables"].values()
    assert "2 to" not in shell.out and "+ db" in shell.err


def test_values_of_inputs(shell: Shell, file: pathlib.Path, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("from a file\n")
    end(shell, "dispatching", "done")
    line = f"multi environment apply {file} --yes -i domain=x.test"
    assert shell(f"{line} --input-from password={tmp_path}/password") == 0, shell.err
    asked = shell.service.environments.asked
    assert asked["values"] == {"domain": "x.test", "password": "from a file"}
    variables = asked["definition"]["instances"]["web"]["variables"]
    assert variables["DOMAIN"] == "x.test"
    assert shell(f"{line} --input-from password={tmp_path}/nothing") == 1
    assert "nothing" in shell.err


def test_nobody_waits(shell: Shell, file: pathlib.Path) -> None:
    shown = shell.json(f"multi environment apply {file} {ARGUMENTS} --yes --no-wait")
    assert shown.keys() == {"environment", "task"}


def test_a_failure(shell: Shell, file: pathlib.Path) -> None:
    end(shell, "dispatching", "error", message="1 of 2 failed: db: no host")
    assert shell(f"multi environment apply {file} {ARGUMENTS} --yes") == 8
    assert "1 of 2 failed: db: no host" in shell.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 1), ("", 1)])
def test_asking_first(
    shell: Shell, file: pathlib.Path, monkeypatch: Any, answer: str, code: int
) -> None:
    shell.service.environments.steps = STEPS
    end(shell, "dispatching", "done")
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    assert shell(f"multi environment apply {file} {ARGUMENTS}") == code
    assert "Apply this to shop? (yes or no)" in shell.err
    assert ("nothing was done" in shell.err) == bool(code)


def test_nobody_can_be_asked(
    shell: Shell, file: pathlib.Path, monkeypatch: Any
) -> None:
    shell.service.environments.steps = STEPS
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert shell(f"multi environment apply {file} {ARGUMENTS}") == 1
    assert "give --yes" in shell.err
    assert shell("multi environment destroy shop") == 1


def test_destroying(shell: Shell, file: pathlib.Path) -> None:
    for name in ("shop", str(file)):
        end(shell, "dispatching", "deleting", "deleted")
        shown = shell.json(f"multi environment destroy {name} --yes")
        assert (shown["environment"], shown["status"]) == ("shop", "deleted")
    assert shell("multi environment destroy nothing --yes") == 3
    file.write_text("partition: co\n")
    assert shell(f"multi environment destroy {file} --yes") == 1
    assert "name is missing" in shell.err
    file.write_text("name: [\n")
    assert shell(f"multi environment destroy {file} --yes") == 1
    assert f"{file}:" in shell.err


def test_outputs(shell: Shell, file: pathlib.Path) -> None:
    assert shell.json("multi environment show shop --outputs") == {
        "url": "http://192.0.2.1:8080"
    }
    assert shell.json("multi environment show shop")["name"] == "shop"


# -- the tree

AT = "2026-11-20T12:00:00Z"


def child(description: str, *statuses: str, message: str = "") -> dict[str, Any]:
    history = [{"status": each, "at": AT, "message": ""} for each in statuses]
    history[-1]["message"] = message
    return {
        "uuid": description,
        "description": description,
        "created": AT,
        "status": statuses[-1],
        "status_history": history,
        "ended": statuses[-1] in ("created", "deleted", "error"),
    }


def drawn(monkeypatch: Any, rows: int, steps: list[str], *children: Any) -> list[str]:
    monkeypatch.setattr("shutil.get_terminal_size", lambda: (60, rows))
    stream = Terminal()
    with Tree("shop", steps, lambda: children, stream, lambda: 0.0) as tree:
        tree({"status": "dispatching"})
        tree({"status": "dispatching"})
    first, again = stream.getvalue().split("\x1b[J")[1:]
    lines = first.split("\n")
    # The second drawing begins where the first did.
    assert lines[-1] == f"\x1b[{len(lines) - 1}A\r"
    assert again.split("\n")[:-1] == lines[:-1]
    return lines[:-1]


def test_a_live_tree(monkeypatch: Any) -> None:
    lines = drawn(
        monkeypatch,
        24,
        ["db", "web-1", "web-2", "log"],
        child("create instance db", "pending", "created"),
        child("create instance web-1", "pending", "creating"),
        child("create instance log", "pending", "error", message="no\nhost"),
    )
    assert lines == [
        "shop: dispatching (0 s)",
        "|- + db     create: created",
        "|- > web-1  create: creating",
        "|- . web-2  waits",
        "`- ! log    create: error no host",
    ]


def test_a_tree_that_is_larger_than_the_terminal(monkeypatch: Any) -> None:
    names = [f"web-{number}" for number in range(100)]
    ended = [child(f"create instance {name}", "created") for name in names[:50]]
    going = [child(f"create instance {names[50]}", "creating")]
    lines = drawn(monkeypatch, 10, names, *ended, *going)
    assert len(lines) == 8
    assert lines[1] == "|- > web-50  create: creating"
    assert lines[-1] == "`- of 100: 50 done, 1 going on, 0 failed, 49 waiting"


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    children = [child("create instance db", "pending")]
    with Tree("shop", ["db"], lambda: children, stream) as tree:
        tree({"status": "dispatching"})
        children[0] = child("create instance db", "pending", "error", message="why")
        tree({"status": "error"})
    assert stream.getvalue().splitlines() == [
        f"{AT} create instance db: pending",
        f"{AT} create instance db: error (why)",
    ]


def test_what_the_tree_reads_a_task_has() -> None:
    """Fields of real tasks, not only of those above."""
    fields = {field.name for field in dataclasses.fields(Task)}
    assert {"uuid", "description", "created", "status", "history"} <= fields
