"""The commands `keys` and `tenants`, as a server finds what they wrote."""

from __future__ import annotations

import time
from pathlib import Path

from command_line import CommandLine
from ragstone.cli.records.serving import KeysRecord, TenantsRecord
from ragstone.server.accounts import Accounts
from schema_check import mismatches


def test_keys_are_made_listed_and_revoked(ragstone: CommandLine, environ: dict[str, str]) -> None:
    made = ragstone("--json", "keys", "create", "intranet", "--scope", "write", "--days", "2").json
    assert mismatches(made, KeysRecord) == []
    [key] = made["keys"]
    assert key["scopes"] == ["write"]
    assert 1.9 * 86_400 < key["expires"] - time.time() < 2.1 * 86_400
    plain = ragstone("keys", "create", "reader")
    assert plain.out.startswith("rgs_")
    listed = ragstone("--json", "keys", "list").json
    assert mismatches(listed, KeysRecord) == []
    assert [k["name"] for k in listed["keys"]] == ["intranet", "reader"]
    assert listed["key"] == ""
    assert made["key"] not in str(listed)
    accounts = Accounts(Path(environ["RAGSTONE_DATA"]))
    try:
        found = accounts.find(made["key"])
        assert found is not None
        assert found.live(time.time())
        assert ragstone("keys", "revoke", key["id"]).code == 0
        time.sleep(0.3)
        found = accounts.find(made["key"])
        assert found is not None
        assert not found.live(time.time())
        assert [e.action for e in accounts.audit("default", 0, 10)] == ["key.revoke", "key.create", "key.create"]
    finally:
        accounts.close()


def test_wrong_keys(ragstone: CommandLine) -> None:
    assert ragstone("keys", "revoke", "nothing").code == 3
    assert ragstone("keys", "create", "x", "--scope", "root").code == 2
    assert ragstone("keys", "create", "x", "--tenant", "nowhere").code == 3
    assert ragstone("keys", "create", "  ").code == 2


def test_tenants_are_made_listed_and_removed(ragstone: CommandLine, environ: dict[str, str]) -> None:
    made = ragstone("--json", "tenants", "create", "Sales").json
    assert mismatches(made, TenantsRecord) == []
    [tenant] = made["tenants"]
    key = ragstone("--json", "keys", "create", "sales", "--tenant", tenant["id"]).json["key"]
    listed = ragstone("--json", "tenants", "list").json
    assert [t["name"] for t in listed["tenants"]] == ["default", "Sales"]
    assert ragstone("tenants", "remove", "default").code == 2
    assert ragstone("tenants", "remove", "nowhere").code == 3
    assert "Sales" not in ragstone("tenants", "remove", tenant["id"]).out
    accounts = Accounts(Path(environ["RAGSTONE_DATA"]))
    try:
        found = accounts.find(key)
        assert found is not None
        assert not found.live(time.time())
    finally:
        accounts.close()
