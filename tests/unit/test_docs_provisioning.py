# SPDX-License-Identifier: Apache-2.0
"""What the documentation tells of the provisioning service is what the code does."""

import base64
import configparser
import datetime
import hashlib
import hmac
import pathlib
import re
import textwrap
from typing import Any

import pytest
from werkzeug.test import create_environ

from nova_multi.api import errors as api_errors
from nova_multi.api import openapi, paths, policies, signature
from nova_multi.api.routes import all_routes
from nova_multi.cmd.serve import parser
from nova_multi.domain import errors, times
from nova_multi.domain.driver import Driver
from nova_multi.domain.instance import DEFAULT_SIZES
from nova_multi.domain.task import TaskStatus
from nova_multi.osc import exits
from tests.fixtures.commands import entry_points

TOP = pathlib.Path(__file__).parents[2]
DOCS = TOP / "doc" / "source"
REST = (DOCS / "reference" / "rest.rst").read_text()
POLICIES = (DOCS / "reference" / "policies.rst").read_text()
GUIDE = (DOCS / "user" / "provisioning.rst").read_text()
OPERATOR = (DOCS / "admin" / "provisioning.rst").read_text()
MAPPING = (DOCS / "user" / "mapping.rst").read_text()
ROUTES = [route for route in all_routes() if not route.hidden]

PAGES = {"REST": REST, "guide": GUIDE, "operator": OPERATOR, "mapping": MAPPING}


def rows(text: str) -> list[list[str]]:
    """Lines of simple tables, cell by cell."""
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


def test_the_table_of_routes_is_complete() -> None:
    told = {
        (cells[0], cells[1].strip("`")): cells[3].strip("`")
        for cells in rows(REST.split("All routes")[1])
        if len(cells) == 4 and cells[1].startswith("``/")
    }
    made = {(r.method, r.path): r.policy or "(anybody)" for r in ROUTES}
    made |= {("GET", "/openapi.json"): "(anybody)", ("GET", "/"): "(anybody)"}
    assert told == made


def _fields(plural: str) -> set[str]:
    """Fields and filters of a noun's usual routes."""
    found: set[str] = set()
    for route in ROUTES:
        if route.path in (f"/{plural}", f"/{plural}/{{name}}"):
            found |= route.body.model_fields.keys() | route.query.model_fields.keys()
            if route.answer:
                found |= route.answer.model_fields.keys()
    return found


@pytest.mark.parametrize(
    "plural",
    [
        "partitions",
        "hosts",
        "environments",
        "images",
        "files",
        "provisioners",
        "instances",
        "tasks",
    ],
)
def test_every_field_is_named_in_the_nouns_section(plural: str) -> None:
    begin = REST.index(f"\n{plural.capitalize()}\n---")
    section = re.split(r"\n[^\n]+\n-{4,}\n", REST[begin:])[1]
    general = {"limit", "marker", "partition", "environment"}
    missing = {f for f in _fields(plural) - general if f"``{f}``" not in section}
    assert missing == set()


def test_users_and_groups_are_told_together() -> None:
    section = REST.split("Users and groups\n---")[1].split("\nHosts\n---")[0]
    fields = (_fields("users") | _fields("groups")) - {"limit", "marker"}
    assert {f for f in fields if f"``{f}``" not in section} == set()


def test_the_calls_that_are_shown_have_a_route() -> None:
    """Each example of curl is a method and a path that the service knows."""
    known = {
        (r.method, re.compile(re.sub(r"\{\w+\}", "[^/]+", r.path) + "$"))
        for r in all_routes()
    }
    calls = re.findall(r"^    curl ((?:.*\$API|.*/v1/).*)$", REST, re.MULTILINE)
    assert len(calls) > 60
    for call in calls:
        form = " -F " in f" {call}"
        method = "POST" if form else "GET"
        if found := re.search(r"-X (\w+)", call):
            method = found[1]
        path = re.search(r"(?:\$API|:9797/v1)(/[^\s\"?]*)", call)
        assert path, call
        canonical = paths.canonical(method, path[1])
        if canonical == "/openapi.json":
            continue
        assert any(m == method and p.match(canonical) for m, p in known), call


def test_the_bodies_that_are_shown_are_taken() -> None:
    bodies = 0
    for call in re.findall(r"^    curl (.*)$", re.sub(r"\n {8}", " ", REST), re.M):
        body = re.search(r"-d '(.*)'", call)
        if not body:
            continue
        method = re.search(r"-X (\w+)", call)
        path = re.search(r"\$API(/[^\s\"?]*)", call)
        assert method and path, call
        canonical = paths.canonical(method[1], path[1])
        (route,) = [
            route
            for route in all_routes()
            if route.method == method[1]
            and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.path), canonical)
        ]
        route.body.model_validate_json(body[1])
        bodies += 1
    assert bodies > 20


@pytest.mark.parametrize("prefix", [p for p in paths.PREFIXES if p])
def test_prefixes(prefix: str) -> None:
    assert f"``{prefix}``" in REST


def test_spellings() -> None:
    for word in (*paths.SPELLINGS, *(call for call in paths.CALLS)):
        assert f"``{word}``" in REST


@pytest.mark.parametrize("body", [b"", b'{"name": "a"}'])
def test_the_signature_that_is_shown_is_the_one_that_is_checked(body: bytes) -> None:
    shown = REST.split(".. code-block:: python")[1].split("\nA Date that")[0]
    names: dict[str, Any] = {}
    exec(textwrap.dedent(shown), names)
    resource, kind = "/v1/instances?limit=1", "application/json" if body else ""
    headers = names["signed"]("KEY", "s3", "POST", "h:9797", resource, body, kind)
    environ = create_environ(
        resource, "http://h:9797", method="POST", data=body, headers=headers
    )
    md5 = hashlib.md5(body).digest() if body else None
    found = signature.read(environ, times.now(), datetime.timedelta(minutes=1))
    signature.check_body(environ, md5)
    assert found.request.access_key == "KEY"
    wanted = hmac.new(b"s3", found.request.string_to_sign, "sha1").digest()
    assert base64.b64decode(found.request.signature) == wanted


