/** Sends a camera, a microphone or a screen to the node, by WHIP. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api/client";
import * as format from "../format";
import { t } from "../i18n";
import { PICTURES, canCapture, capture, devices, stopTracks } from "../media/capture";
import type { SourceKind } from "../media/capture";
import { asApiError } from "../media/play";
import { endpoint } from "../media/sdp";
import type { MediaStats } from "../media/stats";
import { errorText } from "../media/viewer";
import { publishWhip } from "../media/whip";
import type { Publishing } from "../media/whip";
import { useNode } from "../node";
import { href } from "../router";
import { Empty, Facts, Field, Head, Panel, Tag } from "../ui/parts";

const STATS_MS = 1_000;
const SOURCES: SourceKind[] = ["camera", "screen", "microphone"];

export const sourceText = (kind: SourceKind): string =>
  t(kind === "camera" ? "source.camera" : kind === "screen" ? "source.screen" : "source.microphone");

/** Live: `publishing` stands and `app` and `name` say where. */
interface Live {
  app: string;
  name: string;
  publishing: Publishing;
}

export function Publish(): JSX.Element {
  const node = useNode();
  const apps = (node?.apps ?? []).filter(({ access }) => access !== "signed");
  const [app, setApp] = useState("");
  const [name, setName] = useState(() => `browser-${Math.random().toString(36).slice(2, 6)}`);
  const [key, setKey] = useState("");
  const [source, setSource] = useState<SourceKind>("camera");
  const [picture, setPicture] = useState(2);
  const [camera, setCamera] = useState("");
  const [microphone, setMicrophone] = useState("");
  const [known, setKnown] = useState<MediaDeviceInfo[]>([]);
  const [media, setMedia] = useState<MediaStream>();
  const [busy, setBusy] = useState(false);
  const [live, setLive] = useState<Live>();
  const [error, setError] = useState<ApiError>();
  const [stats, setStats] = useState<MediaStats>({});
  const preview = useRef<HTMLVideoElement>(null);
  const held = useRef<{ stop: AbortController; media?: MediaStream; live?: Live }>({ stop: new AbortController() });

  const chosen = apps.find((each) => each.name === app) ?? apps[0];

  const end = () => {
    held.current.stop.abort();
    held.current.live?.publishing.stop();
    stopTracks(held.current.media);
    held.current = { stop: new AbortController() };
    setLive(undefined);
    setMedia(undefined);
    setStats({});
    setBusy(false);
  };
  useEffect(() => {
    void devices().then(setKnown);
    return end;
  }, []);
  useEffect(() => {
    if (preview.current) preview.current.srcObject = media ?? null;
  }, [media]);
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => void live.publishing.stats().then(setStats), STATS_MS);
    return () => clearInterval(timer);
  }, [live]);

  const start = async (event: Event) => {
    event.preventDefault();
    if (!chosen) return;
    end();
    setError(undefined);
    setBusy(true);
    const mine = held.current;
    const { signal } = mine.stop;
    try {
      const wanted = PICTURES[picture] ?? PICTURES[0]!;
      const media = await capture(source, wanted, { camera, microphone });
      if (signal.aborted) return stopTracks(media);
      mine.media = media;
      setMedia(media);
      void devices().then(setKnown);
      // The browser's own button ends a screen.
      for (const track of media.getVideoTracks()) track.addEventListener("ended", () => mine === held.current && end());
      const url = endpoint(chosen.name, name.trim(), "whip", key.trim() && `key=${encodeURIComponent(key.trim())}`);
      const publishing = await publishWhip(url, media, wanted.bitrate, signal, () => {
        if (mine !== held.current) return;
        end();
        setError(asApiError(new Error(t("publish.over"))));
      });
      mine.live = { app: chosen.name, name: name.trim(), publishing };
      setLive(mine.live);
      setBusy(false);
    } catch (thrown) {
      if (signal.aborted) return;
      end();
      setError(asApiError(thrown));
    }
  };

  const fixed = busy || !!live;
  const of = (kind: MediaDeviceKind) => known.filter((device) => device.kind === kind);
  return (
    <>
      <Head title={t("publish")}>{live && <Tag tone="good">{t("state.live")}</Tag>}</Head>
      <div class="watch">
        <Panel class="flush">
          <div class="screen">
            <video ref={preview} muted playsInline autoPlay aria-label={t("publish.preview")} />
            {!media && <p class="over">{t(canCapture() ? "publish.nothing" : "publish.insecure")}</p>}
          </div>
          <div class="bar">
            <span class="reading">{live ? sending(stats) : "\u00a0"}</span>
          </div>
        </Panel>
        <Panel title={t("publish.what")}>
          {node && !apps.length ? (
            <Empty>{t("publish.noApp")}</Empty>
          ) : (
            <form class="stack" onSubmit={start}>
              <div class="pair">
                <Field label={t("app")}>
                  <select value={chosen?.name ?? ""} disabled={fixed} onChange={(event) => setApp(event.currentTarget.value)}>
                    {apps.map((each) => (
                      <option key={each.name}>{each.name}</option>
                    ))}
                  </select>
                </Field>
                <Field label={t("publish.name")}>
                  <input
                    value={name}
                    disabled={fixed}
                    required
                    maxLength={256}
                    autocomplete="off"
                    spellcheck={false}
                    onInput={(event) => setName(event.currentTarget.value)}
                  />
                </Field>
              </div>
              {chosen?.access === "keys" && (
                <Field label={t("publish.key")}>
                  <input value={key} disabled={fixed} required autocomplete="off" onInput={(event) => setKey(event.currentTarget.value)} />
                </Field>
              )}
              <div class="pair">
                <Field label={t("source")}>
                  <select value={source} disabled={fixed} onChange={(event) => setSource(event.currentTarget.value as SourceKind)}>
                    {SOURCES.map((each) => (
                      <option key={each} value={each}>
                        {sourceText(each)}
                      </option>
                    ))}
                  </select>
                </Field>
                <Field label={t("publish.picture")}>
                  <select
                    value={picture}
                    disabled={fixed || source === "microphone"}
                    onChange={(event) => setPicture(Number(event.currentTarget.value))}
                  >
                    {PICTURES.map((each, index) => (
                      <option key={each.label} value={index}>
                        {`${each.label} · ${format.bitrate(each.bitrate)}`}
                      </option>
                    ))}
                  </select>
                </Field>
              </div>
              <div class="pair">
                <Devices label={t("source.camera")} value={camera} all={of("videoinput")} disabled={fixed || source !== "camera"} pick={setCamera} />
                <Devices label={t("source.microphone")} value={microphone} all={of("audioinput")} disabled={fixed} pick={setMicrophone} />
              </div>
              <div class="buttons">
                {/* Keys: a button that turns into the other under the click would submit the form. */}
                {fixed ? (
                  <button key="stop" type="button" class="danger" onClick={end}>
                    {t("publish.stop")}
                  </button>
                ) : (
                  <button key="start" type="submit" class="primary" disabled={!canCapture() || !chosen || !name.trim()}>
                    {t("publish.start")}
                  </button>
                )}
                {busy && <span class="note">{t("viewer.connecting")}</span>}
              </div>
              {error && (
                <p class="problem" role="alert">
                  {errorText(error)}
                </p>
              )}
            </form>
          )}
          {live && <Where live={live} port={node?.rtmp_port} stats={stats} />}
        </Panel>
      </div>
    </>
  );
}

