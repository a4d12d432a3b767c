/** The frame: where one can go, how the node is, and the page that was picked. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import * as api from "./api/client";
import type { NodeInfo } from "./api/types";
import * as format from "./format";
import { currentLang, onLang, setLang, t } from "./i18n";
import type { Key } from "./i18n";
import { NodeContext } from "./node";
import { Bans } from "./pages/bans";
import { ChannelPage } from "./pages/channel";
import { Channels } from "./pages/channels";
import { Login } from "./pages/login";
import { Meet } from "./pages/meet";
import { MemberPage } from "./pages/member";
import { Overview } from "./pages/overview";
import { Publish } from "./pages/publish";
import { StreamPage } from "./pages/stream";
import { Streams } from "./pages/streams";
import { usePoll } from "./poll";
import { usePulse } from "./pulse";
import { href, useRoute } from "./router";
import { currentTheme, nextTheme, onTheme } from "./theme";
import { Dialogs } from "./ui/dialog";
import { Icon } from "./ui/icons";
import type { IconName } from "./ui/icons";
import { Head, Loading, Tag } from "./ui/parts";
import { Toasts } from "./ui/toast";

const NODE_MS = 10_000;

const PLACES: Array<[string, Key, IconName]> = [
  ["", "overview", "overview"],
  ["streams", "streams", "streams"],
  ["channels", "channels", "channels"],
  ["bans", "bans", "bans"],
  ["publish", "publish", "publish"],
  ["meet", "meet", "meet"],
];

export function App(): JSX.Element {
  const [, redraw] = useState(0);
  useEffect(() => {
    const again = () => redraw((turn) => turn + 1);
    const undo = [onLang(again), onTheme(again)];
    return () => undo.forEach((each) => each());
  }, []);
  const node = usePoll("node", api.node, NODE_MS);
  const locked = node.error?.locked ?? false;
  const [place = "", ...rest] = useRoute();
  useEffect(() => {
    const key = PLACES.find(([path]) => path === place)?.[1];
    document.title = `${rest.at(-1) ?? (key ? t(key) : "")} · Lockgate`.replace(/^ · /, "");
  });
  return (
    <NodeContext.Provider value={node.data}>
      {locked ? (
        <Login refused={api.token.get() !== ""} done={node.refresh} />
      ) : (
        <div class="frame">
          <a class="skip" href="#main" onClick={skip}>
            {t("skip")}
          </a>
          <Side place={place} node={node.data} refresh={node.refresh} />
          <main id="main" tabIndex={-1}>
            <Silence />
            {node.data || node.error ? <Place place={place} rest={rest} /> : <Loading />}
          </main>
        </div>
      )}
      <Dialogs />
      <Toasts />
    </NodeContext.Provider>
  );
}

/** The address is the router's: the link moves the focus and nothing else. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Place({ place, rest }: { place: string; rest: string[] }): JSX.Element {
  const [app, name, uid] = rest;
  switch (place) {
    case "":
      return <Overview />;
    case "streams":
      return app !== undefined && name !== undefined ? <StreamPage key={`${app}/${name}`} app={app} name={name} /> : <Streams />;
    case "channels":
      if (app === undefined || name === undefined) return <Channels />;
      return uid === undefined ? (
        <ChannelPage app={app} channel={name} />
      ) : (
        <MemberPage key={`${app}/${name}/${uid}`} app={app} channel={name} uid={uid} />
      );
    case "bans":
      return <Bans />;
    case "publish":
      return <Publish />;
    case "meet":
      return <Meet key={`${app}/${name}`} app={app} channel={name} />;
    default:
      return <Head title={t("nowhere")} />;
  }
}

function Side(props: { place: string; node?: NodeInfo; refresh(): void }): JSX.Element {
  const { node } = props;
  return (
    <header class="side">
      <div class="brand">
        <strong>Lockgate</strong>
        {node && (
          <small>
            {node.version}
            {!node.ready && <Tag tone="warn">{t("draining")}</Tag>}
          </small>
        )}
      </div>
      <nav aria-label={t("nav")}>
        {PLACES.map(([path, key, icon]) => (
          <a key={path} href={href(...(path ? [path] : []))} aria-current={props.place === path ? "page" : undefined}>
            <Icon name={icon} />
            {t(key)}
          </a>
        ))}
      </nav>
      <div class="foot">
        {node && <small class="uptime">{t("uptime", { time: format.age(node.uptime_seconds) })}</small>}
        <button type="button" class="quiet" lang={currentLang() === "en" ? "zh-CN" : "en"} onClick={() => setLang(currentLang() === "en" ? "zh" : "en")}>
          {currentLang() === "en" ? "中文" : "English"}
        </button>
        <button type="button" class="quiet icon-only" onClick={nextTheme} aria-label={themeText()} title={themeText()}>
          <Icon name={currentTheme()} />
        </button>
        {api.token.get() && (
          <button
            type="button"
            class="quiet"
            onClick={() => {
              api.token.forget();
              location.reload();
            }}
          >
            {t("logout")}
          </button>
        )}
      </div>
    </header>
  );
}

function themeText(): string {
  const theme = currentTheme();
  return t(theme === "auto" ? "theme.auto" : theme === "light" ? "theme.light" : "theme.dark");
}

/** The node does not answer: what is shown is what it said last. */
function Silence(): JSX.Element | null {
  const { error, heardAt } = usePulse();
  if (!error || error.locked) return null;
  const since = heardAt === undefined ? "" : format.age((Date.now() - heardAt) / 1000);
  return (
    <p class="problem silence" role="alert">
      {since ? t("silence", { time: since }) : t("error.noAnswer")}
    </p>
  );
}
