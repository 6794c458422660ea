/** One document: its text, its passages, its pages as images. */

import { useEffect, useState } from "preact/hooks";
import { type Chunk, type Document, get, type Page, type Session } from "../api";
import { bytes, date, number, t } from "../i18n";
import { CopyButton, Failure, Loading, Tabs, useGet } from "../parts";
import { go, link } from "../route";
import { MarkedText, PageImage } from "../source";
import { fileName } from "../text";

export function DocumentView({ id, query }: { session: Session; id: string; query: URLSearchParams }) {
  const address = `/v1/documents/${encodeURIComponent(id)}`;
  const { data: document, error, reload } = useGet<Document>(address);
  const [hasImage, setHasImage] = useState(false);
  useEffect(() => setHasImage(false), [id]);
  const tab = query.get("tab") === "passages" ? "passages" : "text";
  if (error) return <Failure error={error} retry={reload} />;
  if (!document) return <Loading lines={8} />;
  const start = Number(query.get("start")) || 0;
  const end = Number(query.get("end")) || 0;
  const page = Number(query.get("page")) || 1;
  const show = (to: string, more: Record<string, string | number> = {}) =>
    go(link("document", id, { start: start || null, end: end || null, page, ...more, tab: to }), true);
  const isPdf = document.media_type === "application/pdf";
  return (
    <div class="page document">
      <p class="soft">
        <a href={link("documents", document.collection)}>{document.collection}</a>
      </p>
      <div class="row">
        <h1 class="grow">{document.title || fileName(document.uri)}</h1>
        <CopyButton text={document.uri} />
      </div>
      <p class="soft mono breakable">{document.uri}</p>
      <dl class="facts">
        <Fact name={t("type")} value={document.media_type} />
        <Fact name={t("language")} value={document.language} />
        <Fact name={t("size")} value={bytes(document.size)} />
        <Fact name={t("chars")} value={number(document.characters)} />
        <Fact name={t("passages")} value={number(document.chunks)} />
        {document.pages ? <Fact name={t("pages")} value={number(document.pages)} /> : null}
        <Fact name={t("modified")} value={date(document.modified, true)} />
        <Fact name={t("added")} value={date(document.added, true)} />
        {Object.entries(document.metadata ?? {}).filter(([name]) => name !== "pages").map(([name, value]) => (
          <Fact key={name} name={name} value={String(value)} />
        ))}
      </dl>
      <Tabs names={[["text", t("text")], ["passages", t("passages")]]} chosen={tab} onChoose={(name) => show(name)} />
      {tab === "text" && (
        <div class={hasImage ? "leaf both" : "leaf"}>
          <MarkedText id={id} start={start} end={end} characters={document.characters} />
          {isPdf && (
            <div class="page-frame" hidden={!hasImage}>
              <PageImage id={id} page={page} pages={document.pages ?? 0} start={start} end={end} onThere={setHasImage} />
            </div>
          )}
        </div>
      )}
      {tab === "passages" && <Passages address={address} onOpen={(c) => show("text", { start: c.start, end: c.end, page: c.page ?? 1 })} />}
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return value ? (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  ) : null;
}

function Passages({ address, onOpen }: { address: string; onOpen: (chunk: Chunk) => void }) {
  const [items, setItems] = useState<Chunk[]>();
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<unknown>();
  const load = (cursor: string | null) =>
    get<Page<Chunk>>(`${address}/chunks?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`).then((page) => {
      setItems((old) => [...(cursor ? (old ?? []) : []), ...page.items]);
      setNext(page.next ?? null);
      setError(undefined);
    }, setError);
  useEffect(() => void load(null), [address]);
  if (error) return <Failure error={error} retry={() => load(null)} />;
  if (!items) return <Loading lines={6} />;
  return (
    <>
      <ol class="hits">
        {items.map((chunk) => (
          <li key={chunk.id}>
            <div class="hit">
              <button type="button" class="hit-head" onClick={() => onOpen(chunk)}>
                <span class="soft">
                  {[chunk.page !== null && t("pageShort", { n: chunk.page }), ...chunk.section].filter(Boolean).join(" › ") || "–"}
                </span>
                <span class="soft mono small-text">{`${chunk.start}:${chunk.end}`}</span>
              </button>
              <p class="passage">{chunk.text}</p>
            </div>
          </li>
        ))}
      </ol>
      {next && (
        <button type="button" onClick={() => load(next)}>
          {t("more")}
        </button>
      )}
    </>
  );
}
