/** Keys and tenants, for administrators. */

import { useState } from "preact/hooks";
import { type Key, type Page, post, remove, type Session, type Tenant } from "../api";
import { date, t } from "../i18n";
import { Confirm, CopyButton, Empty, Failure, Field, focused, Icon, Loading, useGet } from "../parts";

const SCOPES = ["read", "write", "admin"] as const;

export function KeysView({ session }: { session: Session }) {
  const tenants = useGet<Page<Tenant>>("/v1/tenants");
  return (
    <div class="page">
      <div class="head">
        <h1>{t("keys")}</h1>
      </div>
      <Keys session={session} tenants={tenants.data?.items ?? []} />
      {tenants.data && <Tenants items={tenants.data.items} reload={tenants.reload} />}
    </div>
  );
}

function Keys({ session, tenants }: { session: Session; tenants: Tenant[] }) {
  const { data, error, reload } = useGet<Page<Key>>("/v1/keys");
  const [made, setMade] = useState("");
  const [making, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Key>();
  const [failed, setFailed] = useState<unknown>();
  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading />;
  return (
    <section>
      {made && (
        <div class="card once" role="status">
          <p>{t("keyOnce")}</p>
          <div class="row wrap">
            <code class="grow breakable">{made}</code>
            <CopyButton text={made} label={t("copy")} />
            <button type="button" class="quiet" onClick={() => setMade("")} aria-label={t("close")}>
              <Icon name="close" />
            </button>
          </div>
        </div>
      )}
      {failed ? <Failure error={failed} /> : null}
      {making ? (
        <NewKey
          session={session}
          tenants={tenants}
          onClose={() => setMaking(false)}
          onMade={(key) => {
            setMade(key);
            setMaking(false);
            reload();
          }}
        />
      ) : (
        <button type="button" class="primary" onClick={() => setMaking(true)}>
          <Icon name="plus" />
          <span>{t("keyNew")}</span>
        </button>
      )}
      {!data.items.length && <Empty icon="keys" title={t("keysEmpty")} />}
      {data.items.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("name")}</th>
              <th scope="col">{t("keyScopes")}</th>
              <th scope="col" class="wide-only">{t("tenant")}</th>
              <th scope="col" class="wide-only">{t("lastUsed")}</th>
              <th scope="col" class="wide-only">{t("expires")}</th>
              <th scope="col" aria-label={t("revoke")} />
            </tr>
          </thead>
          <tbody>
            {data.items.map((key) => (
              <tr key={key.id} class={key.revoked ? "gone" : ""}>
                <td>
                  {key.name || key.id}
                  <div class="soft mono clip small-text">{key.id}</div>
                </td>
                <td>{key.scopes.map((s) => (s === "read" || s === "write" || s === "admin" ? t(s) : s)).join(", ")}</td>
                <td class="wide-only">{key.tenant}</td>
                <td class="wide-only">{date(key.used, true)}</td>
                <td class="wide-only">{key.expires ? date(key.expires) : t("never")}</td>
                <td class="num">
                  {key.revoked ? (
                    <span class="badge failed">{t("revoked")}</span>
                  ) : (
                    <button type="button" class="small" onClick={() => setRevoking(key)}>
                      {t("revoke")}
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {revoking && (
        <Confirm
          text={t("revokeAsk", { name: revoking.name || revoking.id })}
          action={t("revoke")}
          onNo={() => setRevoking(undefined)}
          onYes={() => {
            setRevoking(undefined);
            remove(`/v1/keys/${encodeURIComponent(revoking.id)}`).then(reload, setFailed);
          }}
        />
      )}
    </section>
  );
}

function NewKey(props: { session: Session; tenants: Tenant[]; onMade: (key: string) => void; onClose: () => void }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["read"]);
  const [days, setDays] = useState("");
  const [tenant, setTenant] = useState(props.session.tenant);
  const [error, setError] = useState<unknown>();
  const submit = (event: Event) => {
    event.preventDefault();
    const expires = days ? new Date(Date.now() + Number(days) * 86400e3).toISOString() : null;
    post<{ key: string }>("/v1/keys", { name: name.trim(), scopes, tenant, expires }).then((made) => props.onMade(made.key), setError);
  };
  return (
    <form class="card fields" onSubmit={submit}>
      <Field label={t("name")}>
        <input ref={focused} required maxLength={100} value={name} onInput={(e) => setName(e.currentTarget.value)} />
      </Field>
      <Field label={t("days")}>
        <input type="number" min={1} max={3650} value={days} onInput={(e) => setDays(e.currentTarget.value)} />
      </Field>
      {props.tenants.length > 1 && (
        <Field label={t("tenant")}>
          <select value={tenant} onChange={(e) => setTenant(e.currentTarget.value)}>
            {props.tenants.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name || one.id}
              </option>
            ))}
          </select>
        </Field>
      )}
      <fieldset class="row wrap">
        <legend>{t("keyScopes")}</legend>
        {SCOPES.map((scope) => (
          <label key={scope} class="check">
            <input
              type="checkbox"
              checked={scopes.includes(scope)}
              onChange={(e) => setScopes(e.currentTarget.checked ? [...scopes, scope] : scopes.filter((s) => s !== scope))}
            />
            {t(scope)}
          </label>
        ))}
      </fieldset>
      {error ? <Failure error={error} /> : null}
      <div class="row end">
        <button type="button" onClick={props.onClose}>
          {t("cancel")}
        </button>
        <button type="submit" class="primary" disabled={!scopes.length}>
          {t("create")}
        </button>
      </div>
    </form>
  );
}

function Tenants({ items, reload }: { items: Tenant[]; reload: () => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>();
  const [removing, setRemoving] = useState<Tenant>();
  return (
    <section aria-label={t("tenants")}>
      <h2>{t("tenants")}</h2>
      {items.length > 0 && (
        <table class="list">
          <tbody>
            {items.map((tenant) => (
              <tr key={tenant.id}>
                <td>
                  {tenant.name || tenant.id}
                  <div class="soft mono clip small-text">{tenant.id}</div>
                </td>
                <td class="wide-only">{date(tenant.created)}</td>
                <td class="num">
                  {tenant.id !== "default" && (
                    <button type="button" class="quiet" onClick={() => setRemoving(tenant)} aria-label={`${t("remove")}: ${tenant.name || tenant.id}`}>
                      <Icon name="trash" />
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {!items.length && <p class="soft">{t("tenantsEmpty")}</p>}
      <form
        class="row wrap"
        onSubmit={(event) => {
          event.preventDefault();
          post("/v1/tenants", { name: name.trim() }).then(() => {
            setName("");
            setError(undefined);
            reload();
          }, setError);
        }}
      >
        <input required maxLength={100} value={name} onInput={(e) => setName(e.currentTarget.value)} placeholder={t("tenantNew")} aria-label={t("tenantNew")} />
        <button type="submit">{t("create")}</button>
      </form>
      {error ? <Failure error={error} /> : null}
      {removing && (
        <Confirm
          text={t("tenantRemoveAsk", { name: removing.name || removing.id })}
          action={t("remove")}
          onNo={() => setRemoving(undefined)}
          onYes={() => {
            setRemoving(undefined);
            remove(`/v1/tenants/${encodeURIComponent(removing.id)}`).then(reload, setError);
          }}
        />
      )}
    </section>
  );
}
