/** A web client of the SDK: joins a channel, is seen and sees the others. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { TrackKind } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { canCapture } from "../media/capture";
import type { SourceKind } from "../media/capture";
import type { MediaStats } from "../media/stats";
import { Viewer, errorText } from "../media/viewer";
import { Room, reasonOf } from "../meet/room";
import type { Entrance, Me, Other, RoomState } from "../meet/room";
import { useNode } from "../node";
import { Icon } from "../ui/icons";
import { Empty, Field, Head, Panel, Tag, Toggle } from "../ui/parts";
import { act, sayError } from "../ui/toast";

const STATS_MS = 1_000;

export function Meet({ app, channel }: { app?: string; channel?: string }): JSX.Element {
  const [room, setRoom] = useState<Room>();
  const [state, setState] = useState<RoomState>();
  const [joining, setJoining] = useState(false);
  const [error, setError] = useState("");
  const held = useRef<Room | undefined>(undefined);

  const leave = () => {
    void held.current?.leave();
    held.current = undefined;
    setRoom(undefined);
    setState(undefined);
    setJoining(false);
  };
  useEffect(() => {
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
    };
  }, []);

  const join = async (entrance: Entrance) => {
    leave();
    setError("");
    setJoining(true);
    const mine = new Room(entrance, (state) => mine === held.current && setState(state));
    held.current = mine;
    try {
      await mine.join();
      if (mine === held.current) setRoom(mine);
    } catch (thrown) {
      if (mine !== held.current) return;
      leave();
      setError(reasonOf(thrown));
    }
    setJoining(false);
  };

  if (!room || !state) {
    return (
      <>
        <Head title={t("meet")} />
        <Panel title={t("meet.join")}>
          <Entry app={app} channel={channel} busy={joining} error={error} join={join} cancel={leave} />
        </Panel>
      </>
    );
  }
  return (
    <>
      <Head title={room.channel}>
        <Tag tone={state.connection === "CONNECTED" ? "good" : "warn"}>{connectionText(state.connection)}</Tag>
        <button type="button" class="danger quiet" onClick={leave}>
          {t("meet.leave")}
        </button>
      </Head>
      <div class="tiles">
        <Self room={room} me={state.me} audience={room.audience} />
        {state.others.map((other) => (
          <Tile key={other.uid} room={room} other={other} />
        ))}
      </div>
      {!state.others.length && <Empty>{t("meet.alone")}</Empty>}
      <Panel title={t("meet.events")}>
        <ol class="log" aria-live="polite">
          {[...state.log].reverse().map(({ at, text }, index) => (
            <li key={state.log.length - index}>
              <time>{new Date(at).toLocaleTimeString()}</time> {text}
            </li>
          ))}
        </ol>
      </Panel>
    </>
  );
}

const connectionText = (state: string): string =>
  t(state === "CONNECTED" ? "meet.connected" : state === "DISCONNECTED" ? "meet.disconnected" : "meet.connecting");

function Entry(props: {
  app?: string;
  channel?: string;
  busy: boolean;
  error: string;
  join(entrance: Entrance): void;
  cancel(): void;
}): JSX.Element {
  const node = useNode();
  const apps = (node?.apps ?? []).filter(({ channels }) => channels);
  const [app, setApp] = useState(props.app ?? "");
  const [channel, setChannel] = useState(props.channel ?? "");
  const [uid, setUid] = useState("");
  const [token, setToken] = useState("");
  const [role, setRole] = useState<Entrance["role"]>("broadcaster");
  const chosen = apps.find(({ name }) => name === app) ?? apps[0];
  if (node && !apps.length) return <Empty>{t("meet.noApp")}</Empty>;
  const submit = (event: Event) => {
    event.preventDefault();
    if (chosen) props.join({ app: chosen.name, channel: channel.trim(), uid: uid.trim(), token: token.trim(), role });
  };
  return (
    <form class="stack narrow" onSubmit={submit}>
      <div class="pair">
        <Field label={t("app")}>
          <select value={chosen?.name ?? ""} disabled={props.busy} onChange={(event) => setApp(event.currentTarget.value)}>
            {apps.map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </Field>
        <Field label={t("channel")}>
          <input value={channel} required maxLength={64} disabled={props.busy} autocomplete="off" onInput={(event) => setChannel(event.currentTarget.value)} />
        </Field>
      </div>
      <div class="pair">
        <Field label={t("meet.uid")} hint={t("meet.uidHint")}>
          <input value={uid} maxLength={48} disabled={props.busy} autocomplete="off" onInput={(event) => setUid(event.currentTarget.value)} />
        </Field>
        <Field label={t("meet.role")}>
          <select value={role} disabled={props.busy} onChange={(event) => setRole(event.currentTarget.value as Entrance["role"])}>
            <option value="broadcaster">{t("role.host")}</option>
            <option value="audience">{t("role.audience")}</option>
          </select>
        </Field>
      </div>
      {chosen?.tokens && (
        <Field label={t("meet.token")} hint={t("meet.tokenHint")}>
          <input value={token} required disabled={props.busy} autocomplete="off" onInput={(event) => setToken(event.currentTarget.value)} />
        </Field>
      )}
      <div class="buttons">
        {/* Keys: a button that turns into the other under the click would submit the form. */}
        {props.busy ? (
          <button key="cancel" type="button" onClick={props.cancel}>
            {t("cancel")}
          </button>
        ) : (
          <button key="join" type="submit" class="primary" disabled={!chosen || !channel.trim()}>
            {t("meet.join")}
          </button>
        )}
        {props.busy && <span class="note">{t("meet.connecting")}</span>}
      </div>
      {props.error && (
        <p class="problem" role="alert">
          {props.error}
        </p>
      )}
    </form>
  );
}

