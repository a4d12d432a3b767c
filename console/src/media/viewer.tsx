/** A picture of a stream, how it plays here, and what keeps it from playing. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import * as format from "../format";
import { t, tOr } from "../i18n";
import { Icon } from "../ui/icons";
import { asApiError, play } from "./play";
import type { Played, Urls, Way } from "./play";
import type { MediaStats } from "./stats";

const STATS_MS = 1_000;

/** A stream that breaks off may come back: it is asked for again after this. */
const AGAIN_MS = 3_000;

const WAYS: Way[] = ["auto", "whep", "ws-flv"];

type State = { kind: "starting" } | { kind: "playing"; played: Played } | { kind: "failed"; error: ApiError };

export function Viewer(props: {
  /** Which stream it is: another is another picture. */
  of: string;
  /** Asked for anew whenever it starts: a URL may hold for a moment only. */
  urls(): Promise<Urls>;
  label: string;
  /** Plays without being asked to, silently: browsers let nothing else start by itself. */
  autoplay?: boolean;
  /** Leaves out the choice of protocols. */
  plain?: boolean;
  onStats?(stats: MediaStats): void;
}): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  const [way, setWay] = useState<Way>("auto");
  const [wanted, setWanted] = useState(props.autoplay ?? true);
  const [turn, setTurn] = useState(0);
  const [state, setState] = useState<State>({ kind: "starting" });
  const [stats, setStats] = useState<MediaStats>({});
  const [sound, setSound] = useState(false);
  const onStats = useRef(props.onStats);
  onStats.current = props.onStats;
  const urls = useRef(props.urls);
  urls.current = props.urls;

  useEffect(() => {
    const element = video.current;
    if (!wanted || !element) return;
    const stop = new AbortController();
    let played: Played | undefined;
    let timers: ReturnType<typeof setTimeout>[] = [];
    const again = () => timers.push(setTimeout(() => setTurn((turn) => turn + 1), AGAIN_MS));
    setState({ kind: "starting" });
    setStats({});
    const start = async () =>
      play(way, await urls.current(), element, stop.signal, () => {
        if (!stop.signal.aborted) setTurn((turn) => turn + 1);
      });
    start().then(
      (now) => {
        if (stop.signal.aborted) return now.stop();
        played = now;
        setState({ kind: "playing", played: now });
        const read = async () => {
          const stats = await now.stats();
          if (stop.signal.aborted) return;
          setStats(stats);
          onStats.current?.(stats);
        };
        timers.push(setInterval(() => void read(), STATS_MS));
      },
      (thrown) => {
        if (stop.signal.aborted) return;
        const error = asApiError(thrown);
        setState({ kind: "failed", error });
        // What may pass by itself; the rest waits for whoever looks.
        if (["stream_not_found", "no_answer", "ended", "no_picture"].includes(error.code)) again();
      },
    );
    return () => {
      stop.abort();
      played?.stop();
      for (const timer of timers) clearTimeout(timer);
    };
  }, [way, wanted, turn, props.of]);

  useEffect(() => {
    if (video.current) video.current.muted = !sound;
  }, [sound]);

  const played = state.kind === "playing" ? state.played : undefined;
  return (
    <div class="viewer">
      <div class="screen">
        <video ref={video} muted playsInline autoPlay aria-label={props.label} />
        {!wanted && (
          <button type="button" class="start" onClick={() => setWanted(true)}>
            {t("viewer.play")}
          </button>
        )}
        {wanted && state.kind === "starting" && <p class="over">{t("viewer.connecting")}</p>}
        {wanted && state.kind === "failed" && (
          <p class="over" role="status">
            <span>{errorText(state.error)}</span>
            <button type="button" onClick={() => setTurn(turn + 1)}>
              {t("viewer.again")}
            </button>
          </p>
        )}
      </div>
      <div class="bar">
        <button
          type="button"
          role="switch"
          aria-checked={sound}
          aria-label={t("viewer.sound", { of: props.label })}
          title={t("viewer.sound", { of: props.label })}
          class="toggle plain"
          onClick={() => setSound(!sound)}
        >
          <Icon name={sound ? "sound" : "sound-off"} />
        </button>
        <button
          type="button"
          class="toggle plain"
          aria-label={t("viewer.full", { of: props.label })}
          title={t("viewer.full", { of: props.label })}
          onClick={() => void video.current?.requestFullscreen?.()}
        >
          <Icon name="full" />
        </button>
        {!props.plain && (
          <select
            aria-label={t("viewer.way")}
            value={way}
            onChange={(event) => setWay(event.currentTarget.value as Way)}
          >
            {WAYS.map((each) => (
              <option key={each} value={each}>
                {each === "auto" ? t("viewer.auto") : wayText(each)}
              </option>
            ))}
          </select>
        )}
        <span class="reading">{played ? reading(played, stats) : "\u00a0"}</span>
      </div>
      {played?.instead && !props.plain && (
        <p class="note">{t("viewer.instead", { why: errorText(played.instead) })}</p>
      )}
    </div>
  );
}

export const wayText = (way: string): string => (way === "whep" ? "WHEP" : way === "ws-flv" ? "WS-FLV" : way);

function reading(played: Played, stats: MediaStats): string {
  const parts = [wayText(played.protocol)];
  if (stats.width && stats.height) parts.push(`${stats.width}×${stats.height}`);
  if (stats.fps !== undefined) parts.push(t("fps", { n: format.fps(stats.fps) }));
  if (stats.bitsPerSecond !== undefined) parts.push(format.bitrate(stats.bitsPerSecond));
  if (stats.buffer !== undefined) parts.push(t("viewer.buffer", { time: format.delay(stats.buffer) }));
  if (stats.loss) parts.push(t("viewer.loss", { share: format.percent(stats.loss, 1) }));
  return parts.join(" · ");
}

/** Why it does not play, in the reader's language where the code is known. */
export function errorText(error: ApiError): string {
  if (error.code === "no_such_route" || error.code === "method_not_allowed") return t("media.notHere");
  const known = tOr("media", error.code);
  return known === error.code.replaceAll("_", " ") ? error.message : known;
}