function Devices(props: {
  label: string;
  value: string;
  all: MediaDeviceInfo[];
  disabled: boolean;
  pick(id: string): void;
}): JSX.Element {
  return (
    <Field label={props.label}>
      <select value={props.value} disabled={props.disabled} onChange={(event) => props.pick(event.currentTarget.value)}>
        <option value="">{t("publish.default")}</option>
        {props.all.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || t("publish.device", { n: index + 1 })}
          </option>
        ))}
      </select>
    </Field>
  );
}

function sending(stats: MediaStats): string {
  const parts = ["WHIP"];
  if (stats.codec) parts.push(stats.codec);
  if (stats.width && stats.height) parts.push(`${stats.width}×${stats.height}`);
  if (stats.fps !== undefined) parts.push(t("fps", { n: format.fps(stats.fps) }));
  if (stats.bitsPerSecond !== undefined) parts.push(format.bitrate(stats.bitsPerSecond));
  return parts.join(" · ");
}

function Where({ live, port, stats }: { live: Live; port?: number; stats: MediaStats }): JSX.Element {
  const authority = location.hostname + (port === 1935 || !port ? "" : `:${port}`);
  return (
    <Facts
      rows={[
        [t("stream"), <a href={href("streams", live.app, live.name)}>{`${live.app}/${live.name}`}</a>],
        ["RTMP", <code>{`rtmp://${authority}/${live.app}/${live.name}`}</code>],
        ["HTTP-FLV", <code>{`${location.origin}/${live.app}/${encodeURIComponent(live.name)}.flv`}</code>],
        [t("publish.roundTrip"), format.delay(stats.roundTrip)],
        [t("publish.lost"), format.percent(stats.loss, 1)],
      ]}
    />
  );
}
