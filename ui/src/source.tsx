/** A document with one span of it marked: as text, or as the image of its page. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Document, get } from "./api";
import { date, t } from "./i18n";
import { Failure, Icon, Loading, Tabs } from "./parts";
import { link } from "./route";
import { codePoints, fileName, length } from "./text";

const AROUND = 3000;
/** Characters of the document that are fetched before and after the span. */

export interface Span {
  uri: string;
  title: string;
  document_id?: string;
  collection?: string;
  page: number | null;
  section: string[];
  start: number;
  end: number;
  number?: number;
}

const found = new Map<string, Promise<Document>>();

/** The document of a span; by its address in the collection where the server did not name it. */
export function documentOf(span: Span, collections: string[]): Promise<Document> {
  if (span.document_id) return get<Document>(`/v1/documents/${encodeURIComponent(span.document_id)}`);
  const key = `${span.collection ?? ""}\n${span.uri}`;
  let promise = found.get(key);
  if (!promise) {
    promise = lookedUp(span, span.collection ? [span.collection] : collections);
    promise.catch(() => found.delete(key));
    found.set(key, promise);
  }
  return promise;
}

async function lookedUp(span: Span, collections: string[]): Promise<Document> {
  for (const name of collections) {
    const query = new URLSearchParams({ q: fileName(span.uri), limit: "100" });
    const page = await get<{ items: Document[] }>(`/v1/collections/${encodeURIComponent(name)}/documents?${query}`);
    const document = page.items.find((d) => d.uri === span.uri);
    if (document) return document;
  }
  throw new Error(t("nothingFound"));
}

interface Part {
  start: number;
  end: number;
  text: string;
}

export async function textOf(id: string, start: number, end: number): Promise<Part> {
  const from = Math.max(0, start);
  const part = await get<Part>(`/v1/documents/${encodeURIComponent(id)}/text?start=${from}&end=${end}`);
  return { start: part.start ?? from, end: part.end ?? from + length(part.text), text: part.text };
}

export function Source(props: { span: Span; collections: string[]; onClose?: () => void }) {
  const { span } = props;
  const [doc, setDoc] = useState<Document>();
  const [error, setError] = useState<unknown>();
  const [turn, setTurn] = useState(0);
  const [shown, setShown] = useState<"text" | "image">("text");
  const [hasImage, setHasImage] = useState(false);
  useEffect(() => {
    let gone = false;
    setError(undefined);
    setDoc((old) => (old?.uri === span.uri ? old : undefined));
    documentOf(span, props.collections).then(
      (d) => gone || setDoc(d),
      (e) => gone || setError(e),
    );
    return () => {
      gone = true;
    };
  }, [span.uri, span.document_id, turn]);
  useEffect(() => setHasImage(false), [doc?.id]);
  const isPdf = doc?.media_type === "application/pdf" && span.page !== null;
  const asImage = isPdf && hasImage && shown === "image";
  return (
    <section class="source" aria-label={t("source")}>
      <div class="source-head">
        {span.number !== undefined && <span class="cite static">{span.number}</span>}
        <div class="grow">
          <strong class="clip" title={span.title || span.uri}>
            {span.title || fileName(span.uri)}
          </strong>
          <div class="soft clip">
            {[fileName(span.uri), span.page !== null && t("pageShort", { n: span.page }), ...span.section.filter((s) => s !== span.title)].filter(Boolean).join(" › ")}
          </div>
        </div>
        {props.onClose && (
          <button type="button" class="quiet" onClick={props.onClose} aria-label={t("hide")} title={t("hide")}>
            <Icon name="close" />
          </button>
        )}
      </div>
      {isPdf && hasImage && (
        <Tabs names={[["text", t("text")], ["image", `${t("pageImage")} ${span.page}`]]} chosen={shown} onChoose={setShown} />
      )}
      {error ? <Failure error={error} retry={() => setTurn((n) => n + 1)} /> : null}
      {!doc && !error && <Loading lines={6} />}
      {doc && !asImage && <MarkedText id={doc.id} start={span.start} end={span.end} characters={doc.characters} />}
      {doc && isPdf && (
        <div class="page-frame" hidden={!asImage}>
          <PageImage id={doc.id} page={span.page!} pages={doc.pages ?? 0} start={span.start} end={span.end} onThere={setHasImage} />
        </div>
      )}
      {doc && (
        <div class="source-foot soft">
          <a href={link("document", doc.id, { start: span.start, end: span.end, page: span.page })}>{t("openDocument")}</a>
          <span>{date(doc.modified)}</span>
        </div>
      )}
    </section>
  );
}

