# SPDX-License-Identifier: Apache-2.0
"""What a definition that was sent means, for who has sent it; and keeping it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from nova_multi import spec
from nova_multi.domain.definition import Definition, ImageDefinition
from nova_multi.domain.errors import (
    Conflict,
    DomainError,
    Forbidden,
    Invalid,
    NotFound,
)
from nova_multi.domain.image import known_missing
from nova_multi.domain.instance import choose_driver
from nova_multi.domain.names import Kind, check_name
from nova_multi.domain.partition import Limits
from nova_multi.domain.plan import Facts, ImageFacts, ImageKey
from nova_multi.provision import (
    definitions,
    hours,
    limits,
    publishing,
    secret_inputs,
)
from nova_multi.provision.default_images import driver_of
from nova_multi.provision.nouns.base import limited_by_cloud, shared_by_users
from nova_multi.provision.nouns.new_images import NewImages
from nova_multi.provision.nouns.users import Users
from nova_multi.provision.nouns.wishes import Wishes
from nova_multi.provision.recipes import image_key
from nova_multi.provision.secret_inputs import Secrets
from nova_multi.provision.service import Caller, Fields, Scope
from nova_multi.provision.sharing import share_image
from nova_multi.provision.store import Record


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for, with what was found of it.

    :ivar environment: None if there is none yet.
    """

    definition: Definition
    partition: Record
    environment: Record | None
    facts: Facts
    secrets: Secrets


