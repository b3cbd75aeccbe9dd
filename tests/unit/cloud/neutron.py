# SPDX-License-Identifier: Apache-2.0
"""Neutron, as far as it is used: unique ports, rules, revisions, objects in use."""

from __future__ import annotations

import re

from .fake import Answer, neutron_error

SINGULAR = {
    "networks": "network",
    "subnets": "subnet",
    "routers": "router",
    "ports": "port",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "floatingips": "floatingip",
}


class Neutron:
    """Keeps objects by collection; ``forwardings`` by floating IP."""

    def __init__(self, fake, forwards=True):
        self.fake = fake
        self.kept = {name: {} for name in SINGULAR}
        self.forwardings = {}
        self.forwards = forwards
        self.number = 0
        self.created_at = ""
        self.before_put = lambda call: None
        self.before_post = lambda call: None
        kinds = "|".join(SINGULAR)
        on = fake.on
        on("network", "GET", f"/({kinds})", self.listed)
        on("network", "POST", f"/({kinds})", self.create)
        on("network", "GET", f"/({kinds})/([^/]+)", self.shown)
        on("network", "PUT", f"/({kinds})/([^/]+)", self.change)
        on("network", "PUT", f"/({kinds})/([^/]+)/tags", self.tag)
        on("network", "DELETE", f"/({kinds})/([^/]+)", self.delete)
        on(
            "network",
            "PUT",
            "/routers/([^/]+)/(add|remove)_router_interface",
            self.plug,
        )
        on("network", "GET", "/extensions/(.+)", self.extension)
        path = "/floatingips/([^/]+)/port_forwardings"
        on("network", "GET", path, self.list_forwardings)
        on("network", "POST", path, self.forward)
        on("network", "DELETE", f"{path}/([^/]+)", self.unforward)

    def add(self, collection, **raw):
        self.number += 1
        raw = {
            "id": f"{SINGULAR[collection]}-{self.number}",
            "tags": [],
            "name": "",
            "description": "",
            "revision_number": 0,
            "project_id": "project-1",
            "created_at": self.created_at,
            **raw,
        }
        self.kept[collection][raw["id"]] = raw
        return raw

    # -- collections

    def listed(self, call, collection):
        found = [self.view(collection, raw) for raw in self.kept[collection].values()]
        for key, (value, *_) in call.query.items():
            if key == "tags":
                tags = set(value.split(","))
                found = [raw for raw in found if tags <= set(raw["tags"])]
            elif key not in ("fields", "marker", "limit"):
                found = [raw for raw in found if str(raw.get(key, "")) in (value,)]
        return {collection.replace("-", "_"): found}

    def view(self, collection, raw):
        if collection != "floatingips" or not self.forwards:
            return raw
        kept = self.forwardings.get(raw["id"], {})
        return {**raw, "port_forwardings": list(kept.values())}

    def one(self, collection, number):
        if number not in self.kept[collection]:
            raise neutron_error(404, "NotFound", f"{number} could not be found.")
        return self.kept[collection][number]

    def shown(self, call, collection, number):
        return {
            SINGULAR[collection]: self.view(collection, self.one(collection, number))
        }

    def create(self, call, collection):
        self.before_post(call)
        (body,) = call.body.values()
        assert list(call.body) == [SINGULAR[collection]]
        if collection == "security-group-rules":
            self.one("security-groups", body["security_group_id"])
            told = {k: v for k, v in body.items() if k != "description"}
            for raw in self.kept[collection].values():
                if told == {k: raw.get(k) for k in told}:
                    raise neutron_error(409, "SecurityGroupRuleExists")
        if collection == "floatingips":
            body = {"floating_ip_address": f"203.0.113.{self.number}", **body}
        if collection == "ports":
            fixed = [{"ip_address": f"10.0.0.{self.number}", "subnet_id": "subnet-1"}]
            body = {"fixed_ips": fixed, **body}
        return Answer(201, {SINGULAR[collection]: self.add(collection, **body)})

    def change(self, call, collection, number):
        self.before_put(call)
        raw = self.one(collection, number)
        wanted = call.headers.get("If-Match")
        if wanted and wanted != f"revision_number={raw['revision_number']}":
            raise neutron_error(412, "RevisionNumberConstraintFailed")
        (changes,) = call.body.values()
        for group in changes.get("security_groups", ()):
            self.one("security-groups", group)
        raw |= changes
        raw["revision_number"] += 1
        return {SINGULAR[collection]: raw}

    def tag(self, call, collection, number):
        self.one(collection, number)["tags"] = call.body["tags"]
        return call.body

    def delete(self, call, collection, number):
        self.one(collection, number)
        ports = self.kept["ports"].values()
        if collection == "security-groups" and any(
            number in port.get("security_groups", ()) for port in ports
        ):
            raise neutron_error(409, "SecurityGroupInUse")
        if collection == "networks" and any(
            port["network_id"] == number for port in ports
        ):
            raise neutron_error(409, "NetworkInUse")
        if collection == "floatingips" and self.forwardings.get(number):
            raise neutron_error(409, "FipInUseByPortForwarding")
        del self.kept[collection][number]
        return Answer(204)

    def plug(self, call, router, verb):
        subnet = call.body["subnet_id"]
        self.one("routers", router)
        present = [
            port
            for port in self.kept["ports"].values()
            if port.get("device_id") == router
            and port["fixed_ips"][0]["subnet_id"] == subnet
        ]
        if verb == "add":
            if present:
                raise neutron_error(400, "BadRequest", "Router already has a port")
            self.add(
                "ports",
                network_id="n",
                device_id=router,
                device_owner="network:router_interface",
                fixed_ips=[{"subnet_id": subnet, "ip_address": "10.0.0.1"}],
            )
        elif not present:
            raise neutron_error(404, "RouterInterfaceNotFoundForSubnet")
        else:
            del self.kept["ports"][present[0]["id"]]
        return {"subnet_id": subnet}

    def extension(self, call, alias):
        if not self.forwards:
            raise neutron_error(404, "ExtensionNotFound")
        return {"extension": {"alias": alias}}

    # -- forwardings

    def list_forwardings(self, call, address):
        if not self.forwards:
            raise Answer(404, b"The resource could not be found.")
        self.one("floatingips", address)
        return {"port_forwardings": list(self.forwardings.get(address, {}).values())}

    def forward(self, call, address):
        body = call.body["port_forwarding"]
        assert re.fullmatch(r"tcp|udp", body["protocol"])
        for fip, kept in self.forwardings.items():
            for raw in kept.values():
                same = raw["protocol"] == body["protocol"]
                outside = raw["external_port"] == body["external_port"]
                inside = (raw["internal_port_id"], raw["internal_port"]) == (
                    body["internal_port_id"],
                    body["internal_port"],
                )
                if same and (inside or (outside and fip == address)):
                    raise neutron_error(400, "BadRequest", "There is a port collision")
        for raw in self.kept["floatingips"].values():
            if raw.get("port_id") == body["internal_port_id"]:
                raise neutron_error(409, "PortHasBindingFloatingIP")
        self.number += 1
        made = {"id": f"forwarding-{self.number}", **body}
        self.forwardings.setdefault(address, {})[made["id"]] = made
        return Answer(201, {"port_forwarding": made})

    def unforward(self, call, address, number):
        if not self.forwardings.get(address, {}).pop(number, None):
            raise neutron_error(404, "PortForwardingNotFound")
        return Answer(204)
