/** Keys and tenants, for administrators. */

import { useState } from "preact/hooks";
import { type AuditEntry, get, type Key, post, put, type Quotas, remove, type Session, type Tenant } from "../api";
import { bytes, date, number, t, type Text } from "../i18n";
import { Confirm, CopyButton, Empty, Failure, Field, focused, Icon, Loading, useList } from "../parts";

const SCOPES = ["read", "write", "admin"] as const;

export function KeysView({ session }: { session: Session }) {
  const tenants = useList<Tenant>(session.tenant === "default" ? "/v1/tenants" : null);
  return (
    <div class="page">
      <div class="head">
        <h1>{t("keys")}</h1>
      </div>
      <Keys session={session} tenants={tenants.data ?? []} />
      {tenants.data && <Tenants items={tenants.data} reload={tenants.reload} more={tenants.more} />}
      <Audit />
    </div>
  );
}

function Keys({ session, tenants }: { session: Session; tenants: Tenant[] }) {
  const { data, error, reload, more } = useList<Key>("/v1/keys");
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
      {!data.length && <Empty icon="keys" title={t("keysEmpty")} />}
      {data.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("name")}</th>
              <th scope="col" class="wide-only">{t("keyScopes")}</th>
              <th scope="col" class="wide-only">{t("tenant")}</th>
              <th scope="col" class="wide-only">{t("lastUsed")}</th>
              <th scope="col" class="wide-only">{t("expires")}</th>
              <th scope="col" aria-label={t("revoke")} />
            </tr>
          </thead>
          <tbody>
            {data.map((key) => (
              <tr key={key.id} class={key.revoked ? "gone" : ""}>
                <td>
                  {key.name || key.id}
                  <div class="soft mono clip small-text">{key.id}</div>
                  <div class="soft small-text narrow-only">{scopes(key)}</div>
                </td>
                <td class="wide-only">{scopes(key)}</td>
                <td class="wide-only">{tenants.find((one) => one.id === key.tenant)?.name || key.tenant}</td>
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
      {more && <More load={more} />}
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

function More({ load }: { load: () => void }) {
  return (
    <button type="button" onClick={load}>
      {t("more")}
    </button>
  );
}

function scopes(key: Key): string {
  return key.scopes.map((s) => (s === "read" || s === "write" || s === "admin" ? t(s) : s)).join(", ");
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
        <input type="number" min={1} max={3650} placeholder={t("never")} value={days} onInput={(e) => setDays(e.currentTarget.value)} />
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

function Tenants({ items, reload, more }: { items: Tenant[]; reload: () => void; more?: () => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<unknown>();
  const [removing, setRemoving] = useState<Tenant>();
  const [limiting, setLimiting] = useState("");
  return (
    <section aria-label={t("tenants")}>
      <h2>{t("tenants")}</h2>
      {items.length > 0 && (
        <table class="list">
          <tbody>
            {items.flatMap((tenant) => [
              <tr key={tenant.id}>
                <td>
                  {tenant.name || tenant.id}
                  <div class="soft mono clip small-text">{tenant.id}</div>
                </td>
                <td class="wide-only">{limits(tenant.quotas)}</td>
                <td class="num">
                  <button type="button" class="small" aria-expanded={limiting === tenant.id} onClick={() => setLimiting(limiting === tenant.id ? "" : tenant.id)}>
                    {t("quotas")}
                  </button>
                  {tenant.id !== "default" && (
                    <button type="button" class="quiet" onClick={() => setRemoving(tenant)} aria-label={`${t("remove")}: ${tenant.name || tenant.id}`}>
                      <Icon name="trash" />
                    </button>
                  )}
                </td>
              </tr>,
              limiting === tenant.id && (
                <tr key={`${tenant.id}/limits`}>
                  <td colSpan={3} class="whole">
                    <Limits tenant={tenant} onDone={() => (setLimiting(""), reload())} onClose={() => setLimiting("")} />
                  </td>
                </tr>
              ),
            ])}
          </tbody>
        </table>
      )}
      {more && <More load={more} />}
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

const QUOTAS: [keyof Quotas, Text][] = [
  ["documents", "documents"],
  ["bytes", "quotaMegabytes"],
  ["requests_per_minute", "quotaRequests"],
  ["tokens_per_day", "quotaTokens"],
];
const MEGABYTE = 1e6;

/** What a tenant may use, in one line. */
function limits(quotas: Quotas): string {
  const set = QUOTAS.filter(([name]) => quotas[name] > 0);
  if (!set.length) return t("quotaNone");
  return set.map(([name, label]) => (name === "bytes" ? bytes(quotas.bytes) : `${number(quotas[name])} ${t(label)}`)).join(", ");
}

function Limits({ tenant, onDone, onClose }: { tenant: Tenant; onDone: () => void; onClose: () => void }) {
  const [quotas, setQuotas] = useState<Quotas>(tenant.quotas);
  const [error, setError] = useState<unknown>();
  return (
    <form
      class="card fields"
      onSubmit={(event) => {
        event.preventDefault();
        put(`/v1/tenants/${encodeURIComponent(tenant.id)}/quotas`, quotas).then(onDone, setError);
      }}
    >
      {QUOTAS.map(([name, label]) => {
        const unit = name === "bytes" ? MEGABYTE : 1;
        return (
          <Field key={name} label={t(label)}>
            <input
              type="number"
              min={0}
              value={quotas[name] ? quotas[name] / unit : ""}
              placeholder={t("unlimited")}
              onInput={(e) => setQuotas({ ...quotas, [name]: Math.round((Number(e.currentTarget.value) || 0) * unit) })}
            />
          </Field>
        );
      })}
      {error ? <Failure error={error} /> : null}
      <div class="row end">
        <button type="button" onClick={onClose}>
          {t("cancel")}
        </button>
        <button type="submit" class="primary">
          {t("keep")}
        </button>
      </div>
    </form>
  );
}

/** Who did what; asked for when it is opened. */
function Audit() {
  const [items, setItems] = useState<AuditEntry[]>();
  const [next, setNext] = useState<number | null>(null);
  const [error, setError] = useState<unknown>();
  const load = (cursor: number | null) =>
    get<{ items: AuditEntry[]; next: number | null }>(`/v1/audit?limit=50${cursor === null ? "" : `&cursor=${cursor}`}`).then((page) => {
      setItems((old) => (cursor === null ? page.items : [...(old ?? []), ...page.items]));
      setNext(page.next);
      setError(undefined);
    }, setError);
  return (
    <details class="audit" onToggle={(e) => e.currentTarget.open && load(null)}>
      <summary>
        <h2>{t("audit")}</h2>
      </summary>
      {error ? <Failure error={error} retry={() => load(null)} /> : null}
      {!items && !error && <Loading />}
      {items && !items.length && <p class="soft">{t("auditEmpty")}</p>}
      {items && items.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("auditAction")}</th>
              <th scope="col">{t("auditWhen")}</th>
              <th scope="col" class="wide-only">{t("auditKey")}</th>
              <th scope="col" class="wide-only">{t("auditAddress")}</th>
            </tr>
          </thead>
          <tbody>
            {items.map((entry) => (
              <tr key={entry.id}>
                <td>
                  <span class="mono">{entry.action}</span>
                  <div class="soft clip small-text">{entry.target}</div>
                </td>
                <td>{date(entry.at, true)}</td>
                <td class="wide-only mono">{entry.key}</td>
                <td class="wide-only mono">{entry.address}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {next !== null && <More load={() => load(next)} />}
    </details>
  );
}
