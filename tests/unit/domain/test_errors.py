# SPDX-License-Identifier: Apache-2.0
"""Errors carry what an answer needs."""

import pytest

from nova_multi.domain import errors
from nova_multi.exception import NovaMultiError


@pytest.mark.parametrize(
    "kind, status, code",
    [
        (errors.Invalid, 400, "invalid"),
        (errors.Forbidden, 403, "forbidden"),
        (errors.NotFound, 404, "not_found"),
        (errors.Conflict, 409, "conflict"),
        (errors.Ambiguous, 409, "ambiguous"),
        (errors.NameTaken, 409, "name_taken"),
        (errors.Unsupported, 501, "unsupported"),
        (errors.Unavailable, 503, "unavailable"),
    ],
)
def test_status_and_code(kind, status, code):
    error = kind("told", details=[{"a": 1}])
    assert isinstance(error, NovaMultiError)
    assert (error.http_status, error.code) == (status, code)
    assert (str(error), error.message) == ("told", "told")
    assert error.details == ({"a": 1},)


def test_a_code_of_its_own():
    error = errors.Conflict("told", code="port_taken", field="publish")
    assert (error.code, error.field) == ("port_taken", "publish")


def test_a_taken_name_names_its_field():
    assert errors.NameTaken("told").field == "name"


def test_no_host_names_the_requirement():
    error = errors.NoHost("driver", "no host runs lxd")
    assert (error.http_status, error.code) == (409, "no_host")
    assert (error.requirement, error.field) == ("driver", "driver")


def test_unavailable_tells_when_to_come_back():
    assert errors.Unavailable("gone").retry_after == 5
    assert errors.Unavailable("gone", retry_after=30).retry_after == 30


def test_several_problems_are_one_error():
    one = errors.Invalid("a is wrong", field="a")
    assert errors.Invalid.together([one]) is one
    inner = errors.Invalid.together([one, errors.Invalid("b is wrong", field="b")])
    outer = errors.Invalid.together([inner, errors.NotFound("no c", field="c")])
    assert outer.message == "a is wrong; b is wrong; no c"
    assert outer.details == (
        {"code": "invalid", "field": "a", "message": "a is wrong"},
        {"code": "invalid", "field": "b", "message": "b is wrong"},
        {"code": "not_found", "field": "c", "message": "no c"},
    )


def test_one_error_of_another_kind_keeps_its_code():
    error = errors.Invalid.together([errors.NotFound("no c", field="c")])
    assert (error.http_status, error.code, error.field) == (400, "not_found", "c")
