# SPDX-License-Identifier: Apache-2.0
"""What is done now and then, by whichever worker comes to it; twice does no harm."""

from __future__ import annotations

import logging

from nova_multi.domain.names import Kind
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds between two rounds.
INTERVAL = 3600.0


def tidy(tools: Tools) -> None:
    """Sweep away the contents of files that no record names any more."""
    in_use = {
        record.data["checksum"]
        for record in tools.store.list_records(Kind.FILE)
        if record.data.get("checksum")
    }
    for checksum in tools.files.sweep(in_use):
        LOG.info("content %s was swept away", checksum)
