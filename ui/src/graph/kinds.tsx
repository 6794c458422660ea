/** Kinds of entities: their names and colours. */

import { named } from "../i18n";
import { type Kind, KINDS } from "./model";

export function KindName({ kind }: { kind: Kind }) {
  return (
    <span class="kind soft small-text">
      <i class={`dot dot-${KINDS.indexOf(kind) + 1}`} />
      {named("kind_", kind)}
    </span>
  );
}
