# SPDX-License-Identifier: Apache-2.0
"""What Keystone must know: services, domains, projects, users and their roles."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: identity_content
short_description: Services, endpoints, domains, projects, users and roles in Keystone
description:
  - Each is looked up, and made or mended only where it is missing or differs. That an
    account has its password is found by asking for a token with it.
  - Where the administrator gets no token, C(bootstrap) is run first.
  - Runs on Keystone's machine, with a Python that has openstacksdk.
options:
  auth:
    description: auth_url, username, password and project_name of the administrator.
    required: true
    type: dict
  bootstrap:
    description: argv, environment and user of the command that makes them.
    required: true
    type: dict
  region: {required: true, type: str}
  domains:
    description: id (32 hexadecimal digits), name and description.
    type: list
    elements: dict
  projects: {description: Of the default domain., type: list, elements: str}
  services:
    description: name, type, description and url.
    type: list
    elements: dict
  users:
    description: >-
      name, password, and roles on a project of the default domain; or, where a domain
      is given by its id, of that domain and with roles on it.
    type: list
    elements: dict
"""

try:
    import openstack
    from keystoneauth1 import exceptions as auth_exceptions
    from keystoneauth1 import session as auth_session
    from keystoneauth1.identity import v3
    from openstack import exceptions as sdk_exceptions
except ImportError:  # reported by main(): a module must be importable to be documented
    openstack = None

DOMAIN_ID = "default"
INTERFACES = ("public", "internal", "admin")
# Seconds for the bootstrap command, which starts a Python with all of Keystone.
BOOTSTRAP_TIMEOUT = 120


class BootstrapError(Exception):
    """The bootstrap command failed; the message has its last lines."""


def password_auth(auth: dict[str, str]) -> Any:
    """keystoneauth's plugin for an account, in its project if it has one."""
    scope = {}
    if auth.get("project_name"):
        scope = {"project_name": auth["project_name"], "project_domain_id": DOMAIN_ID}
    return v3.Password(
        auth_url=auth["auth_url"],
        username=auth["username"],
        password=auth["password"],
        user_domain_id=auth.get("domain") or DOMAIN_ID,
        unscoped=not scope,
        **scope,
    )


def session_of(auth: dict[str, str]) -> Any | None:
    """A session with a token of the account; None if refused."""
    session = auth_session.Session(auth=password_auth(auth))
    try:
        session.get_token()
    except auth_exceptions.Unauthorized:
        return None
    return session


def bootstrap(command: dict[str, Any], password: str) -> None:
    """Make the administrator, or give him his password back.

    :raises BootstrapError: the command failed.
    """
    words = [
        "setpriv",
        f"--reuid={command['user']}",
        f"--regid={command['user']}",
        "--init-groups",
        *command["argv"],
    ]
    done = subprocess.run(
        words,
        env={
            **os.environ,
            **command["environment"],
            "OS_BOOTSTRAP_PASSWORD": password,
        },
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOOTSTRAP_TIMEOUT,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-20:])
        raise BootstrapError(f"keystone-manage bootstrap failed:\n{tail}")


