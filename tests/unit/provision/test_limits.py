# SPDX-License-Identifier: Apache-2.0
"""What a partition may use is never exceeded by its environments together."""

import pytest

from nova_multi.domain.errors import Conflict, Forbidden, Unsupported
from nova_multi.domain.partition import Limits
from tests.unit.provision.conftest import ADMIN, NOWHERE


def partition(stage, limits, name="dev_co"):
    fields = {"name": name, "limits": limits}
    task = stage.done(stage.service.partitions.create(ADMIN, fields, NOWHERE))
    assert task.status == "created"


def environment(stage, name, limits):
    """Accept an environment."""
    fields = {"name": name, "partition": "dev_co", "limits": limits}
    return stage.service.environments.create(ADMIN, fields, NOWHERE)


def limits_of(stage, name):
    return stage.service.environments.show(ADMIN, name, NOWHERE).limits


def quota_of(stage, name):
    """What Nova enforces."""
    uuid = stage.service.environments.show(ADMIN, name, NOWHERE).uuid
    return stage.world.quotas.get(uuid)


def test_limits_are_shown_and_become_the_quota(stage):
    partition(stage, Limits(10, None, 4096))
    task = stage.done(environment(stage, "dev", Limits(4, None, 1024)))
    assert task.status == "created"
    shown = stage.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    assert shown.limits == Limits(10, None, 4096)
    assert limits_of(stage, "dev") == Limits(4, None, 1024)
    assert quota_of(stage, "dev") == (4, None, 1024)


def test_without_limits_novas_own_quota_holds(stage):
    stage.partition()
    stage.environment()
    assert stage.world.quotas == {}


def test_the_sum_is_checked_before_anything_is_made(stage):
    partition(stage, Limits(instances=10))
    stage.done(environment(stage, "a", Limits(instances=6)))
    with pytest.raises(Conflict, match="would have 11") as caught:
        environment(stage, "b", Limits(instances=5))
    assert caught.value.field == "limits.instances"
    with pytest.raises(Conflict, match="needs a limit"):
        environment(stage, "b", None)
    assert stage.store.next_due() is None
    assert stage.done(environment(stage, "b", Limits(instances=4))).status == "created"


def test_two_at_once_do_not_both_slip_through(stage, monkeypatch):
    partition(stage, Limits(instances=10))
    monkeypatch.setattr(
        "nova_multi.provision.nouns.environments.limits.check", _nothing
    )
    both = [environment(stage, name, Limits(instances=6)) for name in "ab"]
    monkeypatch.undo()
    stage.work()
    tasks = [stage.store.task(each.task_uuid) for each in both]
    assert "error" in {task.status for task in tasks}
    total = sum(
        each.limits.instances
        for each in stage.service.environments.list(ADMIN, _query()).items
    )
    assert total <= 10


def _nothing(*args, **named):
    return


def _query():
    from nova_multi.provision.service import Query

    return Query()


def test_limits_are_changed(stage):
    partition(stage, Limits(instances=10))
    stage.done(environment(stage, "a", Limits(instances=6)))
    change = stage.service.environments.change
    with pytest.raises(Conflict, match="would have 11"):
        change(ADMIN, "a", {"limits": Limits(instances=11)}, NOWHERE)
    assert limits_of(stage, "a") == Limits(instances=6)
    accepted = change(ADMIN, "a", {"limits": Limits(instances=9)}, NOWHERE)
    assert stage.done(accepted).status == "done"
    assert limits_of(stage, "a") == Limits(instances=9)
    assert quota_of(stage, "a") == (9, None, None)


def test_a_change_that_fails_is_taken_back(stage):
    partition(stage, Limits(instances=10))
    stage.done(environment(stage, "a", Limits(instances=6)))
    fields = {"limits": Limits(instances=9)}
    accepted = stage.service.environments.change(ADMIN, "a", fields, NOWHERE)
    refused = []

    def hook(name, when):
        if name == "servers.set_limits" and when == "after" and not refused:
            refused.append(name)
            raise Forbidden("no")

    stage.world.hook = hook
    assert stage.done(accepted).status == "error"
    assert limits_of(stage, "a") == Limits(instances=6)
    assert quota_of(stage, "a") == (6, None, None)


def test_a_partition_is_not_limited_below_its_environments(stage):
    partition(stage, Limits(instances=10))
    stage.done(environment(stage, "a", Limits(instances=6)))
    change = stage.service.partitions.change
    with pytest.raises(Conflict, match="at most 5"):
        change(ADMIN, "dev_co", {"limits": Limits(instances=5)}, NOWHERE)
    with pytest.raises(Conflict, match="CPUs: each of its environments needs"):
        change(ADMIN, "dev_co", {"limits": Limits(cpus=5)}, NOWHERE)
    shown = change(ADMIN, "dev_co", {"limits": Limits(instances=6)}, NOWHERE)
    assert shown.limits == Limits(instances=6)
    assert change(ADMIN, "dev_co", {"limits": Limits()}, NOWHERE).limits == Limits()


def test_a_change_of_a_partition_that_keystone_refuses_is_taken_back(stage):
    partition(stage, Limits(instances=10))

    def hook(name, when):
        if name == "identity.update_project" and when == "before":
            raise Forbidden("no")

    stage.world.hook = hook
    fields = {"name": "other", "description": "new", "limits": Limits()}
    with pytest.raises(Forbidden):
        stage.service.partitions.change(ADMIN, "dev_co", fields, NOWHERE)
    shown = stage.service.partitions.show(ADMIN, "dev_co", NOWHERE)
    assert (shown.description, shown.limits) == ("", Limits(instances=10))


def test_in_one_project_there_are_no_limits(make_stage):
    stage = make_stage(single=True)
    create = stage.service.partitions.create
    with pytest.raises(Unsupported, match="share one project"):
        create(ADMIN, {"name": "p", "limits": Limits(cpus=1)}, NOWHERE)
    stage.done(create(ADMIN, {"name": "dev_co"}, NOWHERE))
    with pytest.raises(Unsupported, match="share one project"):
        environment(stage, "a", Limits(cpus=1))
