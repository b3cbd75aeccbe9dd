# SPDX-License-Identifier: Apache-2.0
"""Which OVN chassis the ports of a Nova host are bound to.

Pure: no Nova, no configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from nova_multi import exception


@dataclasses.dataclass(frozen=True, slots=True)
class ChassisMap:
    """The cluster-wide rule from compute host names to chassis host names.

    Applying it to a chassis' name gives that name again, so that callers need not know
    whether a name has been mapped already.

    :ivar suffixes: a host ``<node><suffix>`` belongs to chassis ``<node>``.
    :ivar overrides: host name to chassis name; they go before the suffixes.
    :raises ConfigurationError: an empty suffix, or overrides that contradict one
        another.
    """

    suffixes: tuple[str, ...] = ()
    overrides: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(self.suffixes):
            raise exception.ConfigurationError(
                "[nova_multi] chassis_suffixes has an empty entry"
            )
        for host, chassis in self.overrides.items():
            if not host or not chassis:
                raise exception.ConfigurationError(
                    f"[nova_multi] chassis_hosts: the pair {host!r}:{chassis!r} "
                    "lacks a name"
                )
            if self.overrides.get(chassis, chassis) != chassis:
                raise exception.ConfigurationError(
                    f"[nova_multi] chassis_hosts maps {host!r} to {chassis!r}, and "
                    f"that in turn to {self.overrides[chassis]!r}; name the chassis "
                    "itself"
                )

    def chassis(self, host: str) -> str:
        """Host name of the chassis that ``host``'s ports are bound to."""
        if host in self.overrides:
            return self.overrides[host]
        if host in self.overrides.values():
            return host
        for suffix in self.suffixes:
            node = host.removesuffix(suffix)
            if node and node != host:
                return self.chassis(node)
        return host

    def same(self, one: str | None, other: str | None) -> bool:
        """Whether both hosts are there and share a chassis."""
        if not one or not other:
            return False
        return self.chassis(one) == self.chassis(other)