function Self({ room, me, audience }: { room: Room; me: Me; audience: boolean }): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  const [stats, setStats] = useState<MediaStats>();
  useEffect(() => {
    if (video.current) video.current.srcObject = me.media ?? null;
  }, [me.media]);
  useEffect(() => {
    const timer = setInterval(() => void room.readPusher().then(setStats), STATS_MS);
    return () => clearInterval(timer);
  }, [room]);
  const start = (source: SourceKind) => void room.publish(source);
  const mute = (track: TrackKind, on: boolean) => void room.muteOwn(track, !on).catch(sayError);
  return (
    <article class="tile">
      <h2>
        {me.uid} <small>{t("meet.you")}</small>
      </h2>
      <div class="screen">
        <video ref={video} muted playsInline autoPlay aria-label={t("meet.own")} />
        {!me.media && (
          <div class="over">
            {audience ? (
              <span>{t("meet.audience")}</span>
            ) : canCapture() ? (
              <>
                <button type="button" class="primary" onClick={() => start("camera")}>
                  {t("source.camera")}
                </button>
                <button type="button" onClick={() => start("screen")}>
                  {t("source.screen")}
                </button>
                <button type="button" onClick={() => start("microphone")}>
                  {t("source.microphone")}
                </button>
              </>
            ) : (
              <span>{t("publish.insecure")}</span>
            )}
          </div>
        )}
        {me.media && me.muted.video && <p class="over">{t("meet.cameraOff")}</p>}
      </div>
      <div class="bar">
        {me.media && (
          <>
            <MuteToggle track="audio" on={!me.muted.audio} label={t("meet.ownAudio")} change={(on) => mute("audio", on)} />
            <MuteToggle track="video" on={!me.muted.video} label={t("meet.ownVideo")} change={(on) => mute("video", on)} />
            <button type="button" class="quiet" onClick={() => void room.unpublish()}>
              {t("publish.stop")}
            </button>
          </>
        )}
        <span class="reading">{me.media ? ownReading(me, stats) : "\u00a0"}</span>
      </div>
      {me.problem && (
        <p class="problem" role="alert">
          {errorText(me.problem)}
        </p>
      )}
    </article>
  );
}

function ownReading(me: Me, stats?: MediaStats): string {
  if (!me.sending) return t("viewer.connecting");
  if (stats?.bitsPerSecond === undefined) return "WHIP";
  return `WHIP · ${t("fps", { n: format.fps(stats.fps) })} · ${format.bitrate(stats.bitsPerSecond)}`;
}

function Tile({ room, other }: { room: Room; other: Other }): JSX.Element {
  const { uid, urls, muted, mutedHere } = other;
  const mute = (track: TrackKind, on: boolean) => {
    const what = t(track === "audio" ? "audio" : "video");
    void act(() => room.muteOther(uid, track, !on), t(on ? "gate.opened" : "gate.closed", { what, of: uid }));
  };
  const says = (["audio", "video"] as const).filter((track) => muted[track]).map((track) => t(track));
  return (
    <article class="tile">
      <h2>
        {uid} {says.length > 0 && <Tag tone="warn">{t("meet.muted", { what: says.join(t("list.and")) })}</Tag>}
      </h2>
      {urls ? (
        <Viewer plain of={urls.whep} urls={async () => urls} label={uid} onStats={(stats) => room.tellPlayer(uid, stats)} />
      ) : (
        <div class="screen">
          <p class="over">{other.problem ?? t("viewer.connecting")}</p>
        </div>
      )}
      <div class="bar">
        <MuteToggle track="audio" on={!mutedHere.audio} label={t("gate.audioOf", { of: uid })} change={(on) => mute("audio", on)} />
        <MuteToggle track="video" on={!mutedHere.video} label={t("gate.videoOf", { of: uid })} change={(on) => mute("video", on)} />
        <span class="reading">{t("meet.forYou")}</span>
      </div>
    </article>
  );
}

function MuteToggle(props: { track: TrackKind; on: boolean; label: string; change(on: boolean): void }): JSX.Element {
  const icons = { audio: ["mic", "mic-off"], video: ["camera", "camera-off"] } as const;
  return (
    <Toggle on={props.on} label={props.label} icon={<Icon name={icons[props.track][props.on ? 0 : 1]} />} change={props.change} />
  );
}
