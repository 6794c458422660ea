/** Small parts that every view uses. */

import type { ComponentChildren, TargetedKeyboardEvent } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get, type Page, Problem } from "./api";
import { t, type Text } from "./i18n";

const ICONS = {
  ask: "M4 5h16v11H9l-5 4z",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
  documents: "M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h7",
  status: "M3 12h4l3-8 4 16 3-8h4",
  keys: "M8 11a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 12l9-9M16 7l3 3",
  close: "M5 5l14 14M19 5L5 19",
  up: "M7 11v9H4v-9zM7 11l4-8c2 0 2.5 2 2 3l-.5 3H19l-1.5 9-1.5 2H7",
  down: "M7 13V4H4v9zM7 13l4 8c2 0 2.5-2 2-3l-.5-3H19l-1.5-9L16 4H7",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
  left: "M15 5l-7 7 7 7",
  right: "M9 5l7 7-7 7",
  theme: "M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16",
  minus: "M5 12h14",
  fit: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  graph: "M6 8a2.5 2.5 0 1 0 0-.01M18 7a2 2 0 1 0 0-.01M13 20a2.5 2.5 0 1 0 0-.01M8.2 9.5l3.6 6.3M16.9 8.7l-3 6.5M8.4 7.2l7.6-.1",
  plus: "M12 5v14M5 12h14",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  send: "M4 12l16-8-6 16-3-7z",
  stop: "M7 7h10v10H7z",
  compare: "M12 4v16M4 8l-2 6h6zM4 8h16M20 8l-2 6h6zM8 20h8",
  spaces: "M5 7a2 2 0 1 0 0-.01M18 6a2 2 0 1 0 0-.01M12 19a2 2 0 1 0 0-.01M6.5 8.5l4.5 9M16.5 8l-4 9M8 7l8-1",
};

export type IconName = keyof typeof ICONS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

export function Loading({ lines = 4 }: { lines?: number }) {
  return (
    <div class="loading" role="status" aria-label={t("loading")}>
      {Array.from({ length: lines }, (_, i) => (
        <div key={i} class={`bone bone-${i % 3}`} />
      ))}
    </div>
  );
}

export function Empty(props: { icon: IconName; title: string; text?: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={props.icon} />
      <h2>{props.title}</h2>
      {props.text && <p>{props.text}</p>}
      {props.children}
    </div>
  );
}

