# SPDX-License-Identifier: Apache-2.0
"""What a request for instances means: its environment, provisioner, image, size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence, Set
from typing import TypeAlias

from nova_multi.cloud import marks
from nova_multi.cloud.image import Images
from nova_multi.cloud.values import StoredImage
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, DomainError, Invalid, NotFound
from nova_multi.domain.instance import Size, choose_size, fit_image
from nova_multi.domain.names import Kind
from nova_multi.domain.provisioner import Provisioner, in_order
from nova_multi.provision import default_images
from nova_multi.provision.default_images import driver_of
from nova_multi.provision.machines import machines
from nova_multi.provision.nouns import provisioners
from nova_multi.provision.nouns.base import Noun
from nova_multi.provision.service import Caller, Fields, Scope
from nova_multi.provision.sharing import image_home, share_image
from nova_multi.provision.steps.dependencies import is_ready
from nova_multi.provision.store import Record

#: Instances of one provisioner whose addresses a script is told.
MAX_TOLD = 64
#: UUIDs of instances' records and of the tasks that made them, by provisioner.
Standing: TypeAlias = dict[str, list[tuple[str, str]]]


class Wishes(Noun):
    """Finds what a request names, and refuses what can't be."""

    def _environment(self, caller: Caller, fields: Fields, scope: Scope) -> Record:
        name = fields.get("environment") or scope.environment
        if name:
            record = self._find.environment(caller, name, scope)
        else:
            _, own = self._find.home(caller, scope)
            if own is None:
                raise Invalid("the environment is missing", field="environment")
            record = own
        state = record.data.get("state")
        if state not in ("ready", "creating"):
            raise Conflict(
                f"environment {record.name} is in state {state}", field="environment"
            )
        return record

    def _provisioner(
        self, caller: Caller, name: str | None, environment: Record
    ) -> Provisioner:
        if not name:
            raise Invalid(
                "the provisioner is missing: it tells the image", field="provisioner"
            )
        scope = Scope(partition=environment.scope)
        try:
            record = self._find.one_shared(Kind.PROVISIONER, caller, name, scope, "x")
        except NotFound:
            record = self._find.one_shared(Kind.PROVISIONER, caller, name, action="x")
        return provisioners.value(record)

    def _standing(self, caller: Caller, environment: Record) -> Standing:
        """An environment's instances that others may depend on, by their provisioner.

        Only those that the caller may see. Where some are ready those that are not are
        left out; where all have failed there are none.
        """
        found: dict[str, list[Record]] = {}
        for each in self._store.list_records(Kind.INSTANCE, scope=environment.uuid):
            useless = each.data.get("deleting") or each.data.get("failed")
            if not useless and self._find.may(
                caller, each, "r", environment.openstack_id
            ):
                found.setdefault(each.data.get("provisioner", ""), []).append(each)
        standing = {}
        for name, records in found.items():
            ready = [each for each in records if is_ready(each)]
            standing[name] = [
                (each.uuid, each.task_uuid) for each in (ready or records)[:MAX_TOLD]
            ]
        return standing

    def _dependencies(
        self,
        caller: Caller,
        provisioner: Provisioner,
        environment: Record,
        standing: Set[str],
    ) -> Sequence[Provisioner]:
        """What a provisioner depends on and doesn't stand, in the order of making.

        :param standing: names of those of which there are instances.
        :raises Invalid: one is unknown to the caller.
        :raises Ambiguous: one is in several partitions, and not in the environment's.
        """
        # What stands needs nothing any more, not even its provisioner.
        known = {name: Provisioner(uuid="", name=name) for name in standing}
        known[provisioner.name] = provisioner
        todo = list(provisioner.depends)
        while todo:
            name = todo.pop()
            if name in known:
                continue
            try:
                known[name] = self._provisioner(caller, name, environment)
            except NotFound:
                continue  # told below, with who needs it
            todo += known[name].depends
        ordered = in_order([provisioner.name], known)[:-1]
        return [each for each in ordered if each.name not in standing]

    def _image(
        self,
        caller: Caller,
        provisioner: Provisioner,
        environment: Record,
        driver: Driver | None,
        prefer: Driver | None = None,
    ) -> StoredImage:
        """The image, as Glance has it, for the environment to use.

        :param driver: what was asked for.
        :param prefer: which of several, where nothing was.
        :raises Invalid: there is none of that name, nor with that system.
        """
        name = provisioner.image
        if not name and driver is None:
            raise Invalid(
                f"provisioner {provisioner.name} names no image, and no driver is asked"
                " for whose default image could be taken",
                field="provisioner",
            )
        record, image = self._known_image(caller, name, environment, driver, prefer)
        if record:
            try:
                share_image(self._tools, record, image, environment.openstack_id)
            except NotFound as error:
                raise _no_image(name) from error
        return image

    def _known_image(
        self,
        caller: Caller,
        name: str,
        environment: Record,
        driver: Driver | None,
        prefer: Driver | None = None,
    ) -> tuple[Record | None, StoredImage]:
        """An image as Glance has it, and its record if it has one; only reads.

        :param name: empty for the driver's default.
        :param driver: as for :meth:`_image`, as is the rest.
        :raises Invalid: there is none of that name, nor with that system.
        """
        if not name:
            assert driver is not None
            return self._default_image(caller, environment, driver)
        ready = bool(environment.openstack_id) or self._tools.single
        cloud = image_home(self._tools, environment.openstack_id if ready else "")
        try:
            record = self._find.image(caller, name, environment)
        except NotFound:
            record = None
        try:
            if record is None:
                # The administrator's account sees everybody's images.
                hidden = self._hidden_images(caller, environment)
                return None, _of_name_or_system(
                    cloud.images,
                    name,
                    driver,
                    prefer,
                    public_only=not ready,
                    hidden=hidden,
                )
            if not record.openstack_id:
                raise Conflict(
                    f"image {record.name} is being made: wait for its task",
                    field="provisioner",
                )
            own = image_home(self._tools, record.data.get("home", ""))
            return record, own.images.image(record.openstack_id)
        except NotFound as error:
            raise _no_image(name) from error

    def _default_image(
        self, caller: Caller, environment: Record, driver: Driver
    ) -> tuple[Record | None, StoredImage]:
        """What an instance of a driver is made of where no image is named.

        :raises Invalid: the operator has not said it, or what was said is not there.
        """
        name = self._tools.settings.images.get(driver)
        hidden = self._hidden_images(caller, environment)
        if name is None:
            everywhere = image_home(self._tools, "").images
            visible = None if self._tools.single else "public"
            return None, default_images.tagged(everywhere, driver, visible, hidden)
        try:
            found = self._known_image(caller, name, environment, driver)
        except DomainError as error:
            raise default_images.unusable(driver, name, error.message) from error
        if driver_of(found[1]) is not driver:
            told = f"it is for {driver_of(found[1]) or 'another hypervisor'}"
            raise default_images.unusable(driver, name, told)
        return found

    def _hidden_images(self, caller: Caller, environment: Record) -> set[str]:
        """Ids in Glance of what the caller may make no instance of."""
        scopes = environment.scope, environment.uuid
        return self._find.hidden_images(caller, *scopes, action="x")

    def _check_driver(self, driver: Driver) -> None:
        if self._tools.single:
            return
        there = {d for each in machines(self._tools).all(age=60) for d in each.services}
        if driver not in there:
            raise Invalid(f"no host has the driver {driver}", field="driver")

    def _networks(self, fields: Fields, environment: Record) -> Sequence[str]:
        """Ids of the further networks that were named."""
        wanted = [each for each in fields.get("networks") or () if each]
        if not wanted:
            return []
        if not environment.openstack_id and not self._tools.single:
            raise Conflict(
                f"environment {environment.name} has no networks yet", field="networks"
            )
        ids = self._network_ids(environment)
        unknown = [each for each in wanted if each not in ids]
        if unknown:
            raise Invalid(
                f"there is no network {', '.join(unknown)} in environment"
                f" {environment.name}",
                field="networks",
            )
        own = environment.data.get("network_id")
        return [ids[each] for each in wanted if ids[each] != own]

    def _network_ids(self, environment: Record) -> dict[str, str]:
        """Ids of the networks that an environment may use, by id and by name.

        Its own ones go before those that are shared with it; the latter have no name
        here where several have the same.
        """
        home = environment.openstack_id
        ready = bool(home) or self._tools.single
        cloud = (
            self._tools.of_environment(environment)
            if ready
            else image_home(self._tools, "")
        )
        shared = cloud.networks.shared()
        own = cloud.networks.networks() if ready else ()
        counted = Counter(each.name for each in shared)
        found = {each.name: each.id for each in shared if counted[each.name] == 1}
        found |= {each.id: each.id for each in (*shared, *own)}
        # Another environment of the same project is none of its business.
        found |= {
            each.name: each.id for each in own if self._is_of(each.tags, environment)
        }
        return found

    def _is_of(self, tags: Sequence[str], environment: Record) -> bool:
        of = marks.read(tags).get("environment")
        return not self._tools.single or of in (None, environment.uuid)


