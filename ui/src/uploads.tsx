/** Files on their way into a collection: sent, queued, read, ready; also while another view is looked at. */

import { useEffect, useState } from "preact/hooks";
import { get, type Job, jobEvents, post, Problem, upload } from "./api";
import { t } from "./i18n";
import { Icon, told } from "./parts";

type State = "queued" | "sending" | "waiting" | "running" | "done" | "unchanged" | "failed" | "cancelled";

interface Item {
  key: number;
  file: File;
  collection: string;
  state: State;
  share: number;
  message: string;
  job?: string;
  stop: AbortController;
}

const AT_ONCE = 3;
/** Files that are sent at the same time. */

let items: Item[] = [];
let keys = 0;
const listeners = new Set<() => void>();

function changed(item?: Item, to: Partial<Item> = {}): void {
  if (item) Object.assign(item, to);
  items = [...items];
  for (const listener of listeners) listener();
}

export function start(collection: string, files: File[]): void {
  for (const file of files)
    items.push({ key: keys++, file, collection, state: "queued", share: 0, message: "", stop: new AbortController() });
  changed();
  next();
}

function next(): void {
  const sending = items.filter((i) => i.state === "sending").length;
  for (const item of items.filter((i) => i.state === "queued").slice(0, AT_ONCE - sending)) void run(item);
}

async function run(item: Item): Promise<void> {
  changed(item, { state: "sending", share: 0, message: "" });
  try {
    const job = await upload(item.collection, item.file, (share) => changed(item, { share }), item.stop.signal);
    changed(item, { state: "waiting", job: job.id, share: 0 });
    next();
    await follow(item, job.id);
  } catch (error) {
    if (item.stop.signal.aborted) changed(item, { state: "cancelled" });
    else changed(item, { state: "failed", message: told(error).slice(0, 2).filter(Boolean).join(" ") });
  }
  next();
}

/** Follows the job's events; where the stream ends early it asks for the job. */
async function follow(item: Item, id: string): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    try {
      for await (const { data } of jobEvents(id, item.stop.signal)) if (taken(item, data as Job)) return;
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 0) throw error;
    }
    if (taken(item, await get<Job>(`/v1/jobs/${encodeURIComponent(id)}`, item.stop.signal))) return;
    await new Promise((go) => setTimeout(go, 1000));
  }
}

const ENDED: Record<string, State> = { done: "done", failed: "failed", cancelled: "cancelled" };

function taken(item: Item, job: Job): boolean {
  const end = ENDED[job.state];
  if (!end) {
    const { done, total } = job.progress ?? { done: 0, total: 0 };
    changed(item, { state: job.state === "running" ? "running" : "waiting", share: total ? done / total : 0 });
    return false;
  }
  const file = fileOf(job);
  let state = end;
  let message = end === "failed" ? reasonOf(job) : "";
  if (end === "done" && (file?.state === "failed" || file?.state === "skipped")) {
    state = "failed";
    message = file.reason ?? "";
  } else if (end === "done" && file?.state === "unchanged") state = "unchanged";
  changed(item, { state, share: 1, message });
  dispatchEvent(new Event("ragstone:documents"));
  return true;
}

function reasonOf(job: Job): string {
  const last = job.failures?.at(-1);
  return last ? [last.message, last.hint].filter(Boolean).join(" ") : "";
}

/** A job of the page has one file. */
function fileOf(job: Job): { state: string; reason?: string } | undefined {
  const files = job.result?.files;
  return Array.isArray(files) ? files[0] : undefined;
}

function cancel(item: Item): void {
  if (item.job) post(`/v1/jobs/${encodeURIComponent(item.job)}/cancel`, {}).catch(() => {}); // its events tell what became of it
  else item.stop.abort();
  if (item.state === "queued") changed(item, { state: "cancelled" });
}

const OVER: State[] = ["done", "unchanged", "failed", "cancelled"];

export function Uploads() {
  const [, turn] = useState(0);
  useEffect(() => {
    const listener = () => turn((n) => n + 1);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }, []);
  if (!items.length) return null;
  const over = items.filter((i) => OVER.includes(i.state)).length;
  return (
    <section class="uploads" aria-label={t("uploads")}>
      <div class="row">
        <strong class="grow">
          {t("uploads")} <span class="soft">{`${over} / ${items.length}`}</span>
        </strong>
        {over > 0 && (
          <button type="button" class="small" onClick={() => {
            items = items.filter((i) => !OVER.includes(i.state));
            changed();
          }}>
            {t("clearDone")}
          </button>
        )}
      </div>
      <ul>
        {items.map((item) => (
          <li key={item.key} class={`upload ${item.state}`}>
            <div class="row">
              <span class="grow clip" title={item.file.name}>
                {item.file.name}
              </span>
              <span class="soft">{label(item)}</span>
              {item.state === "failed" && (
                <button type="button" class="small" onClick={() => {
                  item.stop = new AbortController();
                  item.job = undefined;
                  void run(item);
                }}>
                  {t("retry")}
                </button>
              )}
              {!OVER.includes(item.state) && (
                <button type="button" class="quiet" onClick={() => cancel(item)} aria-label={`${t("cancel")}: ${item.file.name}`}>
                  <Icon name="close" />
                </button>
              )}
            </div>
            {!OVER.includes(item.state) && <progress max={1} value={item.state === "sending" || item.share ? item.share : undefined} />}
            {item.message && <p class="failed-text">{item.message}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function label(item: Item): string {
  if (item.state === "sending") return `${t("sending")} ${Math.round(item.share * 100)} %`;
  return t(item.state === "waiting" ? "queued" : item.state);
}
