/** What the machine does now: figures of the last hour, budget, alerts, recent work, caches. */

import { useState } from "preact/hooks";
import { type Collection, type Job, type Page, post, Problem, type Session, type Standing } from "../api";
import { Chart, type Line } from "../chart";
import { bytes, date, money, named, number, t } from "../i18n";
import { Empty, Failure, Icon, Loading, useGet } from "../parts";

const EVERY = 5000;
/** Milliseconds between two looks. */

interface Series {
  times: number[];
  requests_per_second?: (number | null)[];
  latency_ms?: Record<string, Record<string, (number | null)[]>>;
  hit_rate?: (number | null)[];
  cpu_percent?: (number | null)[];
  memory_bytes?: (number | null)[];
  tokens_per_minute?: (number | null)[];
  cost_usd_per_hour?: (number | null)[];
  budget_left_usd?: (number | null)[];
  active_keys?: (number | null)[];
  in_flight?: (number | null)[];
  jobs_waiting?: (number | null)[];
  alerts?: Alert[];
}

interface Alert {
  name: string;
  severity?: string;
  text: string;
}

interface Status {
  state: string;
  bytes: number;
  memory_mb: number;
  collections: Collection[];
  caches: Record<string, Record<string, number>>;
}

export function StatusView({ session }: { session: Session }) {
  const status = useGet<Status>("/v1/status", EVERY);
  // figures of the whole process are for its administrators
  const all = session.scopes.includes("admin") && session.tenant === "default";
  const series = useGet<Series>(all ? "/v1/metrics/series" : null, EVERY);
  const budget = useGet<{ items: Standing[] }>("/v1/budget", EVERY);
  const jobs = useGet<Page<Job>>("/v1/jobs", EVERY);
  if (status.error && !status.data) return <Failure error={status.error} retry={status.reload} />;
  if (!status.data) return <Loading lines={8} />;
  const alerts = series.data?.alerts ?? [];
  const documents = status.data.collections.reduce((sum, c) => sum + c.documents, 0);
  const passages = status.data.collections.reduce((sum, c) => sum + c.chunks, 0);
  return (
    <div class="page">
      <div class="row head">
        <h1 class="grow">{t("status")}</h1>
        <span class="soft">{t("updated", { n: EVERY / 1000 })}</span>
      </div>
      {status.error ? <Failure error={status.error} retry={status.reload} /> : null}
      <dl class="tiles">
        <Tile name={t("state")} value={t(status.data.state === "writable" ? "writable" : "readOnly")} good={status.data.state === "writable"} />
        <Tile name={t("documents")} value={number(documents)} />
        <Tile name={t("passages")} value={number(passages)} />
        <Tile name={t("disk")} value={bytes(status.data.bytes)} />
        <Tile name={t("memory")} value={bytes(status.data.memory_mb * 1e6)} />
        {latest(series.data?.active_keys) !== null && <Tile name={t("activeKeys")} value={number(latest(series.data?.active_keys)!)} />}
        {latest(series.data?.in_flight) !== null && <Tile name={t("inFlight")} value={number(latest(series.data?.in_flight)!)} />}
        {latest(series.data?.jobs_waiting) !== null && <Tile name={t("jobsWaiting")} value={number(latest(series.data?.jobs_waiting)!)} />}
      </dl>
      {all && <section aria-label={t("alerts")}>
        <h2>{t("alerts")}</h2>
        {alerts.length ? (
          <ul class="alerts">
            {alerts.map((alert) => (
              <li key={alert.name} class={alert.severity === "critical" ? "failure" : alert.severity === "info" ? "note plain" : "note"}>
                {named("alert_", alert.name, alert.text)}
              </li>
            ))}
          </ul>
        ) : (
          <p class="soft">{t("alertsNone")}</p>
        )}
      </section>}
      {all && <Charts series={series.data} error={series.error} />}
      <Budget budgets={budget.data?.items} error={budget.error} />
      <Jobs jobs={jobs.data?.items} error={jobs.error} session={session} reload={jobs.reload} />
      <section aria-label={t("caches")}>
        <h2>{t("caches")}</h2>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("name")}</th>
              <th scope="col" class="num">{t("entries")}</th>
              <th scope="col" class="num">{t("size")}</th>
              <th scope="col" class="num">{t("hits")}</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(status.data.caches).map(([name, cache]) => (
              <tr key={name}>
                <td>{named("cache_", name)}</td>
                <td class="num">{number(cache.entries ?? 0)}</td>
                <td class="num">{cache.bytes === undefined ? "–" : bytes(cache.bytes)}</td>
                <td class="num">{cache.hit_rate === undefined || cache.hit_rate === null ? "–" : `${number(cache.hit_rate * 100)} %`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
    </div>
  );
}

/** The newest figure of a series; null where there is none. */
function latest(values?: (number | null)[]): number | null {
  return values?.at(-1) ?? null;
}

function Tile({ name, value, good }: { name: string; value: string; good?: boolean }) {
  return (
    <div class={good === false ? "tile bad" : "tile"}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Charts({ series, error }: { series?: Series; error: unknown }) {
  const stages = Object.keys(series?.latency_ms ?? {});
  const [stage, setStage] = useState("");
  const chosen = stages.includes(stage) ? stage : (["search", "answer", "http"].find((s) => stages.includes(s)) ?? stages[0] ?? "");
  if (error && !series) return error instanceof Problem && error.status === 404 ? <p class="soft">{t("noSeriesOff")}</p> : <Failure error={error} />;
  if (!series) return <Loading lines={5} />;
  if (series.times.length < 2) return <Empty icon="status" title={t("noSeries")} />;
  const one = (label: string, values?: (number | null)[]): Line[] | null => (values?.some((v) => v !== null) ? [{ label, values }] : null);
  const charts: [string, Line[] | null, (value: number) => string][] = [
    [t("requests"), one("", series.requests_per_second), (v) => number(v, 1)],
    [t("hitRate"), one("", series.hit_rate), (v) => `${number(v * 100)} %`],
    [t("processor"), one("", series.cpu_percent), (v) => `${number(v)} %`],
    [t("memory"), one("", series.memory_bytes), bytes],
    [t("tokens"), one("", series.tokens_per_minute), (v) => number(v)],
    [t("cost"), one("", series.cost_usd_per_hour), money],
    [t("budgetLeft"), one("", series.budget_left_usd), money],
  ];
  const latency = series.latency_ms?.[chosen];
  return (
    <div class="charts">
      {latency && (
        <div class="chart-wide">
          <div class="row">
            <span class="grow" />
            <select value={chosen} onChange={(e) => setStage(e.currentTarget.value)} aria-label={t("latency")}>
              {stages.map((name) => (
                <option key={name} value={name}>
                  {stageName(name)}
                </option>
              ))}
            </select>
          </div>
          <Chart
            title={t("latency")}
            times={series.times}
            lines={Object.entries(latency).map(([label, values]) => ({ label, values }))}
            format={(v) => `${number(v, v < 10 ? 1 : 0)} ms`}
          />
        </div>
      )}
      {charts.map(([title, lines, format]) => lines && <Chart key={title} title={title} times={series.times} lines={lines} format={format} />)}
    </div>
  );
}

/** `search: lexical` is a stage of a search. */
function stageName(name: string): string {
  const [whole, part] = name.split(": ", 2);
  const first = named("figure_", whole!);
  return part ? `${first} › ${named("part_", part)}` : first;
}

function Budget({ budgets, error }: { budgets?: Standing[]; error: unknown }) {
  return (
    <section aria-label={t("budget")}>
      <h2>{t("budget")}</h2>
      {error && !budgets ? <Failure error={error} /> : null}
      {budgets && !budgets.length && <p class="soft">{t("budgetNone")}</p>}
      {budgets?.map((b) => (
        <div key={b.budget} class="budget">
          <div class="row">
            <strong class="grow">{b.budget}</strong>
            <span class="soft">{b.limit === null || b.left === null ? t("spent", { n: money(b.spent) }) : t("left", { n: money(b.left), limit: money(b.limit) })}</span>
          </div>
          {b.limit !== null && <meter min={0} max={b.limit} low={b.limit * 0.8} high={b.limit * 0.95} optimum={0} value={b.spent + b.held} aria-label={b.budget} />}
        </div>
      ))}
    </section>
  );
}

function Jobs(props: { jobs?: Job[]; error: unknown; session: Session; reload: () => void }) {
  const act = (job: Job, what: "cancel" | "retry") => post(`/v1/jobs/${encodeURIComponent(job.id)}/${what}`, {}).then(props.reload, props.reload);
  return (
    <section aria-label={t("jobs")}>
      <h2>{t("jobs")}</h2>
      {props.error && !props.jobs ? <Failure error={props.error} /> : null}
      {props.jobs && !props.jobs.length && <p class="soft">{t("jobsEmpty")}</p>}
      {props.jobs && props.jobs.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">{t("kind")}</th>
              <th scope="col">{t("state")}</th>
              <th scope="col" class="wide-only">{t("added")}</th>
              <th scope="col" aria-label={t("retry")} />
            </tr>
          </thead>
          <tbody>
            {props.jobs.slice(0, 20).map((job) => (
              <tr key={job.id}>
                <td>{named("job_", job.kind)}</td>
                <td>
                  <span class={`badge ${job.state}`}>{job.state in JOB_STATES ? t(JOB_STATES[job.state as keyof typeof JOB_STATES]) : job.state}</span>
                  {job.state === "failed" && job.failures?.length ? <div class="failed-text small-text">{job.failures.at(-1)!.message}</div> : null}
                </td>
                <td class="wide-only">{date(job.created, true)}</td>
                <td class="num">
                  {props.session.scopes.includes("write") && (job.state === "failed") && (
                    <button type="button" class="small" onClick={() => act(job, "retry")}>
                      {t("retry")}
                    </button>
                  )}
                  {props.session.scopes.includes("write") && (job.state === "queued" || job.state === "running") && (
                    <button type="button" class="quiet" onClick={() => act(job, "cancel")} aria-label={t("cancel")}>
                      <Icon name="close" />
                    </button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

const JOB_STATES = { queued: "queued", running: "running", done: "done", failed: "failed", cancelled: "cancelled" } as const;
