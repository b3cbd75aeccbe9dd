# SPDX-License-Identifier: Apache-2.0
"""The poller that the deployment gives supervisord."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

import pytest
from nm import supervisord


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The files of each poll, in the order of the polls."""
    found: list[set[int]] = []
    made = select.poll

    class Recorder:
        def __init__(self) -> None:
            self._poll = made()
            found.append(set())

        def register(self, fd: int, events: int) -> None:
            found[-1].add(fd)
            self._poll.register(fd, events)

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            return self._poll.poll(milliseconds)

    monkeypatch.setattr(select, "poll", Recorder)
    return found


def test_only_what_can_be_done_is_told(pipe: tuple[int, int]) -> None:
    read, write = pipe
    poller = supervisord.Poller(object())
    poller.register_readable(read)
    assert poller.poll(0) == ([], [])
    os.write(write, b"x")
    poller.register_readable(read)
    poller.register_writable(write)
    assert poller.poll(0) == ([read], [write])


def test_end_of_input_is_something_to_read(pipe: tuple[int, int]) -> None:
    read, write = pipe
    poller = supervisord.Poller(object())
    os.close(write)
    poller.register_readable(read)
    assert poller.poll(0) == ([read], [])


def test_reader_that_is_gone_is_told_to_the_writer(pipe: tuple[int, int]) -> None:
    read, write = pipe
    poller = supervisord.Poller(object())
    os.close(read)
    poller.register_writable(write)
    assert poller.poll(0) == ([], [write])


def test_number_given_to_another_file_is_not_polled(
    pipe: tuple[int, int], polled: list[set[int]]
) -> None:
    # As in supervisord: the number of a connection becomes that of the standard
    # input of a program that closes it.
    read, write = pipe
    connection, other = os.pipe()
    poller = supervisord.Poller(object())
    poller.register_readable(connection)
    poller.poll(0)
    os.close(connection)
    os.dup2(write, connection)
    os.close(read)
    poller.register_readable(other)
    poller.poll(0)
    os.close(connection)
    os.close(other)
    assert polled == [{connection}, {other}]


def test_closed_file_is_no_error(pipe: tuple[int, int]) -> None:
    read, write = pipe
    poller = supervisord.Poller(object())
    poller.register_readable(read)
    os.close(read)
    assert poller.poll(0) == ([], [])
    os.close(write)