export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const [message, hint, id] = told(error);
  return (
    <div class="failure" role="alert">
      <strong>{message}</strong>
      {hint && <p>{commands(hint)}</p>}
      {id && <p class="soft mono">{id}</p>}
      {retry && (
        <button type="button" class="small" onClick={retry}>
          {t("retry")}
        </button>
      )}
    </div>
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What stands between backticks is to be typed. */
function commands(hint: string): ComponentChildren[] {
  return hint.split(/`([^`]+)`/).map((part, i) => (i % 2 ? <code key={i}>{part}</code> : part));
}

/** Refusals that mean the same whatever was asked: told in the language of the page. */
const REFUSED: Record<number, [Text, Text]> = {
  401: ["refused401", "refused401Hint"],
  413: ["refused413", "refused413Hint"],
  429: ["refused429", "refused429Hint"],
  500: ["refused500", "refused500Hint"],
  503: ["refused503", "refused503Hint"],
  504: ["refused504", "refused504Hint"],
  507: ["refused507", "refused507Hint"],
};

/** Message, hint and the opaque id of an error. */
export function told(error: unknown): [string, string, string] {
  if (error instanceof Problem) {
    if (error.status === 0) return [t("unreachable"), t("unreachableHint"), ""];
    const own = REFUSED[error.status];
    if (own) return [t(own[0]), t(own[1], { n: error.retryAfter || 1 }), error.id];
    if (error.status === 403) return [t("forbidden"), error.message, error.id];
    return [capital(error.message), error.hint, error.id];
  }
  return [error instanceof Error ? error.message : String(error), "", ""];
}

export interface Loaded<T> {
  data?: T;
  error?: unknown;
  loading: boolean;
  reload: () => void;
}

/** GET, again when `path` changes, and every `every` milliseconds while the page is seen. null: nothing is asked. */
export function useGet<T>(path: string | null, every = 0): Loaded<T> {
  const [state, setState] = useState<{ path: string | null; data?: T; error?: unknown }>({ path: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    get<T>(path, stop.signal).then(
      (data) => setState({ path, data }),
      (error) => {
        if (!stop.signal.aborted) setState((old) => ({ path, data: old.path === path ? old.data : undefined, error }));
      },
    );
    return () => stop.abort();
  }, [path, turn]);
  useEffect(() => {
    if (!every) return;
    const timer = setInterval(() => document.hidden || setTurn((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [every]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const here = state.path === path;
  return {
    data: here ? state.data : undefined,
    error: here ? state.error : undefined,
    loading: path !== null && !here,
    reload,
  };
}

const TOGETHER = 100;

export interface Listed<T> extends Loaded<T[]> {
  /** Absent at the end of the list. */
  more?: () => void;
}

/** The first pages of a list. `reload` loads as many again. */
export function useList<T>(path: string | null): Listed<T> {
  const [wanted, setWanted] = useState(TOGETHER);
  const [state, setState] = useState<{ data?: T[]; error?: unknown; whole: boolean }>({ whole: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    const load = async () => {
      const data: T[] = [];
      let cursor: string | null | undefined = "";
      while (typeof cursor === "string" && data.length < wanted) {
        const page: Page<T> = await get<Page<T>>(`${path}?limit=${TOGETHER}&cursor=${encodeURIComponent(cursor)}`, stop.signal);
        data.push(...page.items);
        cursor = page.next;
      }
      setState({ data, whole: typeof cursor !== "string" });
    };
    load().catch((error) => {
      if (!stop.signal.aborted) setState((old) => ({ ...old, error }));
    });
    return () => stop.abort();
  }, [path, turn, wanted]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  const more = useCallback(() => setWanted((n) => n + TOGETHER), []);
  return { ...state, loading: path !== null && !state.data, reload, more: state.whole ? undefined : more };
}

/** A question that must be answered before something is lost. Escape says no. */
export function Confirm(props: { text: string; action: string; onYes: () => void; onNo: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={props.onNo}>
      <p>{props.text}</p>
      <div class="row end">
        <button type="button" onClick={() => dialog.current?.close()}>
          {t("cancel")}
        </button>
        <button type="button" class="danger" onClick={props.onYes}>
          {props.action}
        </button>
      </div>
    </dialog>
  );
}

export function CopyButton({ text, label }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await copyText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" class={label ? "" : "quiet"} onClick={copy} title={t("copy")} aria-label={label ?? t("copy")}>
      <Icon name="copy" />
      <span>{copied ? t("copied") : (label ?? "")}</span>
    </button>
  );
}

/** The clipboard of browsers is there on secure pages only; over plain HTTP a selection is copied. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Tabs with the keys that people know: arrows, Home and End move, the tab that has the focus is shown. */
export function Tabs<T extends string>(props: { names: readonly (readonly [T, string])[]; chosen: T; onChoose: (name: T) => void }) {
  const move = (event: TargetedKeyboardEvent<HTMLElement>) => {
    const at = props.names.findIndex(([name]) => name === props.chosen);
    const count = props.names.length;
    const keys: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1 + count, Home: 0, End: count - 1 };
    const to = keys[event.key];
    if (to === undefined) return;
    event.preventDefault();
    props.onChoose(props.names[to % count]![0]);
    (event.currentTarget.children[to % count] as HTMLElement).focus();
  };
  return (
    <div class="tabs" role="tablist" onKeyDown={move}>
      {props.names.map(([name, label]) => (
        <button key={name} type="button" role="tab" tabIndex={name === props.chosen ? 0 : -1} aria-selected={name === props.chosen} onClick={() => props.onChoose(name)}>
          {label}
        </button>
      ))}
    </div>
  );
}

export function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="field">
      <span>{label}</span>
      {children}
    </label>
  );
}

export function onEnter(then: () => void): (event: KeyboardEvent) => void {
  return (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      then();
    }
  };
}

/** As `ref`: the field has the focus when it appears. (The attribute `autofocus` works on the first page only.) */
export function focused(element: HTMLElement | null): void {
  element?.focus({ preventScroll: true });
}
