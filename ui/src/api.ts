/** The one place that talks to the server: session, JSON, event streams, uploads. */

export interface Session {
  csrf: string;
  scopes: string[];
  tenant: string;
  name: string;
}

export interface Hit {
  rank: number;
  document_id?: string;
  uri: string;
  title: string;
  collection: string;
  media_type: string;
  language: string;
  page: number | null;
  line: number;
  section: string[];
  start: number;
  end: number;
  text: string;
  score: number;
  highlights?: [number, number][];
}

export interface SearchResult {
  hits: Hit[];
  timings: Record<string, number>;
  notes: string[];
}

export interface Citation {
  number: number;
  document_id?: string;
  collection?: string;
  uri: string;
  title: string;
  page: number | null;
  line: number;
  section: string[];
  start: number;
  end: number;
  text: string;
  score: number;
}

export interface Sentence {
  text: string;
  citations: number[];
  support: number;
  supported: boolean;
}

export interface Answer {
  id?: string;
  question: string;
  answer: string;
  language: string;
  answered: boolean;
  sentences: Sentence[];
  citations: Citation[];
  model: string;
  tokens?: { prompt: number; completion: number; estimated: boolean };
  timings: Record<string, number>;
  notes: string[];
}

export interface Document {
  id: string;
  uri: string;
  title: string;
  collection: string;
  media_type: string;
  language: string;
  size: number;
  characters: number;
  chunks: number;
  pages?: number;
  added: string;
  modified: string;
  metadata: Record<string, string | number | boolean>;
}

export interface Chunk {
  id: string;
  start: number;
  end: number;
  text: string;
  page: number | null;
  line: number;
  section: string[];
}

export interface Collection {
  name: string;
  documents: number;
  chunks: number;
  characters: number;
  embedded: number;
  waiting: number;
  languages: Record<string, number>;
}

export interface Job {
  id: string;
  kind: string;
  state: string;
  progress?: { done: number; total: number | null; stage: string } | null;
  result?: Record<string, unknown> | null;
  failures?: Failure[];
  created?: string | number;
  attempts?: number;
  cancelling?: boolean;
}

/** Why an attempt failed. */
export interface Failure {
  code: string;
  message: string;
  hint?: string;
}

export interface Page<T> {
  items: T[];
  next?: string | null;
}

export interface Standing {
  budget: string;
  period: string;
  limit: number | null;
  spent: number;
  held: number;
  left: number | null;
  renews: number;
}

export interface Key {
  id: string;
  name: string;
  scopes: string[];
  tenant: string;
  created?: string | null;
  expires?: string | null;
  used?: string | null;
  revoked?: string | null;
}

export interface Tenant {
  id: string;
  name: string;
  created?: string | number | null;
  quotas: Quotas;
}

export interface Quotas {
  documents: number;
  bytes: number;
  requests_per_minute: number;
  tokens_per_day: number;
}

export interface AuditEntry {
  id: number;
  at: string;
  key: string;
  action: string;
  target: string;
  address: string;
}

export interface SpaceUse {
  collection: string;
  space: string;
  role: "active" | "preferred" | "building" | "kept" | "dropping";
  model: string;
  chunks: number;
  embedded: number;
  waiting: number;
}

export interface SpaceList {
  items: SpaceUse[];
  models: { name: string; languages: string; installed: boolean; requirement: string }[];
}

export interface Comparison {
  name: string;
  questions: number;
  answers: number;
  rated: number;
}

export interface ComparedQuestion {
  name: string;
  number: number;
  questions: number;
  answers: number;
  answers_rated: number;
  question: string;
  expected: string;
  refuse: boolean;
  criteria: string[];
  sides: { id: string; label: string; text: string; citations: { document: string; text: string }[]; scores: Record<string, number> | null }[];
}

/** What the server refuses, as its problem document says it; `status` 0: it was not reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint = "",
    readonly code = "",
    readonly id = "",
    readonly retryAfter = 0,
  ) {
    super(message);
  }
}

let session: Session | null = null;
let onSignedOut: (asked: boolean) => void = () => {};

/** `then` learns whether the person asked for it; else the session has ended. */
export function whenSignedOut(then: (asked: boolean) => void): void {
  onSignedOut = then;
}

