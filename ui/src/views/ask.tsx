/** Questions and their answers, with the source of a sentence beside it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { type Answer, ask, type Citation, type Collection, post, Problem, randomName, type Session } from "../api";
import { named, number, t } from "../i18n";
import { CopyButton, Empty, Failure, focused, Icon, onEnter, useGet } from "../parts";
import { link } from "../route";
import { Source } from "../source";
import { fileName, mark, plain, rendered } from "../text";

interface Turn {
  key: number;
  question: string;
  collections?: string[];
  stage: string;
  text: string;
  answer?: Answer;
  error?: unknown;
  stopped?: boolean;
}

let turns = 0;

export function AskView({ session }: { session: Session }) {
  const [asked, setAsked] = useState<Turn[]>([]);
  const [question, setQuestion] = useState("");
  const [collection, setCollection] = useState("");
  const [shown, setShown] = useState<{ turn: number; citation: Citation; sentence: number | null }>();
  const running = useRef<AbortController | undefined>(undefined);
  const conversation = useRef(randomName());
  const end = useRef<HTMLDivElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const { data, reload } = useGet<{ items: Collection[] }>("/v1/collections");
  const collections = data?.items ?? [];
  const empty = data !== undefined && collections.every((c) => c.documents === 0);
  const busy = asked.some((turn) => !turn.answer && !turn.error && !turn.stopped);

  useEffect(() => {
    const changed = () => reload();
    addEventListener("ragstone:documents", changed);
    return () => removeEventListener("ragstone:documents", changed);
  }, [reload]);
  useEffect(() => focused(field.current), []);
  useEffect(() => {
    end.current?.scrollIntoView({ block: "end" });
  }, [asked.length]);

  const change = (key: number, to: Partial<Turn> | ((turn: Turn) => Partial<Turn>)) =>
    setAsked((all) => all.map((turn) => (turn.key === key ? { ...turn, ...(typeof to === "function" ? to(turn) : to) } : turn)));

  const send = async (words: string) => {
    words = words.trim();
    if (!words || busy) return;
    const key = turns++;
    const chosen = collection ? [collection] : undefined;
    setAsked((all) => [...all, { key, question: words, collections: chosen, stage: "search", text: "" }]);
    setQuestion("");
    setShown(undefined);
    const stop = new AbortController();
    running.current = stop;
    let ended = false;
    try {
      for await (const { event, data } of ask(words, chosen, conversation.current, stop.signal)) {
        const said = data as Record<string, string>;
        if (event === "stage") change(key, { stage: said.name ?? "" });
        else if (event === "token") change(key, (turn) => ({ text: turn.text + (said.text ?? "") }));
        else if (event === "final") {
          ended = true;
          change(key, { answer: data as Answer });
        } else if (event === "error") {
          ended = true;
          change(key, { error: new Problem(Number(said.status) || 500, said.detail ?? said.title ?? "", said.hint, said.code, said.id) });
        }
      }
      if (!ended) change(key, { error: new Error(t("cut")) });
    } catch (error) {
      if (stop.signal.aborted) change(key, { stopped: true });
      else change(key, { error });
    }
  };
  const renew = () => {
    conversation.current = randomName();
    setAsked([]);
    setShown(undefined);
    field.current?.focus();
  };
  const open = (turn: number, citation: Citation, sentence: number | null) => setShown({ turn, citation, sentence });

  return (
    <div class={shown ? "split open" : "split"} onKeyDown={(e) => e.key === "Escape" && setShown(undefined)}>
      <div class="column ask">
        <div class="turns" aria-live="polite" aria-busy={busy}>
          {!asked.length && (
            <Empty icon="ask" title={t("askTitle")} text={empty ? t("noDocuments") : t("askEmpty")}>
              {empty && session.scopes.includes("write") && (
                <a class="button primary" href={link("documents")}>
                  {t("addDocuments")}
                </a>
              )}
            </Empty>
          )}
          {asked.map((turn) => (
            <article key={turn.key} class="turn">
              <h2 class="question">{turn.question}</h2>
              {turn.answer ? (
                <Answered turn={turn} answer={turn.answer} shown={shown?.turn === turn.key ? shown : undefined} onOpen={open} />
              ) : (
                <div class={turn.error || turn.stopped ? "answer written" : "answer written streaming"}>{turn.text}</div>
              )}
              {!turn.answer && !turn.error && !turn.stopped && <div class="stage">{named("stage_", turn.stage)} …</div>}
              {turn.stopped && <p class="soft">{t("stopped")}</p>}
              {turn.error && empty ? (
                <p class="note">
                  {t("noDocuments")} <a href={link("documents")}>{t("addDocuments")}</a>
                </p>
              ) : turn.error ? (
                <Failure error={turn.error} retry={busy ? undefined : () => send(turn.question)} />
              ) : null}
            </article>
          ))}
          <div ref={end} />
        </div>
        <form
          class="asking"
          onSubmit={(event) => {
            event.preventDefault();
            send(question);
          }}
        >
          <textarea
            rows={2}
            maxLength={4000}
            ref={field}
            value={question}
            placeholder={t("askPlaceholder")}
            aria-label={t("askTitle")}
            onInput={(e) => setQuestion(e.currentTarget.value)}
            onKeyDown={onEnter(() => send(question))}
          />
          <div class="row">
            <select value={collection} onChange={(e) => setCollection(e.currentTarget.value)} aria-label={t("collection")}>
              <option value="">{t("all")}</option>
              {collections.map((c) => (
                <option key={c.name} value={c.name}>
                  {c.name}
                </option>
              ))}
            </select>
            <span class="grow" />
            {asked.length > 0 && !busy && (
              <button type="button" class="quiet" onClick={renew} aria-label={t("askNew")} title={t("askNewText")}>
                <Icon name="plus" />
                <span class="wide-only">{t("askNew")}</span>
              </button>
            )}
            {busy ? (
              <button type="button" onClick={() => running.current?.abort()}>
                <Icon name="stop" />
                <span>{t("askStop")}</span>
              </button>
            ) : (
              <button type="submit" class="primary" disabled={!question.trim()}>
                <Icon name="send" />
                <span>{t("askSend")}</span>
              </button>
            )}
          </div>
        </form>
      </div>
      {shown && (
        <aside class="column beside">
          <Source span={shown.citation} collections={collections.map((c) => c.name)} onClose={() => setShown(undefined)} />
        </aside>
      )}
    </div>
  );
}

interface AnsweredProps {
  turn: Turn;
  answer: Answer;
  shown?: { citation: Citation; sentence: number | null };
  onOpen: (turn: number, citation: Citation, sentence: number | null) => void;
}

const HOVER = 140;
/** Milliseconds of pointing before a source is opened: a pointer that passes by opens nothing. */

