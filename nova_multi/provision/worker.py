# SPDX-License-Identifier: Apache-2.0
"""Takes due tasks out of the database and goes on with them until each has ended.

A task that waits is parked: the worker keeps its lease, but no thread. It goes on after
its time or when something is heard that it may wait for. A worker that is told to end
finishes the steps that it is in and gives everything back.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nova_multi.domain.task import TaskStatus
from nova_multi.exception import NovaMultiError
from nova_multi.provision import housekeeping, lives
from nova_multi.provision.nouns.switching import Switching
from nova_multi.provision.runner import Runner, Stopping
from nova_multi.provision.steps import Work
from nova_multi.provision.store import ClaimedTask, Fenced
from nova_multi.provision.tools import Tools

LOG = logging.getLogger(__name__)

#: Seconds between looks for servers that others have deleted.
_LIVES = 300.0
#: Claims of a task after which an error that is no step's ends it.
MAX_CLAIMS = 10


@dataclasses.dataclass(slots=True)
class _Held:
    """A task that this worker owns.

    :ivar due: when it goes on, by the monotonic clock; None while it runs.
    :ivar woken: something was heard while it ran.
    :ivar renewed: when its lease was renewed, by the same clock.
    """

    work: Work
    renewed: float
    due: float | None = None
    woken: bool = False


@dataclasses.dataclass(slots=True)
class _Rounds:
    """What is done now and then, in a thread of its own: leases are renewed meanwhile.

    :ivar interval: seconds from begin to begin; one that takes longer is not doubled.
    :ivar due: when it begins next, by the monotonic clock.
    """

    interval: float
    do: Callable[[], None]
    due: float = 0.0
    thread: threading.Thread | None = None

    def begin(self) -> None:
        """Do it, unless the last round still goes on."""
        if self.thread is None or not self.thread.is_alive():
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()

    def _run(self) -> None:
        try:
            self.do()
        except Exception:
            LOG.exception("a round of this worker")


class Worker:
    """One worker; any number of them share a database.

    :param name: unique, for the lease.
    :param threads: steps that are done at the same time.
    :param look: seconds between looks for tasks that nobody told of.
    :param monotonic: seconds that only grow, for tests.
    """

    def __init__(
        self,
        tools: Tools,
        runner: Runner,
        name: str,
        *,
        threads: int = 8,
        look: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tools = tools
        self._runner = runner
        self.name = name
        self._threads = threads
        self._look = look
        self._now = monotonic
        self._held: dict[str, _Held] = {}
        self._changed = threading.Condition()
        self._running = 0
        self._claim_at = 0.0
        rounds = (
            _Rounds(housekeeping.INTERVAL, lambda: housekeeping.tidy(tools)),
            _Rounds(tools.settings.hours_look, lambda: Switching(tools).look()),
            _Rounds(_LIVES, lambda: lives.look(tools)),
        )
        self._rounds = rounds
        for each in rounds:
            each.due = monotonic() + each.interval
        self._stopping = False
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="task")

    # -- from anywhere

    def on_work(self) -> None:
        """There is a new task."""
        with self._changed:
            self._claim_at = 0.0
            self._changed.notify_all()

    def on_wake(self, task_uuid: str) -> None:
        """Something was heard that a task may wait for."""
        with self._changed:
            held = self._held.get(task_uuid)
            if held is None:
                return
            held.woken = True
            if held.due is not None:
                held.due = self._now()
            self._changed.notify_all()

    def stop(self) -> None:
        """Take no more tasks and give back those that are held."""
        with self._changed:
            self._stopping = True
            for held in self._held.values():
                held.work.stopping = True
            self._changed.notify_all()

    # -- the loop

    def run(self) -> None:
        """Work until :meth:`stop` is called and every step has ended."""
        LOG.info("worker %s begins", self.name)
        while self.turn():
            with self._changed:
                pause = self._pause()
                if pause > 0:
                    self._changed.wait(pause)
        self._pool.shutdown(wait=True)
        LOG.info("worker %s ends", self.name)

    def turn(self) -> bool:
        """Do what is due now, without waiting.

        :returns: False when there is nothing left to wait for.
        """
        if self._stopping:
            self._give_back()
            with self._changed:
                return bool(self._held)
        self._resume()
        self._claim()
        self._renew()
        self._begin_rounds()
        return True

    def _pause(self) -> float:
        """Seconds until something is due; the lock is held."""
        if self._stopping:
            return self._look
        times = [self._claim_at] if self._running < self._threads else []
        times += [held.due for held in self._held.values() if held.due is not None]
        times += [
            held.renewed + self._tools.settings.lease / 3
            for held in self._held.values()
        ]
        times += [each.due for each in self._rounds]
        return min(times) - self._now()

    def _resume(self) -> None:
        with self._changed:
            now = self._now()
            due = [h for h in self._held.values() if h.due is not None and h.due <= now]
            for held in due:
                self._start(held)

    def _claim(self) -> None:
        with self._changed:
            free = self._threads - self._running
            if free <= 0 or self._now() < self._claim_at:
                return
            # Whoever calls on_work from here on wants another look.
            self._claim_at = self._now() + self._look
        try:
            claimed = self._tools.store.claim(
                self.name, free, self._tools.settings.lease
            )
        except NovaMultiError as error:
            LOG.warning("worker %s can't claim tasks: %s", self.name, error)
            return
        except Exception:
            # The tasks that it holds go on, and need their leases.
            LOG.exception("worker %s can't claim tasks", self.name)
            return
        with self._changed:
            for each in claimed:
                try:
                    self._hold(each)
                except Exception:
                    self._failed(each.task.uuid, each.fencing)
            if len(claimed) == free:
                self._claim_at = 0.0

    def _hold(self, claimed: ClaimedTask) -> None:
        held = _Held(self._runner.begin(claimed), self._now())
        # An older claim of the same task is outdated by this one.
        self._held[claimed.task.uuid] = held
        self._start(held)

    def _start(self, held: _Held) -> None:
        held.due = None
        held.work.woken = held.woken
        held.woken = False
        self._running += 1
        self._count()
        self._pool.submit(self._run, held)

    def _run(self, held: _Held) -> None:
        pause: float | None = None
        give_back = False
        try:
            pause = self._runner.run(held.work)
        except Fenced:
            LOG.warning("task %s is another worker's now", held.work.uuid)
        except Stopping:
            give_back = True
        except Exception:
            self._failed(held.work.uuid, held.work.fencing)
        try:
            if give_back:
                self._release(held)
        finally:
            with self._changed:
                self._running -= 1
                uuid = held.work.uuid
                if pause is None:
                    if self._held.get(uuid) is held:
                        del self._held[uuid]
                else:
                    held.due = self._now() + (0 if held.woken else pause)
                self._count()
                self._changed.notify_all()

    def _failed(self, uuid: str, fencing: int) -> None:
        """Log the error that is handled just now, which is no step's.

        The task's lease ends, and somebody tries again, but not for ever.
        """
        LOG.exception("task %s, claim %s", uuid, fencing)
        if fencing < MAX_CLAIMS:
            return
        message = "internal error outside of any step; the worker's log has more"
        try:
            task = self._tools.store.finish(uuid, fencing, TaskStatus.ERROR, message)
            if task.parent_uuid:
                self._tools.signals.wake(task.parent_uuid)
        except Exception:
            LOG.exception("task %s can't be ended", uuid)

    def _count(self) -> None:
        self._tools.memory["parked"] = len(self._held)

    def _begin_rounds(self) -> None:
        with self._changed:
            now = self._now()
            due = [each for each in self._rounds if each.due <= now]
            for each in due:
                each.due = now + each.interval
        for each in due:
            each.begin()

    # -- leases

    def _renew(self) -> None:
        with self._changed:
            before = self._now() - self._tools.settings.lease / 3
            old = [held for held in self._held.values() if held.renewed <= before]
        for held in old:
            work = held.work
            try:
                self._tools.store.renew(
                    work.uuid, work.fencing, self._tools.settings.lease
                )
            except Fenced:
                with self._changed:
                    # A step that runs finds out by itself, when it saves.
                    if held.due is not None and self._held.get(work.uuid) is held:
                        del self._held[work.uuid]
            except NovaMultiError as error:
                LOG.warning("the lease of task %s: %s", work.uuid, error)
            except Exception:
                LOG.exception("the lease of task %s", work.uuid)
            held.renewed = self._now()

    def _give_back(self) -> None:
        with self._changed:
            parked = [held for held in self._held.values() if held.due is not None]
            for held in parked:
                del self._held[held.work.uuid]
        for held in parked:
            self._release(held)

    def _release(self, held: _Held) -> None:
        try:
            self._tools.store.release(held.work.uuid, held.work.fencing)
        except Fenced:
            return
        except NovaMultiError as error:
            LOG.warning("task %s can't be given back: %s", held.work.uuid, error)
        except Exception:
            LOG.exception("task %s can't be given back", held.work.uuid)
