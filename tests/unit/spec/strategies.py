# SPDX-License-Identifier: Apache-2.0
"""Files that are right, as plain data, for hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

#: Odd, but all of it may be in a text.
CHARACTERS = st.one_of(
    st.sampled_from("${}$[].:'\"#&*!|>%@`\\- \n"),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)
TEXTS = st.text(CHARACTERS, max_size=30).map(lambda text: text.replace("${", "$${"))
LINES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="{"), max_size=20
)
REFERENCES = LINES.filter(bool)
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
#: Also of other things; no two of these are one instance of a count.
INSTANCES = st.from_regex(r"[a-z]([a-z.]{0,6}[a-z])?", fullmatch=True)


def _mapping(keys: Any, values: Any, most: int = 4) -> Any:
    return st.dictionaries(keys, values, max_size=most)


SCALARS = st.one_of(
    TEXTS,
    st.integers(-(2**63), 2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
)
SIZES = st.one_of(
    st.integers(1, 2**20), st.sampled_from(["512MB", "1.5GB", "2 TiB", "7"])
)
DRIVERS = st.sampled_from(["docker", "lxd", "lxc", "libvirt", "kvm", "qemu"])
AMOUNTS = {
    "cpus": st.integers(1, 4096),
    "memory": SIZES,
    "driver": DRIVERS,
    "description": TEXTS.filter(lambda text: len(text) < 200),
}


def _one_input() -> Any:
    def of(kind: str, values: Any) -> Any:
        return st.one_of(
            values,
            st.fixed_dictionaries(
                {"type": st.just(kind)},
                optional={"default": values, "description": LINES},
            ),
            st.lists(values, min_size=1, max_size=4, unique=True).map(
                lambda found: {"type": kind, "choices": found, "default": found[0]}
            ),
            st.just({"type": kind, "secret": True}),
        )

    limited = st.fixed_dictionaries(
        {"type": st.just("integer"), "default": st.integers(0, 9)},
        optional={"minimum": st.integers(-5, 0), "maximum": st.integers(9, 20)},
    )

    return st.one_of(
        of("string", st.text(CHARACTERS, max_size=20)),
        of("integer", st.integers(-(2**63), 2**63)),
        of("boolean", st.booleans()),
        of("number", st.floats(allow_nan=False, allow_infinity=False)),
        st.fixed_dictionaries(
            {"generate": st.just("password")},
            optional={"length": st.integers(8, 128), "secret": st.booleans()},
        ),
        st.just({"generate": "key"}),
        limited,
    )


NETWORKS = st.one_of(
    st.fixed_dictionaries(
        {"routed": st.just(False)},
        optional={
            "cidr": st.sampled_from(["10.0.0.0/24", "192.168.0.0/16", "fd00::/64"]),
            "dns": st.sampled_from([[], ["10.0.0.1"], ["::1", "1.1.1.1"]]),
        },
    ),
    st.fixed_dictionaries(
        {
            "routed": st.just(False),
            "cidr": st.just("10.0.0.0/24"),
            "dhcp": st.sampled_from(["10.0.0.1-10.0.0.9", "10.0.0.7-10.0.0.7"]),
        }
    ),
)
IMAGES = st.one_of(
    REFERENCES,
    st.fixed_dictionaries({"source": REFERENCES}),
    st.fixed_dictionaries(
        {
            "download_url": st.sampled_from(["http://a/b?c=$${d}", "https://e"]),
            "type": st.sampled_from(["iso", "disk", "lxd"]),
        },
        optional={
            "checksum": st.just(f"sha256:{'0' * 64}"),
            "os": LINES,
            "architecture": st.sampled_from(["amd64", "aarch64"]),
            "properties": st.dictionaries(st.sampled_from(["a:b", "hw_x"]), LINES),
        },
    ),
    st.fixed_dictionaries({"file": REFERENCES, "type": st.just("docker-container")}),
)


def _schedules(instances: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    optional = {
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "days": st.sampled_from(["mon-fri", ["sat", "sun-tue"], ["mon", "mon-wed"]]),
        "hours": st.sampled_from(["08:00-18:00", ["22:00-06:00", "12:00-13:00"]]),
        "closed": st.sampled_from(["2026-12-24", ["2026-12-24..2027-01-01"]]),
        "save": st.sampled_from([[], instances[:1]]),
        "unsaved": st.sampled_from(["keep", "destroy"]),
    }
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    """A file without anything wrong, in which things refer to each other."""
    inputs = draw(_mapping(WORDS, _one_input()))
    instances = draw(st.lists(INSTANCES, unique=True, max_size=4))
    kept = [
        f"${{inputs.{name}}}"
        for name, each in inputs.items()
        if isinstance(each, dict) and (each.get("secret") or "generate" in each)
    ]
    values = [
        f"${{inputs.{name}}}"
        for name, each in inputs.items()
        if not isinstance(each, dict) or "default" in each
    ]

    def variables(before: list[str], secrets: bool = True) -> Any:
        refer = [
            f'${{instances["{name}"].{rest}}}'
            for name in before
            for rest in ("address", "outputs.url", "name")
        ]
        refer += ["${environment.publish_address}", *values]
        refer += kept if secrets else []
        part = st.one_of(TEXTS, st.sampled_from(refer))
        joined = st.lists(part, max_size=4).map("".join)
        return _mapping(WORDS, st.one_of(SCALARS, joined))

    provisioners: dict[str, Any] = {}
    for name in draw(st.lists(INSTANCES, unique=True, max_size=3)):
        optional = {
            **AMOUNTS,
            "disk": SIZES,
            "image": REFERENCES,
            "tag": LINES,
            "timeout": st.integers(1, 86_400),
            "variables": variables([]),
        }
        what = draw(st.sampled_from(["script", "builder", "nothing"]))
        if what == "script":
            scripts = st.text(CHARACTERS, min_size=1).filter(str.strip)
            optional["script"] = scripts
        fields = draw(st.fixed_dictionaries({}, optional=optional))
        if what == "builder":
            fields |= {"builder": "https://a/$${b}.git", "executor": "run ${c}"}
        if provisioners and draw(st.booleans()):
            fields["depends"] = [next(iter(provisioners))]
        provisioners[name] = fields
    stood: list[str] = []
    found: dict[str, Any] = {}
    for name in instances:
        optional = {
            **AMOUNTS,
            "hdsize": SIZES,
            "image": REFERENCES,
            "count": st.integers(1, 1000),
            "host_type": st.sampled_from(["GeneralPurpose", "HighPerformance"]),
            "publish": st.sampled_from([[], [80], ["80", "53/udp", 443]]),
            "networks": st.lists(REFERENCES, unique=True, max_size=3),
            "tags": st.sampled_from([[], ["a"], ["$${b}", "c d"]]),
            "variables": variables(stood),
            "depends_on": st.just(stood[:2]),
        }
        found[name] = draw(st.fixed_dictionaries({}, optional=optional))
        if provisioners and not stood:
            # One of those that depend on nothing: no circles by chance.
            found[name]["provisioner"] = next(iter(provisioners))
        stood.append(name)
    networks = draw(_mapping(INSTANCES, NETWORKS))
    data = {
        # The environment's own network has its name.
        "name": draw(INSTANCES.filter(lambda name: name not in networks)),
        "inputs": inputs,
        "networks": networks,
        "images": draw(_mapping(INSTANCES, IMAGES)),
        "provisioners": provisioners,
        "instances": found,
        "outputs": draw(variables(stood, secrets=False)),
    }
    more = {
        "partition": REFERENCES,
        "description": st.text(CHARACTERS, max_size=100),
        "users": st.lists(REFERENCES, unique=True, max_size=3),
        "schedule": _schedules(list(found)),
    }
    return data | draw(st.fixed_dictionaries({}, optional=more))
