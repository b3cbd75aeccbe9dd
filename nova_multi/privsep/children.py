# SPDX-License-Identifier: Apache-2.0
"""Lets programs that a privileged process runs have its capabilities.

oslo.privsep's process keeps capabilities for itself only. A compute that runs as a user
of its own has no root to fall back on, so a program such as ``ip`` would start with
none. Ambient capabilities are what the kernel has for this.
"""

from __future__ import annotations

import ctypes
import os

from oslo_privsep import capabilities

_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2

_libc = ctypes.CDLL(None, use_errno=True)


def inherit_capabilities() -> None:
    """Pass the calling thread's capabilities on to the programs that it runs.

    Root's programs have them anyway. Repeating it is harmless.

    :raises OSError: the kernel refused.
    """
    if os.geteuid() == 0:
        return
    effective, permitted, _ = capabilities.get_caps()
    capabilities.drop_all_caps_except(effective, permitted, permitted)
    for capability in permitted:
        failed = _libc.prctl(
            _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, int(capability), 0, 0
        )
        if failed:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
