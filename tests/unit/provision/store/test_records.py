# SPDX-License-Identifier: Apache-2.0
"""Names and what they stand for."""

import dataclasses

import pytest

from nova_multi.domain.errors import Conflict, Invalid, NameTaken, NotFound
from nova_multi.domain.names import Kind
from nova_multi.domain.permissions import Permissions
from nova_multi.domain.task import Task, TaskType
from nova_multi.provision.store import Record


@pytest.fixture
def add(store, clock):
    def add(uuid, name="web", kind=Kind.INSTANCE, **fields):
        record = Record(kind, uuid, name, clock(), clock(), **fields)
        store.add_record(record)
        return record

    return add


def test_a_record_comes_back_whole(store, add):
    record = add(
        "u",
        scope="e",
        project_id="p",
        openstack_id="s",
        data={"publish": ["80"], "n": None, "ü": "🐳"},
        owner_id="o",
        permissions=Permissions("rwxr-x---"),
        task_uuid="t",
    )
    assert store.record("instance", "u") == record
    assert store.list_records(Kind.INSTANCE) == [record]


def test_names_and_work_are_accepted_together(store, add, new_task, clock):
    def accept(names, uuids):
        found = [Record("instance", f"r-{n}", n, clock(), clock()) for n in names]
        work = [
            (Task.accepted(u, TaskType.CREATE_INSTANCE, "instance", clock()), {"u": u})
            for u in uuids
        ]
        store.accept(found, work)

    add("u1", name="taken")
    new_task("there")
    with pytest.raises(NameTaken, match="taken"):
        accept(["a", "taken"], ["a"])
    with pytest.raises(Conflict, match="there"):
        accept(["a"], ["a", "there"])
    assert [each.name for each in store.list_records("instance")] == ["taken"]
    assert [each.uuid for each in store.tasks(None)] == ["there"]
    accept(["a", "b"], ["a", "b"])
    assert [each.name for each in store.list_records("instance")][1:] == ["a", "b"]
    claimed = {each.task.uuid: each.payload for each in store.claim("w", 9, 60)}
    assert claimed == {"there": {}, "a": {"u": "a"}, "b": {"u": "b"}}


def test_a_name_is_taken_once_in_its_scope(store, add):
    add("u1", scope="e1")
    with pytest.raises(NameTaken, match="instance called web") as caught:
        add("u2", scope="e1")
    assert caught.value.field == "name"
    add("u2", scope="e2")
    add("u3", scope="e1", name="Web")
    add("u4", scope="e1", kind=Kind.PROVISIONER)
    assert len(store.list_records("instance")) == 3


def test_a_uuid_is_taken_once(add):
    add("u1", name="a")
    with pytest.raises(Conflict) as caught:
        add("u1", name="b")
    assert caught.value.code == "record_exists"


def test_what_is_not_there(store):
    with pytest.raises(NotFound):
        store.record("instance", "u")
    with pytest.raises(NotFound):
        store.update_record("instance", "u", name="x")
    assert store.delete_record("instance", "u") is False


def test_only_what_is_given_changes(store, add, clock):
    record = add("u", project_id="p", data={"a": 1})
    clock.forward(5)
    changed = store.update_record(
        "instance",
        "u",
        name="db",
        openstack_id="s",
        permissions=Permissions("rwx------"),
    )
    assert changed == store.record("instance", "u")
    assert changed == dataclasses.replace(
        record,
        name="db",
        openstack_id="s",
        permissions=Permissions("rwx------"),
        modified=clock(),
    )


def test_data_is_replaced_or_merged(store, add):
    add("u", data={"a": 1, "b": 2})
    update = store.update_record
    assert update("instance", "u", merge={"b": None, "c": 3}).data == {"a": 1, "c": 3}
    assert update("instance", "u", data={"d": 4}).data == {"d": 4}
    assert update("instance", "u", data={}, merge={"e": 5}).data == {"e": 5}
    assert update("instance", "u", data={}).data == {}


def test_a_field_can_be_emptied(store, add):
    add("u", openstack_id="s")
    assert store.update_record("instance", "u", openstack_id="").openstack_id == ""


def test_a_new_name_must_be_free(store, add):
    add("u1", name="a")
    add("u2", name="b")
    with pytest.raises(NameTaken, match="called a"):
        store.update_record("instance", "u2", name="a")
    assert store.record("instance", "u2").name == "b"


def test_a_deleted_name_is_free(store, add):
    add("u1")
    assert store.delete_record("instance", "u1") is True
    add("u2")


def uuids(found):
    return [record.uuid for record in found]


def test_filters_and_pages(store, add):
    add("u1", "a", scope="e1", project_id="p1", openstack_id="s1", task_uuid="t")
    add("u2", "b", scope="e1", project_id="p1", openstack_id="s2")
    add("u3", "a", scope="e2", project_id="p2", openstack_id="s3", task_uuid="t")
    add("u4", "a", kind=Kind.FILE, project_id="p1")
    find = store.list_records
    assert uuids(find("instance")) == ["u1", "u2", "u3"]
    assert uuids(find("instance", scope="e1")) == ["u1", "u2"]
    assert uuids(find("instance", scopes=["e1", "e2"], name="a")) == ["u1", "u3"]
    assert uuids(find("instance", name="a", project_ids=["p2"])) == ["u3"]
    assert uuids(find("instance", project_ids=[])) == []
    assert uuids(find("instance", openstack_ids=["s2", "s3", "s9"])) == ["u2", "u3"]
    assert uuids(find("instance", task_uuid="t")) == ["u1", "u3"]
    assert uuids(find("instance", limit=2)) == ["u1", "u2"]
    assert uuids(find("instance", limit=2, marker="u2")) == ["u3"]
    with pytest.raises(Invalid) as caught:
        find("instance", marker="u4")
    assert caught.value.field == "marker"


def test_a_signature_is_used_once(store, clock):
    assert store.use_signature("abc", 900) is True
    assert store.use_signature("abc", 900) is False
    assert store.use_signature("abd", 900) is True
    clock.forward(899)
    assert store.use_signature("abc", 900) is False
    clock.forward(2)
    assert store.use_signature("abc", 900) is True


def test_signatures_are_not_kept_as_they_are(store, tmp_path):
    store.use_signature("c2VjcmV0", 900)
    for path in tmp_path.glob("store.sqlite*"):
        assert b"c2VjcmV0" not in path.read_bytes()


def test_what_belongs_to_a_record_is_changed_with_it_or_not_at_all(store, add, clock):
    read = add("u", kind=Kind.ENVIRONMENT, data={"turn": 1})
    gone = add("old", kind="secrets", name="old", scope="u")

    def change(value):
        kept = Record(
            "definition",
            f"d{value}",
            "d",
            clock(),
            clock(),
            scope="u",
            data={"v": value},
        )
        store.change_with(read, ["turn"], kept=[kept], gone=[gone])

    change(1)
    change(2)
    (found,) = store.list_records("definition")
    assert (found.uuid, found.data) == ("d1", {"v": 2})
    assert not store.list_records("secrets")
    store.update_record(Kind.ENVIRONMENT, "u", merge={"turn": 2})
    with pytest.raises(Conflict) as caught:
        change(3)
    assert caught.value.code == "changed"
    assert store.list_records("definition") == [found]
    store.delete_record(Kind.ENVIRONMENT, "u")
    with pytest.raises(NotFound):
        change(3)
