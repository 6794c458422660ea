/** Collections and their documents; files are dropped anywhere on this view. */

import { useEffect, useRef, useState } from "preact/hooks";
import { type Collection, type Document, get, type Page, post, remove, type Session } from "../api";
import { bytes, date, number, t } from "../i18n";
import { Confirm, Empty, Failure, focused, Icon, Loading, useGet } from "../parts";
import { go, link } from "../route";
import { fileName } from "../text";
import { start } from "../uploads";

const PAGE = 50;

export function DocumentsView({ session, collection }: { session: Session; collection: string }) {
  const { data, error, reload } = useGet<{ items: Collection[] }>("/v1/collections");
  const [failed, setFailed] = useState<unknown>();
  const [removing, setRemoving] = useState(false);
  const [over, setOver] = useState(false);
  const canWrite = session.scopes.includes("write");
  const collections = data?.items ?? [];
  const name = collection || collections[0]?.name || "default";
  const here = collections.find((c) => c.name === name);

  useEffect(() => {
    addEventListener("ragstone:documents", reload);
    return () => removeEventListener("ragstone:documents", reload);
  }, [reload]);

  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading />;

  const drop = async (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer) start(name, await dropped(event.dataTransfer));
  };
  return (
    <div
      class={over ? "page dropping" : "page"}
      onDragOver={(event) => {
        if (!canWrite || !event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (!(event.relatedTarget instanceof Node) || !event.currentTarget.contains(event.relatedTarget)) setOver(false);
      }}
      onDrop={canWrite ? drop : undefined}
    >
      <div class="row wrap head">
        <h1 class="grow">{t("documents")}</h1>
        <select value={name} onChange={(e) => go(link("documents", e.currentTarget.value))} aria-label={t("collection")}>
          {!here && <option value={name}>{name}</option>}
          {collections.map((c) => (
            <option key={c.name} value={c.name}>
              {`${c.name} (${number(c.documents)})`}
            </option>
          ))}
        </select>
        {here && (
          <a class="button quiet narrow-only" href={link("graph", name)} aria-label={t("graph")} title={t("graph")}>
            <Icon name="graph" />
          </a>
        )}
        {here && (
          <a class="button quiet narrow-only" href={link("spaces")} aria-label={t("spaces")} title={t("spaces")}>
            <Icon name="spaces" />
          </a>
        )}
        {canWrite && <NewCollection onMade={(made) => (reload(), go(link("documents", made)))} />}
        {canWrite && here && (
          <button type="button" class="quiet" onClick={() => setRemoving(true)} aria-label={t("removeCollection")} title={t("removeCollection")}>
            <Icon name="trash" />
          </button>
        )}
      </div>
      {failed ? <Failure error={failed} /> : null}
      {canWrite && <DropZone collection={name} />}
      {here && here.waiting > 0 && <p class="note">{t("embedding", { n: number(here.waiting) })}</p>}
      <List key={`${name}/${here?.documents ?? 0}`} collection={here ? name : null} session={session} onChange={reload} />
      {removing && (
        <Confirm
          text={t("removeCollectionAsk", { name })}
          action={t("remove")}
          onNo={() => setRemoving(false)}
          onYes={() => {
            setRemoving(false);
            remove(`/v1/collections/${encodeURIComponent(name)}`).then(() => {
              go(link("documents"));
              reload();
            }, setFailed);
          }}
        />
      )}
    </div>
  );
}

function NewCollection({ onMade }: { onMade: (name: string) => void }) {
  const [name, setName] = useState<string>();
  const [error, setError] = useState<unknown>();
  if (name === undefined)
    return (
      <button type="button" onClick={() => setName("")}>
        <Icon name="plus" />
        <span>{t("newCollection")}</span>
      </button>
    );
  return (
    <form
      class="row wrap"
      onSubmit={(event) => {
        event.preventDefault();
        post("/v1/collections", { name: name.trim() }).then(() => {
          setName(undefined);
          onMade(name.trim());
        }, setError);
      }}
    >
      <input ref={focused} required maxLength={128} value={name} onInput={(e) => setName(e.currentTarget.value)} placeholder={t("name")} aria-label={t("newCollection")} />
      <button type="submit" class="primary">
        {t("create")}
      </button>
      <button type="button" class="quiet" onClick={() => setName(undefined)} aria-label={t("cancel")}>
        <Icon name="close" />
      </button>
      {error ? <Failure error={error} /> : null}
    </form>
  );
}

