# SPDX-License-Identifier: Apache-2.0
"""Published ports."""

import pytest

from nova_multi.domain import publish
from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.publish import Publish


@pytest.mark.parametrize(
    "text, value",
    [
        ("8080:80", Publish(8080, 80, "tcp")),
        ("80", Publish(None, 80, "tcp")),
        (80, Publish(None, 80, "tcp")),
        ("53:53/udp", Publish(53, 53, "udp")),
        ("53/udp", Publish(None, 53, "udp")),
        ("1:65535", Publish(1, 65535, "tcp")),
    ],
)
def test_forms(text, value):
    assert Publish.parse(text) == value
    assert str(value) == str(text)
    assert Publish.parse(str(value)) == value


def test_tcp_goes_without_saying():
    assert str(Publish.parse("8080:80/tcp")) == "8080:80"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0:80",
        "80:0",
        "65536",
        "99999:80",
        "80:",
        ":80",
        "80/sctp",
        "80/TCP",
        "1:2:3",
        "-80",
        "80 ",
        "٨٠",
        True,
        None,
        80.0,
        "127.0.0.1:80:80",
    ],
)
def test_no_ports(text):
    with pytest.raises(Invalid) as caught:
        Publish.parse(text)
    assert caught.value.field == "publish"


def test_one_guest_publishes_a_port_once():
    with pytest.raises(Invalid, match="tcp port 8080 is published twice"):
        publish.parse_all(["8080:80", "53:53/udp", "8080:81"])


@pytest.mark.parametrize("values", [["80", "80"], ["8080:80", "8081:80"]])
def test_one_port_of_a_guest_is_published_once(values):
    with pytest.raises(Invalid, match="tcp port 80 of the guest is published twice"):
        publish.parse_all(values)


def test_protocols_and_open_ports_are_apart():
    values = ["53:53", "53:53/udp", "80", "81"]
    assert [str(p) for p in publish.parse_all(values)] == values


def test_open_ports_take_free_numbers():
    wanted = publish.parse_all(["80", "20001:81", "82", "53/udp"])
    given = publish.assign(wanted, {("tcp", 20000): "web"}, range(20000, 20010))
    assert [str(p) for p in given] == [
        "20002:80",
        "20001:81",
        "20003:82",
        "20000:53/udp",
    ]


def test_a_taken_port_names_its_owner():
    with pytest.raises(Conflict, match="8080 is already published by web") as caught:
        publish.assign([Publish(8080, 80)], {("tcp", 8080): "web"})
    assert caught.value.code == "port_taken"
    assert publish.assign([Publish(8080, 80, "udp")], {("tcp", 8080): "web"})


def test_no_port_is_left():
    with pytest.raises(Conflict) as caught:
        publish.assign([Publish(None, 80), Publish(None, 81)], {}, [20000])
    assert caught.value.code == "no_free_port"


def test_what_is_taken_stays_as_it_was():
    taken = {("tcp", 1): "web"}
    publish.assign([Publish(2, 80)], taken)
    assert taken == {("tcp", 1): "web"}