function Answered({ turn, answer, shown, onOpen }: AnsweredProps) {
  const body = useRef<HTMLDivElement>(null);
  const timer = useRef(0);
  useEffect(() => {
    const root = body.current!;
    const text = answer.model === "extractive" ? plain(answer.answer) : rendered(answer.answer);
    root.replaceChildren(text);
    mark(root, answer.answered ? answer.sentences : []);
  }, [answer]);
  useEffect(() => {
    for (const span of body.current!.querySelectorAll<HTMLElement>("[data-sentence]"))
      span.classList.toggle("chosen", shown !== undefined && Number(span.dataset.sentence) === shown.sentence);
    for (const cite of body.current!.querySelectorAll<HTMLElement>("[data-citation]"))
      cite.classList.toggle("chosen", Number(cite.dataset.citation) === shown?.citation.number);
  }, [shown, answer]);

  const byNumber = (wanted: number | undefined) => answer.citations.find((c) => c.number === wanted);
  const chosenAt = (target: EventTarget | null): [Citation, number | null] | null => {
    if (!(target instanceof Element)) return null;
    const cite = target.closest<HTMLElement>("[data-citation]");
    if (cite) {
      const wanted = Number(cite.dataset.citation);
      const citation = byNumber(wanted);
      const sentence = answer.sentences.findIndex((s) => s.citations.includes(wanted));
      return citation ? [citation, sentence < 0 ? null : sentence] : null;
    }
    const span = target.closest<HTMLElement>("[data-sentence]");
    const index = Number(span?.dataset.sentence);
    const citation = span ? byNumber(answer.sentences[index]?.citations[0]) : undefined;
    return citation ? [citation, index] : null;
  };
  const openAt = (target: EventTarget | null) => {
    clearTimeout(timer.current);
    const chosen = chosenAt(target);
    if (chosen) onOpen(turn.key, ...chosen);
    return chosen !== null;
  };
  const hover = (event: PointerEvent) => {
    clearTimeout(timer.current);
    if (event.pointerType !== "mouse" || !matchMedia("(min-width: 1000px)").matches) return;
    timer.current = window.setTimeout(() => openAt(event.target), HOVER);
  };
  const unsupported = answer.answered && answer.sentences.some((s) => !s.supported);
  const total = answer.timings.total ?? Object.entries(answer.timings).reduce((sum, [, v]) => sum + v, 0);

  return (
    <>
      <div
        ref={body}
        class={answer.answered ? "answer" : "answer refused"}
        lang={answer.language}
        onClick={(event) => openAt(event.target)}
        onPointerOver={hover}
        onPointerLeave={() => clearTimeout(timer.current)}
        onKeyDown={(event) => {
          if ((event.key === "Enter" || event.key === " ") && openAt(event.target)) event.preventDefault();
        }}
      />
      {unsupported && (
        <p class="legend">
          <span class="sentence unsupported">Abc</span> {t("unsupported")}
        </p>
      )}
      {answer.citations.length > 0 && (
        <ol class="citations" aria-label={t("sources")}>
          {answer.citations.map((c) => (
            <li key={c.number}>
              <button type="button" class={shown?.citation.number === c.number ? "citation chosen" : "citation"} onClick={() => {
                const sentence = answer.sentences.findIndex((s) => s.citations.includes(c.number));
                onOpen(turn.key, c, sentence < 0 ? null : sentence);
              }}>
                <span class="cite static">{c.number}</span>
                <span class="clip">{c.title || fileName(c.uri)}</span>
                <span class="soft clip">{[c.page !== null ? t("pageShort", { n: c.page }) : "", ...c.section.filter((s) => s !== c.title)].filter(Boolean).join(" › ")}</span>
              </button>
            </li>
          ))}
        </ol>
      )}
      {answer.notes.map((note) => (
        <p key={note} class="note">
          {note}
        </p>
      ))}
      <div class="row under">
        <Feedback answer={answer} />
        <CopyButton text={answer.answer} />
        <span class="grow" />
        <span class="soft">
          {answer.model === "extractive" ? t("extractive") : answer.model} · {total < 1 ? t("atOnce") : `${number(total)} ms`}
        </span>
      </div>
    </>
  );
}

function Feedback({ answer }: { answer: Answer }) {
  const [sent, setSent] = useState<"" | "up" | "down">("");
  const [error, setError] = useState<unknown>();
  const rate = (rating: "up" | "down") => {
    setSent(rating);
    setError(undefined);
    const about = answer.id ? { answer_id: answer.id } : { question: answer.question };
    post("/v1/feedback", { ...about, rating: rating === "up" ? 1 : -1 }).catch((e) => {
      setSent("");
      setError(e);
    });
  };
  return (
    <>
      <button type="button" class="quiet" aria-pressed={sent === "up"} aria-label={t("useful")} title={t("useful")} onClick={() => rate("up")}>
        <Icon name="up" />
      </button>
      <button type="button" class="quiet" aria-pressed={sent === "down"} aria-label={t("notUseful")} title={t("notUseful")} onClick={() => rate("down")}>
        <Icon name="down" />
      </button>
      {sent && <span class="soft">{t("thanks")}</span>}
      {error ? <Failure error={error} /> : null}
    </>
  );
}
