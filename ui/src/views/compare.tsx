/** Blind rating of answers that language models gave to the same question, side by side. */

import { useEffect, useState } from "preact/hooks";
import { type ComparedQuestion, type Comparison, post } from "../api";
import { named, number, t } from "../i18n";
import { CopyButton, Empty, Failure, Icon, Loading, useGet } from "../parts";
import { go, link } from "../route";

const SCORES = [1, 2, 3, 4, 5];
const COMMAND = "ragstone compare -m extractive -m ollama:llama3.2 -o DATA/comparisons/first";

export function CompareView({ name, query }: { name: string; query: URLSearchParams }) {
  return name ? <Rate key={name} name={name} number={query.get("question")} /> : <Comparisons />;
}

function Comparisons() {
  const { data, error, reload } = useGet<{ items: Comparison[] }>("/v1/comparisons");
  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading />;
  return (
    <div class="page">
      <div class="head">
        <h1>{t("compareTitle")}</h1>
        <p class="soft lead">{t("compareText")}</p>
      </div>
      {!data.items.length && (
        <Empty icon="compare" title={t("compareEmpty")} text={t("compareEmptyText")}>
          <div class="row center command">
            <code class="breakable">{COMMAND}</code>
            <CopyButton text={COMMAND} />
          </div>
        </Empty>
      )}
      <ul class="spaces">
        {data.items.map((one) => (
          <li key={one.name}>
            <a class="card comparison" href={link("compare", one.name)}>
              <strong class="breakable">{one.name}</strong>
              <span class="soft">{t("compareCount", { n: number(one.questions), answers: number(one.answers) })}</span>
              <progress max={one.answers || 1} value={one.rated} aria-label={t("rated", { n: one.rated, all: one.answers })} />
              <span class="soft small-text">{t("rated", { n: number(one.rated), all: number(one.answers) })}</span>
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

type Scores = Record<string, Record<string, number>>;

function Rate({ name, number: wanted }: { name: string; number: string | null }) {
  const base = `/v1/comparisons/${encodeURIComponent(name)}`;
  const { data, error, reload } = useGet<ComparedQuestion>(`${base}/question${wanted ? `?number=${encodeURIComponent(wanted)}` : ""}`);
  const [scores, setScores] = useState<Scores>({});
  const [failed, setFailed] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    setScores(Object.fromEntries((data?.sides ?? []).map((s) => [s.id, { ...s.scores }])));
    setFailed(undefined);
    document.getElementById("content")?.scrollTo(0, 0);
  }, [data]);
  if (error && !data) return <Failure error={error} retry={reload} />;
  if (!data) return <Loading lines={8} />;
  const to = (at: number) => go(link("compare", name, { question: at }));
  const whole = (id: string) => data.criteria.every((c) => scores[id]?.[c]);
  const changed = data.sides.filter((s) => data.criteria.some((c) => scores[s.id]?.[c] !== s.scores?.[c]));
  const ready = changed.length > 0 && changed.every((s) => whole(s.id));
  const allRated = data.answers_rated === data.answers;
  const save = async () => {
    setBusy(true);
    setFailed(undefined);
    try {
      for (const side of changed) await post(`${base}/ratings`, { answer: side.id, scores: scores[side.id] });
      if (data.number < data.questions) to(data.number + 1);
      else reload();
    } catch (e) {
      setFailed(e);
    }
    setBusy(false);
  };
  return (
    <div class="page rate">
      <p class="soft">
        <a href={link("compare")}>{t("compareTitle")}</a> › {name}
      </p>
      <div class="row">
        <span class="soft grow">
          {t("questionOf", { n: data.number, all: data.questions })} · {t("rated", { n: data.answers_rated, all: data.answers })}
        </span>
        <button type="button" class="quiet" disabled={data.number <= 1} onClick={() => to(data.number - 1)} aria-label={t("previousQuestion")} title={t("previousQuestion")}>
          <Icon name="left" />
        </button>
        <button type="button" class="quiet" disabled={data.number >= data.questions} onClick={() => to(data.number + 1)} aria-label={t("nextQuestion")} title={t("nextQuestion")}>
          <Icon name="right" />
        </button>
      </div>
      {allRated && <p class="note good">{t("allRated")}</p>}
      <h1>{data.question}</h1>
      {(data.refuse || data.expected) && (
        <p class="soft">
          {t("expected")} {data.refuse ? t("expectedRefusal") : data.expected}
        </p>
      )}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) void save();
        }}
      >
        <div class="sides">
          {data.sides.map((side) => (
            <section key={side.id} class="card side" aria-label={t("answerLabel", { n: side.label })}>
              <h2>{t("answerLabel", { n: side.label })}</h2>
              <p class="told">{side.text || t("noAnswer")}</p>
              {side.citations.length > 0 && (
                <details>
                  <summary class="soft">{`${t("sources")} (${side.citations.length})`}</summary>
                  <ol class="quotes">
                    {side.citations.map((c, i) => (
                      <li key={i} class="small-text">
                        <span class="cite static">{i + 1}</span> <b>{c.document}</b> <span class="soft">{c.text}</span>
                      </li>
                    ))}
                  </ol>
                </details>
              )}
              <div class="criteria">
                {data.criteria.map((criterion) => (
                  <Criterion
                    key={criterion}
                    side={side.label}
                    criterion={criterion}
                    value={scores[side.id]?.[criterion]}
                    onChange={(score) => setScores((old) => ({ ...old, [side.id]: { ...old[side.id], [criterion]: score } }))}
                  />
                ))}
              </div>
            </section>
          ))}
        </div>
        {failed ? <Failure error={failed} /> : null}
        <div class="row end rate-end">
          {!ready && changed.length > 0 && <span class="soft small-text">{t("rateMissing")}</span>}
          <button type="submit" class="primary" disabled={!ready || busy}>
            {data.number < data.questions ? t("rateNext") : t("rateKeep")}
          </button>
        </div>
      </form>
    </div>
  );
}

function Criterion(props: { side: string; criterion: string; value?: number; onChange: (score: number) => void }) {
  const { side, criterion } = props;
  const label = named("criterion_", criterion);
  return (
    <fieldset class="criterion" title={named("meaning_", criterion)}>
      <legend>{label}</legend>
      <div class="scale">
        {SCORES.map((score) => (
          <label key={score}>
            <input type="radio" name={`${side}/${criterion}`} value={score} checked={props.value === score} onChange={() => props.onChange(score)} aria-label={`${label}: ${score}`} />
            <span>{score}</span>
          </label>
        ))}
      </div>
      <p class="soft small-text meaning">{named("meaning_", criterion)}</p>
    </fieldset>
  );
}
