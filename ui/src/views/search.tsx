/** Passages by words and filters. What is searched for stands in the address. */

import { useEffect, useState } from "preact/hooks";
import { type Collection, type Hit, post, type SearchResult } from "../api";
import { number, t } from "../i18n";
import { Empty, Failure, Field, focused, Icon, Loading, useGet } from "../parts";
import { go, link } from "../route";
import { documentOf, Source } from "../source";
import { codePoints, fileName } from "../text";

const NAMES = ["q", "collection", "mode", "language", "type", "path", "after", "before", "k", "diversity"] as const;
type Form = Record<(typeof NAMES)[number], string>;
const TYPES: Record<string, string> = {
  PDF: "application/pdf",
  Word: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
  HTML: "text/html",
  Markdown: "text/markdown",
  Text: "text/plain",
  "E-Mail": "message/rfc822",
};

function formOf(query: URLSearchParams): Form {
  return Object.fromEntries(NAMES.map((name) => [name, query.get(name) ?? ""])) as Form;
}

function bodyOf(form: Form): unknown {
  const filter: Record<string, unknown> = {};
  if (form.language) filter.language = [form.language];
  if (form.type) filter.media_type = [form.type];
  if (form.path) filter.path = [form.path];
  if (form.after) filter.modified_after = new Date(form.after).toISOString();
  if (form.before) filter.modified_before = new Date(form.before).toISOString();
  return {
    query: form.q,
    k: Number(form.k) || 10,
    mode: form.mode || "hybrid",
    ...(form.collection ? { collections: [form.collection] } : {}),
    ...(form.diversity ? { diversity: 0.5 } : {}),
    ...(Object.keys(filter).length ? { filter } : {}),
  };
}

export function SearchView({ query }: { query: URLSearchParams }) {
  const [form, setForm] = useState<Form>(() => formOf(query));
  const [result, setResult] = useState<SearchResult>();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [took, setTook] = useState(0);
  const [chosen, setChosen] = useState<Hit>();
  const [turn, setTurn] = useState(0);
  const { data } = useGet<{ items: Collection[] }>("/v1/collections");
  const collections = data?.items ?? [];
  const empty = data !== undefined && collections.every((c) => c.documents === 0);
  const asked = query.toString();

  useEffect(() => {
    const wanted = formOf(new URLSearchParams(asked));
    setForm(wanted);
    setChosen(undefined);
    if (!wanted.q.trim()) {
      setResult(undefined);
      return;
    }
    const stop = new AbortController();
    const started = performance.now();
    setBusy(true);
    setError(undefined);
    post<SearchResult>("/v1/search", bodyOf(wanted), stop.signal)
      .then((found) => {
        setResult(found);
        setTook(performance.now() - started);
        setBusy(false);
      })
      .catch((e) => {
        if (stop.signal.aborted) return;
        setError(e);
        setResult(undefined);
        setBusy(false);
      });
    return () => stop.abort();
  }, [asked, turn]);

  const set = (name: keyof Form) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) => {
    const target = event.currentTarget;
    const value = target instanceof HTMLInputElement && target.type === "checkbox" ? (target.checked ? "1" : "") : target.value;
    setForm({ ...form, [name]: value });
  };
  const submit = (event?: Event) => {
    event?.preventDefault();
    const to = link("search", undefined, form);
    if (to === location.hash) setTurn(turn + 1);
    else go(to);
  };
  const filtered = NAMES.filter((n) => n !== "q" && form[n]).length;

  return (
    <div class={chosen ? "split open" : "split"} onKeyDown={(e) => e.key === "Escape" && setChosen(undefined)}>
      <div class="column">
        <form class="searching" role="search" onSubmit={submit}>
          <div class="row">
            <input
              type="search"
              class="grow"
              ref={focused}
              maxLength={4000}
              value={form.q}
              onInput={set("q")}
              placeholder={t("searchPlaceholder")}
              aria-label={t("searchPlaceholder")}
            />
            <button type="submit" class="primary">
              <Icon name="search" />
              <span class="wide-only">{t("search")}</span>
            </button>
          </div>
          <details class="filters" open={filtered > 0}>
            <summary>
              {t("filters")}
              {filtered > 0 && <span class="badge">{filtered}</span>}
            </summary>
            <div class="fields">
              <Field label={t("collection")}>
                <select value={form.collection} onChange={set("collection")}>
                  <option value="">{t("all")}</option>
                  {collections.map((c) => (
                    <option key={c.name}>{c.name}</option>
                  ))}
                </select>
              </Field>
              <Field label={t("mode")}>
                <select value={form.mode} onChange={set("mode")}>
                  <option value="">{t("hybrid")}</option>
                  <option value="lexical">{t("lexical")}</option>
                  <option value="dense">{t("dense")}</option>
                </select>
              </Field>
              <Field label={t("language")}>
                <select value={form.language} onChange={set("language")}>
                  <option value="">{t("anyLanguage")}</option>
                  <option value="de">{t("german")}</option>
                  <option value="en">{t("english")}</option>
                </select>
              </Field>
              <Field label={t("type")}>
                <select value={form.type} onChange={set("type")}>
                  <option value="">{t("anyType")}</option>
                  {Object.entries(TYPES).map(([name, type]) => (
                    <option key={type} value={type}>
                      {name}
                    </option>
                  ))}
                </select>
              </Field>
              <Field label={t("path")}>
                <input value={form.path} onInput={set("path")} placeholder={t("pathHint")} />
              </Field>
              <Field label={t("count")}>
                <input type="number" min={1} max={100} value={form.k} placeholder="10" onInput={set("k")} />
              </Field>
              <Field label={t("after")}>
                <input type="date" value={form.after} onInput={set("after")} />
              </Field>
              <Field label={t("before")}>
                <input type="date" value={form.before} onInput={set("before")} />
              </Field>
              <label class="check">
                <input type="checkbox" checked={form.diversity !== ""} onChange={set("diversity")} />
                {t("diversity")}
              </label>
            </div>
          </details>
        </form>
        {error && empty ? (
          <Empty icon="documents" title={t("noDocuments")}>
            <a class="button primary" href={link("documents")}>
              {t("addDocuments")}
            </a>
          </Empty>
        ) : error ? (
          <Failure error={error} retry={() => setTurn(turn + 1)} />
        ) : null}
        {busy && !result && <Loading lines={6} />}
        {!busy && !result && !error && <Empty icon="search" title={t("search")} text={t("searchEmpty")} />}
        {result && !result.hits.length && <Empty icon="search" title={t("nothingFound")} text={t("nothingFoundHint")} />}
        {result && result.hits.length > 0 && (
          <>
            <p class="soft" role="status">
              {t("foundIn", { n: result.hits.length, ms: number(result.timings.total ?? took, 1) })}
            </p>
            <ol class="hits">
              {result.hits.map((hit) => (
                <li key={`${hit.collection}/${hit.uri}/${hit.start}`}>
                  <HitCard hit={hit} chosen={chosen === hit} onChoose={() => setChosen(hit)} />
                </li>
              ))}
            </ol>
            {result.notes.map((note) => (
              <p key={note} class="note">
                {note}
              </p>
            ))}
          </>
        )}
      </div>
      {chosen && (
        <aside class="column beside">
          <Source span={chosen} collections={collections.map((c) => c.name)} onClose={() => setChosen(undefined)} />
        </aside>
      )}
    </div>
  );
}

