# SPDX-License-Identifier: Apache-2.0
"""Who may do what with instances."""

from __future__ import annotations

from oslo_policy import policy

from nova_multi.api.policies.base import ADMIN, MEMBER, READER, rule, usual


def list_rules() -> list[policy.RuleDefault]:
    """The rules for instances."""
    return [
        *usual("instance", "instances", READER, MEMBER),
        *(
            rule(
                f"multi:instance:{verb}",
                MEMBER,
                f"{verb.capitalize()} an instance.",
                ("POST", f"/instances/{verb}_instance/{{name}}"),
                ("PUT", f"/instances/{verb}_instance/{{name}}"),
            )
            for verb in ("start", "stop", "restart", "clone")
        ),
        rule(
            "multi:instance:execute",
            MEMBER,
            "Run a command in instances.",
            ("POST", "/instances/execute_command"),
        ),
        rule(
            "multi:instance:copy",
            MEMBER,
            "Copy files into instances.",
            ("POST", "/instances/copy_files"),
        ),
        rule(
            "multi:instance:node",
            ADMIN,
            "Name the node that an instance is to run on.",
            ("POST", "/instances"),
        ),
    ]
