# SPDX-License-Identifier: Apache-2.0
"""Partitions, files, images, provisioners, instances, and times."""

import dataclasses
import datetime

import pytest

from nova_multi.domain import file, image, instance, partition, provisioner, times
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Conflict, Invalid
from nova_multi.domain.image import ImageName, ImageType
from nova_multi.domain.instance import Size
from nova_multi.domain.partition import Limits
from nova_multi.domain.provisioner import Provisioner


def test_limits_of_a_partition_hold_for_the_sum():
    whole = Limits(instances=10, memory_mb=2048)
    partition.check_limits("dev", whole, [Limits(5, None, 1024), Limits(5, None, 1024)])
    with pytest.raises(Conflict, match="at most 10 instances.* 11") as caught:
        partition.check_limits("dev", whole, [Limits(5, 1, 1), Limits(6, 1, 1)])
    assert caught.value.field == "limits.instances"


def test_no_environment_goes_without_where_the_partition_is_limited():
    with pytest.raises(Conflict, match="needs a limit"):
        partition.check_limits("dev", Limits(cpus=4), [Limits(cpus=1), Limits()])
    partition.check_limits("dev", Limits(), [Limits()])


@pytest.mark.parametrize(
    "text, folder",
    [("", ""), ("/", ""), ("a", "a"), ("/a/b/", "a/b"), ("a.d/b_c-1", "a.d/b_c-1")],
)
def test_folders(text, folder):
    assert file.check_folder(text) == folder


@pytest.mark.parametrize(
    "text", ["..", "a/../b", "a//b", "a/./b", "a b", "a\0", None, "a/" * 9, "x" * 65]
)
def test_no_folders(text):
    with pytest.raises(Invalid) as caught:
        file.check_folder(text)
    assert caught.value.field == "folder_name"


def test_image_types_have_drivers():
    assert {str(kind): str(kind.driver) for kind in ImageType} == {
        "iso": "libvirt",
        "docker-container": "docker",
        "lxc-container": "lxd",
        "lxd": "lxd",
        "disk": "libvirt",
    }
    with pytest.raises(Invalid):
        ImageType.parse("docker")


@pytest.mark.parametrize(
    "name, parts",
    [
        ("ubuntu_server_14.04.2_amd64", ("ubuntu", "server", "14.04.2", "amd64")),
        ("debian_cloud_12_x86_64", ("debian", "cloud", "12", "x86_64")),
    ],
)
def test_image_names(name, parts):
    assert dataclasses.astuple(ImageName.parse(name)) == parts
    assert str(ImageName.parse(name)) == name == image.image_name(*parts)


@pytest.mark.parametrize("name", ["debian-12", "a_b_c", "a_b_amd64", "a__c_amd64", ""])
def test_other_image_names(name):
    assert ImageName.parse(name) is None


def test_an_image_name_needs_all_parts():
    with pytest.raises(Invalid, match="variant, version") as caught:
        image.image_name("debian", None, "", "amd64")
    assert caught.value.field == "variant"


def test_architectures():
    assert image.canonical_architecture("amd64") == "x86_64"
    assert image.canonical_architecture("ARM64") == "aarch64"
    with pytest.raises(Invalid):
        image.canonical_architecture("z80")


def made(name="site", **fields):
    return Provisioner(uuid=f"id-{name}", name=name, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"script": "#!/bin/sh\n"},
        {"script": "- hosts: all\n", "executor": "playbook"},
        {"builder": "https://git.example/a.git", "executor": "make", "ref": "v1"},
        {"builder": "git@git.example:a/b.git", "executor": "make"},
        {"builder": "ssh://git@git.example:22/a", "executor": "make"},
        {"variables": {"A_1": "x y\n"}, "depends": ("a", "b"), "launch": 1000},
    ],
)
def test_provisioners(fields):
    provisioner.check(made(**fields))


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"launch": 0}, "launch"),
        ({"launch": 1001}, "launch"),
        ({"memory_mb": 0}, "memory"),
        ({"cpus": -1}, "cpus"),
        ({"hdsize_gb": 0}, "hdsize"),
        ({"script": "x", "builder": "https://h/a", "executor": "x"}, "script"),
        ({"builder": "https://h/a"}, "executor"),
        ({"builder": "--upload-pack=x", "executor": "x"}, "builder"),
        ({"builder": "ext::sh -c x", "executor": "x"}, "builder"),
        ({"builder": "/etc", "executor": "x"}, "builder"),
        ({"builder": "file:///etc", "executor": "x"}, "builder"),
        ({"builder": "https://h/a b", "executor": "x"}, "builder"),
        ({"builder": "https://h/a", "executor": "x", "ref": "--x"}, "ref"),
        ({"ref": "v1"}, "ref"),
        ({"executor": "make"}, "executor"),
        ({"ref": "v1", "script": "x", "executor": "make"}, "ref"),
        ({"depends": ("site",)}, "depends"),
        ({"depends": ("a", "a")}, "depends"),
        ({"variables": {"A-B": "x"}}, "variables.A-B"),
        ({"variables": {"A;reboot": "x"}}, "variables.A;reboot"),
        ({"variables": {"A": "x\0"}}, "variables.A"),
    ],
)
def test_fields_that_do_not_go_together(fields, field):
    with pytest.raises(Invalid) as caught:
        provisioner.check(made(**fields))
    assert caught.value.field == field


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(Invalid) as caught:
        provisioner.check(made(launch=0, ref="v1", variables={"1": "", "2": ""}))
    fields = [detail["field"] for detail in caught.value.details]
    assert fields == ["launch", "ref", "variables.1", "variables.2"]


