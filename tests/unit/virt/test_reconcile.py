# SPDX-License-Identifier: Apache-2.0
"""How the switch is asked whose its ports are."""

from __future__ import annotations

import json
import subprocess
from types import SimpleNamespace
from unittest import mock

import os_vif
import pytest
from nova.network import os_vif_util
from vif_plug_ovs import ovs

from nova_multi import exception
from nova_multi.virt import reconcile

PORT = "11111111-2222-4333-8444-555555555555"
SERVER = "99999999-2222-4333-8444-555555555555"

#: As ``ovs-vsctl --format=json`` prints it: maps are pairs, beneath the word.
LISTED = json.dumps(
    {
        "headings": ["external_ids"],
        "data": [
            [["map", [["iface-id", PORT], ["vm-uuid", SERVER], ["a", "b"]]]],
            [["map", [["iface-id", "metadata-of-a-network"]]]],
            [["map", []]],
        ],
    }
)


@pytest.fixture
def switch(monkeypatch):
    conf = SimpleNamespace(
        os_vif_ovs=SimpleNamespace(ovsdb_connection="unix:/run/db.sock"),
        neutron=SimpleNamespace(ovs_bridge="br-int"),
    )
    monkeypatch.setattr(reconcile, "CONF", conf)
    asked = mock.Mock(return_value=subprocess.CompletedProcess([], 0, LISTED, ""))
    monkeypatch.setattr(reconcile.subprocess, "run", asked)
    return asked


def test_only_ports_of_servers_are_listed(switch):
    assert reconcile.switch_ports() == {PORT: SERVER}
    command = switch.call_args.args[0]
    assert command[:2] == ["ovs-vsctl", "--db=unix:/run/db.sock"]
    assert command[-2:] == ["list", "Interface"]


@pytest.mark.parametrize(
    "answer",
    [
        {"return_value": subprocess.CompletedProcess([], 1, "", "no such socket")},
        {"side_effect": FileNotFoundError("ovs-vsctl")},
    ],
)
def test_a_switch_that_does_not_answer_is_not_an_empty_one(switch, answer):
    switch.configure_mock(**answer)
    with pytest.raises(exception.NetworkSetupError, match="Open vSwitch"):
        reconcile.switch_ports()


def test_os_vif_takes_a_port_that_neutron_does_not_know(switch):
    os_vif.objects.register_all()
    converted = os_vif_util.nova_to_osvif_vif(reconcile._lost_port(PORT))
    assert converted.network.bridge == "br-int"
    assert ovs._is_ovs_vif(converted)
