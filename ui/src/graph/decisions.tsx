/** What somebody decided about entities, and taking it back. */

import { useState } from "preact/hooks";
import { post } from "../api";
import { date, t } from "../i18n";
import { Confirm, Failure, Loading, useGet } from "../parts";
import { addressOf, type Decision } from "./model";
import { type Acts, Panel } from "./panel";

interface Act {
  pairs: Decision[];
  /** Of a split: the form that all pairs have. */
  a: string;
  others: string[];
}

/** A split is decided about every pair of a form with what it was parted from: at one moment, one act. The newest first. */
function acts(decisions: Decision[]): Act[] {
  const found = new Map<string, Decision[]>();
  for (const one of decisions) {
    const key = `${one.kind} ${one.at}`;
    found.set(key, [...(found.get(key) ?? []), one]);
  }
  return [...found.values()].reverse().map((pairs) => {
    const named = (one: Decision) => [[one.a, one.a_name || one.a], [one.b, one.b_name || one.b]] as const;
    const [key, a] = named(pairs[0]!).find(([k]) => pairs.every((one) => one.a === k || one.b === k)) ?? named(pairs[0]!)[0];
    return { pairs, a, others: pairs.map((one) => named(one).find(([k]) => k !== key)![1]) };
  });
}

function told({ pairs, a, others }: Act): string {
  return t(pairs[0]!.kind === "merge" ? "graphMerged" : "graphParted", { a, b: others.join(", ") });
}

export function DecisionsPanel({ acts: page, renewed }: { acts: Acts; renewed: () => void }) {
  const { data, error, reload } = useGet<{ decisions: Decision[] }>(addressOf(page.collection, "/decisions"));
  const [asking, setAsking] = useState<Act>();
  const [failed, setFailed] = useState<unknown>();
  const takeBack = async (act: Act) => {
    setAsking(undefined);
    setFailed(undefined);
    try {
      for (const { a, b } of act.pairs) await post(addressOf(page.collection, ":withdraw"), { a, b });
    } catch (e) {
      setFailed(e);
    }
    reload();
    renewed();
  };
  return (
    <Panel title={t("graphDecisions")} acts={page}>
      {error ? <Failure error={error} retry={reload} /> : null}
      {failed ? <Failure error={failed} /> : null}
      {!data && !error && <Loading lines={4} />}
      {data && !data.decisions.length && <p class="soft">{t("graphNoDecisions")}</p>}
      <ul class="hits">
        {data &&
          acts(data.decisions).map((act) => (
            <li key={`${act.pairs[0]!.a} ${act.pairs[0]!.b}`} class="hit">
              <p>{told(act)}</p>
              <p class="row wrap small-text soft">
                <span class="grow">{[date(act.pairs[0]!.at, true), act.pairs[0]!.by].filter(Boolean).join(" · ")}</span>
                {page.canWrite && (
                  <button type="button" class="small" onClick={() => setAsking(act)}>
                    {t("graphTakeBack")}
                  </button>
                )}
              </p>
            </li>
          ))}
      </ul>
      {asking && <Confirm text={t("graphTakeBackAsk", { what: told(asking) })} action={t("graphTakeBack")} onNo={() => setAsking(undefined)} onYes={() => void takeBack(asking)} />}
    </Panel>
  );
}
