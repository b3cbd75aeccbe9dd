# SPDX-License-Identifier: Apache-2.0
"""The header that tells our own time from OpenStack's."""

import re
import time

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
    told = re.fullmatch(
        r"total;dur=\d+\.\d, openstack;dur=250\.0, cpu;dur=(\d+\.\d)", value
    )
    assert told and float(told[1]) < 250
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "text/plain"


def test_the_processor_that_the_request_had_is_told():
    def application(environ, start_response):
        begun = time.thread_time()
        while time.thread_time() - begun < 0.02:
            pass
        time.sleep(0.05)
        start_response("200 OK", [])
        return [b""]

    answer = Client(timing.Timing(application, lambda: 0.0)).get("/")
    told = dict(
        part.split(";dur=") for part in answer.headers[timing.HEADER].split(", ")
    )
    assert 20 <= float(told["cpu"]) <= float(told["total"]) - 49


def test_the_application_tells_it(api):
    answer = api.client.get("/")
    assert ", openstack;dur=0.0, cpu;dur=" in answer.headers[timing.HEADER]
