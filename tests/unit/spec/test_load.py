# SPDX-License-Identifier: Apache-2.0
"""Fields of a file: what they become, and what is wrong with others."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from nova_multi import spec
from nova_multi.domain.definition import (
    Definition,
    Generator,
    ImageDefinition,
    Input,
    InstanceDefinition,
    NetworkDefinition,
    ProvisionerDefinition,
    Reference,
    Root,
    Template,
)
from nova_multi.domain.driver import Driver
from nova_multi.domain.errors import Invalid
from nova_multi.domain.host import HostType
from nova_multi.domain.publish import Publish
from nova_multi.spec import Problem
from tests.unit.spec.examples import SCRIPTS, load, only, problems, shop, wrong


def test_a_netmask_is_a_prefix() -> None:
    text = "name: a\nnetworks: {b: {cidr: 10.0.0.0/255.255.255.0}}"
    assert load(text).networks["b"].cidr == "10.0.0.0/24"


def test_the_example() -> None:
    address = Reference(Root.INSTANCES, "db", "address")
    port = Reference(Root.INSTANCES, "web", "published", 0, "80")
    assert shop() == Definition(
        "shop",
        "development_co",
        inputs={
            "domain": Input("domain", default="shop.test"),
            "admin": Input(
                "admin", secret=True, generate=Generator.PASSWORD, length=32
            ),
            "host_key": Input("host_key", secret=True, generate=Generator.KEY),
        },
        networks={
            "back": NetworkDefinition("back", "10.9.0.0/24", ("10.9.0.2",), False)
        },
        images={"base": ImageDefinition("base", "debian-12")},
        provisioners={
            "database": ProvisionerDefinition(
                "database", script=SCRIPTS["database.sh"]
            ),
            "site": ProvisionerDefinition(
                "site",
                builder="https://git.example.org/site.git",
                ref="main",
                executor="sh run.sh",
            ),
        },
        instances={
            "db": InstanceDefinition(
                "db", 1, Driver.LXD, "base", 512, 1, provisioner="database"
            ),
            "web": InstanceDefinition(
                "web",
                2,
                Driver.DOCKER,
                "debian-12",
                256,
                provisioner="site",
                publish=(Publish(None, 80),),
                networks=("back",),
                tags=("front",),
                variables={
                    "DB": Template((address,)),
                    "NAME": Template(("shop.test",)),
                    "PASSWORD": Template((Reference(Root.INPUTS, "admin", "value"),)),
                },
                depends_on=("db",),
            ),
        },
        outputs={
            "url": Template(("http://", port, "/")),
            "key": Template((Reference(Root.INPUTS, "host_key", "public"),)),
        },
    )


def instance(fields: str) -> InstanceDefinition:
    found: InstanceDefinition = load(f"name: x\ninstances:\n  a: {fields}").instances[
        "a"
    ]
    return found


def test_the_smallest() -> None:
    assert load("name: x") == Definition("x")
    assert load("name: x\ninstances:\nusers: []\n") == Definition("x", users=())
    assert instance("") == instance("{}") == InstanceDefinition("a")


@pytest.mark.parametrize(
    "field, attribute, value",
    [
        ("memory: 512", "memory_mb", 512),
        ("memory: 512MB", "memory_mb", 512),
        ("memory: 1.5GB", "memory_mb", 1536),
        ("memory: 0.5", "memory_mb", 1),
        ("hdsize: 2", "disk_mb", 2048),
        ("disk: 512 MB", "disk_mb", 512),
        ("hdspace: '3'", "disk_mb", 3072),
        ("disk: 1TiB", "disk_mb", 2**20),
        ("cpus: 4096", "cpus", 4096),
        ("count: 0", "count", 0),
        ("count: 1000", "count", 1000),
        ("driver: kvm", "driver", Driver.LIBVIRT),
        ("driver: lxc", "driver", Driver.LXD),
        ("host_type: GeneralPurpose", "host_type", HostType.GENERAL_PURPOSE),
        ("publish: [8080:80]", "publish", (Publish(8080, 80),)),
        (
            "publish: [80, 53/udp]",
            "publish",
            (Publish(None, 80), Publish(None, 53, "udp")),
        ),
        ("networks: [a, {name: b}]", "networks", ("a", "b")),
        ("tags: ['1', b c]", "tags", ("1", "b c")),
        ("provisioner: theirs", "provisioner", "theirs"),
        ("variables: {V: 1.10}", "variables", {"V": Template(("1.10",))}),
        ("variables: {V: 0x10}", "variables", {"V": Template(("0x10",))}),
        ("variables: {V: True}", "variables", {"V": Template(("true",))}),
        ("variables: {V: ''}", "variables", {"V": Template(())}),
        ("variables: {V: no}", "variables", {"V": Template(("no",))}),
    ],
)
def test_fields_of_instances(field: str, attribute: str, value: object) -> None:
    assert getattr(instance(f"{{{field}}}"), attribute) == value


@pytest.mark.parametrize(
    "field, column, message",
    [
        ("memory: 0", 15, "the size must be above zero"),
        ("memory: 5XB", 15, "'5XB' is no size: a number with or without MB, GB or TB"),
        ("memory: [1]", 15, "must be a size such as 512MB or 2GB, not a list"),
        ("memory: true", 15, "must be a size such as 512MB or 2GB, not true"),
        ("memory: 9999999999", 15, "the size is too large"),
        ("disk: -1", 13, "the size must be above zero"),
        ("cpus: 0", 13, "must be between 1 and 4096, not 0"),
        ("cpus: 1.5", 13, "must be a whole number, not 1.5"),
        ("cpus: '2'", 13, 'must be a whole number, not "2"'),
        ("count: 1001", 14, "must be between 0 and 1000, not 1001"),
        ("count: -1", 14, "must be between 0 and 1000, not -1"),
        ("count: true", 14, "must be a whole number, not true"),
        ("count: ", 7, "must be a whole number, not nothing"),
        ("driver: xen", 15, "driver 'xen' is unknown; there are docker, lxd, lxc,"),
        ("host_type: Fast", 18, "host type 'Fast' is unknown; there are"),
        ("image: 12", 14, "must be a text, not 12: write it in quotes"),
        ("image: [a]", 14, "must be a text, not a list"),
        ("image: ''", 14, 'must be the name or id of an image, not ""'),
        ("image: ", 7, 'has no value: leave it out, or write ""'),
        ('image: "a\\nb"', 14, 'must be the name or id of an image, not "a\\nb"'),
        (f"image: {'a' * 256}", 14, "has 256 characters, at most 255 are possible"),
        ("publish: 80", 16, "must be a list, not 80"),
        ("publish: ['0']", 17, "port 0 of '0' is not between 1 and 65535"),
        ("publish: [80, 80]", 21, "tcp port 80 of the guest is published twice"),
        ("publish: [1:80, 1:81]", 23, "tcp port 1 is published twice"),
        ("publish: [1.5]", 17, "must be a port such as 80 or 8080:80, not 1.5"),
        ("publish: [a]", 17, "'a' is no port to publish"),
        ("count: 2, publish: [1:80]", 26, "1:80 can't be published for 2 instances"),
        ("networks: [a, a]", 21, '"a" is there twice'),
        ("networks: [{nam: a}]", 18, "must be a name, or a mapping with name alone"),
        ("tags: ['a,b']", 14, 'must be a tag, not "a,b"'),
        (f"tags: [{'t' * 61}]", 14, "has 61 characters, at most 60 are possible"),
        ("tags: " + str([f"t{n}" for n in range(41)]), 13, "has 41 values, at most 40"),
        ("variables: {a-b: 1}", 19, "variable 'a-b' is no name that a shell takes"),
        ("variables: {V: }", 19, 'has no value: an empty text is written ""'),
        ("variables: {V: [1]}", 22, "must be a text, a number, true or false, not a"),
        ("variables: [1]", 18, "must be a mapping, not a list"),
        ("variabels: {}", 7, 'an instance has no field "variabels"; did you mean v'),
        ("zzz: 1", 7, 'an instance has no field "zzz"'),
        ("disk: 1, hdsize: 1", 16, "hdsize and disk mean the same: give one of them"),
        ("depends_on: [a]", 20, "an instance can't depend on itself"),
        ("depends_on: [b]", 20, 'there is no instance "b" in the file'),
        ("description: ${x}", 7, None),
    ],
)
def test_what_instances_can_not_have(
    field: str, column: int, message: str | None
) -> None:
    found = wrong(f"name: x\ninstances:\n  a: {{{field}}}")
    if message is None:
        assert "is no YAML" in found[0][3]
        return
    assert len(found) == 1
    line, at, path, told = found[0]
    assert (line, at) == (3, column) and told.startswith(message)
    assert path.startswith("instances.a.")


@pytest.mark.parametrize(
    "field, column, message",
    [
        ("script: ''", 15, "is empty"),
        ("script: 5", 15, "must be a text or {file: path}, not 5"),
        ("script: {fil: a}", 15, "must be a text, or a mapping with file alone"),
        ("script: {file: 5}", 22, "must be a text, not 5: write it in quotes"),
        (f"script: {'a' * 100_001}", 15, "the script has 100001 characters"),
        ("script: a, builder: 'https://a/b', executor: a", 15, "either a builder or"),
        ("builder: foo, executor: a", 16, "builder 'foo' is no URL of a git"),
        ("builder: 'https://a/b'", 6, "a builder needs an executor"),
        ("ref: main", 12, "ref needs a builder"),
        ("ref: -x, builder: 'https://a/b', executor: a", 12, "ref must not begin"),
        ("executor: a", 17, "executor needs a builder or a script"),
        (
            "builder: 'https://a/b', executor: '${inputs.x}'",
            41,
            "${inputs....}: a command is taken as it is",
        ),
        ("depends: [p]", 16, "it can't depend on itself"),
        ("depends: [q]", 17, 'there is no provisioner "q" in the file'),
        ("depends: [{provisioner_name: q}]", 17, 'there is no provisioner "q"'),
        ("timeout: 0", 16, "must be between 1 and 86400, not 0"),
        ("launch: 2", 7, 'a provisioner has no field "launch"'),
        ("script: [a], ref: a", 15, "must be a text or {file: path}, not a list"),
    ],
)
def test_what_provisioners_can_not_have(field: str, column: int, message: str) -> None:
    line, at, path, told = only(f"name: x\nprovisioners:\n  p: {{{field}}}")
    assert line == 3 and told.startswith(message)
    assert at == column


def test_a_provisioner() -> None:
    text = """\
