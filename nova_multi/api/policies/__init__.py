# SPDX-License-Identifier: Apache-2.0
"""Who may do what: rules of oslo.policy, a module for each noun.

Roles are Keystone's reader, member and admin in the token's project. What belongs to
other projects is not found at all; an object's permissions only take away from what the
rules leave.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from oslo_config import cfg
from oslo_policy import policy

from nova_multi.conf import provision as conf_provision

if TYPE_CHECKING:
    from collections.abc import Sequence


#: In an ordinary user's one project partitions are that user's own.
_OWN_PARTITIONS = policy.RuleDefault(
    "operator", "rule:member", "Who manages partitions: the project's members."
)


def list_rules() -> list[policy.RuleDefault]:
    """Every rule (entry point ``oslo.policy.policies``); no module can be forgotten."""
    rules: list[policy.RuleDefault] = []
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        found: Sequence[policy.RuleDefault] = module.list_rules()
        rules.extend(found)
    return rules


def make_enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """The rules, with what the operator's policy file changes in them."""
    conf_provision.register_opts(conf)
    enforcer = policy.Enforcer(conf)
    rules = list_rules()
    if conf.cloud.single_cloud:
        rules = [r for r in rules if r.name != _OWN_PARTITIONS.name]
        rules.append(_OWN_PARTITIONS)
    enforcer.register_defaults(rules)
    return enforcer


def get_enforcer() -> policy.Enforcer:
    """For oslo.policy's own tools (entry point ``oslo.policy.enforcer``)."""
    conf = cfg.ConfigOpts()
    conf([], project="nova-multi")
    return make_enforcer(conf)
