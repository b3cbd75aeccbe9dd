# SPDX-License-Identifier: Apache-2.0
"""``nova-multi-worker``: does the accepted work. Any number may run, anywhere."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from oslo_config import cfg

from nova_multi.cmd import assembly
from nova_multi.domain.errors import DomainError
from nova_multi.exception import NovaMultiError
from nova_multi.provision.worker import Worker

PROG = "nova-multi-worker"


def unique_name() -> str:
    """Of this worker: nobody else's, not even after a restart."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def stop_on_signals(worker: Worker) -> None:
    """End gracefully when told to."""

    def stop(number: int, frame: FrameType | None) -> None:
        # Not here: the interrupted thread may hold the worker's lock.
        threading.Thread(target=worker.stop, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def main(arguments: Sequence[str] | None = None) -> int:
    """Work until told to end."""
    try:
        conf = assembly.configuration(
            sys.argv[1:] if arguments is None else arguments, PROG
        )
        shared = assembly.tools(conf)
        # Told now rather than by each task.
        shared.store.ping()
        worker = assembly.worker(conf, shared, unique_name())
        ears = assembly.ears(conf, shared, worker)
    except (cfg.Error, NovaMultiError, DomainError) as error:
        print(f"{PROG}: error: {error}", file=sys.stderr)
        return 1
    stop_on_signals(worker)
    if ears:
        ears.start()
    worker.run()
    if ears:
        ears.stop()
    shared.store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