name: x
provisioners:
  q: {script: "echo ${inputs.x} $${"}
  p:
    depends: [{provisioner_name: q}]
    memory: 2GB
    timeout: 60
    image: debian-12
    variables: {A: 1}
"""
    found = load(text).provisioners
    assert found["q"].script == "echo ${inputs.x} $${"
    assert found["p"] == ProvisionerDefinition(
        "p",
        image="debian-12",
        memory_mb=2048,
        depends=("q",),
        timeout=60,
        variables={"A": Template(("1",))},
    )


@pytest.mark.parametrize(
    "text, line, column, path, message",
    [
        ("[]", 1, 1, "", "must be a mapping, not a list"),
        ("a", 1, 1, "", 'must be a mapping, not "a"'),
        ("~", 1, 1, "", "the file needs a name"),
        ("{}", 1, 1, "", "the file needs a name"),
        ("name: 5", 1, 7, "name", "must be a text, not 5"),
        ("name: -a", 1, 7, "name", "environment name '-a': only letters"),
        ("name: a\npartion: b", 2, 1, "partion", 'the file has no field "partion"; d'),
        ("name: a\nusers: [1]", 2, 9, "users[0]", "must be a text, not 1"),
        ("name: a\nusers: [{x: y}]", 2, 9, "users[0]", "must be a name, or a mapping"),
        ("name: a\nschedule: 5", 2, 11, "schedule", "must be a mapping, not 5"),
        ("name: a\ninstances: []", 2, 12, "instances", "must be a mapping, not a list"),
        ("name: a\ninstances:\n  -b:", 3, 3, "instances.-b", "instance name '-b': o"),
        ("name: a\ninstances: {b: 1}", 2, 16, "instances.b", "must be a mapping, "),
        ("name: a\ninstances: {b: ''}", 2, 16, "instances.b", "must be a mapping, n"),
        ("name: a\nnetworks: {b: {cidr: 10.0.0.1/24}}", 2, 22, "networks.b.cidr",
         '"10.0.0.1/24" begins in the middle of a range: 10.0.0.0/24?'),
        ("name: a\nnetworks: {b: {cidr: 10.0.0.1}}", 2, 22, "networks.b.cidr",
         '"10.0.0.1" is no range of addresses such as 10.0.0.0/24'),
        ("name: a\nnetworks: {b: {cidr: a}}", 2, 22, "networks.b.cidr", '"a" is no ra'),
        ("name: a\nnetworks: {b: {dns: [a]}}", 2, 22, "networks.b.dns[0]",
         '"a" is no IP address'),
        ("name: a\nnetworks: {b: {routed: 1}}", 2, 24, "networks.b.routed",
         "must be true or false, not 1"),
        ("name: a\nnetworks: {b c: {}}", 2, 12, 'networks["b c"]',
         '"b c" is no name of a network'),
        ("name: a\nnetworks: {b: {cidr: 10.0.0.0/8}, c: {cidr: 10.9.0.0/24}}", 2, 45,
         "networks.c.cidr", "overlaps b (10.0.0.0/8), and both are routed"),
        ("name: a\nimages: {b: {}}", 2, 13, "images.b", "an image needs one of"),
        ("name: a\nimages: {b: {source: c, download_url: 'http://d/', type: iso}}", 2,
         39, "images.b.download_url", "an image needs one of source, download_url"),
        ("name: a\nimages: {b: {source: c, type: iso}}", 2, 31, "images.b.type",
         "type needs a download_url"),
        ("name: a\nimages: {b: {download_url: 'http://d/'}}", 2, 13, "images.b",
         "an image with a download_url needs a type"),
        ("name: a\nimages: {b: {download_url: 'http://d/', type: x}}", 2, 47,
         "images.b.type", "image type 'x' is unknown"),
        ("name: a\nimages: {b: {download_url: x, type: iso, checksum: md5}}", 2, 52,
         "images.b.checksum", "must be sha256: and 64 hexadecimal digits"),
        ("name: a\nimages: {b: {instance: c}}", 2, 24, "images.b.instance",
         'there is no instance "c" in the file'),
        ("name: a\nimages: {b: {instance: c, os: d, type: iso}}\ninstances: {c: {}}", 2,
         40, "images.b.type", "type needs a download_url or a file"),
        ("name: a\nimages: {b: {file: c}}", 2, 13, "images.b",
         "an image with a file needs a type"),
        ("name: a\nimages: {b: {file: c, type: lxd, properties: {owner: d}}}", 2, 47,
         "images.b.properties.owner", "the property owner is not for a definition"),
        ("name: a\nimages: {b: c}\ninstances: {d: {image: '${images.e}'}}", 3, 24,
         "instances.d.image", "there is no image e in the file"),
        ("name: a\nimages: {b: c}\ninstances: {d: {image: 'x${images.b}'}}", 3, 24,
         "instances.d.image", "${images.b} is no reference"),
        ("name: a\nimages: {b: {instance: c}}\ninstances: {c: {image: b}}", 3, 24,
         "instances.c.image", "instances need each other in a circle: c → c"),
        ("name: a\noutputs: {1a: b}", 2, 11, "outputs.1a", '"1a" is no name of an ou'),
        ("name: a\noutputs: {b: }", 2, 11, "outputs.b", "has no value"),
        ("name: a\nname: b", 2, 1, "name", 'the key "name" is there twice'),
        ("name: a\ndescription: 5", 2, 14, "description", "must be a text, not 5"),
    ],
)  # fmt: skip
def test_places(text: str, line: int, column: int, path: str, message: str) -> None:
    found = only(text)
    assert found[:3] == (line, column, path)
    assert found[3].startswith(message)


def test_overlaps_are_found_behind_a_narrower_one() -> None:
    text = """\
