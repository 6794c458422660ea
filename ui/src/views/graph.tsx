/** The knowledge graph: what documents name, and how it belongs together. What is looked at stands in the address. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Collection, get, type Job, post, type Session } from "../api";
import { Drawing } from "../graph/canvas";
import { DecisionsPanel } from "../graph/decisions";
import { KindName } from "../graph/kinds";
import { addressOf, type GraphMap, type GraphStatus, keyOf, type Kind, KINDS, type Neighbourhood, neighbourhood, type Path, Shown } from "../graph/model";
import { type Acts, CommunitiesPanel, EdgePanel, EntityPanel, PathPanel } from "../graph/panel";
import { Picker } from "../graph/picker";
import { number, t } from "../i18n";
import { Empty, Failure, Icon, Loading, useGet } from "../parts";
import { go, link } from "../route";

const FIRST = 60;
/** Entities that are drawn when nothing is looked at yet. */
const WHOLE = 10_000;
const AROUND = 30;
/** Neighbours that are drawn when an entity is expanded. */
const EVERY = 4000;

export function GraphView({ session, collection, query }: { session: Session; collection: string; query: URLSearchParams }) {
  const { data, error, reload } = useGet<{ items: Collection[] }>("/v1/collections");
  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading lines={6} />;
  const filled = data.items.filter((c) => c.documents > 0);
  const chosen = collection || (filled.find((c) => c.name === "default") ?? filled[0])?.name;
  if (!chosen) {
    return (
      <Empty icon="graph" title={t("noDocuments")} text={t("graphText")}>
        <a class="button primary" href={link("documents")}>
          {t("addDocuments")}
        </a>
      </Empty>
    );
  }
  return <OfCollection key={chosen} session={session} collection={chosen} collections={data.items.map((c) => c.name)} query={query} />;
}

