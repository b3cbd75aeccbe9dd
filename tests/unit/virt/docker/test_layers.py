# SPDX-License-Identifier: Apache-2.0
"""One tree out of layers."""

from __future__ import annotations

import io
import tarfile

import pytest

from nova_multi.inspection.layers import Tree
from tests.unit.virt.docker import archives


def tree(*layers):
    found = Tree()
    for entries in layers:
        data = io.BytesIO(archives.layer(*entries))
        with tarfile.open(fileobj=data, mode="r|") as archive:
            for _ in found.add_layer(archive):
                pass
    return found


SH = ("usr/bin/sh", b"x")


@pytest.mark.parametrize(
    ("layers", "there"),
    [
        ([[("bin/sh", b"x")]], True),
        ([[("./bin/sh", b"x")]], True),
        ([[("bin", None)]], False),
        ([[("bin/sh", None)]], False),
        ([[SH, ("bin", "-> usr/bin")]], True),
        ([[SH, ("bin", "-> /usr/bin")]], True),
        ([[SH, ("bin", "-> ../../usr/./bin")]], True),
        ([[SH, ("bin/sh", "-> ../usr/bin/sh")]], True),
        ([[("bin/sh", "=> usr/bin/sh"), SH]], True),
        ([[("bin/sh", "-> gone")]], False),
        ([[("bin/sh", "-> sh")]], False),
        ([[("bin", b"file")]], False),
        # Whiteouts.
        ([[("bin/sh", b"x")], [("bin/.wh.sh", b"")]], False),
        ([[("bin/sh", b"x")], [(".wh.bin", b"")]], False),
        ([[("bin/sh", b"x")], [("bin/.wh..wh..opq", b"")]], False),
        ([[("bin/sh", b"x")], [(".wh..wh..opq", b"")]], False),
        ([[("bin/sh", b"x")], [("bin/.wh.bash", b"")]], True),
        ([[("bin/sh", b"x")], [("bin/.wh..wh.plnk", b"")]], True),
        # What comes with a whiteout stays.
        ([[("bin/a", b"")], [("bin/.wh..wh..opq", b""), ("bin/sh", b"x")]], True),
        ([[("bin/sh", b"x")], [("bin/.wh.sh", b"")], [("bin/sh", b"x")]], True),
        # A later layer's kind counts.
        ([[("bin/sh", "-> gone")], [("bin/sh", b"x")]], True),
        ([[("bin/sh", b"x")], [("bin", b"file")]], False),
    ],
)
def test_is_file(layers, there):
    assert tree(*layers).is_file("/bin/sh") is there
