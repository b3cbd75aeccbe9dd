# SPDX-License-Identifier: Apache-2.0
"""Runs a daemon of Nova or Neutron in the one process that was started.

    python -m nova_multi.cmd.one_process nova-conductor --config-file FILE

By default a daemon with one worker is two processes, one of which only waits for the
other, and Neutron's agent has three more for its privileged functions, each with all of
Neutron's modules. On one small machine that is a fifth of the control plane's memory,
and what watches over services restarts a process that ends in any case.
"""

from __future__ import annotations

import functools
import importlib
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any


def _nova(module: str) -> Callable[[], Any]:
    """A daemon that Nova starts by ``nova.service.serve``."""
    main = importlib.import_module(module).main
    from nova import service

    service.serve = functools.partial(service.serve, no_fork=True)
    return main


def _neutron_ovn_agent() -> Callable[[], Any]:
    from neutron.cmd.agents import ovn_neutron_agent as command  # noqa: I001
    from neutron import privileged
    from neutron.agent.ovn import ovn_neutron_agent
    from neutron.conf.agent.ovn.ovn_neutron_agent import config
    from neutron.privileged.agent.linux import ip_lib as privileged_ip  # noqa: F401
    from oslo_privsep import priv_context

    def fork_privileged() -> None:
        # Forked from here, before there is any thread, the privileged processes
        # share the modules that are imported above.
        for context in (
            privileged.default,
            privileged.namespace_cmd,
            privileged.link_cmd,
        ):
            context.start(priv_context.Method.FORK)

    config.setup_privsep = fork_privileged
    service = ovn_neutron_agent.service
    service.launch = functools.partial(service.launch, no_fork=True)
    return command.main


def _neutron_ovn_maintenance() -> Callable[[], Any]:
    from neutron.cmd import server  # noqa: I001
    from neutron.plugins.ml2.drivers.ovn.mech_driver.ovsdb import maintenance
    from oslo_service import service

    tasks = maintenance.DBInconsistenciesPeriodics
    tasks.set_ovn_owned_dns_option = _where_ovn_has_it(tasks.set_ovn_owned_dns_option)
    service.ProcessLauncher = functools.partial(service.ProcessLauncher, no_fork=True)

    def main() -> None:
        # Without a child to wait for it comes back while its threads are at work.
        server.main_ovn_maintenance()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Event().wait()

    return main


def _where_ovn_has_it(task: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A task on options of names, which OVN of Debian 12 does not have yet.

    There it would fail a hundred times with a traceback each.
    """
    from futurist import periodics

    # With the attributes by which it is known as a periodic task.
    @functools.wraps(task)
    def run(self: Any) -> Any:
        if "options" not in self._nb_idl.tables["DNS"].columns:
            raise periodics.NeverAgain()
        return task(self)

    return run


DAEMONS: dict[str, Callable[[], Callable[[], Any]]] = {
    "nova-conductor": functools.partial(_nova, "nova.cmd.conductor"),
    "nova-scheduler": functools.partial(_nova, "nova.cmd.scheduler"),
    "neutron-ovn-agent": _neutron_ovn_agent,
    "neutron-ovn-maintenance-worker": _neutron_ovn_maintenance,
}


def main() -> int:
    """Become the daemon that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in DAEMONS:
        print(f"usage: one_process ({' | '.join(DAEMONS)}) ...", file=sys.stderr)
        return 2
    sys.argv = sys.argv[1:]
    daemon = DAEMONS[name]()
    return daemon() or 0


if __name__ == "__main__":
    sys.exit(main())
