/** What stands beside the drawing: an entity, an edge, a path or the communities, each down to its passages. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { post } from "../api";
import { number, t } from "../i18n";
import { Confirm, Failure, Icon, Loading, useGet } from "../parts";
import { link } from "../route";
import { Source } from "../source";
import { fileName } from "../text";
import { KindName } from "./kinds";
import { addressOf, type Community, type Edge, type Entity, type Evidence, type Neighbourhood, type Path } from "./model";
import { Picker } from "./picker";

export interface Acts {
  collection: string;
  canWrite: boolean;
  /** Looks at an entity; `expand`: and draws what belongs to it. */
  open: (id: string, expand: boolean) => void;
  openEdge: (head: string, tail: string) => void;
  openPath: (from: string, to: string) => void;
  /** Entities were merged or split: these are no more, and those are there. */
  changed: (gone: string[], now: Entity[]) => void;
  draw: (ids: string[]) => void;
  close: () => void;
}

export function Panel(props: { title: string; acts: Acts; children: ComponentChildren; lead?: ComponentChildren }) {
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    // what had the focus is gone, as a connection in a list that was followed: it goes on here, and not from the top
    if (document.activeElement === document.body) section.current?.focus({ preventScroll: true });
  }, [props.title]);
  return (
    <section class="graph-panel" aria-label={props.title} ref={section} tabIndex={-1}>
      <div class="source-head">
        <div class="grow">
          <h2 class="breakable">{props.title}</h2>
          {props.lead}
        </div>
        <button type="button" class="quiet" onClick={props.acts.close} aria-label={t("close")} title={t("close")}>
          <Icon name="close" />
        </button>
      </div>
      {props.children}
    </section>
  );
}