def test_what_runs():
    assert not made().runs_something
    assert made(script="x").runs_something
    assert made(builder="https://h/a").runs_something


def graph(**depends):
    return {name: made(name, depends=tuple(on)) for name, on in depends.items()}


def order(wanted, known):
    return [found.name for found in provisioner.in_order(wanted, known)]


def test_dependencies_come_first_and_once():
    known = graph(web=["db", "cache"], cache=["base"], db=["base"], base=[], other=[])
    assert order(["web"], known) == ["base", "db", "cache", "web"]
    assert order(["db", "web"], known) == ["base", "db", "cache", "web"]
    assert order([], known) == []


def test_a_circle_is_told():
    known = graph(a=["b"], b=["c"], c=["b"])
    with pytest.raises(Invalid, match="b → c → b") as caught:
        order(["a"], known)
    assert caught.value.code == "dependency_circle"


def test_an_unknown_dependency_is_told():
    with pytest.raises(Invalid, match="db is unknown, needed by web"):
        order(["web"], graph(web=["db"]))
    with pytest.raises(Invalid, match="db is unknown$"):
        order(["db"], {})


def test_long_chains():
    names = [f"p{number}" for number in range(5000)]
    known = graph(**{name: names[at + 1 : at + 2] for at, name in enumerate(names)})
    assert order(names[:1], known) == names[::-1]


def test_sizes_come_from_the_nearest():
    template = made(memory_mb=2048, cpus=2)
    size = instance.choose_size(
        Driver.LXD, memory_mb=300, disk_mb=1025, provisioner=template
    )
    assert size == Size(cpus=2, memory_mb=300, disk_gb=2)
    for driver in Driver:
        assert instance.choose_size(driver) == instance.DEFAULT_SIZES[driver]


def test_a_size_of_nothing_is_refused():
    with pytest.raises(Invalid) as caught:
        instance.choose_size(Driver.LXD, cpus=0)
    assert caught.value.field == "cpus"


def test_drivers_come_from_the_nearest():
    lxd, docker = Driver.LXD, Driver.DOCKER
    assert instance.choose_driver(lxd, docker, None) is lxd
    assert instance.choose_driver(None, docker, None) is docker
    assert instance.choose_driver(None, None, docker) is docker
    assert instance.choose_driver(None, None, None) is Driver.LIBVIRT
    with pytest.raises(Invalid, match="for docker, not for lxd"):
        instance.choose_driver(lxd, None, docker)


def test_names_of_several():
    assert instance.numbered("web", 1) == ("web",)
    assert instance.numbered("web", 3) == ("web-1", "web-2", "web-3")
    with pytest.raises(Invalid):
        instance.numbered("web", 0)


def test_times_are_utc():
    zone = datetime.timezone(datetime.timedelta(hours=2))
    at = datetime.datetime(2026, 5, 1, 12, tzinfo=zone)
    assert times.format_time(at) == "2026-05-01T10:00:00.000000Z"
    assert times.parse_time("2026-05-01T12:00:00+02:00") == at
    assert times.parse_time("2026-05-01T10:00:00") == at
    assert times.parse_time(times.format_time(at)).tzinfo is datetime.UTC
    assert times.now().tzinfo is datetime.UTC
    with pytest.raises(ValueError):
        times.utc(datetime.datetime(2026, 5, 1))
    for text in ("yesterday", "", "0001-01-01T00:00:00+23:00"):
        with pytest.raises(Invalid):
            times.parse_time(text)
