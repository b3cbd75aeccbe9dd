# SPDX-License-Identifier: Apache-2.0
"""Shows where the deployment is: step n of m, whose, what, and how long it took.

A line that renews itself on a terminal, one plain line for each step elsewhere.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Any

from ansible import constants as C
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: progress
    type: stdout
    short_description: Where the deployment is
    description:
      - One line for each step, with its number, role, name and seconds.
    extends_documentation_fragment:
      - default_callback
"""


class CallbackModule(CallbackBase):
    """The stdout callback of `deploy/up`."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "progress"

    def __init__(self) -> None:
        super().__init__()
        self._terminal = sys.stdout.isatty()
        self._total = 0
        self._number = 0
        self._begin = time.monotonic()
        self._step: tuple[str, float] | None = None
        self._changed: list[str] = []
        self._failed = False
        self._notes: list[str] = []
        self._end = threading.Event()
        self._lock = threading.Lock()
        if self._terminal:
            threading.Thread(target=self._renew, daemon=True).start()

    # What Ansible tells.

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._playbook = playbook

    def v2_playbook_on_play_start(self, play: Any) -> None:
        if self._total:
            return
        manager = play.get_variable_manager()
        for every in self._playbook.get_plays():
            variables = manager.get_vars(play=every)
            for block in every.compile():
                self._total += _count([block.filter_tagged_tasks(variables)])

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._finish_step()
        self._number += 1
        self._total = max(self._total, self._number)
        role = task._role.get_name() if task._role else "deploy"
        name = task.get_name(include_role_fqcn=False).rpartition(" : ")[2]
        with self._lock:
            self._step = (f"{role} · {name}", time.monotonic())
            self._changed = []
            self._notes = []

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def v2_runner_on_ok(self, result: Any) -> None:
        content = result._result
        if content.get("changed"):
            self._changed.append(result._host.get_name())
        if result._task.action in ("debug", "ansible.builtin.debug"):
            self._notes.append(str(content.get("msg", "")))
        for told in content.get("told", []):
            self._notes.append(str(told))
        if self._display.verbosity > 1:
            self._display.display(
                self._dump_results(content, indent=2), color=C.COLOR_VERBOSE
            )

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if ignore_errors:
            return
        self._report(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._report(result, "cannot be reached")

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._report(result, "failed")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._finish_step()
        self._end.set()
        hosts = stats.processed
        changes = sum(stats.summarize(host)["changed"] for host in hosts)
        seconds = time.monotonic() - self._begin
        word = "failed" if self._failed else "done"
        self._display.display(
            f"{word} in {seconds:.0f} s: {self._number} steps, {changes} with changes"
        )

    # What is shown.

    def _finish_step(self) -> None:
        with self._lock:
            if self._step is None:
                return
            text, begin = self._step
            self._step = None
        seconds = time.monotonic() - begin
        mark = "changed" if self._changed else "ok"
        color = C.COLOR_CHANGED if self._changed else C.COLOR_OK
        if self._failed:
            mark, color = "FAILED", C.COLOR_ERROR
        self._clear()
        self._display.display(
            f"{self._position()} {text} … {seconds:.1f} s, {mark}", color=color
        )
        for note in self._notes:
            self._display.display(note)

    def _report(self, result: Any, what: str) -> None:
        self._failed = True
        self._finish_step()
        content = result._result
        message = content.get("msg") or content.get("exception") or "no reason given"
        output = "\n".join(
            str(content[key]) for key in ("stdout", "stderr") if content.get(key)
        )
        name = result._task.get_name()
        lines = [f"{name} {what} on {result._host.get_name()}:", str(message)]
        if output and output not in str(message):
            lines.append("\n".join(output.splitlines()[-20:]))
        if self._display.verbosity and content.get("exception"):
            lines.append(str(content["exception"]))
        self._display.display("\n".join(lines), color=C.COLOR_ERROR, stderr=True)

    def _position(self) -> str:
        width = len(str(self._total))
        return f"[{self._number:>{width}}/{self._total}]"

    def _renew(self) -> None:
        while not self._end.wait(0.5):
            with self._lock:
                step = self._step
                if step is None:
                    continue
                text, begin = step
                columns = shutil.get_terminal_size().columns
                line = f"{self._position()} {text} … {time.monotonic() - begin:.0f} s"
                sys.stdout.write(f"\r\033[K{line[: columns - 1]}")
                sys.stdout.flush()

    def _clear(self) -> None:
        if self._terminal:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


def _count(tasks: list[Any]) -> int:
    count = 0
    for task in tasks:
        if hasattr(task, "block"):
            count += _count(task.block) + _count(task.always)
        elif task.action not in C._ACTION_META and not task.implicit:
            count += 1
    return count
