# SPDX-License-Identifier: Apache-2.0
"""Tasks."""

from __future__ import annotations

import argparse
from typing import Any

from nova_multi.osc import base


class _Noun(base.Noun):
    noun = "task"
    plural = "tasks"
    key = "uuid"
    columns = ("uuid", "type", "status", "created", "last_update", "description")
    long_columns = ("object_uuid", "parent_uuid", "request_ids")
    filters = ("status", "type", "object_uuid", "parent_uuid")


class ListTask(_Noun, base.List):
    """List tasks, the newest first."""


class ShowTask(_Noun, base.Waiting, base.Show):
    """Show a task: each state with its time, and the log as the guest wrote it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        self.add_waiting(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Row:
        uuid = parsed_args.name
        waited: Any = self.wait({"task": uuid}, uuid, parsed_args)
        return base.task_row(waited or self.client.tasks.show(uuid), parsed_args)


class DeleteTask(_Noun, base.Delete):
    """Forget tasks that have ended."""
