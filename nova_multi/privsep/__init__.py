# SPDX-License-Identifier: Apache-2.0
"""What needs more rights than the compute service has.

Two contexts, each with only the capabilities that its functions use. The functions are
small, idempotent, and take plain values, for they are called over a socket.
"""

from __future__ import annotations

from oslo_privsep import capabilities, priv_context

#: Makes, moves and configures network interfaces in namespaces of guests. To enter the
#: namespace of a process with another user needs ptrace and admin rights.
network_context = priv_context.PrivContext(
    "nova_multi.privsep",
    cfg_section="nova_multi_network_privileged",
    pypath=__name__ + ".network_context",
    capabilities=[
        capabilities.CAP_NET_ADMIN,
        capabilities.CAP_SYS_ADMIN,
        capabilities.CAP_SYS_PTRACE,
        capabilities.CAP_DAC_OVERRIDE,
        capabilities.CAP_DAC_READ_SEARCH,
    ],
)

#: Gives files to a guest's root user and takes them back.
files_context = priv_context.PrivContext(
    "nova_multi.privsep",
    cfg_section="nova_multi_files_privileged",
    pypath=__name__ + ".files_context",
    capabilities=[
        capabilities.CAP_CHOWN,
        capabilities.CAP_DAC_OVERRIDE,
        capabilities.CAP_DAC_READ_SEARCH,
        capabilities.CAP_FOWNER,
    ],
)