function OfCollection(props: { session: Session; collection: string; collections: string[]; query: URLSearchParams }) {
  const { collection, query } = props;
  const status = useGet<GraphStatus>(addressOf(collection), EVERY);
  const box = useRef<HTMLDivElement>(null);
  const drawing = useRef<Drawing | undefined>(undefined);
  const shown = useRef(new Shown());
  const [version, setVersion] = useState(0);
  const [hidden, setHidden] = useState<ReadonlySet<Kind>>(new Set());
  const [labelled, setLabelled] = useState(false);
  const [error, setError] = useState<unknown>();
  const [placing, setPlacing] = useState(false);
  const [found, setFound] = useState<Neighbourhood>();
  const [path, setPath] = useState<Path>();
  const [failed, setFailed] = useState<unknown>();
  const [around, setAround] = useState(AROUND);
  const [epoch, setEpoch] = useState(0);
  const wanted = { entity: query.get("entity") ?? "", edge: query.get("edge") ?? "", from: query.get("from") ?? "", to: query.get("to") ?? "", list: query.get("list") ?? "", all: query.get("all") ?? "" };
  const toExpand = useRef(wanted.entity);
  const ready = (status.data?.entities ?? 0) > 0;
  const change = () => setVersion((n) => n + 1);
  const at = (more: Partial<typeof wanted>) => go(link("graph", collection, { all: wanted.all, ...more }));

  const expand = (near: Neighbourhood) => {
    shown.current.add([near.entity, ...near.neighbours], near.edges);
    shown.current.expanded.add(near.entity.id);
    drawing.current?.frame([near.entity.id]);
    change();
  };
  const acts: Acts = {
    collection,
    canWrite: props.session.scopes.includes("write"),
    open: (id, wide) => {
      if (wide) toExpand.current = id;
      if (id === wanted.entity) {
        if (found?.entity.id === id && wide) expand(found);
        drawing.current?.reveal(id);
      } else at({ entity: id });
    },
    openEdge: (head, tail) => at({ edge: keyOf({ head, tail }) }),
    openPath: (from, to) => at({ from, to }),
    changed: (gone, now) => {
      for (const id of gone) shown.current.remove(id);
      shown.current.add(now, []);
      change();
      for (const one of now.slice(1)) neighbourhood(collection, one.id, AROUND).then(expand, setError);
      const first = now[0]!.id;
      toExpand.current = first;
      if (first === wanted.entity) {
        setFound(undefined);
        neighbourhood(collection, first, AROUND).then((near) => (setFound(near), expand(near)), setFailed);
      } else at({ entity: first });
      status.reload();
    },
    draw: (ids) => {
      Promise.all(ids.slice(0, AROUND).map((id) => neighbourhood(collection, id, AROUND))).then((all) => {
        const members = new Set(ids);
        shown.current = new Shown();
        shown.current.add(all.map((n) => n.entity), all.flatMap((n) => n.edges).filter((e) => members.has(e.head) && members.has(e.tail)));
        drawing.current?.refit();
        change();
      }, setError);
    },
    close: () => at({}),
  };
  const listening = useRef(acts);
  listening.current = acts;

  useEffect(() => {
    if (!ready) return;
    const made = new Drawing(box.current!, {
      onEntity: (id) => listening.current.open(id, false),
      onExpand: (id) => listening.current.open(id, true),
      onEdge: (key) => listening.current.openEdge(...(key.split(" ") as [string, string])),
      onPlaced: () => setPlacing(false),
    });
    drawing.current = made;
    change();
    return () => {
      drawing.current = undefined;
      made.close();
    };
  }, [ready]);

  // the first picture, and the whole graph
  useEffect(() => {
    if (!ready || (!wanted.all && (shown.current.entities.size || wanted.entity || wanted.from))) return;
    const stop = new AbortController();
    setPlacing(true);
    get<GraphMap>(addressOf(collection, "/map", { limit: wanted.all ? WHOLE : FIRST }), stop.signal).then(
      (map) => {
        if (wanted.all) shown.current = new Shown();
        shown.current.addMap(map, wanted.all !== "");
        if (wanted.all && found) shown.current.add([found.entity], []);
        change();
      },
      (e) => {
        if (stop.signal.aborted) return;
        setPlacing(false);
        setError(e);
      },
    );
    return () => stop.abort();
  }, [ready, wanted.all, epoch]);

  useEffect(() => {
    setFailed(undefined);
    if (!ready || !wanted.entity) {
      setFound(undefined);
      setAround(AROUND);
      return;
    }
    const stop = new AbortController();
    neighbourhood(collection, wanted.entity, around, stop.signal).then(
      (near) => {
        setFound(near);
        shown.current.add([near.entity], []);
        if (toExpand.current === wanted.entity || around > AROUND) expand(near);
        toExpand.current = "";
        change();
      },
      (e) => stop.signal.aborted || setFailed(e),
    );
    return () => stop.abort();
  }, [ready, wanted.entity, around]);

  useEffect(() => {
    setPath(undefined);
    if (!ready || !wanted.from) return;
    const stop = new AbortController();
    setFailed(undefined);
    get<Path>(addressOf(collection, "/path", { start: wanted.from, end: wanted.to }), stop.signal).then(
      (way) => {
        shown.current.add(way.entities, way.edges);
        drawing.current?.frame(way.entities.map((e) => e.id));
        setPath(way);
        change();
      },
      (e) => stop.signal.aborted || setFailed(e),
    );
    return () => stop.abort();
  }, [ready, wanted.from, wanted.to]);

  const visible = useMemo(() => {
    const entities = [...shown.current.entities.values()].filter((e) => !hidden.has(e.kind) || e.id === wanted.entity);
    const ids = new Set(entities.map((e) => e.id));
    const edges = [...shown.current.edges.values()].filter((e) => ids.has(e.head) && ids.has(e.tail) && (!labelled || e.label));
    return { entities, edges };
  }, [version, hidden, labelled, wanted.entity]);
  useEffect(() => drawing.current?.show(visible.entities, visible.edges, shown.current.served), [visible]);
  useEffect(() => {
    const on = path ? [...path.entities.map((e) => e.id), ...path.edges.map(keyOf)] : [];
    drawing.current?.mark(wanted.entity || wanted.edge, on);
  }, [visible, wanted.entity, wanted.edge, path]);

  const name = (id: string) => shown.current.entities.get(id)?.name ?? "…";
  const keys = (event: KeyboardEvent) => {
    const ways: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const way = ways[event.key];
    if (way) {
      const next = drawing.current?.toward(...way);
      if (next) acts.open(next, false);
      if (next) drawing.current?.reveal(next);
    } else if (event.key === "Enter" && wanted.entity) acts.open(wanted.entity, true);
    else if (event.key === "+" || event.key === "-") drawing.current?.zoom(event.key === "+" ? 1.3 : 1 / 1.3);
    else if (event.key === "0") drawing.current?.fit();
    else return;
    event.preventDefault();
  };
  /** Entities are others than before: what is drawn is asked for anew. */
  const renewed = () => {
    shown.current = new Shown();
    drawing.current?.refit();
    setEpoch((n) => n + 1);
    status.reload();
  };
  const build = () => post<Job>(addressOf(collection, ":build"), {}).then(status.reload, setError);
  const clear = () => {
    shown.current = new Shown();
    if (found) expand(found);
    drawing.current?.refit();
    at({ all: "", entity: wanted.entity });
    change();
  };
  const kinds = KINDS.filter((kind) => [...shown.current.entities.values()].some((e) => e.kind === kind));
  const [head, tail] = wanted.edge.split(" ");
  const opened = Boolean(wanted.entity || wanted.edge || wanted.from || wanted.list);

  if (status.error && !status.data) return <Failure error={status.error} retry={status.reload} />;
  if (!status.data) return <Loading lines={6} />;
  return (
    <div class={opened ? "split open graph" : "split graph"} onKeyDown={(e) => e.key === "Escape" && opened && acts.close()}>
      <div class="column drawing-column">
        <div class="row wrap graph-bar">
          <h1 class="sr-only">{t("graph")}</h1>
          <Picker collection={collection} label={t("graphFind")} onPick={(entity) => acts.open(entity.id, true)} />
          {props.collections.length > 1 && (
            <select value={collection} onChange={(e) => go(link("graph", e.currentTarget.value))} aria-label={t("collection")}>
              {props.collections.map((c) => (
                <option key={c}>{c}</option>
              ))}
            </select>
          )}
          <button type="button" class="small" aria-pressed={wanted.list === "communities"} onClick={() => at({ list: wanted.list === "communities" ? "" : "communities" })}>
            {t("graphCommunities")}
          </button>
          {(status.data.decisions > 0 || wanted.list === "decisions") && (
            <button type="button" class="small" aria-pressed={wanted.list === "decisions"} onClick={() => at({ list: wanted.list === "decisions" ? "" : "decisions" })}>
              {t("graphDecisions")}
              <span class="badge">{number(status.data.decisions)}</span>
            </button>
          )}
          <button type="button" class="small" aria-pressed={wanted.all !== ""} onClick={() => (wanted.all ? clear() : at({ ...wanted, all: "1" }))}>
            {t("graphAll")}
          </button>
          <details class="graph-filters">
            <summary>
              {t("filters")}
              {hidden.size + Number(labelled) > 0 && <span class="badge">{hidden.size + Number(labelled)}</span>}
            </summary>
            <div class="graph-filter-list">
              <label class="check">
                <input type="checkbox" checked={labelled} onChange={(e) => setLabelled(e.currentTarget.checked)} />
                {t("graphLabelled")}
              </label>
              {kinds.map((kind) => (
                <label key={kind} class="check">
                  <input
                    type="checkbox"
                    checked={!hidden.has(kind)}
                    onChange={(e) => {
                      const next = new Set(hidden);
                      if (e.currentTarget.checked) next.delete(kind);
                      else next.add(kind);
                      setHidden(next);
                    }}
                  />
                  <KindName kind={kind} />
                </label>
              ))}
            </div>
          </details>
        </div>
        {error ? <Failure error={error} retry={() => setError(undefined)} /> : null}
        {status.data.waiting > 0 && (
          <p class="note row wrap" role="status">
            <span class="grow">{t("graphWaiting", { n: number(status.data.waiting), all: number(status.data.chunks) })}</span>
            {acts.canWrite && (
              <button type="button" class="small" onClick={build}>
                {t("graphBuild")}
              </button>
            )}
          </p>
        )}
        {!ready && <Empty icon="graph" title={t("graphEmpty")} text={t("graphText")} />}
        {ready && (
          <div class="drawing-frame">
            <div
              ref={box}
              class="drawing"
              tabIndex={0}
              role="application"
              aria-label={t("graphCanvas", { n: number(visible.entities.length), m: number(visible.edges.length) })}
              onKeyDown={keys}
            />
            {placing && <p class="drawing-note soft" role="status">{t("loading")}</p>}
            <div class="drawing-tools">
              <button type="button" class="quiet" onClick={() => drawing.current?.zoom(1.3)} aria-label={t("zoomIn")} title={t("zoomIn")}>
                <Icon name="plus" />
              </button>
              <button type="button" class="quiet" onClick={() => drawing.current?.zoom(1 / 1.3)} aria-label={t("zoomOut")} title={t("zoomOut")}>
                <Icon name="minus" />
              </button>
              <button type="button" class="quiet" onClick={() => drawing.current?.fit()} aria-label={t("zoomFit")} title={t("zoomFit")}>
                <Icon name="fit" />
              </button>
            </div>
            <p class="drawing-counts soft small-text">
              {t("graphShown", { n: number(visible.entities.length), all: number(status.data.entities), m: number(visible.edges.length) })}
              {shown.current.hidden > 0 && t("graphHidden", { n: number(shown.current.hidden) })}
            </p>
          </div>
        )}
      </div>
      {opened && ready && (
        <aside class="column beside">
          {wanted.entity ? (
            <EntityPanel
              found={found?.entity.id === wanted.entity || failed ? found : undefined}
              error={failed}
              acts={acts}
              isExpanded={shown.current.expanded.has(wanted.entity)}
              onMore={() => setAround(4 * around)}
            />
          ) : wanted.edge ? (
            <EdgePanel acts={acts} head={head ?? ""} tail={tail ?? ""} names={name} />
          ) : wanted.from ? (
            <PathPanel acts={acts} found={path} error={failed} />
          ) : wanted.list === "decisions" ? (
            <DecisionsPanel acts={acts} renewed={renewed} />
          ) : (
            <CommunitiesPanel acts={acts} />
          )}
        </aside>
      )}
    </div>
  );
}