def _no_image(name: str) -> Invalid:
    return Invalid(f"there is no image {name}", field="provisioner")


def _of_name_or_system(
    images: Images,
    name: str,
    driver: Driver | None,
    prefer: Driver | None,
    *,
    public_only: bool,
    hidden: Collection[str],
) -> StoredImage:
    """The image of a name; else the newest with that system, for the driver.

    What a provisioner does is the same on all hypervisors, but each has images of its
    own: ``debian-12`` is whichever has Debian 12 for the one that was asked for.

    :param public_only: leave all others out.
    :param hidden: ids of images that are as good as not there.
    :raises NotFound: there is neither.
    :raises Invalid: there are images with that system for several drivers.
    """
    try:
        found = images.find_public(name) if public_only else images.find(name)
        if found.id in hidden:
            raise NotFound(f"there is no image {name}", field="image")
        return found
    except NotFound:
        system, _, version = name.rpartition("-")
        if not system:
            raise
        properties = {"os_distro": system, "os_version": version}
        visibility = "public" if public_only else None
        newest = images.images(properties=properties, visibility=visibility)
        # Glance gives the newest first.
        fitting = {
            driver_of(each): each
            for each in reversed(newest)
            if each.status == "active"
            and each.id not in hidden
            and driver in (None, driver_of(each))
        }
        if not fitting:
            raise
    if prefer in fitting:
        return fitting[prefer]
    if len(fitting) > 1:
        drivers = ", ".join(sorted(filter(None, fitting)))
        raise Invalid(
            f"there are images with {name} for {drivers}: say which driver",
            field="driver",
        )
    return fitting.popitem()[1]


def size_of(
    driver: Driver, fields: Fields, provisioner: Provisioner, image: StoredImage
) -> Size:
    """The size, not below what the image needs.

    :raises Invalid: what was asked for is.
    """
    size = choose_size(
        driver,
        cpus=fields.get("cpus"),
        memory_mb=fields.get("memory_mb"),
        disk_mb=fields.get("disk_mb"),
        provisioner=provisioner,
    )
    return fit_image(
        size,
        image,
        memory_asked=fields.get("memory_mb") is not None,
        disk_asked=fields.get("disk_mb") is not None,
    )
