/** The frame of the page: who is signed in, which view is shown, colours and language. */

import { render } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { Problem, resume, type Session, signIn, signOut, whenSignedOut } from "./api";
import { language, setLanguage, t, type Text } from "./i18n";
import { Empty, Failure, Field, Icon, type IconName, Loading, useGet } from "./parts";
import { go, link, useRoute } from "./route";
import { Uploads } from "./uploads";
import { AskView } from "./views/ask";
import { CompareView } from "./views/compare";
import { DocumentView } from "./views/document";
import { DocumentsView } from "./views/documents";
import type { GraphView } from "./views/graph";
import { KeysView } from "./views/keys";
import { SearchView } from "./views/search";
import { SpacesView } from "./views/spaces";
import { StatusView } from "./views/status";

type Theme = "auto" | "light" | "dark";
const THEMES: Record<Theme, Text> = { auto: "themeAuto", light: "themeLight", dark: "themeDark" };

function applied(theme: Theme): void {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function keptTheme(): Theme {
  const kept = localStorage.getItem("theme");
  return kept === "light" || kept === "dark" ? kept : "auto";
}

interface Entry {
  view: IconName & Text;
  admin?: boolean;
  /** Small screens have no room for it in the bar: it is reached from the documents. */
  wide?: boolean;
}

const ENTRIES: Entry[] = [
  { view: "ask" },
  { view: "search" },
  { view: "documents" },
  { view: "compare" },
  { view: "graph", wide: true },
  { view: "spaces", wide: true },
  { view: "status" },
  { view: "keys", admin: true },
];

function App() {
  const [session, setSession] = useState<Session | null>();
  const [error, setError] = useState<unknown>();
  const [ended, setEnded] = useState(false);
  const [theme, setTheme] = useState<Theme>(keptTheme);
  const [, setTurn] = useState(0);
  const route = useRoute();

  const enter = useCallback(() => {
    setError(undefined);
    setSession(undefined);
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (token) go("#/ask", true); // neither history nor a copied address keeps it
    (token ? signIn(token) : resume()).then(setSession, (e) => {
      if (e instanceof Problem && e.status === 401) setSession(null);
      else setError(e);
    });
  }, []);
  useEffect(() => {
    whenSignedOut((asked) => {
      setEnded(!asked);
      setSession(null);
    });
    enter();
    const arrived = () => /[#&]token=/.test(location.hash) && enter();
    addEventListener("hashchange", arrived);
    return () => removeEventListener("hashchange", arrived);
  }, [enter]);
  useEffect(() => {
    const name = ENTRIES.find((e) => e.view === route.view)?.view ?? (route.view === "document" ? "documents" : null);
    document.title = name ? `${t(name)} – Ragstone` : "Ragstone";
  });

  const choose = (to: Theme) => {
    localStorage.setItem("theme", to);
    applied(to);
    setTheme(to);
  };
  const speak = () => {
    setLanguage(language() === "de" ? "en" : "de");
    setTurn((n) => n + 1);
  };
  const themes = Object.keys(THEMES) as Theme[];
  const nextTheme = themes[(themes.indexOf(theme) + 1) % themes.length]!;

  return (
    <div class="frame" key={language()}>
      <a class="skip" href="#content" onClick={(e) => (e.preventDefault(), document.getElementById("content")?.focus())}>
        {t("skip")}
      </a>
      <header>
        <a class="brand" href="#/ask">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path class="stone" d="M6 4h14l6 7v11l-7 6H8l-5-8V11z" />
            <path class="lines" d="M9.5 12h12M9.5 17h9M9.5 22h6" />
          </svg>
          <span>Ragstone</span>
        </a>
        {session && (
          <nav aria-label={t("menu")}>
            {ENTRIES.filter((e) => !e.admin || session.scopes.includes("admin")).map((e) => {
              const here = route.view === e.view || (route.view === "document" && e.view === "documents");
              return (
                <a key={e.view} class={e.wide ? "wide-only" : undefined} href={link(e.view)} aria-current={here ? "page" : undefined}>
                  <Icon name={e.view} />
                  <span>{t(e.view)}</span>
                </a>
              );
            })}
          </nav>
        )}
        <div class="tools">
          <button type="button" class="quiet" onClick={() => choose(nextTheme)} aria-label={`${t("theme")}: ${t(THEMES[theme])}`} title={`${t("theme")}: ${t(THEMES[theme])}`}>
            <Icon name="theme" />
          </button>
          <button type="button" class="quiet" onClick={speak} lang={language() === "de" ? "en" : "de"} title={t("language")}>
            {language() === "de" ? "EN" : "DE"}
          </button>
          {session && (
            <button type="button" class="quiet" onClick={() => signOut().catch(() => {})} aria-label={t("signOut")} title={t("signOut")}>
              <Icon name="out" />
            </button>
          )}
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {error ? <Failure error={error} retry={enter} /> : null}
        {!error && session === undefined && <Loading />}
        {session === null && <SignIn ended={ended} onDone={setSession} />}
        {session && (
          <>
            {/* an answer goes on being written while another view is looked at */}
            <div class="fill" hidden={route.view !== "ask"}>
              <AskView session={session} />
            </div>
            {route.view === "search" && <SearchView query={route.query} />}
            {route.view === "documents" && <DocumentsView session={session} collection={route.id} />}
            {route.view === "document" && <DocumentView session={session} id={route.id} query={route.query} />}
            {route.view === "compare" && <CompareView name={route.id} query={route.query} />}
            {route.view === "graph" && <LaterGraphView session={session} collection={route.id} query={route.query} />}
            {route.view === "spaces" && <SpacesView session={session} />}
            {route.view === "status" && <StatusView session={session} />}
            {route.view === "keys" && <KeysView session={session} />}
            {!ENTRIES.some((e) => e.view === route.view) && route.view !== "document" && (
              <Empty icon="search" title={t("noSuchPage")} />
            )}
          </>
        )}
      </main>
      {session && <Uploads />}
    </div>
  );
}

/** The graph's drawing is larger than the rest of the page: it is loaded when it is first looked at. */
function LaterGraphView(props: { session: Session; collection: string; query: URLSearchParams }) {
  const [View, setView] = useState<typeof GraphView>();
  const [error, setError] = useState<unknown>();
  const load = () => {
    setError(undefined);
    import("./views/graph").then((loaded) => setView(() => loaded.GraphView), setError);
  };
  useEffect(load, []);
  if (error) return <Failure error={new Problem(0, "unreachable")} retry={load} />;
  return View ? <View {...props} /> : <Loading lines={6} />;
}

function SignIn({ ended, onDone }: { ended: boolean; onDone: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<unknown>();
  const { data: ways } = useGet<{ provider: string | null; address: string | null }>("/v1/login");
  const submit = (event: Event) => {
    event.preventDefault();
    signIn(token.trim()).then(onDone, setError);
  };
  return (
    <form class="card narrow" onSubmit={submit}>
      <h1>{t("signInTitle")}</h1>
      {ended && <p class="note">{t("refused401")}</p>}
      <p>{t("signInText")}</p>
      <Field label={t("token")}>
        <input type="password" autocomplete="off" required value={token} onInput={(e) => setToken(e.currentTarget.value)} />
      </Field>
      {error instanceof Problem && error.status === 401 ? (
        <p class="failure" role="alert">
          {t("signInWrong")}
        </p>
      ) : error ? (
        <Failure error={error} />
      ) : null}
      <button type="submit" class="primary">
        {t("signIn")}
      </button>
      {ways?.address && (
        <a class="button" href={ways.address}>
          {t("signInWith", { name: ways.provider ?? "" })}
        </a>
      )}
    </form>
  );
}

applied(keptTheme());
setLanguage(language());
render(<App />, document.getElementById("app")!);
