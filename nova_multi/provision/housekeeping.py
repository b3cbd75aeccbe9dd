# SPDX-License-Identifier: Apache-2.0
"""What is done now and then, by whichever worker comes to it; twice does no harm."""

from __future__ import annotations

import datetime
import logging

from nova_multi.domain.names import Kind
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds between two rounds.
INTERVAL = 3600.0


#: Tasks that are forgotten in one transaction.
_AT_ONCE = 1000


def tidy(tools: Tools) -> None:
    """Sweep away what nobody needs any more.

    That is contents of files that no record names, and tasks that ended long ago.
    """
    _sweep_files(tools)
    if tools.settings.task_retention:
        _purge_tasks(tools)


def _purge_tasks(tools: Tools) -> None:
    age = datetime.timedelta(seconds=tools.settings.task_retention)
    before = tools.clock() - age
    total = done = tools.store.purge_tasks(before, _AT_ONCE)
    while done == _AT_ONCE:
        done = tools.store.purge_tasks(before, _AT_ONCE)
        total += done
    if total:
        LOG.info("%d tasks that ended before %s were forgotten", total, before)


def _sweep_files(tools: Tools) -> None:
    in_use = {
        record.data["checksum"]
        for record in tools.store.list_records(Kind.FILE)
        if record.data.get("checksum")
    }
    for checksum in tools.files.sweep(in_use):
        LOG.info("content %s was swept away", checksum)
