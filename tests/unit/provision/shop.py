# SPDX-License-Identifier: Apache-2.0
"""An environment by its definition, and what tests do with it."""

import copy
import itertools

from nova_multi.domain.errors import Conflict
from nova_multi.provision import secret_inputs
from tests.unit.provision.callers import DEBIAN_12
from tests.unit.provision.conftest import ADMIN, NOWHERE

SHOP = {
    "name": "shop",
    "partition": "dev_co",
    "provisioners": {
        "database": {"script": "echo data\n"},
        "site": {"script": "echo site\n"},
    },
    "instances": {
        "db": {
            "driver": "lxd",
            "image": "debian-12",
            "memory": 512,
            "provisioner": "database",
        },
        "web": {
            "driver": "docker",
            "image": "debian-12",
            "count": 2,
            "memory": 256,
            "provisioner": "site",
            "publish": ["80"],
            "variables": {"DB": "${instances.db.address}", "NAME": "shop.test"},
        },
    },
    "outputs": {
        "url": "http://${instances.web[0].published[80]}/",
        "database": "${instances.db.address}",
    },
}


def shop(**instances):
    """The definition, with other fields of instances; None takes one away."""
    found = copy.deepcopy(SHOP)
    for name, fields in instances.items():
        if fields is None:
            del found["instances"][name]
        else:
            found["instances"].setdefault(name, {}).update(fields)
    return found


def furnish(stage):
    """A partition and images for the shop."""
    stage.partition()
    for driver in ("docker", "lxd"):
        stage.world.add_image(f"debian-{driver}", driver, properties=DEBIAN_12)
    for name in ("db", "web", "web-1", "web-2", "web-3"):
        stage.speak(name, "made")
    return stage


def plan(stage, definition=SHOP, caller=ADMIN, **fields):
    fields = {"definition": definition, **fields}
    return stage.service.environments.plan(caller, fields, NOWHERE)


def steps(found):
    """A plan in short."""
    return [f"{each.action} {each.name}" for each in found.steps]


def accept(stage, definition=SHOP, caller=ADMIN, **fields):
    fields = {"definition": definition, **fields}
    name = definition["name"]
    return stage.service.environments.apply(caller, name, fields, NOWHERE)


def apply(stage, definition=SHOP, end="done", **fields):
    """Apply it, to its end."""
    task = stage.done(accept(stage, definition, **fields))
    assert task.status == end, task.history[-1].message
    return task


def destroy(stage, name="shop", end="deleted", **fields):
    task = stage.done(stage.service.environments.destroy(ADMIN, name, fields, NOWHERE))
    assert task.status == end, task.history[-1].message
    return task


def names(stage):
    """Names of all servers."""
    return sorted(server.name for server in stage.world.servers.values())


def server(stage, name):
    (found,) = (s for s in stage.world.servers.values() if s.name == name)
    return found


def user_data(stage, name):
    return stage.world.requests[server(stage, name).id].user_data.decode()


#: Calls to OpenStack that change nothing.
READS = {
    "servers.server",
    "servers.servers",
    "images.find",
    "images.find_public",
    "images.image",
    "images.images",
    "hosts.services",
    "hosts.hypervisors",
    "hosts.aggregates",
    "placement.providers",
    "publishing.forwardings",
    "networks.port",
}


def cloud_calls(stage):
    return [each for each in stage.world.calls if not each.startswith("store.")]


def task_of(stage, accepted):
    return stage.store.task(accepted.task_uuid)


def parts(stage, task):
    """Descriptions of the sub-tasks, by how they ended."""
    return {
        each.description: str(each.status)
        for each in stage.store.tasks(None, parent_uuid=task.uuid)
    }


def server_ids(stage):
    return {each.name: each.id for each in stage.world.servers.values()}


def secret_shop():
    definition = shop()
    definition["inputs"] = {
        "given": {"secret": True},
        "made": {"generate": "password", "length": 30},
        "key": {"generate": "key"},
        "open": {"default": "x"},
    }
    definition["instances"]["web"]["variables"] |= {
        "GIVEN": "pre-${inputs.given}-${instances.db.address}",
        "MADE": "${inputs.made}",
        "PUBLIC": "${inputs.key.public}",
        "OPEN": "${inputs.open}",
    }
    return definition


def secrets_of(stage):
    (record,) = stage.store.list_records("secrets")
    opened = secret_inputs.opened(record.data, stage.tools.seal)
    return {name: entry["value"] for name, entry in opened.items()}


def picture(stage):
    records = sorted(
        (record.kind, record.name)
        for kind in ("environment", "instance", "definition", "secrets", "address")
        for record in stage.store.list_records(kind)
    )
    return stage.world.counts(), names(stage), records


# -- stories of faults


def fails_once(stage, definition, is_meant):
    """Apply and destroy, and each call that is meant fails once; the next try mends it.

    :param is_meant: says it of a call's name and moment.
    :returns: how many calls failed.
    """
    before = stage.world.left()
    apply(stage, definition)
    whole = picture(stage)
    destroy(stage)
    for number in itertools.count():
        failed = []
        for act in ("apply", "destroy"):
            accepted = _failing(stage, definition, act, number, is_meant, failed)
            if act == "apply":
                apply(stage, definition)
                assert picture(stage) == whole, failed
                assert plan(stage, definition).is_empty
            elif not accepted or task_of(stage, accepted).status != "deleted":
                destroy(stage)
        assert stage.world.left() == before, failed
        for kind in ("network", "image", "instance"):
            assert not stage.store.list_records(kind), failed
        if not failed:
            return number
    raise AssertionError("not reached")


def _failing(stage, definition, act, number, is_meant, failed):
    left = itertools.count(number, -1)

    def hook(name, moment):
        if is_meant(name, moment) and next(left) == 0:
            failed.append(name)
            raise Conflict(f"{name} does not work")

    stage.world.hook = hook
    try:
        accepted = _asked(stage, definition if act == "apply" else None)
        stage.work()
    except Conflict:
        return None
    finally:
        stage.world.hook = None
    return accepted


def dies_anywhere(stage, *definitions):
    """A worker dies before its Nth call in each apply, and in the destroy after them.

    :returns: how many times it died, and the types of all tasks.
    """
    before = stage.world.left()
    types = set()
    for number in itertools.count():
        died = []
        for definition in (*definitions, None):
            accepted = _asked(stage, definition)
            died.append(stage.die_before(31 * number + 7))
            stage.forget_leases()
            stage.work()
            task = task_of(stage, accepted)
            assert task.status == task.goal, (number, task.history[-1].message)
            types |= {each.type for each in stage.store.tasks(None, limit=100)}
            if definition:
                assert plan(stage, definition).is_empty
        assert stage.world.left() == before
        if not any(died):
            return number, types
    raise AssertionError("not reached")


def _asked(stage, definition):
    """An apply, or a destroy if there is no definition."""
    if definition:
        return accept(stage, definition)
    return stage.service.environments.destroy(ADMIN, "shop", {}, NOWHERE)
