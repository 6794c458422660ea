/** Text of documents and answers: data of others, which is shown and never run. */

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { t } from "./i18n";
import type { Sentence } from "./api";

/** Offsets of the server count code points, strings here count UTF-16 units. */
export function codePoints(text: string, start: number, end: number): [string, string, string] {
  const unit = (from: number, count: number): number => {
    let at = from;
    for (let i = 0; i < count && at < text.length; i++) at += text.codePointAt(at)! > 0xffff ? 2 : 1;
    return at;
  };
  const first = unit(0, Math.max(0, start));
  const last = unit(first, Math.max(0, end - Math.max(0, start)));
  return [text.slice(0, first), text.slice(first, last), text.slice(last)];
}

export function length(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** A path of this machine or an archive member as people call it. */
export function fileName(uri: string): string {
  const last = uri.split(/[\/\0]/).filter(Boolean).pop() ?? uri;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

const markdown = new Marked({
  gfm: true,
  breaks: true,
  async: false,
  renderer: {
    // raw HTML and images of a text are shown as what they are: characters
    html: ({ text }) => escaped(text),
    image: ({ text }) => escaped(text),
    checkbox: () => "",
  },
});

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

const TAGS = "p br strong em del code pre ul ol li blockquote h1 h2 h3 h4 h5 h6 table thead tbody tr th td hr a";

/** Markdown of an answer as elements: no images, no styles, no names; links leave the page only by a click and show
 * the host they lead to. */
export function rendered(text: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(markdown.parse(text) as string, {
    ALLOWED_TAGS: TAGS.split(" "),
    ALLOWED_ATTR: ["href", "start"],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^https?:\/\//i,
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll("a")) disarm(link);
  return fragment;
}

function disarm(link: HTMLAnchorElement): void {
  const to = link.getAttribute("href");
  if (!to) {
    link.replaceWith(...link.childNodes);
    return;
  }
  const host = new URL(to).host;
  link.rel = "noopener noreferrer nofollow";
  link.target = "_blank";
  link.title = t("linkOpens", { host });
  if (!(link.textContent ?? "").includes(host)) link.append(` (${host})`);
}

/** Plain text as paragraphs. */
export function plain(text: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  for (const paragraph of text.split(/\n\s*\n/)) {
    const p = document.createElement("p");
    p.textContent = paragraph;
    fragment.append(p);
  }
  return fragment;
}

/** Wraps every sentence of the answer in an element of its own, and every [n] in a button. Sentences are looked for in
 * order, without regard to space and to what markdown took away. */
export function mark(root: ParentNode & Node, sentences: Sentence[]): void {
  const { text, at } = flattened(root);
  let from = 0;
  const ranges: [number, number, number][] = [];
  sentences.forEach((sentence, index) => {
    const wanted = squeezed(visible(sentence.text));
    const found = wanted ? text.indexOf(wanted, from) : -1;
    if (found < 0) return;
    from = found + wanted.length;
    ranges.push([found, from, index]);
  });
  for (const [start, end, index] of ranges.reverse()) wrap(at, start, end, index, sentences[index]!);
  citations(root);
}

function visible(text: string): string {
  const holder = document.createElement("div");
  holder.append(rendered(text));
  const shown = holder.textContent ?? "";
  return squeezed(shown) ? shown : text;
}

function squeezed(text: string): string {
  return text.replace(/[\s*_`#>|\[\]]+/g, "");
}

interface Place {
  node: Text;
  offset: number;
}

function flattened(root: Node): { text: string; at: Place[] } {
  const at: Place[] = [];
  let text = "";
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode() as Text | null; node; node = walker.nextNode() as Text | null) {
    for (let i = 0; i < node.data.length; i++) {
      const unit = node.data[i]!;
      if (!squeezed(unit)) continue;
      text += unit;
      at.push({ node, offset: i });
    }
  }
  return { text, at };
}

function wrap(at: Place[], start: number, end: number, index: number, sentence: Sentence): void {
  // from the last text node to the first, so that earlier places stay valid
  let stop = end;
  while (stop > start) {
    const node = at[stop - 1]!.node;
    let begin = stop - 1;
    while (begin > start && at[begin - 1]!.node === node) begin--;
    const range = document.createRange();
    range.setStart(node, at[begin]!.offset);
    range.setEnd(node, at[stop - 1]!.offset + 1);
    const span = document.createElement("span");
    span.className = sentence.supported ? "sentence" : "sentence unsupported";
    span.dataset.sentence = String(index);
    if (begin === start && sentence.citations.length) {
      span.tabIndex = 0;
      span.setAttribute("role", "button");
    }
    if (!sentence.supported) span.title = t("unsupported");
    range.surroundContents(span);
    stop = begin;
  }
}

function citations(root: Node): void {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  const nodes: Text[] = [];
  for (let node = walker.nextNode() as Text | null; node; node = walker.nextNode() as Text | null) nodes.push(node);
  for (const node of nodes) {
    const parts = node.data.split(/(\[\d+\])/);
    if (parts.length < 2) continue;
    node.replaceWith(
      ...parts.map((part) => {
        const number = /^\[(\d+)\]$/.exec(part)?.[1];
        if (!number) return document.createTextNode(part);
        const button = document.createElement("button");
        button.type = "button";
        button.className = "cite";
        button.dataset.citation = number;
        button.textContent = number;
        button.setAttribute("aria-label", `${t("source")} ${number}`);
        return button;
      }),
    );
  }
}