/** A window of the text around [start, end), which is marked and scrolled to; it grows at both ends. */
export function MarkedText(props: { id: string; start: number; end: number; characters: number }) {
  const { id, start, end, characters } = props;
  const [part, setPart] = useState<Part>();
  const [error, setError] = useState<unknown>();
  const marked = useRef<HTMLElement>(null);
  const shown = useRef<{ id: string; part: Part } | undefined>(undefined);
  const load = (from: number, to: number, keep: boolean) => {
    textOf(id, from, Math.min(to, characters)).then((p) => {
      setPart((old) => (keep && old ? joined(old, p) : p));
    }, setError);
  };
  useEffect(() => {
    setError(undefined);
    const held = shown.current;
    if (held && held.id === id && held.part.start <= start && end <= held.part.end) return;
    setPart(undefined);
    load(start - AROUND, end + AROUND, false);
  }, [id, start, end]);
  if (part) shown.current = { id, part };
  useEffect(() => {
    const mark = marked.current;
    const box = mark?.closest<HTMLElement>(".text");
    if (mark && box) box.scrollTop += mark.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
  }, [part === undefined, id, start, end]);
  const pieces = useMemo(() => part && codePoints(part.text, start - part.start, end - part.start), [part, start, end]);
  if (error) return <Failure error={error} />;
  if (!part || !pieces) return <Loading lines={6} />;
  return (
    <div class="text" tabIndex={0} role="region" aria-label={t("text")}>
      {part.start > 0 && (
        <button type="button" class="small" onClick={() => load(part.start - AROUND, part.start, true)}>
          {t("earlier")}
        </button>
      )}
      <div class="body">
        {end > start ? pieces[0] : part.text}
        {end > start && <mark ref={marked}>{pieces[1]}</mark>}
        {end > start && pieces[2]}
      </div>
      {part.end < characters && (
        <button type="button" class="small" onClick={() => load(part.end, part.end + 2 * AROUND, true)}>
          {t("later")}
        </button>
      )}
    </div>
  );
}

function joined(a: Part, b: Part): Part {
  return b.start < a.start
    ? { start: b.start, end: a.end, text: b.text + a.text }
    : { start: a.start, end: b.end, text: a.text + b.text };
}

/** A place on a page, in shares of its width and height. */
interface Rectangle {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The page of a PDF as it looks, with the text of [start, end) marked on it. `onThere` learns whether the server has an
 * image of it. */
export function PageImage(props: { id: string; page: number; pages: number; start: number; end: number; onThere?: (there: boolean) => void }) {
  const [page, setPage] = useState(props.page);
  const [state, setState] = useState<"loading" | "there" | "none">("loading");
  useEffect(() => setPage(props.page), [props.page, props.id]);
  useEffect(() => setState("loading"), [page, props.id]);
  const address = `/v1/documents/${encodeURIComponent(props.id)}/pages/${page}`;
  const [places, setPlaces] = useState<Rectangle[]>([]);
  useEffect(() => {
    setPlaces([]);
    if (state !== "there" || props.end <= props.start) return;
    const stop = new AbortController();
    get<{ rectangles: Rectangle[] }>(`${address}/places?start=${props.start}&end=${props.end}`, stop.signal).then(
      (found) => setPlaces(found.rectangles),
      () => {}, // the page is shown without a mark; the text beside it has one
    );
    return () => stop.abort();
  }, [address, state, props.start, props.end]);
  const marks = useRef<SVGSVGElement>(null);
  useEffect(() => {
    const first = marks.current?.firstElementChild;
    const box = first?.closest<HTMLElement>(".page-image");
    if (first && box) box.scrollTop += first.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3;
  }, [places]);
  const came = (there: boolean) => {
    setState(there ? "there" : "none");
    if (page === props.page) props.onThere?.(there);
  };
  return (
    <div class="page-image">
      <div class="row center">
        <button type="button" class="quiet" disabled={page <= 1} onClick={() => setPage(page - 1)} aria-label={t("previous")}>
          <Icon name="left" />
        </button>
        <span class="soft">
          {t("page", { n: page })}
          {props.pages ? ` / ${props.pages}` : ""}
        </span>
        <button type="button" class="quiet" disabled={props.pages > 0 && page >= props.pages} onClick={() => setPage(page + 1)} aria-label={t("next")}>
          <Icon name="right" />
        </button>
      </div>
      {state === "loading" && <Loading lines={6} />}
      {state === "none" && <p class="soft">{t("imageFailed")}</p>}
      {state !== "none" && (
        <div class="sheet">
          <img key={address} class={state} src={`${address}/image`} alt={t("page", { n: page })} onLoad={() => came(true)} onError={() => came(false)} />
          <svg ref={marks} class="places" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
            {places.map((p) => (
              <rect key={`${p.left}/${p.top}`} x={p.left} y={p.top} width={p.right - p.left} height={p.bottom - p.top} />
            ))}
          </svg>
        </div>
      )}
    </div>
  );
}
