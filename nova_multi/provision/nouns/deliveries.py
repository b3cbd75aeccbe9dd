# SPDX-License-Identifier: Apache-2.0
"""What guests fetch besides their user-data, asked for by Nova's metadata service."""

from __future__ import annotations

from nova_multi.domain.errors import Unsupported
from nova_multi.provision import deliveries
from nova_multi.provision.service import Caller, Fields
from nova_multi.provision.tools import Tools


class Deliveries:
    """See :class:`nova_multi.provision.service.Deliveries`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def hand_out(self, caller: Caller, server_id: str, project_id: str) -> Fields:
        """What a server's guest is told now."""
        if not self._tools.settings.ways.metadata:
            raise Unsupported("nothing is given to guests by [provision] vendordata")
        return deliveries.hand_out(self._tools, server_id, project_id)
