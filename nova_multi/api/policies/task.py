# SPDX-License-Identifier: Apache-2.0
"""Who may do what with tasks."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import MEMBER, READER, rule


def list_rules() -> list[policy.RuleDefault]:
    """The rules for tasks."""
    return [
        rule(
            "multi:task:list",
            READER,
            "List tasks.",
            ("GET", "/tasks"),
            ("GET", "/tasks/status/{status}"),
        ),
        rule("multi:task:show", READER, "Show one task.", ("GET", "/tasks/{uuid}")),
        rule(
            "multi:task:delete",
            MEMBER,
            "Forget a task that has ended.",
            ("DELETE", "/tasks/{uuid}"),
        ),
    ]
