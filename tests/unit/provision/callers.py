# SPDX-License-Identifier: Apache-2.0
"""Callers of the nouns, and what tests of several nouns need."""

from nova_multi.provision.provisioning import Provisioning
from nova_multi.provision.service import Caller, Service
from tests.unit.provision.conftest import ADMIN, NOWHERE

MEMBER = frozenset({"member"})
DEBIAN_12 = {"os_distro": "debian", "os_version": "12"}


def member_of(stage, environment="dev", user="user-m"):
    """A user with a token for an environment's project."""
    found = stage.service.environments.show(ADMIN, environment, NOWHERE)
    return Caller(user, found.uuid, MEMBER, member=True)


def reader_of(stage, environment="dev", user="user-r"):
    """A user who may only look."""
    found = stage.service.environments.show(ADMIN, environment, NOWHERE)
    return Caller(user, found.uuid, frozenset({"reader"}))


STRANGER = Caller("user-s", "p-elsewhere", MEMBER)


def names(page):
    return [each.name for each in page.items]


def service_is_complete(provisioning: Provisioning) -> Service:
    return provisioning


def private(stage):
    """An image of somebody else."""
    return stage.world.add_image(
        "theirs", properties=DEBIAN_12, owner="p-else", visibility="private"
    )
