# SPDX-License-Identifier: Apache-2.0
"""Rules that the others are made of, and the five usual ones of a noun."""

from __future__ import annotations

from oslo_policy import policy

ADMIN = "rule:admin"
OPERATOR = "rule:operator"
MEMBER = "rule:member"
READER = "rule:reader"
METADATA = "rule:metadata_service"


def rule(
    name: str, check: str, description: str, *operations: tuple[str, str]
) -> policy.DocumentedRuleDefault:
    """A rule that tells which calls it decides (pairs of method and path)."""
    return policy.DocumentedRuleDefault(
        name=name,
        check_str=check,
        description=description,
        operations=[{"method": method, "path": path} for method, path in operations],
    )


def usual(
    noun: str, plural: str, read: str, write: str
) -> list[policy.DocumentedRuleDefault]:
    """Rules for list, show, create, set and delete."""
    one = f"/{plural}/{{name}}"
    return [
        rule(f"multi:{noun}:list", read, f"List {plural}.", ("GET", f"/{plural}")),
        rule(f"multi:{noun}:show", read, f"Show one {noun}.", ("GET", one)),
        rule(
            f"multi:{noun}:create", write, f"Create {plural}.", ("POST", f"/{plural}")
        ),
        rule(f"multi:{noun}:set", write, f"Change one {noun}.", ("PUT", one)),
        rule(f"multi:{noun}:delete", write, f"Delete one {noun}.", ("DELETE", one)),
    ]


def list_rules() -> list[policy.RuleDefault]:
    """The rules that others name."""
    return [
        policy.RuleDefault("admin", "role:admin", "Administrators of the cloud."),
        policy.RuleDefault("operator", ADMIN, "Who manages partitions."),
        policy.RuleDefault(
            "member", "role:member or rule:admin", "Users who may change things."
        ),
        policy.RuleDefault(
            "reader", "role:reader or rule:member", "Users who may look."
        ),
        # By name, too: other services have the role, and nova-compute, which would
        # write what it gets onto a config drive, has Nova's own account.
        policy.RuleDefault(
            "metadata_service",
            "role:service and user_name:nova-metadata",
            "The account that Nova's metadata service has, and nothing else.",
        ),
    ]
