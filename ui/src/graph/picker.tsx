/** A field that finds an entity by name as it is typed. */

import { useEffect, useId, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { type Entity, search } from "./model";
import { KindName } from "./kinds";

const PAUSE = 150;
/** Milliseconds without a key before the server is asked. */

export function Picker(props: { collection: string; label: string; onPick: (entity: Entity) => void; focused?: boolean; without?: string }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<Entity[]>();
  const [failed, setFailed] = useState(false);
  const [at, setAt] = useState(0);
  const list = useId();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (props.focused) field.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    setFound(undefined);
    setFailed(false);
    if (!text.trim()) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      search(props.collection, text.trim(), stop.signal).then(
        (entities) => {
          setFound(entities.filter((e) => e.id !== props.without));
          setAt(0);
        },
        () => stop.signal.aborted || setFailed(true),
      );
    }, PAUSE);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [text, props.collection]);
  const pick = (entity: Entity) => {
    setText("");
    props.onPick(entity);
  };
  const keys = (event: KeyboardEvent) => {
    const count = found?.length ?? 0;
    if (event.key === "Escape" && text) {
      event.stopPropagation();
      setText("");
    }
    if (!count) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      setAt((at + (event.key === "ArrowDown" ? 1 : count - 1)) % count);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      pick(found![at]!);
    }
  };
  const open = text.trim() !== "" && (found !== undefined || failed);
  return (
    <div class="picker">
      <input
        ref={field}
        type="text"
        role="combobox"
        aria-expanded={open}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={open && found?.length ? `${list}-${at}` : undefined}
        aria-label={props.label}
        placeholder={props.label}
        maxLength={500}
        value={text}
        onInput={(e) => setText(e.currentTarget.value)}
        onKeyDown={keys}
      />
      {open && (
        <ul id={list} role="listbox" aria-label={props.label}>
          {failed && <li class="failed-text">{t("unreachable")}</li>}
          {found && !found.length && <li class="soft">{t("nothingFound")}</li>}
          {found?.map((entity, i) => (
            <li
              key={entity.id}
              id={`${list}-${i}`}
              role="option"
              aria-selected={i === at}
              onPointerDown={(e) => {
                e.preventDefault(); // the field keeps the focus
                pick(entity);
              }}
            >
              <span class="clip">{entity.name}</span>
              <KindName kind={entity.kind} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
