# SPDX-License-Identifier: Apache-2.0
"""Migrations make what the code works with, on both databases."""

import importlib
import io
import os
import pathlib
import stat

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import mysql

from nova_multi.domain.errors import Unavailable
from nova_multi.exception import ConfigurationError
from nova_multi.provision.store import (
    Store,
    database,
    db_sync,
    leases,
    pending,
    schema,
    tables,
    version,
)

VERSIONS = sorted((schema._MIGRATIONS / "versions").glob("0*.py"))
#: InnoDB's longest index, in bytes.
LONGEST_INDEX = 3072


def test_a_new_database(tmp_path):
    url = f"sqlite:///{tmp_path}/new/folder/store.sqlite"
    revisions = tuple(path.name.split("_")[0] for path in VERSIONS)
    assert version(url) is None
    assert pending(url) == revisions
    assert not (tmp_path / "new").exists()
    db_sync(url)
    assert version(url) == revisions[-1]
    assert pending(url) == ()


def test_a_second_sync_changes_nothing(url, store, new_task):
    new_task()
    db_sync(url)
    assert store.task("t1")


def test_nobody_else_can_read_the_database(tmp_path, url, store, new_task):
    new_task()
    paths = list(tmp_path.glob("store.sqlite*"))
    assert len(paths) > 1
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_migrations_and_tables_are_the_same(store):
    with store._database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables.metadata) == []


def test_the_log_is_written_ahead(store):
    with store._database.read() as connection:
        found = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        assert found == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        # Full: what was accepted survives a power cut.
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30_000


def test_a_database_of_a_newer_version(url, store):
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for call in (db_sync, pending):
        with pytest.raises(ConfigurationError, match="9999"):
            call(url)


def test_a_failed_migration_leaves_nothing(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path}/store.sqlite"

    def fail(config, revision):
        connection = config.attributes["connection"]
        connection.exec_driver_sql("CREATE TABLE half (a INTEGER)")
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(schema.command, "upgrade", fail)
        with pytest.raises(RuntimeError):
            db_sync(url)
    db_sync(url)
    with Store(url)._database.read() as connection:
        assert "half" not in sa.inspect(connection).get_table_names()


def test_a_store_without_its_database(tmp_path):
    path = tmp_path / "store.sqlite"
    with pytest.raises(ConfigurationError, match="nova-multi-manage db sync"):
        Store(f"sqlite:///{path}").ping()
    assert not path.exists()
    path.touch()
    with pytest.raises(ConfigurationError, match="nova-multi-manage db sync"):
        Store(f"sqlite:///{path}").ping()


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_text("something else" * 100)
    with pytest.raises(ConfigurationError, match="file is none"):
        Store(f"sqlite:///{path}").ping()


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        db_sync(f"sqlite:///{tmp_path}/file/store.sqlite")


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "nosuch://u:s3cr3t@h/d"]
)
def test_urls_that_can_not_be_used(url):
    with pytest.raises(ConfigurationError, match="connection") as caught:
        Store(url)
    assert "s3cr3t" not in str(caught.value)


def test_a_server_that_is_not_there():
    store = Store("mysql+pymysql://u:s3cr3t@127.0.0.1:1/d")
    with pytest.raises(Unavailable) as caught:
        store.ping()
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(Unavailable):
        db_sync("mysql+pymysql://u:s3cr3t@127.0.0.1:1/d")


def test_mariadb_is_asked_for_all_of_unicode(monkeypatch):
    seen = {}

    def create(url, **options):
        seen["url"] = sa.make_url(url)
        return sa.create_engine(url)

    monkeypatch.setattr(database.engines, "create_engine", create)
    database.make_engine("mysql+pymysql://u:p%40ss@h/d")
    assert seen["url"].query["charset"] == "utf8mb4"
    assert seen["url"].password == "p@ss"


def mysql_migrations(dialect):
    """The statements of all migrations, for a database that is not there."""
    out = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": out}
    )
    with Operations.context(context):
        for path in VERSIONS:
            name = f"nova_multi.provision.store.migrations.versions.{path.stem}"
            importlib.import_module(name).upgrade()
    return out.getvalue()


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_tables_of_mariadb(dialect):
    text = mysql_migrations(dialect)
    made = text.count("CREATE TABLE")
    assert made == len(tables.metadata.tables)
    assert text.count("ENGINE=InnoDB") == made
    assert text.count("COLLATE utf8mb4_bin") == made
    assert text.count("CHARSET=utf8mb4") == made
    assert "DATETIME(6)" in text
    assert "DATETIME " not in text
    assert " TEXT" not in text
    assert "payload MEDIUMTEXT NOT NULL" in text
    assert "id BIGINT NOT NULL AUTO_INCREMENT" in text
    assert text.count("ON DELETE CASCADE") == 4


def lengths(columns):
    for column in columns:
        kind = column.type.dialect_impl(mysql.dialect())
        length = getattr(kind, "length", None)
        yield 4 * length if length else 8


@pytest.mark.parametrize("table", tables.metadata.sorted_tables, ids=str)
def test_indexes_fit_into_innodb(table):
    found = [index.columns for index in table.indexes]
    found += [key.columns for key in table.constraints if hasattr(key, "columns")]
    assert found
    for columns in found:
        assert sum(lengths(columns)) <= LONGEST_INDEX
        names = [column.name for column in columns]
        assert not {"payload", "data", "text", "message"} & set(names)


def test_names_fit_into_mariadb():
    for table in tables.metadata.sorted_tables:
        for one in (*table.indexes, *table.constraints):
            assert len(str(one.name or "")) <= 64


def test_workers_on_mariadb_do_not_wait_for_each_other(clock):
    text = str(leases.due_work(clock(), 5).compile(dialect=mysql.dialect()))
    assert text.endswith("FOR UPDATE SKIP LOCKED")


def test_migrations_are_a_line():
    for path in VERSIONS:
        module = importlib.import_module(
            f"nova_multi.provision.store.migrations.versions.{path.stem}"
        )
        assert module.revision == path.name.split("_")[0]
        assert not hasattr(module, "downgrade")
    assert pathlib.Path(schema._MIGRATIONS, "env.py").exists()


@pytest.fixture
def open_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_a_database_that_all_could_read_is_made_private(tmp_path, open_umask):
    path = tmp_path / "a.sqlite"
    path.touch(0o644)
    db_sync(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