def _subclasses(kind: type) -> set[type]:
    return {kind} | {e for each in kind.__subclasses__() for e in _subclasses(each)}


def test_the_codes_of_errors_are_told_with_their_status() -> None:
    table = REST.split("\nErrors\n------")[1].split("\nPartitions\n---")[0]
    by_status: dict[str, set[str]] = {}
    status = ""
    for line in table.splitlines():
        if found := re.match(r"(\d{3}) ", line):
            status = found[1]
        by_status.setdefault(status, set()).update(re.findall(r"``(\w+)``", line))
    for kind in _subclasses(errors.DomainError) - {errors.DomainError}:
        if kind.__module__.startswith("nova_multi."):
            assert kind.default_code in by_status[str(kind.http_status)], kind
    for status, (code, _) in api_errors._WORDS.items():
        if status not in (414, 415):
            assert code in by_status[str(status)], code


#: Told in a task's last message only, or never to users.
NOT_ANSWERED = {"wrong_checksum", "installation_failed"}
NOT_ANSWERED |= {"deleted", "provisioner_failed", "server_error", "server_gone"}
NOT_ANSWERED |= {"timeout", "no_flavor", "has_hosts"}
NOT_ANSWERED |= {"record_exists", "task_exists", "task_transition"}


def test_every_code_is_told() -> None:
    table = REST.split("\nErrors\n------")[1].split("\nPartitions\n---")[0]
    used: set[str] = set()
    for part in ("api", "cloud", "domain", "provision"):
        for path in (TOP / "nova_multi" / part).rglob("*.py"):
            used |= set(re.findall(r'code="(\w+)"', path.read_text()))
    assert len(used) > 20
    assert {c for c in used - NOT_ANSWERED if f"``{c}``" not in table} == set()
    assert used >= NOT_ANSWERED


def test_every_rule_is_there_with_its_default() -> None:
    told = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in rows(POLICIES)
        if len(cells) == 3 and cells[0].startswith("``")
    }
    assert told == {rule.name: rule.check_str for rule in policies.list_rules()}


def test_every_noun_and_verb() -> None:
    table = GUIDE.split("The commands\n---")[1].split("*Names or ids*")[0]
    told: set[str] = set()
    noun = ""
    for line in table.splitlines():
        words = re.findall(r"``([a-z ]+)``", line)
        if words and line.startswith("``"):
            noun, *words = words
        if noun:
            told |= {f"multi_{noun}_{verb.replace(' ', '_')}" for verb in words}
    assert told == set(entry_points())


def test_exit_codes() -> None:
    table = GUIDE.split("\nExit codes\n---")[1].split("\nAs an ordinary user")[0]
    told = {int(code) for code in re.findall(r"^(\d+) ", table, re.MULTILINE)}
    assert told == {0, 1, 2, *(code for _, code in exits._CODES)}


def test_every_state_of_a_task() -> None:
    table = GUIDE.split("\nTasks\n---")[1].split("\nPermissions\n---")[0]
    told = set(re.findall(r"^``([a-z ]+)``", table, re.MULTILINE))
    assert told == {str(status) for status in TaskStatus}


def test_default_sizes() -> None:
    disks = [f"{DEFAULT_SIZES[d].disk_gb} GB" for d in ("docker", "lxd", "libvirt")]
    words = " ".join(GUIDE.split())
    assert "{}, {} and {} of disk".format(*disks) in words
    assert f"{DEFAULT_SIZES[Driver.LXD].memory_mb} MB (``docker``, ``lxd``)" in words
    assert f"{DEFAULT_SIZES[Driver.LIBVIRT].memory_mb} MB (``libvirt``)" in words


def test_options_of_serve() -> None:
    shown = parser().parse_args(["serve", "--cloud", "x"])
    for option in vars(shown):
        if option not in ("command", "cloud"):
            assert f"``--{option.replace('_', '-')}``" in OPERATOR, option
    assert f"({shown.port})" in OPERATOR and shown.host in OPERATOR


def test_programs_are_those_that_are_installed() -> None:
    setup = configparser.ConfigParser()
    setup.read(TOP / "setup.cfg")
    installed = setup["options.entry_points"]["console_scripts"]
    for name in ("worker", "manage", "status"):
        assert f"nova-multi-{name} =" in installed
        assert f"``nova-multi-{name}``" in OPERATOR


def test_options_that_are_named_exist() -> None:
    from nova_multi.conf import api, provision
    from nova_multi.provision.store import options

    known = {
        group.name: {option.name for option in opts}
        for module in (api, provision, options)
        for group, opts in module.list_opts().items()
    }
    for page, text in PAGES.items():
        for group, option in re.findall(r"``\[(\w+)\]\s+(\w+)", text):
            if group in known:
                assert option in known[group], f"{page}: [{group}] {option}"


def test_what_is_to_come_is_told() -> None:
    section = " ".join(MAPPING.split("What is not there yet")[1].split())
    for words in (
        "/instances/execute_command",
        "/instances/copy_files",
        "/packages",
        "/properties",
        *("``recipe``", "``container_resource``"),
    ):
        assert words in section, words


def test_the_document_has_the_version_that_the_catalog_names() -> None:
    assert openapi.VERSION.startswith("1.")
    assert "/v1" in OPERATOR