class Content:
    """Keystone's content beside what is wanted; yields what it changed."""

    def __init__(self, connection: Any, wanted: dict[str, Any]) -> None:
        self._identity = connection.identity
        self._wanted = wanted

    def apply(self) -> Iterator[str]:
        yield from self._services()
        yield from self._domains()
        yield from self._accounts()

    def _services(self) -> Iterator[str]:
        present = {service.type: service for service in self._identity.services()}
        endpoints = {
            (endpoint.service_id, endpoint.interface, endpoint.region_id): endpoint
            for endpoint in self._identity.endpoints()
        }
        region = self._wanted["region"]
        if self._identity.find_region(region) is None:
            self._identity.create_region(id=region)
            yield f"region {region}"
        for wanted in self._wanted["services"] or ():
            service = present.get(wanted["type"])
            if service is None:
                service = self._identity.create_service(
                    name=wanted["name"],
                    type=wanted["type"],
                    description=wanted["description"],
                )
                yield f"service {wanted['name']}"
            for interface in INTERFACES:
                endpoint = endpoints.get((service.id, interface, region))
                name = f"endpoint {interface} of {wanted['name']}"
                if endpoint is None:
                    self._identity.create_endpoint(
                        service_id=service.id,
                        interface=interface,
                        region_id=region,
                        url=wanted["url"],
                    )
                    yield name
                elif endpoint.url != wanted["url"]:
                    self._identity.update_endpoint(endpoint, url=wanted["url"])
                    yield name

    def _domains(self) -> Iterator[str]:
        wanted = self._wanted["domains"] or ()
        present = {domain.id: domain for domain in self._identity.domains()}
        for entry in wanted:
            domain = present.get(entry["id"])
            if domain is None:
                # The client's own method knows nothing of an id that is chosen.
                body = {
                    "name": entry["name"],
                    "description": entry["description"],
                    "explicit_domain_id": entry["id"],
                }
                response = self._identity.post("/domains", json={"domain": body})
                sdk_exceptions.raise_from_response(response)
                yield f"domain {entry['name']}"
            elif domain.name != entry["name"] or not domain.is_enabled:
                self._identity.update_domain(
                    domain, name=entry["name"], is_enabled=True
                )
                yield f"domain {entry['name']}"

    def _accounts(self) -> Iterator[str]:
        projects = {
            project.name: project
            for project in self._identity.projects(domain_id=DOMAIN_ID)
        }
        for name in self._wanted["projects"] or ():
            if name not in projects:
                projects[name] = self._identity.create_project(
                    name=name, domain_id=DOMAIN_ID
                )
                yield f"project {name}"
        users = {(user.domain_id, user.name): user for user in self._identity.users()}
        roles = {role.name: role for role in self._identity.roles()}
        granted = {
            (grant.user["id"], grant.scope[kind]["id"], grant.role["id"])
            for grant in self._identity.role_assignments()
            if grant.user
            for kind in ("project", "domain")
            if kind in (grant.scope or {})
        }
        known = []
        for wanted in self._wanted["users"] or ():
            domain_id = wanted["domain"] or DOMAIN_ID
            user = users.get((domain_id, wanted["name"]))
            if user is None:
                user = self._identity.create_user(
                    name=wanted["name"],
                    password=wanted["password"],
                    domain_id=domain_id,
                )
                yield f"user {wanted['name']}"
            else:
                known.append((user, wanted))
            project = projects[wanted["project"]] if wanted["project"] else None
            place = project.id if project else domain_id
            for name in wanted["roles"]:
                role = roles[name]
                if (user.id, place, role.id) in granted:
                    continue
                if project:
                    self._identity.assign_project_role_to_user(project, user, role)
                else:
                    self._identity.assign_domain_role_to_user(domain_id, user, role)
                yield f"role {name} of {wanted['name']}"
        yield from self._passwords(known)

    def _passwords(self, known: list[tuple[Any, dict[str, Any]]]) -> Iterator[str]:
        """Give accounts back the password that the deployment has for them."""
        if not known:
            return

        def is_right(wanted: dict[str, Any]) -> bool:
            session = session_of(
                {
                    "auth_url": self._wanted["auth"]["auth_url"],
                    "username": wanted["name"],
                    "password": wanted["password"],
                    "project_name": wanted["project"],
                    "domain": wanted["domain"],
                }
            )
            return session is not None

        with concurrent.futures.ThreadPoolExecutor(len(known)) as pool:
            right = list(pool.map(is_right, [wanted for _user, wanted in known]))
        for (user, wanted), is_good in zip(known, right, strict=True):
            if not is_good:
                self._identity.update_user(
                    user, password=wanted["password"], is_enabled=True
                )
                yield f"password of {wanted['name']}"


def _argument_spec() -> dict[str, Any]:
    text = {"type": "str", "required": True}
    secret = {**text, "no_log": True}
    return {
        "auth": {
            "type": "dict",
            "required": True,
            "options": {
                "auth_url": text,
                "username": text,
                "password": secret,
                "project_name": text,
            },
        },
        "bootstrap": {
            "type": "dict",
            "required": True,
            "options": {
                "argv": {"type": "list", "elements": "str", "required": True},
                "environment": {"type": "dict", "required": True},
                "user": text,
            },
        },
        "region": text,
        "domains": {
            "type": "list",
            "elements": "dict",
            "options": {"id": text, "name": text, "description": text},
        },
        "projects": {"type": "list", "elements": "str"},
        "services": {
            "type": "list",
            "elements": "dict",
            "options": {"name": text, "type": text, "description": text, "url": text},
        },
        "users": {
            "type": "list",
            "elements": "dict",
            "mutually_exclusive": [("project", "domain")],
            "required_one_of": [("project", "domain")],
            "options": {
                "name": text,
                "password": secret,
                "project": {"type": "str"},
                "domain": {"type": "str"},
                "roles": {"type": "list", "elements": "str", "required": True},
            },
        },
    }


def main() -> None:
    module = AnsibleModule(argument_spec=_argument_spec())
    if openstack is None:
        module.fail_json(msg="identity_content needs openstacksdk in its Python")
    wanted = module.params
    changes: list[str] = []
    try:
        session = session_of(wanted["auth"])
        if session is None:
            bootstrap(wanted["bootstrap"], wanted["auth"]["password"])
            changes.append("administrator")
            session = auth_session.Session(auth=password_auth(wanted["auth"]))
        connection = openstack.connection.Connection(
            session=session,
            region_name=wanted["region"],
            identity_api_version="3",
            identity_endpoint_override=wanted["auth"]["auth_url"],
        )
        changes.extend(Content(connection, wanted).apply())
    except (
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
        BootstrapError,
        subprocess.TimeoutExpired,
    ) as error:
        module.fail_json(msg=f"Keystone: {error}", changes=changes)
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
