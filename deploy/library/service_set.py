# SPDX-License-Identifier: Apache-2.0
"""Has a set of services running and ready. See deploy/README.md.

Called by the action plugin of the same name, which renders the table.
"""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import backend, services, table


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            # Environments of services may hold secrets.
            # Nothing here is secret: services read passwords from files. Hiding it
            # would blot every word of it out of the errors' log lines.
            "entries": {"type": "dict", "required": True, "no_log": False},
            "restart": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "bool", "default": True},
        }
    )
    try:
        wanted = [
            table.service(name, entry)
            for name, entry in module.params["entries"].items()
        ]
        service_set = services.ServiceSet(backend.detect(), wanted)
        outcomes = service_set.ensure(
            restart=module.params["restart"], wait=module.params["wait"]
        )
    except (table.TableError, backend.ServiceError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=any(outcome.changed for outcome in outcomes),
        services={
            outcome.name: f"{outcome.action} in {outcome.seconds} s"
            for outcome in outcomes
        },
    )


if __name__ == "__main__":
    main()