function HitCard({ hit, chosen, onChoose }: { hit: Hit; chosen: boolean; onChoose: () => void }) {
  const open = async (event: MouseEvent) => {
    event.stopPropagation();
    const document = await documentOf(hit, [hit.collection]);
    go(link("document", document.id, { start: hit.start, end: hit.end, page: hit.page }));
  };
  return (
    <div class={chosen ? "hit chosen" : "hit"}>
      <button type="button" class="hit-head" onClick={onChoose} aria-expanded={chosen}>
        <strong>{hit.title || fileName(hit.uri)}</strong>
        <span class="soft">
          {[fileName(hit.uri), hit.page !== null && t("pageShort", { n: hit.page }), ...hit.section.filter((s) => s !== hit.title)].filter(Boolean).join(" › ")}
        </span>
      </button>
      <p class="passage" lang={hit.language || undefined} onClick={onChoose}>
        <Highlighted hit={hit} />
      </p>
      <div class="row soft small-text">
        <span>{hit.collection}</span>
        <span>{hit.language}</span>
        <span class="mono">{number(hit.score, 3)}</span>
        <span class="grow" />
        <button type="button" class="linkish" onClick={open}>
          {t("openDocument")}
        </button>
      </div>
    </div>
  );
}

/** The passage with the question's words in bold. Highlights are offsets in the document. */
function Highlighted({ hit }: { hit: Hit }) {
  const pieces = [];
  let rest = hit.text;
  let at = hit.start;
  for (const [start, end] of hit.highlights ?? []) {
    if (start < at || end <= start) continue;
    const [before, inside, after] = codePoints(rest, start - at, end - at);
    pieces.push(before, <b>{inside}</b>);
    rest = after;
    at = end;
  }
  pieces.push(rest);
  return <>{pieces}</>;
}