export function EntityPanel({ found, error, acts, isExpanded, onMore }: { found?: Neighbourhood; error: unknown; acts: Acts; isExpanded: boolean; onMore: () => void }) {
  const [asking, setAsking] = useState<"path" | "merge">();
  const [confirm, setConfirm] = useState<{ merge: Entity } | { split: string }>();
  const [failed, setFailed] = useState<unknown>();
  const [tab, setTab] = useState<"near" | "passages">("near");
  const id = found?.entity.id ?? "";
  useEffect(() => {
    setAsking(undefined);
    setFailed(undefined);
    setTab("near");
  }, [id]);
  if (error) return <Panel title={t("graph")} acts={acts}><Failure error={error} /></Panel>;
  if (!found) return <Panel title={t("graph")} acts={acts}><Loading lines={6} /></Panel>;
  const { entity } = found;
  const decide = (action: "merge" | "split", body: object, gone: string[]) => {
    setConfirm(undefined);
    post<{ entities: Entity[] }>(addressOf(acts.collection, `:${action}`), body).then(({ entities }) => acts.changed(gone, entities), setFailed);
  };
  const names = new Map(found.neighbours.map((e) => [e.id, e]));
  const near = found.edges.filter((e) => e.head === id || e.tail === id);
  return (
    <Panel
      title={entity.name}
      acts={acts}
      lead={
        <p class="row wrap soft small-text">
          <KindName kind={entity.kind} />
          <span>{t("graphCounts", { n: number(entity.chunks), m: number(entity.mentions) })}</span>
        </p>
      }
    >
      {entity.aliases.length > 0 && (
        <ul class="aliases" aria-label={t("graphAliases")}>
          {entity.aliases.map((alias) => (
            <li key={alias} class="badge">
              {alias}
              {acts.canWrite && (
                <button type="button" class="quiet" onClick={() => setConfirm({ split: alias })} aria-label={`${t("graphSplit")}: ${alias}`} title={t("graphSplit")}>
                  <Icon name="close" />
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      <div class="row wrap">
        <button type="button" class="small" disabled={isExpanded} onClick={() => acts.open(id, true)}>
          {t("graphExpand")}
        </button>
        <button type="button" class="small" aria-expanded={asking === "path"} onClick={() => setAsking(asking === "path" ? undefined : "path")}>
          {t("graphPathTo")}
        </button>
        {acts.canWrite && (
          <button type="button" class="small" aria-expanded={asking === "merge"} onClick={() => setAsking(asking === "merge" ? undefined : "merge")}>
            {t("graphSame")}
          </button>
        )}
      </div>
      {asking && (
        <Picker
          key={asking}
          focused
          collection={acts.collection}
          without={id}
          label={t(asking === "path" ? "graphPathTo" : "graphSame")}
          onPick={(other) => (asking === "path" ? acts.openPath(id, other.id) : setConfirm({ merge: other }))}
        />
      )}
      {failed ? <Failure error={failed} /> : null}
      <div class="tabs" role="tablist">
        {(["near", "passages"] as const).map((name) => (
          <button key={name} type="button" role="tab" aria-selected={tab === name} onClick={() => setTab(name)}>
            {t(name === "near" ? "graphNear" : "passages")}
          </button>
        ))}
      </div>
      {tab === "near" ? (
        <ul class="near">
          {!near.length && <li class="soft">{t("graphAlone")}</li>}
          {near.map((edge) => {
            const other = names.get(edge.head === id ? edge.tail : edge.head);
            return (
              other && (
                <li key={other.id}>
                  <button type="button" class="linkish" onClick={() => acts.open(other.id, false)} onDblClick={() => acts.open(other.id, true)}>
                    {other.name}
                  </button>
                  <button type="button" class="quiet small edge-label" onClick={() => acts.openEdge(edge.head, edge.tail)} title={t("graphShowsEdge")} aria-label={`${t("graphShowsEdge")}: ${entity.name} – ${other.name}`}>
                    {!edge.label ? "—" : edge.head === id ? `${edge.label} →` : `← ${edge.label}`} <span class="soft">{number(edge.chunks)}</span>
                  </button>
                </li>
              )
            );
          })}
          {found.truncated && (
            <li>
              <button type="button" class="small" onClick={onMore}>
                {t("more")}
              </button>
            </li>
          )}
        </ul>
      ) : (
        <Mentions acts={acts} id={id} />
      )}
      {confirm && "merge" in confirm && (
        <Confirm
          text={t("graphMergeAsk", { a: entity.name, b: confirm.merge.name })}
          action={t("graphSame")}
          onNo={() => setConfirm(undefined)}
          onYes={() => decide("merge", { a: id, b: confirm.merge.id }, [id, confirm.merge.id])}
        />
      )}
      {confirm && "split" in confirm && (
        <Confirm
          text={t("graphSplitAsk", { a: confirm.split, b: entity.name })}
          action={t("graphSplit")}
          onNo={() => setConfirm(undefined)}
          onYes={() => decide("split", { entity: id, alias: confirm.split }, [id])}
        />
      )}
    </Panel>
  );
}

function Mentions({ acts, id }: { acts: Acts; id: string }) {
  const { data, error, reload } = useGet<{ items: Evidence[] }>(addressOf(acts.collection, `/entities/${encodeURIComponent(id)}/mentions`, { limit: 50 }));
  if (error) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading />;
  return <Passages acts={acts} evidence={data.items} />;
}

export function EdgePanel({ acts, head, tail, names }: { acts: Acts; head: string; tail: string; names: (id: string) => string }) {
  const address = addressOf(acts.collection, `/entities/${encodeURIComponent(head)}/edges/${encodeURIComponent(tail)}`);
  const { data, error, reload } = useGet<Edge & { entities: Entity[] }>(address);
  const name = (id: string) => data?.entities.find((e) => e.id === id)?.name ?? names(id);
  const title = data ? reading(data, name, data.head) : `${names(head)} — ${names(tail)}`;
  return (
    <Panel
      title={title}
      acts={acts}
      lead={
        <p class="row wrap small-text">
          {[head, tail].map((id) => (
            <button key={id} type="button" class="linkish" onClick={() => acts.open(id, false)}>
              {name(id)}
            </button>
          ))}
        </p>
      }
    >
      {error ? <Failure error={error} retry={reload} /> : null}
      {!data && !error && <Loading lines={5} />}
      {data && <Passages key={address} acts={acts} evidence={data.evidence ?? []} />}
    </Panel>
  );
}

/** “A —startet→ B”, as the words lead; `from` stands first. */
function reading(edge: Edge, name: (id: string) => string, from: string): string {
  const to = edge.head === from ? edge.tail : edge.head;
  const forward = edge.head === from;
  return `${name(from)} ${!edge.label ? "—" : forward ? `—${edge.label}→` : `←${edge.label}—`} ${name(to)}`;
}

export function PathPanel({ acts, found, error }: { acts: Acts; found?: Path; error: unknown }) {
  const name = (id: string) => found?.entities.find((e) => e.id === id)?.name ?? "";
  return (
    <Panel title={t("graphPath")} acts={acts}>
      {error ? <Failure error={error} /> : null}
      {!found && !error && <Loading lines={5} />}
      {found && !found.entities.length && <p class="note">{t("graphNoPath")}</p>}
      <ol class="steps">
        {found?.edges.map((edge, i) => (
          <li key={i}>
            <button type="button" class="linkish" onClick={() => acts.openEdge(edge.head, edge.tail)}>
              {reading(edge, name, found.entities[i]!.id)}
            </button>
            {edge.evidence?.slice(0, 1).map((one) => <Passage key={one.start} acts={acts} one={one} />)}
          </li>
        ))}
      </ol>
    </Panel>
  );
}

export function CommunitiesPanel({ acts }: { acts: Acts }) {
  const { data, error, reload } = useGet<{ communities: Community[]; names: Record<string, string> }>(addressOf(acts.collection, "/communities", { limit: 30 }));
  return (
    <Panel title={t("graphCommunities")} acts={acts}>
      {error ? <Failure error={error} retry={reload} /> : null}
      {!data && !error && <Loading lines={6} />}
      {data && !data.communities.length && <p class="soft">{t("graphNoCommunities")}</p>}
      <ul class="hits">
        {data?.communities.map((one) => (
          <li key={one.id} class="hit">
            <button type="button" class="hit-head" onClick={() => acts.draw(one.entities)} title={t("graphDraw")}>
              <strong>{one.name}</strong>
              <span class="soft">{t("graphCommunity", { n: number(one.entities.length), m: number(one.chunks) })}</span>
            </button>
            <p class="row wrap small-text">
              {one.entities.filter((id) => id in data.names).map((id) => (
                <button key={id} type="button" class="linkish" onClick={() => acts.open(id, true)}>
                  {data.names[id]}
                </button>
              ))}
            </p>
            {one.summary && <p class="soft small-text">{one.summary}</p>}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Passages({ acts, evidence }: { acts: Acts; evidence: Evidence[] }) {
  if (!evidence.length) return <p class="soft">{t("nothingFound")}</p>;
  return (
    <ol class="hits">
      {evidence.map((one) => (
        <li key={`${one.document_id}/${one.start}/${one.end}/${one.label}`}>
          <Passage acts={acts} one={one} />
        </li>
      ))}
    </ol>
  );
}

/** A passage; opened, the text around it with the passage marked. */
function Passage({ acts, one }: { acts: Acts; one: Evidence }) {
  const [open, setOpen] = useState(false);
  const span = { ...one, collection: acts.collection, section: [] };
  if (open) {
    return (
      <div class="hit chosen passage-source">
        <Source span={span} collections={[acts.collection]} onClose={() => setOpen(false)} />
      </div>
    );
  }
  return (
    <div class="hit">
      <button type="button" class="hit-head" aria-expanded={false} onClick={() => setOpen(true)}>
        <strong>{one.title || fileName(one.uri)}</strong>
        <span class="soft">{[one.title && fileName(one.uri) !== one.title && fileName(one.uri), one.page !== null && t("pageShort", { n: one.page }), one.label].filter(Boolean).join(" › ")}</span>
      </button>
      <p class="passage" onClick={() => setOpen(true)}>
        {one.text}
      </p>
      <a class="small-text" href={link("document", one.document_id, { start: one.start, end: one.end, page: one.page })}>
        {t("openDocument")}
      </a>
    </div>
  );
}
