# SPDX-License-Identifier: Apache-2.0
"""What scripts are told by a definition: references, secrets, provisioners."""

import re
import shlex

import pytest

from nova_multi.domain.errors import Invalid
from tests.unit.provision import shop
from tests.unit.provision.conftest import ADMIN, NOWHERE


def test_secrets_reach_scripts_and_nothing_else(built):
    secret = "s3cr3t'; echo $HOME"
    definition = shop.secret_shop()
    values = {"given": secret, "open": "y"}
    shop.apply(built, definition, values=values)
    told = shop.user_data(built, "web-1")
    address = shop.server(built, "db").addresses[0].address
    assert f"export GIVEN={shlex.quote(f'pre-{secret}-{address}')}\n" in told
    assert "export OPEN=y\n" in told
    assert re.search(r"export MADE=[A-Za-z0-9]{30}\n", told)
    assert re.search(r"export PUBLIC='ssh-ed25519 \S+'\n", told)
    made = re.search(r"export MADE=(\S+)", told)[1]
    # Nowhere else, whatever is asked or kept.
    for word in ("s3cr3t", made):
        for table in ("task_work", "task_log", "task_history", "tasks"):
            with built.store._database.read() as connection:
                rows = connection.exec_driver_sql(f"select * from {table}").all()
            assert word not in repr(rows), table
        for kind in ("instance", "environment", "definition"):
            assert word not in repr(built.store.list_records(kind))
        assert word not in repr(built.audited)
        environments = built.service.environments
        assert word not in repr(environments.show(ADMIN, "shop", NOWHERE))
        assert word not in repr(shop.plan(built, definition))
        assert word not in repr(built.service.instances.show(ADMIN, "web-1", NOWHERE))
        (record,) = built.store.list_records("secrets")
        assert word not in repr(record.data)
        assert word in repr(shop.secrets_of(built))
    # What is generated stays, and what is given need not be given again.
    assert shop.plan(built, definition, values={"open": "y"}).is_empty
    found = shop.plan(built, definition, values={"given": "other", "open": "y"})
    assert [str(d) for d in found.steps[0].differences] == ["secret given: replaced"]
    shop.destroy(built)
    assert not built.store.list_records("secrets")


@pytest.mark.parametrize("waits", [False, True])
def test_a_secret_that_has_no_room_is_refused_before_anything_is_deleted(built, waits):
    definition = shop.secret_shop()
    definition["provisioners"]["site"]["script"] = f"#{'x' * 42_000}\n"
    shop.apply(built, definition, values={"given": "a"})
    before = shop.server_ids(built)
    values = {"given": "b'" * 1_000}
    if waits:
        more = shop.secret_shop()
        more["instances"]["db"]["description"] = "data"
        more["provisioners"] = definition["provisioners"]
        first = shop.accept(built, more)
        task = built.done(shop.accept(built, definition, values=values, wait=True))
        assert shop.task_of(built, first).status == "done"
        assert "as user-data" in task.history[-1].message
    else:
        with pytest.raises(Invalid) as caught:
            shop.accept(built, definition, values=values)
        assert caught.value.code == "user_data_too_large"
    assert shop.server_ids(built) == before


def test_a_secret_that_is_missing(built):
    with pytest.raises(Invalid, match="given"):
        shop.plan(built, shop.secret_shop())


def test_values_are_data_only(built):
    """Whatever a value says, the guest's shell takes it as a text."""
    evil = "$(reboot) `id` \" ' \n end"
    definition = shop.shop(web={"variables": {"X": evil.replace("$", "$")}})
    shop.apply(built, definition)
    assert f"export X={shlex.quote(evil)}\n" in shop.user_data(built, "web-1")


def test_other_references(built):
    definition = shop.shop(
        web={
            "variables": {
                "NAME": "${instances.db.name}",
                "HOST": "${instances.db.host}",
                "PORT": "${instances.db.published[5432]}",
                "ALL": "${instances.db.addresses}",
                "ENV": "${environment.name} in ${environment.partition}",
                "AT": "${environment.publish_address}",
                "PLAIN": "$${HOME}",
            }
        },
        db={"publish": ["5432"]},
    )
    shop.apply(built, definition)
    told = shop.user_data(built, "web-1")
    shown = built.service.instances.show(ADMIN, "db", NOWHERE)
    port = shown.published[0].outside
    for line in (
        "export NAME=db",
        "export HOST=node1",
        f"export ALL={shown.addresses[0]}",
        "export ENV='shop in dev_co'",
        "export PLAIN='${HOME}'",
    ):
        assert f"{line}\n" in told
    at = re.search(r"export AT=(203\.0\.113\.\d+)\n", told)[1]
    assert f"export PORT={at}:{port}\n" in told
    assert shop.plan(built, definition).is_empty


def test_provisioners_that_depend(built):
    definition = shop.shop(web={"variables": {}})
    definition["provisioners"]["site"]["depends"] = ["database"]
    shop.apply(built, definition)
    address = shop.server(built, "db").addresses[0].address
    assert f"export DATABASE_ADDRESS={address}\n" in shop.user_data(built, "web-2")
    assert shop.plan(built, definition).is_empty
    more = shop.shop(web={"variables": {}}, db={"count": 2})
    more["provisioners"]["site"]["depends"] = ["database"]
    built.speak("db-1", "made")
    built.speak("db-2", "made")
    more["outputs"] = {}
    assert "replace web-1" in shop.steps(shop.plan(built, more))


def test_provisioners_and_images_of_the_service(built):
    built.provisioner("known", "debian-12", script="echo known\n", tag="k")
    definition = shop.shop(web={"provisioner": "known", "publish": ["80"]})
    shop.apply(built, definition)
    assert "echo known" in shop.user_data(built, "web-1")
    shown = built.service.instances.show(ADMIN, "web-1", NOWHERE)
    assert (shown.provisioner, shown.tags) == ("known", ("k",))
    # Another script of it is a change of what was made with it.
    fields = {"script": "echo other\n"}
    built.service.provisioners.change(ADMIN, "known", fields, NOWHERE)
    found = shop.plan(built, definition)
    assert shop.steps(found) == ["replace web-1", "replace web-2"]
    with pytest.raises(Invalid, match="no provisioner nobody"):
        shop.plan(built, shop.shop(web={"provisioner": "nobody"}))


def test_a_time_limit_of_ones_own(built):
    definition = shop.shop(web={"count": 1})
    definition["provisioners"]["site"]["timeout"] = 60
    built.speak("web", "begun", exit_code=None)
    task = shop.apply(built, definition, end="error")
    assert "has not ended within 60 s" in task.history[-1].message
