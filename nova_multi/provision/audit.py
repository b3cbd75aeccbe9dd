# SPDX-License-Identifier: Apache-2.0
"""Who did what, when, from where: one CADF event for each change."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from pycadf import cadftaxonomy, cadftype, eventfactory, host, resource

#: The log that the events go to where there is no bus.
LOG = logging.getLogger("nova_multi.audit")

#: Keystone's events and ours have the same form.
_SERVICE = "service/compute/nova-multi"
EVENT_TYPE = "audit.nova_multi"

_ACTIONS = {
    "create": cadftaxonomy.ACTION_CREATE,
    "clone": cadftaxonomy.ACTION_CREATE,
    "update": cadftaxonomy.ACTION_UPDATE,
    "add": cadftaxonomy.ACTION_UPDATE,
    "remove": cadftaxonomy.ACTION_UPDATE,
    "delete": cadftaxonomy.ACTION_DELETE,
    "start": "start",
    "stop": "stop",
    "restart": "start/restart",
}

Emit = Callable[[str, Mapping[str, Any]], None]


def to_log(event_type: str, event: Mapping[str, Any]) -> None:
    """Keep an event where there is no bus, or none that takes it."""
    LOG.info("%s %s", event_type, json.dumps(event, sort_keys=True))


class Audit:
    """Makes the events.

    :param emit: takes the type and the event; the log if None.
    """

    def __init__(self, emit: Emit | None = None) -> None:
        self._emit = emit or to_log

    def change(
        self,
        verb: str,
        kind: str,
        *,
        user_id: str,
        project_id: str,
        request_id: str = "",
        remote_address: str = "",
        object_uuid: str = "",
        name: str = "",
        task_uuid: str = "",
        outcome: str = cadftaxonomy.OUTCOME_SUCCESS,
        reason: str = "",
    ) -> None:
        """Tell of a change that was made, accepted (pending) or refused (failure).

        An audit that can't be told of is no reason to refuse the change: it goes to
        the log then.
        """
        event = self._event(
            verb, kind, user_id, project_id, remote_address, object_uuid, name, outcome
        )
        event["project_id"] = project_id
        if request_id:
            event["request_id"] = request_id
        if task_uuid:
            event["task_uuid"] = task_uuid
        if reason:
            event["reason"] = {"reasonType": "message", "reasonCode": reason[:255]}
        event_type = f"{EVENT_TYPE}.{kind}.{verb}"
        try:
            self._emit(event_type, event)
        except Exception:
            LOG.exception("an audit record could not be sent")
            to_log(event_type, event)

    def _event(
        self,
        verb: str,
        kind: str,
        user_id: str,
        project_id: str,
        remote_address: str,
        object_uuid: str,
        name: str,
        outcome: str,
    ) -> dict[str, Any]:
        initiator = resource.Resource(
            id=user_id or "unknown",
            typeURI=cadftaxonomy.ACCOUNT_USER,
            host=host.Host(address=remote_address) if remote_address else None,
        )
        target = resource.Resource(
            id=object_uuid or name or "unknown",
            typeURI=f"{_SERVICE}/{kind}",
            name=name or None,
        )
        made = eventfactory.EventFactory().new_event(
            eventType=cadftype.EVENTTYPE_ACTIVITY,
            outcome=outcome,
            action=_ACTIONS.get(verb, f"{cadftaxonomy.ACTION_UPDATE}/{verb}"),
            initiator=initiator,
            target=target,
            observer=resource.Resource(id="nova-multi", typeURI=_SERVICE),
        )
        found: dict[str, Any] = made.as_dict()
        return found
