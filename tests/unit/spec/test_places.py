# SPDX-License-Identifier: Apache-2.0
"""Where in a file something stands that was found wrong later."""

import pytest

from nova_multi import spec

FILE = """\
name: shop
instances:
  web:
    image: a
    publish: ["80", "443"]
    variables: {A: b}
  db.one: {driver: lxd}
  db:
    one: x
"""


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("instances.web.image", 4, 12),
        ("instances.web.memory", 3, 3),
        ("instances.web.publish[1]", 5, 21),
        ("instances.web.publish[7]", 5, 5),
        ("instances.web.publish", 5, 5),
        ("instances.web.variables.A", 6, 20),
        ("instances.db.one.driver", 7, 20),
        ("instances.db.one.image", 7, 3),
        ("instances.nothing", 2, 1),
        ("name", 1, 7),
    ],
)
def test_places(path, line, column):
    place = spec.place_of(FILE, path)
    assert (place.line, place.column) == (line, column)


@pytest.mark.parametrize("path", ["", "values", "web", "[0]", "instances]", "\ud800"])
def test_what_is_not_in_it(path):
    assert spec.place_of(FILE, path) is None


def test_what_is_no_file():
    assert spec.place_of("{", "name") is None
    assert spec.place_of("- a\n- b", "name") is None