function headers(extra: Record<string, string> = {}): Record<string, string> {
  return session ? { "X-CSRF-Token": session.csrf, ...extra } : extra;
}

async function problemOf(response: Response): Promise<Problem> {
  let told: Record<string, string> = {};
  try {
    told = await response.json();
  } catch {
    // not a problem document: the status line has to do
  }
  const message = told.detail || told.title || response.statusText || `HTTP ${response.status}`;
  return new Problem(response.status, String(message), told.hint ?? "", told.code ?? "", told.id ?? "", Number(response.headers.get("Retry-After")) || 0);
}

async function send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { method, credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "unreachable");
  }
  if (response.status === 401 && path !== "/v1/session") {
    if (session) onSignedOut(false);
    session = null;
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function json<T>(response: Response): Promise<T> {
  return response.status === 204 ? (undefined as T) : await response.json();
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return json<T>(await send("GET", path, { signal }));
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const type = { "Content-Type": "application/json" };
  return json<T>(await send("POST", path, { headers: headers(type), body: JSON.stringify(body), signal }));
}

export async function put<T>(path: string, body: unknown): Promise<T> {
  const type = { "Content-Type": "application/json" };
  return json<T>(await send("PUT", path, { headers: headers(type), body: JSON.stringify(body) }));
}

export async function remove(path: string): Promise<void> {
  await send("DELETE", path, { headers: headers() });
}

/** The token of the printed address becomes a cookie that scripts cannot read. */
export async function signIn(token: string): Promise<Session> {
  const made = await send("POST", "/v1/session", { headers: { Authorization: `Bearer ${token}` } });
  session = await json<Session>(made);
  return session;
}

/** The session of an earlier visit. Throws Problem 401 where there is none. */
export async function resume(): Promise<Session> {
  session = await get<Session>("/v1/session");
  return session;
}

export async function signOut(): Promise<void> {
  await remove("/v1/session");
  session = null;
  onSignedOut(true);
}

export interface ServerEvent {
  event: string;
  data: unknown;
}

/** Server-sent events of a response as they come. Comments (heartbeats) are left out. */
async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = "message";
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event, data: JSON.parse(data.join("\n")) };
          event = "message";
          data = [];
        } else if (line.startsWith("event:")) event = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

export async function* ask(
  question: string,
  collections: string[] | undefined,
  conversation: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const response = await send("POST", "/v1/ask", {
    headers: headers({ "Content-Type": "application/json", Accept: "text/event-stream" }),
    body: JSON.stringify({ question, conversation, stream: true, ...(collections ? { collections } : {}) }),
    signal,
  });
  yield* eventsOf(response);
}

export async function* jobEvents(id: string, signal: AbortSignal): AsyncGenerator<ServerEvent> {
  yield* eventsOf(await send("GET", `/v1/jobs/${encodeURIComponent(id)}/events`, { signal }));
}

/** A file goes up as one multipart request; `progress` gets the share that is sent. Answers with the job. */
export function upload(
  collection: string,
  file: File,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<Job> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("files", file, file.webkitRelativePath || file.name);
    request.open("POST", `/v1/collections/${encodeURIComponent(collection)}/documents`);
    if (session) request.setRequestHeader("X-CSRF-Token", session.csrf);
    request.setRequestHeader("Idempotency-Key", randomName());
    request.upload.onprogress = (event) => progress(event.lengthComputable ? event.loaded / event.total : 0);
    request.onerror = () => reject(new Problem(0, "unreachable"));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onload = () => {
      let told: Record<string, unknown> = {};
      try {
        told = JSON.parse(request.responseText);
      } catch {
        // an answer without JSON is told by its status
      }
      if (request.status >= 200 && request.status < 300) resolve(told as unknown as Job);
      else reject(new Problem(request.status, String(told.detail ?? request.statusText), String(told.hint ?? ""), "", "", Number(request.getResponseHeader("Retry-After")) || 0));
    };
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

/** `crypto.randomUUID` is missing where a page comes over plain HTTP from another machine. */
export function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}
