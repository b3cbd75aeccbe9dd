# SPDX-License-Identifier: Apache-2.0
"""From Nova's objects to a container's specification."""

from types import SimpleNamespace

import pytest

from nova_multi import exception
from nova_multi.virt import engine, spec

KEY = engine.ImageKey("image-id", "abc")


@pytest.fixture
def instance():
    return SimpleNamespace(
        uuid="u-1",
        name="instance-00000001",
        hostname="web",
        flavor=SimpleNamespace(vcpus=2, memory_mb=512, root_gb=3, extra_specs={}),
    )


def image_meta(**properties):
    return SimpleNamespace(properties=properties)


def test_limits_marks_and_names(instance):
    made = spec.container_spec(
        instance, image_meta(), KEY, host="node-docker", pids_limit=99
    )
    assert (made.vcpus, made.memory_mb, made.disk_gb, made.pids) == (2, 512, 3, 99)
    assert (made.name, made.hostname) == ("instance-00000001", "web")
    assert made.labels == {
        engine.LABEL_UUID: "u-1",
        engine.LABEL_HOST: "node-docker",
        engine.LABEL_NAME: "instance-00000001",
        engine.LABEL_IMAGE: "image-id",
    }
    assert made.command == ()
    assert made.mounts == ()


def test_folders_are_mounted_read_only(instance):
    made = spec.container_spec(
        instance,
        image_meta(),
        KEY,
        host="h",
        pids_limit=1,
        bootstrap="/x",
        guest_folder="/g",
        config_drive="/c",
    )
    assert made.bootstrap == "/x"
    assert made.mounts == (
        engine.Mount("/g", engine.GUEST_DIRECTORY, True),
        engine.Mount("/c", engine.CONFIG_DRIVE_DIRECTORY, True),
    )


def test_a_command_in_words():
    meta = image_meta(os_command_line="sh -c 'sleep 1; echo \"a b\"'")
    assert spec.command(meta) == ("sh", "-c", 'sleep 1; echo "a b"')


def test_a_command_with_an_open_quote_is_refused():
    with pytest.raises(exception.ImageRejected, match="os_command_line"):
        spec.command(image_meta(os_command_line="sh -c 'oops"))


def test_a_flavor_sets_the_limit_of_processes():
    assert spec.pids({spec.PIDS_EXTRA_SPEC: "7"}, 100) == 7
    assert spec.pids({}, 100) == 100


@pytest.mark.parametrize("value", ["0", "-1", "many", "", "1.5"])
def test_a_bad_limit_of_processes_is_refused(value):
    with pytest.raises(exception.ConfigurationError, match="pids_limit"):
        spec.pids({spec.PIDS_EXTRA_SPEC: value}, 100)