function DropZone({ collection }: { collection: string }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const chosen = (input: HTMLInputElement) => {
    start(collection, [...(input.files ?? [])]);
    input.value = "";
  };
  return (
    <div class="drop">
      <Icon name="upload" />
      <div class="grow">
        <strong>{t("dropTitle")}</strong>
        <div class="soft">{t("dropText")}</div>
      </div>
      <input ref={files} type="file" multiple hidden onChange={(e) => chosen(e.currentTarget)} />
      <input ref={(e: HTMLInputElement | null) => {
        folder.current = e;
        e?.setAttribute("webkitdirectory", "");
      }} type="file" hidden onChange={(e) => chosen(e.currentTarget)} />
      <button type="button" class="primary" onClick={() => files.current?.click()}>
        {t("choose")}
      </button>
      <button type="button" class="wide-only" onClick={() => folder.current?.click()}>
        {t("chooseFolder")}
      </button>
    </div>
  );
}

/** The files of a drop, with those inside dropped folders. */
async function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((e) => e !== null && e !== undefined);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found: File[] = [];
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry: FileSystemEntry, found: File[]): Promise<void> {
  if (entry.isFile) {
    found.push(await new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const inside of some) await walk(inside, found);
  }
}

function List({ collection, session, onChange }: { collection: string | null; session: Session; onChange: () => void }) {
  const [find, setFind] = useState("");
  const [items, setItems] = useState<Document[]>();
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<unknown>();
  const [removing, setRemoving] = useState<Document>();
  const [turn, setTurn] = useState(0);
  const path = (cursor: string | null) =>
    `/v1/collections/${encodeURIComponent(collection ?? "")}/documents?${new URLSearchParams({
      limit: String(PAGE),
      ...(find.trim() ? { q: find.trim() } : {}),
      ...(cursor ? { cursor } : {}),
    })}`;
  useEffect(() => {
    if (collection === null) {
      setItems([]);
      return;
    }
    const stop = new AbortController();
    const timer = setTimeout(
      () =>
        get<Page<Document>>(path(null), stop.signal).then(
          (page) => {
            setItems(page.items);
            setNext(page.next ?? null);
            setError(undefined);
          },
          (e) => stop.signal.aborted || setError(e),
        ),
      find ? 200 : 0,
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [collection, find, turn]);
  const more = () =>
    get<Page<Document>>(path(next)).then((page) => {
      setItems((old) => [...(old ?? []), ...page.items]);
      setNext(page.next ?? null);
    }, setError);

  if (error) return <Failure error={error} retry={() => setTurn(turn + 1)} />;
  if (!items) return <Loading lines={6} />;
  if (!items.length && !find) return <Empty icon="documents" title={t("documentsEmpty")} />;
  return (
    <>
      <input type="search" class="find" value={find} onInput={(e) => setFind(e.currentTarget.value)} placeholder={t("find")} aria-label={t("find")} />
      {!items.length && <Empty icon="search" title={t("nothingFound")} />}
      {items.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("title")}</th>
              <th scope="col" class="wide-only">{t("language")}</th>
              <th scope="col" class="num">{t("size")}</th>
              <th scope="col" class="num wide-only">{t("passages")}</th>
              <th scope="col" class="wide-only">{t("added")}</th>
              <th scope="col" aria-label={t("remove")} />
            </tr>
          </thead>
          <tbody>
            {items.map((document) => (
              <tr key={document.id}>
                <td>
                  <a href={link("document", document.id)}>{document.title || fileName(document.uri)}</a>
                  <div class="soft clip small-text">{fileName(document.uri)}</div>
                </td>
                <td class="wide-only">{document.language}</td>
                <td class="num">{bytes(document.size)}</td>
                <td class="num wide-only">{number(document.chunks)}</td>
                <td class="wide-only">{date(document.added)}</td>
                <td class="num">
                  {session.scopes.includes("write") && (
                    <button type="button" class="quiet" onClick={() => setRemoving(document)} aria-label={`${t("remove")}: ${fileName(document.uri)}`}>
                      <Icon name="trash" />
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {next && (
        <button type="button" onClick={more}>
          {t("more")}
        </button>
      )}
      {removing && (
        <Confirm
          text={t("removeDocumentAsk", { name: removing.title || fileName(removing.uri) })}
          action={t("remove")}
          onNo={() => setRemoving(undefined)}
          onYes={() => {
            setRemoving(undefined);
            remove(`/v1/documents/${encodeURIComponent(removing.id)}`).then(() => {
              setTurn(turn + 1);
              onChange();
            }, setError);
          }}
        />
      )}
    </>
  );
}
