# SPDX-License-Identifier: Apache-2.0
"""How tasks move."""

import datetime
import itertools

import pytest

from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.task import ALLOWED, Task, TaskStatus, TaskType

T0 = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
S = TaskStatus


def at(seconds):
    return T0 + datetime.timedelta(seconds=seconds)


def task(type=TaskType.CREATE_INSTANCE, **fields):
    return Task.accepted("t-1", type, "instance", T0, **fields)


def moved(*statuses, **fields):
    found = task(**fields)
    for second, status in enumerate(statuses, 1):
        found = found.advanced(status, at(second))
    return found


def words(found):
    return [str(change.status) for change in found.history]


def test_the_words_are_the_documented_ones():
    assert [str(status) for status in S] == [
        "pending",
        "dispatching",
        "dispatched",
        "setting up",
        "creating",
        "created",
        "provisioning",
        "provisioned",
        "deleting",
        "deleted",
        "done",
        "error",
    ]


def test_received_is_dispatched():
    assert S.parse("received") is S.DISPATCHED
    assert S.parse("setting up") is S.SETTING_UP
    with pytest.raises(Invalid) as caught:
        S.parse("finished")
    assert caught.value.field == "status"


def test_every_status_but_the_ends_may_fail():
    ends = {S.PROVISIONED, S.DELETED, S.DONE, S.ERROR}
    assert set(ALLOWED) == set(S)
    for status in S:
        assert status.is_final == (status in ends)
        assert (S.ERROR in ALLOWED[status]) == (status not in ends)


def test_there_is_no_way_back():
    for one, other in itertools.permutations(S, 2):
        assert not (other in ALLOWED[one] and one in ALLOWED[other])


@pytest.mark.parametrize("type", TaskType)
def test_every_type_reaches_its_goal(type):
    assert type.goal in ALLOWED[S.PENDING]
    found = task(type).advanced(S.DISPATCHING, at(1)).advanced(type.goal, at(2))
    assert found.is_final
    assert type.verb == type.value.partition("_")[0]


def test_the_whole_way():
    way = [*S][1:8]
    found = moved(*way, goal=S.PROVISIONED)
    assert words(found) == [str(status) for status in [*S][:8]]
    assert [change.at for change in found.history] == [at(n) for n in range(8)]
    assert found.last_update == at(7)
    assert found.is_final


def test_created_is_the_end_or_a_station():
    assert moved(S.CREATED).is_final
    with pytest.raises(Conflict):
        moved(S.CREATED, S.ERROR)
    station = moved(S.CREATED, goal=S.PROVISIONED)
    assert not station.is_final
    assert station.advanced(S.ERROR, at(9), "exit code 3").is_final


def test_the_same_status_again_changes_nothing():
    found = moved(S.DISPATCHED)
    assert found.advanced(S.DISPATCHED, at(50), "again") is found
    assert found.advanced(S.PENDING, at(50)) is found


def test_a_late_event_is_remembered_in_its_place():
    found = moved(S.CREATING).advanced(S.DISPATCHED, at(0.5), "on node-1")
    assert found.status == S.CREATING
    assert words(found) == ["pending", "dispatched", "creating"]
    assert found.history[1].message == "on node-1"
    assert found.last_update == at(1)


def test_a_late_event_after_the_end():
    found = moved(S.CREATED).advanced(S.DISPATCHED, at(3))
    assert (found.status, found.is_final) == (S.CREATED, True)
    assert found.last_update == at(3)


def test_clocks_that_differ_do_not_disturb_the_order():
    found = moved(S.DISPATCHING).advanced(S.DISPATCHED, at(-5))
    assert words(found) == ["pending", "dispatching", "dispatched"]
    assert found.history[-1].at == found.last_update == at(1)


def test_a_late_event_is_not_before_what_it_follows():
    found = moved(S.DISPATCHING, S.CREATING).advanced(S.DISPATCHED, at(0.2))
    assert [change.at for change in found.history] == [T0, at(1), at(1), at(2)]


@pytest.mark.parametrize(
    "type, statuses, refused",
    [
        (TaskType.CREATE_INSTANCE, [S.ERROR], S.CREATED),
        (TaskType.CREATE_INSTANCE, [S.ERROR], S.DISPATCHED),
        (TaskType.CREATE_INSTANCE, [], S.DELETING),
        (TaskType.CREATE_INSTANCE, [], S.PROVISIONING),
        (TaskType.CREATE_INSTANCE, [], S.DONE),
        (TaskType.DELETE_INSTANCE, [], S.CREATING),
        (TaskType.DELETE_INSTANCE, [S.DELETED], S.ERROR),
        (TaskType.START_INSTANCE, [S.DONE], S.ERROR),
        (TaskType.START_INSTANCE, [], S.CREATED),
    ],
)
def test_what_can_not_follow(type, statuses, refused):
    found = task(type)
    for status in statuses:
        found = found.advanced(status, at(1))
    with pytest.raises(Conflict) as caught:
        found.advanced(refused, at(2))
    assert caught.value.code == "task_transition"
    assert found.uuid in caught.value.message