class Wanting(Wishes):
    """Finds what a definition names, without a change; keeps definitions."""

    def _named_environment(
        self, caller: Caller, name: str, fields: Fields, scope: Scope
    ) -> Record | None:
        """The environment; None if there is none, and a definition to make it by."""
        # It is as it was sent: whether it is a definition is only seen later.
        partition = fields.get("definition", {}).get("partition")
        if not (partition and isinstance(partition, str)):
            partition = scope.partition
        try:
            return self._find.environment(caller, name, Scope(partition=partition))
        except NotFound:
            if "definition" not in fields:
                raise
            return None

    def _wanted(
        self,
        caller: Caller,
        fields: Fields,
        scope: Scope,
        environment: Record | None = None,
    ) -> Wanted:
        """A definition with all that it names; only reads."""
        given = fields.get("values") or {}
        definition = spec.load_dict(fields["definition"], values=given)
        if definition.users is not None and self._tools.single:
            raise shared_by_users()
        if definition.users is not None and not self._find.is_admin(caller):
            # Else anybody could find out who there is.
            raise Forbidden(
                "only an administrator names the users of an environment",
                field="users",
            )
        if environment is None:
            fields = {**fields, "definition": {"partition": definition.partition}}
            environment = self._named_environment(
                caller, definition.name, fields, scope
            )
        if environment is not None:
            partition = self._store.record(Kind.PARTITION, environment.scope)
            kept = secret_inputs.read(self._store, self._tools.seal, environment.uuid)
            where = environment
        else:
            partition = self._partition(caller, definition, scope)
            check_name(Kind.ENVIRONMENT, definition.name)
            kept = Secrets()
            where = self._new(
                Kind.ENVIRONMENT, definition.name, caller, scope=partition.uuid, data={}
            )
        if definition.partition not in ("", partition.name, partition.uuid):
            raise Invalid(
                f"environment {definition.name} is in partition {partition.name}",
                field="partition",
            )
        values = spec.input_values(definition, given, kept.kept.keys())
        secrets = kept.with_values(definition, values)
        if secrets.kept:
            self._tools.seal.check()
        facts = self._facts(caller, definition, where, secrets)
        return Wanted(definition, partition, environment, facts, secrets)

    def _partition(
        self, caller: Caller, definition: Definition, scope: Scope
    ) -> Record:
        """Where an environment that isn't there yet is to be."""
        name = definition.partition or scope.partition
        found = (
            self._find.partition(caller, name)
            if name
            else self._find.home(caller, Scope())[0]
        )
        if found is None:
            raise Invalid("the partition is missing", field="partition")
        if found.data.get("state") == "deleting":
            raise Conflict(f"partition {found.name} is being deleted")
        return found

    def _facts(
        self,
        caller: Caller,
        definition: Definition,
        environment: Record,
        secrets: Secrets,
    ) -> Facts:
        """What the names in a definition stand for, for this caller."""
        provisioners = {}
        for part, instance in definition.instances.items():
            name = instance.provisioner
            if name and name not in definition.provisioners:
                if name in provisioners:
                    continue
                try:
                    provisioners[name] = self._provisioner(caller, name, environment)
                except NotFound as error:
                    raise Invalid(
                        f"{part}: there is no provisioner {name}",
                        field=f"instances.{part}.provisioner",
                    ) from error
        facts = Facts(
            provisioners=provisioners,
            secrets=secrets.versions,
            room=secrets.room,
            ways=self._tools.settings.ways,
        )
        keys = {image_key(definition, facts, part) for part in definition.instances}
        own = {name for name, each in definition.images.items() if each.is_made}
        images = {
            key: self._image_facts(caller, key, environment)
            for key in keys
            if any(key) and key[0] not in own
        }
        sources = {
            name: self._source_facts(caller, definition.images[name], environment)
            for name in definition.images
            if name in own and not definition.images[name].instance
        }
        return dataclasses.replace(
            facts,
            images=images,
            sources=sources,
            networks=self._network_facts(definition, environment),
            ranges=self._tools.settings.ranges,
        )

    def _network_facts(
        self, definition: Definition, environment: Record
    ) -> dict[str, str | DomainError]:
        """Networks that are neither the definition's nor the environment's own."""
        own = {definition.name, *definition.networks}
        named = {
            name for each in definition.instances.values() for name in each.networks
        }
        wanted = sorted(named - own)
        if not wanted:
            return {}
        known = self._network_ids(environment)
        return {
            name: known.get(name)
            or Invalid(
                f"there is no network {name} in the file, nor one of the cloud that"
                f" environment {definition.name} may use",
                field="networks",
                code="not_found",
            )
            for name in wanted
        }

    def _image_facts(
        self, caller: Caller, key: ImageKey, environment: Record
    ) -> ImageFacts | DomainError:
        name, asked = key
        try:
            record, image = self._known_image(caller, name, environment, asked)
            project = environment.openstack_id
            if record:
                share_image(self._tools, record, image, project, only_look=True)
            self._check_driver(choose_driver(asked, None, driver_of(image)))
        except NotFound:
            return Invalid(f"there is no image {name}", field="image")
        except (Invalid, Conflict) as error:
            return error
        return ImageFacts(
            image.id,
            image.name,
            driver_of(image),
            image.min_memory_mb,
            image.min_disk_gb,
            record.uuid if record else "",
            tuple(sorted(known_missing(image.properties))),
        )

    def _source_facts(
        self, caller: Caller, image: ImageDefinition, environment: Record
    ) -> Mapping[str, str] | DomainError:
        """What an image of the definition is made of, for this caller."""
        try:
            if image.download_url:
                source = NewImages(self._tools).source(caller, image.download_url)
            else:
                scope = Scope(partition=environment.scope)
                file = self._find.one_shared(Kind.FILE, caller, image.file, scope)
                source = {"file": file.uuid}
            if "file" in source:
                file = self._store.record(Kind.FILE, source["file"])
                source["content"] = str(file.data.get("checksum", ""))
        except NotFound as error:
            return Invalid(error.message, code="not_found")
        except DomainError as error:
            return error
        return source

    # -- keeping

    def _kept(
        self, caller: Caller, environment: Record, wanted: Wanted
    ) -> Sequence[Record]:
        """A definition and its secrets, to be stored in place of what is kept."""
        if definitions.find(self._store, environment.uuid):
            had_address = definitions.had_address(self._store, environment)
        else:
            address = publishing.address_record(self._tools, environment.uuid)
            had_address = address is not None
        return [
            self._definition_record(caller, environment, wanted, had_address),
            self._secrets_record(caller, environment, wanted),
        ]

    def _definition_record(
        self, caller: Caller, environment: Record, wanted: Wanted, had_address: bool
    ) -> Record:
        return self._new(
            definitions.KIND,
            definitions.NAME,
            caller,
            scope=environment.uuid,
            data=definitions.data(
                spec.dump(wanted.definition),
                had_address,
                {
                    "user_id": caller.user_id,
                    "project_id": caller.project_id,
                    "admin": caller.admin,
                },
            ),
        )

    def _secrets_record(
        self, caller: Caller, environment: Record, wanted: Wanted
    ) -> Record:
        return self._new(
            secret_inputs.KIND,
            secret_inputs.NAME,
            caller,
            scope=environment.uuid,
            data=secret_inputs.data(
                wanted.secrets,
                self._tools.seal,
                secret_inputs.find(self._store, environment.uuid),
            ),
        )

    # -- environments

    def _new_environment(
        self, caller: Caller, fields: Fields, partition: Record
    ) -> tuple[Record, dict[str, Any]]:
        """The record of a new environment, and what its task has to know.

        :raises Forbidden: the caller works in one environment of the partition only.
        :raises Conflict: its limits don't fit, or the partition is being deleted.
        """
        if not (
            self._find.is_admin(caller) or caller.project_id == partition.openstack_id
        ):
            # Who works in one environment is not to help himself to more quotas.
            raise Forbidden(
                f"your token is not for the project of partition {partition.name}",
                field="partition",
            )
        if partition.data.get("state") == "deleting":
            raise Conflict(f"partition {partition.name} is being deleted")
        users = tuple(fields.get("users") or ())
        user_ids = self._user_ids(users)
        if fields.get("limits") and self._tools.single:
            raise limited_by_cloud()
        wanted = fields.get("limits") or Limits()
        limits.check(self._store, partition, of_environments={"": wanted})
        data = {
            "state": "creating",
            "description": fields.get("description") or "",
            "users": list(users),
            "user_ids": user_ids,
            hours.SCHEDULE: spec.dump_schedule(hours.read(fields)),
            limits.KEY: limits.written(wanted),
        }
        record = self._new(
            Kind.ENVIRONMENT,
            fields["name"],
            caller,
            scope=partition.uuid,
            data=data,
            task_uuid=self._tools.new_uuid(),
        )
        payload = {
            "partition": partition.uuid,
            "environment": record.uuid,
            "description": data["description"],
            "user_ids": user_ids,
            limits.KEY: data[limits.KEY],
        }
        return record, payload

    def _user_ids(self, logins: Sequence[str]) -> Sequence[str]:
        """Keystone's ids of users.

        :raises Invalid: one is unknown.
        """
        if not logins or self._tools.single:
            return []
        return Users(self._tools).ids(logins)