name: x
networks:
  wide: {cidr: 10.0.0.0/8}
  low: {cidr: 10.0.0.0/24, routed: false}
  high: {cidr: 10.200.0.0/16}
  six: {cidr: "fd00::/64"}
  apart: {cidr: 192.168.0.0/24}
"""
    assert [each[2] for each in wrong(text)] == ["networks.high.cidr"]


def test_names_of_numbered_instances_are_their_own() -> None:
    text = "name: x\ninstances:\n  web: {count: 3}\n  web-3: {}\n  web-4: {}\n"
    assert only(text) == (
        4,
        10,
        "instances.web-3",
        "the name web-3 is that of one of the 3 instances of web",
    )
    long = "w" * 62
    assert only(f"name: x\ninstances: {{{long}: {{count: 2}}}}")[3].startswith(
        "the name"
    )


def test_one_address_publishes_a_port_once() -> None:
    text = "name: x\ninstances:\n  a: {publish: [1:80]}\n  b: {publish: [81, 1:2]}\n"
    assert only(text) == (
        4,
        21,
        "instances.b.publish[1]",
        "tcp port 1 is published by a already",
    )


def test_there_are_not_too_many() -> None:
    lines = "".join(f"  a{n}: {{count: 1000}}\n" for n in range(51))
    assert only(f"name: x\ninstances:\n{lines}")[3] == (
        "are 51000 instances, at most 50000 are possible"
    )


def test_what_is_not_put_together_is_as_it_is() -> None:
    text = "name: x\ndescription: costs ${5} $${6}\npartition: ${p}\nusers: ['${u}']\n"
    found = load(text)
    assert found.description == "costs ${5} $${6}"
    assert found.partition == "${p}" and found.users == ("${u}",)


def test_all_problems_are_told_in_order() -> None:
    text = """\
