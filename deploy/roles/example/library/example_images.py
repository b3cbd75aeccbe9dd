# SPDX-License-Identifier: Apache-2.0
"""Bring Glance what tools/build-image made."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.nm import manifest as made_here

DOCUMENTATION = r"""
module: example_images
short_description: Images of a build's manifest in Glance
description:
  - An image whose content Glance has under this name is left alone, its properties
    set right. One with another content is hidden, because servers may still need
    it, and the new one takes its name.
  - Runs with a Python that has openstacksdk, and reads clouds.yaml.
options:
  cloud: {description: The administrator's cloud in clouds.yaml, required: true}
  manifest: {description: Path of manifest.json, required: true}
"""

try:
    import openstack
    from keystoneauth1 import exceptions as auth_exceptions
    from openstack import exceptions as sdk_exceptions
except ImportError:  # reported by main(): a module must be importable to be documented
    openstack = None


class Uploader:
    """Compares the manifest with Glance and uploads what is missing.

    Speaks Glance's own JSON, in which an image is flat: properties stand beside
    the fields, as the manifest's do.
    """

    def __init__(self, cloud: Any, folder: Path) -> None:
        self._glance = cloud.image
        self._folder = folder
        self.changes: list[str] = []
        self.ids: dict[str, str] = {}

    def bring(self, wanted: list[dict[str, Any]]) -> None:
        """Bring all; first those that others refer to, each lot in parallel."""
        for lot in (
            [image for image in wanted if not image["references"]],
            [image for image in wanted if image["references"]],
        ):
            with ThreadPoolExecutor() as pool:
                for name, image_id in pool.map(self._bring_one, lot):
                    self.ids[name] = image_id

    def _bring_one(self, image: dict[str, Any]) -> tuple[str, str]:
        name = image["name"]
        fields = wanted_fields(image, self.ids)
        listed = self._call(
            "GET", "/images", params={"name": name, "visibility": "public"}
        ).json()["images"]
        current = None
        for present in listed:
            same = present["os_hash_value"] == image["sha512"]
            if current is None and same and present["status"] == "active":
                current = present
            else:
                self._retire(present)
        if current is None:
            return name, self._upload(image, fields)
        self._mend(current, fields)
        return name, current["id"]

    def _retire(self, image: dict[str, Any]) -> None:
        if image["status"] == "active":
            self._patch(image, {"os_hidden": True})
            self.changes.append(f"image {image['name']} of older content hidden")
        else:
            # Of an upload that did not come to its end.
            self._call("DELETE", f"/images/{image['id']}")
            self.changes.append(f"unfinished image {image['name']} removed")

    def _upload(self, image: dict[str, Any], fields: dict[str, Any]) -> str:
        body = {"name": image["name"], "visibility": "public", **fields}
        path = f"/images/{self._call('POST', '/images', json=body).json()['id']}"
        with (self._folder / image["file"]).open("rb") as content:
            self._call(
                "PUT",
                f"{path}/file",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
            )
        made: dict[str, Any] = self._call("GET", path).json()
        if made["os_hash_value"] != image["sha512"]:
            self._call("DELETE", path)
            raise ValueError(f"image {image['name']} was damaged on its way to Glance")
        self.changes.append(f"image {image['name']}")
        return str(made["id"])

    def _mend(self, image: dict[str, Any], fields: dict[str, Any]) -> None:
        differing = {
            key: value for key, value in fields.items() if image.get(key) != value
        }
        if differing:
            self._patch(image, differing)
            self.changes.append(
                f"{', '.join(sorted(differing))} of image {image['name']}"
            )

    def _patch(self, image: dict[str, Any], values: dict[str, Any]) -> None:
        changes = [
            {
                "op": "replace" if key in image else "add",
                # A slash in a name is ~1 in a JSON pointer.
                "path": f"/{key.replace('~', '~0').replace('/', '~1')}",
                "value": value,
            }
            for key, value in values.items()
        ]
        self._call(
            "PATCH",
            f"/images/{image['id']}",
            data=json.dumps(changes),
            headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
        )

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._glance.request(path, method, **arguments)
        sdk_exceptions.raise_from_response(response)
        return response


def wanted_fields(image: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """Fields and properties that the image is to have in Glance."""
    fields = ("disk_format", "container_format", "min_disk", "min_ram")
    return {
        **{field: image[field] for field in fields},
        **image["properties"],
        **{key: ids[name] for key, name in image["references"].items()},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cloud": {"type": "str", "required": True},
            "manifest": {"type": "path", "required": True},
        }
    )
    if openstack is None:
        module.fail_json(msg="example_images needs openstacksdk in its Python")
    path = Path(module.params["manifest"])
    made_here.record("tree", path=str(path.parent))
    uploader = Uploader(openstack.connect(cloud=module.params["cloud"]), path.parent)
    try:
        uploader.bring(json.loads(path.read_text())["images"])
    except (
        OSError,
        ValueError,
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
    ) as error:
        module.fail_json(msg=f"Images of the example: {error}")
    module.exit_json(
        changed=bool(uploader.changes), changes=uploader.changes, ids=uploader.ids
    )


if __name__ == "__main__":
    main()
