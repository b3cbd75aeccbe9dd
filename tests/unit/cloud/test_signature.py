# SPDX-License-Identifier: Apache-2.0
"""Signatures against a Keystone that computes the HMAC as the real one does."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac

import pytest
from keystoneauth1 import fixture

from nova_multi.cloud.signature import Signatures
from nova_multi.domain import errors

from .fake import REFUSED, Answer, keystone_error

SIGNED = "GET\nhost\n\n\nFri, 20 Nov 2026 10:00:00 GMT\n/v1/instances\n"
SECRETS = {"ACCESS": "top-secret", "A/B+": "other"}


def sign(text, secret="top-secret"):
    found = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(found).decode()


@pytest.fixture
def keystone(fake):
    def answer(call):
        if call.headers["X-Auth-Token"] in fake.ended:
            raise keystone_error(
                401, "The request you have made requires authentication."
            )
        asked = call.body["credentials"]
        if asked["access"] not in SECRETS:
            raise keystone_error(404, "EC2 access key not found.")
        text = base64.urlsafe_b64decode(asked["token"]).decode()
        if sign(text, SECRETS[asked["access"]]) != asked["signature"]:
            raise keystone_error(401, "Credential signature mismatch")
        token = fixture.V3Token(
            user_id="u1",
            user_name="alice",
            user_domain_id="d1",
            user_domain_name="people",
            project_id="p1",
            project_name="dev",
            project_domain_id="d2",
            project_domain_name="multi",
            expires=datetime.datetime(2026, 11, 20, 11, tzinfo=datetime.UTC),
            methods=["ec2credential"],
        )
        token.add_role(name="member")
        token.add_role(name="reader")
        return token

    def own(call):
        ended = call.headers["X-Subject-Token"] in fake.ended
        return Answer(401 if ended else 200)

    fake.ended = set()
    fake.on("identity", "POST", "/s3tokens", answer)
    fake.on("identity", "HEAD", "/auth/tokens", own)
    return fake


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def signatures(keystone, admin, clock):
    return Signatures(admin.connection, clock=lambda: clock[0])


def test_a_good_one(keystone, signatures):
    facts = signatures.check("ACCESS", sign(SIGNED), SIGNED)
    assert (facts.user_id, facts.user_name) == ("u1", "alice")
    assert (facts.user_domain_id, facts.user_domain_name) == ("d1", "people")
    assert (facts.project_id, facts.project_name) == ("p1", "dev")
    assert (facts.project_domain_id, facts.project_domain_name) == ("d2", "multi")
    assert facts.roles == ("member", "reader")
    assert facts.expires == datetime.datetime(2026, 11, 20, 11, tzinfo=datetime.UTC)
    assert facts.access == "ACCESS"
    assert len(keystone.calls) == 1


def test_text_of_any_kind(signatures):
    for text in ("ü\n?>~", "", "a" * 5000):
        assert signatures.check("ACCESS", sign(text), text)
    assert signatures.check("ACCESS", sign("x"), b"x")
    assert signatures.check("A/B+", sign("x", "other"), "x")


@pytest.mark.parametrize(
    ("access", "signature", "signed"),
    [
        ("ACCESS", sign(SIGNED), SIGNED + "x"),
        ("ACCESS", sign(SIGNED, "guess"), SIGNED),
        ("ACCESS", "", SIGNED),
        ("A/B+", sign(SIGNED), SIGNED),
        ("NOBODY", sign(SIGNED), SIGNED),
    ],
)
def test_a_bad_one(signatures, access, signature, signed):
    assert signatures.check(access, signature, signed) is None


def test_amazons_other_form_is_not_even_asked_about(keystone, signatures):
    text = "AWS4-HMAC-SHA256\nx\ny\nz"
    assert signatures.check("ACCESS", sign(text), text) is None
    assert not keystone.calls


def test_forgeries_cost_one_request_each(keystone, signatures, clock):
    signatures.check("ACCESS", "forged", SIGNED)
    keystone.calls.clear()
    for _ in range(20):
        assert signatures.check("ACCESS", "forged", SIGNED) is None
    assert keystone.lines() == ["POST identity/s3tokens"] * 20
    assert len(keystone.logins) == 1


def test_our_own_token_that_ended(keystone, signatures, clock):
    assert signatures.check("ACCESS", sign(SIGNED), SIGNED)
    keystone.ended.add("token-1")
    assert signatures.check("ACCESS", sign(SIGNED), SIGNED)
    assert len(keystone.logins) == 2


def test_our_own_token_that_ended_among_forgeries(keystone, signatures, clock):
    signatures.check("ACCESS", "forged", SIGNED)
    keystone.ended.add("token-1")
    clock[0] += 31
    assert signatures.check("ACCESS", sign(SIGNED), SIGNED)


@pytest.mark.parametrize(("status", "expected"), [(403, 60), (503, 5), (500, 5)])
def test_keystone_can_not_be_asked(keystone, signatures, status, expected):
    keystone.on("identity", "POST", "/s3tokens", keystone_error(status))
    with pytest.raises(errors.Unavailable) as caught:
        signatures.check("ACCESS", sign(SIGNED), SIGNED)
    assert caught.value.retry_after == expected


def test_keystone_is_away(keystone, signatures):
    keystone.away["identity"] = REFUSED
    with pytest.raises(errors.Unavailable):
        signatures.check("ACCESS", sign(SIGNED), SIGNED)


def test_a_malformed_one(keystone, signatures):
    keystone.on("identity", "POST", "/s3tokens", keystone_error(400))
    assert signatures.check("ACCESS", "x", SIGNED) is None
