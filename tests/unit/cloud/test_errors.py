# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong on the way to OpenStack, as an error of the domain."""

from __future__ import annotations

import datetime
import email.utils

import pytest
import requests
from openstack import exceptions as sdk

from nova_multi import exception
from nova_multi.cloud.errors import retry_after, translated
from nova_multi.cloud.marks import Mark
from nova_multi.domain import errors

from .fake import REFUSED, TIMED_OUT, Answer, neutron_error, nova_error

SERVER = "/servers/s1"


def ask(cloud):
    return cloud.servers.server("s1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, errors.Invalid),
        (401, errors.Unavailable),
        (403, errors.Forbidden),
        (404, errors.NotFound),
        (405, errors.Unsupported),
        (406, errors.Unsupported),
        (408, errors.Unavailable),
        (409, errors.Conflict),
        (412, errors.Conflict),
        (413, errors.Invalid),
        (418, errors.Invalid),
        (422, errors.Invalid),
        (429, errors.Unavailable),
        (500, errors.Unavailable),
        (501, errors.Unsupported),
        (502, errors.Unavailable),
        (503, errors.Unavailable),
        (504, errors.Unavailable),
    ],
)
def test_status(fake, cloud, status, expected):
    fake.on("compute", "GET", SERVER, nova_error(status, "Nova's words"))
    with pytest.raises(errors.DomainError) as caught:
        ask(cloud)
    assert type(caught.value) is expected
    assert caught.value.__cause__ is not None
    assert "server s1" in caught.value.message
    if status != 401:
        assert "Nova's words" in caught.value.message


@pytest.mark.parametrize("status", [413, 429, 503])
def test_when_to_come_back(fake, cloud, status):
    fake.on("compute", "GET", SERVER, Answer(status, headers={"Retry-After": "17"}))
    with pytest.raises(errors.Unavailable) as caught:
        ask(cloud)
    assert caught.value.retry_after == 17


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", 5),
        ("12", 12),
        ("0", 1),
        ("-4", 1),
        ("1.5", 1),
        ("999999", 3600),
        ("inf", 3600),
        ("nan", 5),
        ("soon", 5),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 1),
    ],
)
def test_retry_after(value, expected):
    assert retry_after({"Retry-After": value}) == expected


def test_retry_after_a_date():
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    value = email.utils.format_datetime(at, usegmt=True)
    assert 95 <= retry_after({"Retry-After": value}) <= 100


def test_our_own_account_refused_by_keystone(fake, cloud):
    fake.refuse_logins = True
    with pytest.raises(errors.Unavailable) as caught:
        ask(cloud)
    assert caught.value.code == "cloud_credentials"
    assert "very-secret" not in str(caught.value)


def test_a_token_that_ended_is_renewed(fake, cloud):
    def answer(call):
        if call.headers["X-Auth-Token"] == "token-1":
            raise nova_error(401, "ended")
        return {"server": {"id": "s1", "name": "web"}}

    fake.on("compute", "GET", SERVER, answer)
    assert ask(cloud).name == "web"
    assert len(fake.logins) == 2


@pytest.mark.parametrize("service", ["identity", "compute"])
@pytest.mark.parametrize(
    "error",
    [
        REFUSED,
        TIMED_OUT,
        requests.exceptions.ConnectTimeout("slow"),
        requests.exceptions.SSLError("certificate"),
        requests.exceptions.ChunkedEncodingError("cut off"),
        requests.exceptions.ConnectionError("Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_answer(fake, cloud, service, error):
    fake.away[service] = error
    with pytest.raises(errors.Unavailable) as caught:
        ask(cloud)
    assert caught.value.retry_after == 10
    assert caught.value.__cause__ is not None


def test_no_answer_once_the_service_is_known(fake, cloud):
    fake.on("compute", "GET", SERVER, {"server": {"id": "s1", "name": "web"}})
    ask(cloud)
    fake.away["compute"] = TIMED_OUT
    with pytest.raises(errors.Unavailable):
        ask(cloud)


def test_an_answer_that_is_no_json(fake, cloud):
    fake.on("network", "GET", "/ports", b"<html>proxy</html>")
    with pytest.raises(errors.Unavailable):
        cloud.networks.ports()


def test_an_error_page_of_a_proxy(fake, cloud):
    page = Answer(
        502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}
    )
    fake.on("compute", "GET", SERVER, page)
    with pytest.raises(errors.Unavailable, match="Bad Gateway"):
        ask(cloud)


def test_a_used_up_quota_of_neutron(fake, cloud):
    fake.on("network", "GET", "/networks", {"networks": []})
    fake.on("network", "POST", "/networks", neutron_error(409, "OverQuota"))
    with pytest.raises(errors.Conflict) as caught:
        cloud.networks.create_network("n", Mark("t"))
    assert caught.value.code == "quota_exceeded"


def test_placements_words(fake, admin):
    body = {"errors": [{"status": 400, "title": "Bad Request", "detail": "No such."}]}
    path = "/resource_providers/x/allocations"
    fake.on("placement", "GET", path, Answer(400, body))
    with pytest.raises(errors.Invalid, match="No such."):
        admin.placement.has_allocations("x")


def test_the_call_says_what_404_and_409_mean():
    def response(status):
        found = requests.Response()
        found.status_code = status
        return found

    with (
        pytest.raises(errors.Invalid) as caught,
        translated("x", field="image", missing=errors.Invalid),
    ):
        sdk.raise_from_response(response(404))
    assert caught.value.field == "image"
    with pytest.raises(errors.NameTaken), translated("x", conflict=errors.NameTaken):
        sdk.raise_from_response(response(409))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sdk.DuplicateResource("two"), errors.Ambiguous),
        (sdk.InvalidResourceQuery("what"), errors.Invalid),
        (sdk.NotSupported("2.999"), errors.Unsupported),
        (sdk.ServiceDiscoveryException("x"), errors.Unavailable),
        (sdk.SDKException("anything else"), errors.Unavailable),
        (sdk.ConfigException("x"), exception.ConfigurationError),
        (TimeoutError(), errors.Unavailable),
        (ConnectionResetError(), errors.Unavailable),
    ],
)
def test_errors_without_a_status(error, expected):
    with pytest.raises(expected) as caught, translated("ask"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [errors.NotFound("x"), KeyError("ours"), ValueError()]
)
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, translated("ask"):
        raise error
    assert caught.value is error
