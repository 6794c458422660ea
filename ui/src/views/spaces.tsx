/** Vector spaces of each collection: which model searches, which one is built, and the way back. */

import { useEffect, useState } from "preact/hooks";
import { type Job, post, Problem, type Session, type SpaceList, type SpaceUse } from "../api";
import { number, t, type Text } from "../i18n";
import { Confirm, Empty, Failure, Field, Loading, useGet } from "../parts";
import { link } from "../route";

const EVERY = 3000;
/** Milliseconds between two looks. */

type Action = "add" | "switch" | "prefer" | "rollback" | "drop";
const ROLES: Record<SpaceUse["role"], [Text, Text]> = {
  active: ["roleActive", "roleActiveText"],
  preferred: ["rolePreferred", "rolePreferredText"],
  building: ["roleBuilding", "roleBuildingText"],
  kept: ["roleKept", "roleKeptText"],
  dropping: ["roleDropping", "roleDroppingText"],
};

export function SpacesView({ session }: { session: Session }) {
  const { data, error, reload } = useGet<SpaceList>("/v1/spaces", EVERY);
  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading lines={6} />;
  const collections = [...new Set(data.items.map((s) => s.collection))];
  return (
    <div class="page">
      <div class="head">
        <h1>{t("spaces")}</h1>
        <p class="soft lead">{t("spacesText")}</p>
      </div>
      {error ? <Failure error={error} retry={reload} /> : null}
      {!collections.length && (
        <Empty icon="spaces" title={t("noDocuments")}>
          <a class="button primary" href={link("documents")}>
            {t("addDocuments")}
          </a>
        </Empty>
      )}
      {collections.map((name) => (
        <OfCollection key={name} name={name} list={data} canChange={session.scopes.includes("admin")} reload={reload} />
      ))}
    </div>
  );
}

function OfCollection({ name, list, canChange, reload }: { name: string; list: SpaceList; canChange: boolean; reload: () => void }) {
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState<{ action: Action; space: SpaceUse }>();
  const spaces = list.items.filter((s) => s.collection === name);
  const act = (action: Action, space: string | null) => {
    setBusy(true);
    setAsking(undefined);
    const wanted = action === "add" ? { model: space } : action === "rollback" ? {} : { space };
    post<Job>(`/v1/collections/${encodeURIComponent(name)}/spaces?wait=${action === "add" ? 0 : 30}`, { action, ...wanted })
      .then((job) => {
        const why = job.state === "failed" ? job.failures?.at(-1) : undefined;
        setError(why && new Problem(400, why.message, why.hint));
      }, setError)
      .finally(() => (setBusy(false), reload()));
  };
  return (
    <section aria-label={name}>
      <h2>{name}</h2>
      {error ? <Failure error={error} /> : null}
      <ul class="spaces">
        {spaces.map((use) => (
          <li key={use.space} class={`card space ${use.role}`}>
            <div class="row wrap">
              <strong class="breakable">{use.model}</strong>
              <span class={`badge ${use.role === "active" || use.role === "preferred" ? "done" : ""}`}>{t(ROLES[use.role][0])}</span>
              <span class="soft small-text">{t(ROLES[use.role][1])}</span>
            </div>
            <p class="soft mono breakable">{use.space}</p>
            <Built use={use} />
            {canChange && (
              <div class="row wrap">
                {(use.role === "building" || use.role === "preferred") && (
                  <button type="button" class="small primary" disabled={busy || use.waiting > 0} title={use.waiting ? t("spaceUnfinished") : undefined} onClick={() => act("switch", use.space)}>
                    {t("spaceSwitch")}
                  </button>
                )}
                {use.role === "building" && (
                  <button type="button" class="small" disabled={busy} onClick={() => act("prefer", use.space)}>
                    {t("spacePrefer")}
                  </button>
                )}
                {use.role === "preferred" && (
                  <button type="button" class="small" disabled={busy} onClick={() => act("prefer", null)}>
                    {t("spaceUnprefer")}
                  </button>
                )}
                {use.role === "kept" && (
                  <button type="button" class="small" disabled={busy} onClick={() => setAsking({ action: "rollback", space: use })}>
                    {t("spaceRollback")}
                  </button>
                )}
                {use.role !== "active" && use.role !== "dropping" && (
                  <button type="button" class="small" disabled={busy} onClick={() => setAsking({ action: "drop", space: use })}>
                    {t("remove")}
                  </button>
                )}
              </div>
            )}
          </li>
        ))}
      </ul>
      {canChange && <Add list={list} used={spaces} busy={busy} onAdd={(model) => act("add", model)} />}
      {asking && (
        <Confirm
          text={t(asking.action === "drop" ? "spaceDropAsk" : "spaceRollbackAsk", { name: asking.space.model })}
          action={t(asking.action === "drop" ? "remove" : "spaceRollback")}
          onNo={() => setAsking(undefined)}
          onYes={() => act(asking.action, asking.action === "drop" ? asking.space.space : null)}
        />
      )}
    </section>
  );
}

function Built({ use }: { use: SpaceUse }) {
  if (use.role === "dropping") return null;
  const told = t("spaceProgress", { n: number(use.embedded), all: number(use.chunks) });
  return (
    <div class="built">
      {use.waiting > 0 && <progress max={use.chunks} value={use.embedded} aria-label={told} />}
      <span class="soft small-text">{told}</span>
    </div>
  );
}

function Add({ list, used, busy, onAdd }: { list: SpaceList; used: SpaceUse[]; busy: boolean; onAdd: (model: string) => void }) {
  const free = list.models.filter((m) => !used.some((u) => u.model === m.name));
  const [model, setModel] = useState("");
  const chosen = free.find((m) => m.name === model) ?? free.find((m) => m.installed) ?? free[0];
  useEffect(() => setModel(""), [used.length]);
  if (!chosen) return null;
  return (
    <form
      class="row wrap end-line"
      onSubmit={(event) => {
        event.preventDefault();
        onAdd(chosen.name);
      }}
    >
      <Field label={t("spaceAdd")}>
        <select value={chosen.name} onChange={(e) => setModel(e.currentTarget.value)}>
          {free.map((m) => (
            <option key={m.name} value={m.name}>
              {m.name} · {m.languages}
            </option>
          ))}
        </select>
      </Field>
      <button type="submit" disabled={busy || !chosen.installed}>
        {t("spaceBuild")}
      </button>
      {!chosen.installed && <p class="soft small-text full mono">pip install {chosen.requirement}</p>}
    </form>
  );
}
