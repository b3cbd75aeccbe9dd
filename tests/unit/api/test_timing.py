# SPDX-License-Identifier: Apache-2.0
"""The header that tells our own time from OpenStack's."""

import re

from werkzeug.test import Client

from nova_multi.api import timing


def test_the_time_that_openstack_took_is_told_apart():
    waited = [5.0]

    def application(environ, start_response):
        waited[0] += 0.25
        start_response("202 ACCEPTED", [("Content-Type", "text/plain")])
        return [b""]

    answer = Client(timing.Timing(application, lambda: waited[0])).get("/")
    value = answer.headers[timing.HEADER]
    assert re.fullmatch(r"total;dur=\d+\.\d, openstack;dur=250\.0", value)
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "text/plain"


def test_the_application_tells_it(api):
    answer = api.client.get("/")
    assert answer.headers[timing.HEADER].endswith("openstack;dur=0.0")