outputs: {b: "${instances.d.address} ${foo} ${inputs.e}"}
instances: {a: {count: x, memory: y}, b: {cpus: 0}}
name: a b
"""
    found = wrong(text)
    assert [each[:2] for each in found] == [
        (1, 14),
        (1, 14),
        (1, 14),
        (2, 24),
        (2, 35),
        (2, 49),
        (3, 7),
    ]
    with pytest.raises(Invalid) as caught:
        load(text)
    assert len(caught.value.details) == 7 and caught.value.http_status == 400
    assert caught.value.message.count(";") >= 6
    assert caught.value.details[3]["line"] == 2


def test_many_problems_are_told_up_to_a_limit() -> None:
    text = "name: x\ninstances: {" + "".join(f"a{n}: {{x: y}}, " for n in range(3000))
    with pytest.raises(Invalid) as caught:
        load(text + "}")
    assert len(caught.value.details) == 1000
    assert caught.value.message.endswith("; and 2980 more")
    assert len(caught.value.message) < 5000


@pytest.mark.parametrize(
    "data, path, message",
    [
        ({"name": "x", "instances": {"web": {"count": 1001}}}, "instances.web.count",
         "must be between 0 and 1000, not 1001"),
        ({"name": "x", "instances": {"web": {"publish": [True]}}},
         "instances.web.publish[0]", "must be a port such as 80 or 8080:80, not true"),
        ({"name": "x", 5: 1}, "", "the key 5: is no text"),
        ({"name": "x", "\ud800": 1}, "", 'the key "\\ud800": half of a surrogate'),
        ({"name": "x", "instances": {"a": {"cpus": float("nan")}}}, "instances.a.cpus",
         "nan is no number that JSON has"),
        ({"name": "x", "users": [10**5000]}, "users[0]", "is too long a nu"),
        ({"name": "x", "users": [datetime.date.min]}, "users[0]",
         "a date is nothing that JSON has"),
        ({"name": "x", "description": "a\0"}, "description", "a text must not have a"),
        ({"name": "x", "<<": {}}, '["<<"]', 'the file has no field "<<"'),
        ([], "", "must be a mapping, not a list"),
        (None, "", "the file needs a name"),
        (b"x", "", "a bytes is nothing that JSON has"),
        ({"name": "x", "provisioners": {"p": {"script": {"file": "a"}}}},
         "provisioners.p.script.file", "the service takes contents only"),
    ],
)  # fmt: skip
def test_plain_data(data: Any, path: str, message: str) -> None:
    (found,) = problems(lambda: spec.load_dict(data))
    assert found.path == path and found.message.startswith(message)
    assert found.line is None and "line" not in found.as_detail()


def test_problems_of_plain_data_are_in_order() -> None:
    data = {"outputs": {"a": None}, "name": "-", "instances": {"b": {"c": 1}}}
    assert [each.path for each in problems(lambda: spec.load_dict(data))] == [
        "outputs.a",
        "name",
        "instances.b.c",
    ]


def test_plain_data_have_limits() -> None:
    data: dict[str, Any] = {"name": "x", "schedule": {}}
    inside = data["schedule"]
    for _ in range(40):
        inside["a"] = inside = {}
    (found,) = problems(lambda: spec.load_dict(data))
    assert found.message == "is nested over 32 levels deep"
    data["schedule"]["a"] = data
    assert problems(lambda: spec.load_dict(data))[0].message == found.message
    data["schedule"] = {"a": [1] * 200_001}
    (found,) = problems(lambda: spec.load_dict(data))
    assert found.message == "has more than 200000 values"


def test_a_problem_says_where_it_is() -> None:
    problem = Problem("is wrong", "instances.a", 3, 5)
    assert str(problem) == "line 3, column 5: instances.a: is wrong"
    assert str(Problem("is wrong")) == "is wrong"


def test_images_of_the_file_by_reference() -> None:
    text = """\
name: a
images:
  b.c: {file: d, type: lxd, architecture: amd64, properties: {hw_x: "${inputs.n}"}}
inputs: {n: 5}
provisioners: {p: {image: '${images["b.c"]}'}}
instances: {e: {image: "${images['b.c']}"}}
"""
    with pytest.raises(Invalid, match="no reference"):
        load(text)
    found = load(text.replace("['b.c']}\"", '["b.c"]}\'').replace('"${im', "'${im"))
    assert found.provisioners["p"].image == found.instances["e"].image == "b.c"
    assert found.images["b.c"].properties == {"hw_x": "5"}
    assert spec.load_dict(spec.dump(found)) == found
