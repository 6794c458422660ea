"""Commands about who may use the server: keys and tenants."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..records import SCHEMA_VERSION
from .records.serving import KeyRecord, KeysRecord, TenantRecord, TenantsRecord
from .session import Session, before, command, commands
from .terminal import Column, flat, moment

if TYPE_CHECKING:
    from ..server.accounts import Accounts, Key, Tenant

DAY = 86_400.0

app = commands()
keys = commands(no_args_is_help=True, help="Make, list and revoke keys of the server.")
keys.callback()(before())
app.add_typer(keys, name="keys")
tenants = commands(
    no_args_is_help=True,
    help="Make, list and remove tenants of the server: each has data that no other can see.",
)
tenants.callback()(before())
app.add_typer(tenants, name="tenants")

TenantOption = Annotated[str, typer.Option("--tenant", metavar="ID", help="Tenant that the key belongs to.")]


@command(keys, "list")
def keys_list(session: Session) -> int:
    """List keys: never their text, which nobody knows but who got it."""
    with closing(_accounts(session)) as accounts:
        found = accounts.list_keys()
    _show_keys(session, found, "")
    return 0


@command(keys, "create")
def keys_create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", help="read, write (includes read) or admin (all). Default: read.", show_default=False),
    ] = None,
    days: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="Works for so long. Default: always.", show_default=False)
    ] = None,
    tenant: TenantOption = "default",
) -> int:
    """Make a key and print it. It is shown this once: what is stored is its hash."""
    expires = None if days is None else time.time() + days * DAY
    chosen: Any = scope or ["read"]
    with closing(_accounts(session)) as accounts:
        key, text = accounts.create_key(name, chosen, tenant=tenant, expires=expires)
        accounts.record(tenant, "command line", "key.create", key.id)
    _show_keys(session, [key], text)
    return 0


@command(keys, "revoke")
def keys_revoke(session: Session, id: Annotated[str, typer.Argument(help="As `keys list` shows it.")]) -> int:
    """Revoke a key: within a second no process accepts it."""
    with closing(_accounts(session)) as accounts:
        key = accounts.revoke(id)
        accounts.record(key.tenant, "command line", "key.revoke", key.id)
    _show_keys(session, [key], "")
    return 0


@command(tenants, "list")
def tenants_list(session: Session) -> int:
    """List tenants."""
    with closing(_accounts(session)) as accounts:
        found = accounts.tenants()
    _show_tenants(session, found)
    return 0


@command(tenants, "create")
def tenants_create(session: Session, name: Annotated[str, typer.Argument(help="For people to read.")]) -> int:
    """Make a tenant; give it keys with `keys create --tenant ID`."""
    with closing(_accounts(session)) as accounts:
        tenant = accounts.create_tenant(name)
        accounts.record("default", "command line", "tenant.create", tenant.id)
    _show_tenants(session, [tenant])
    return 0


@command(tenants, "remove")
def tenants_remove(session: Session, id: Annotated[str, typer.Argument(help="As `tenants list` shows it.")]) -> int:
    """Remove a tenant: its keys work no longer. Its folder stays until you remove it."""
    with closing(_accounts(session)) as accounts:
        accounts.delete_tenant(id)
        accounts.record("default", "command line", "tenant.delete", id)
        found = accounts.tenants()
    session.terminal.note(f"Its data stay in {session.settings.data.folder / 'tenants' / id}.")
    _show_tenants(session, found)
    return 0


def _accounts(session: Session) -> Accounts:
    try:
        from ..server.accounts import Accounts
    except ModuleNotFoundError as error:
        raise InputError(f"the server needs {error.name}.", "pip install 'ragstone[server]'") from error
    return Accounts(session.settings.data.folder)


def _show_keys(session: Session, found: list[Key], text: str) -> None:
    if session.terminal.as_json:
        record: KeysRecord = {"schema_version": SCHEMA_VERSION, "keys": [_key(key) for key in found], "key": text}
        session.terminal.json(record)
        return
    columns = [
        Column("Id"), Column("Name", wrap=True), Column("Tenant"), Column("Scopes"), Column("Created"),
        Column("Expires", optional=True), Column("Used", optional=True), Column("Revoked", optional=True),
    ]  # fmt: skip
    rows = [
        (
            key.id, flat(key.name), key.tenant, " ".join(key.scopes), moment(key.created), moment(key.expires),
            moment(key.used), moment(key.revoked),
        )
        for key in found
    ]  # fmt: skip
    if not text:
        session.terminal.table(columns, rows)
        return
    session.terminal.note(f"Key {found[0].id}, shown this once:")
    session.terminal.line(text)


def _key(key: Key) -> KeyRecord:
    return {
        "id": key.id, "name": key.name, "tenant": key.tenant, "scopes": list(key.scopes), "created": key.created,
        "expires": key.expires, "used": key.used, "revoked": key.revoked,
    }  # fmt: skip


def _show_tenants(session: Session, found: list[Tenant]) -> None:
    if session.terminal.as_json:
        items: list[TenantRecord] = [{"id": t.id, "name": t.name, "created": t.created} for t in found]
        record: TenantsRecord = {"schema_version": SCHEMA_VERSION, "tenants": items}
        session.terminal.json(record)
        return
    columns = [Column("Id"), Column("Name", wrap=True), Column("Created")]
    session.terminal.table(columns, [(t.id, flat(t.name), moment(t.created)) for t in found])
