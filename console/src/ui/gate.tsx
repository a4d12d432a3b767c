/** The operator's switches on a gate, and who else has closed it. */
import type { JSX } from "preact";
import * as api from "../api/client";
import type { Gate, Player, Switch, TrackKind } from "../api/types";
import { t, tOr } from "../i18n";
import { Icon } from "./icons";
import { Toggle } from "./parts";
import { act } from "./toast";

const TRACKS: TrackKind[] = ["audio", "video"];
const ICONS = { audio: ["mic", "mic-off"], video: ["camera", "camera-off"] } as const;

/** Two switches. `own` is what the operator has set, `closedBy` who else keeps it shut. */
export function Switches(props: {
  of: string;
  own: Record<TrackKind, boolean>;
  closedBy: Record<TrackKind, string[]>;
  change(track: TrackKind, to: Switch): void;
}): JSX.Element {
  return (
    <span class="switches">
      {TRACKS.map((track) => {
        const open = props.own[track];
        const others = props.closedBy[track];
        const label = t(track === "audio" ? "gate.audioOf" : "gate.videoOf", { of: props.of });
        const by = others.map((source) => tOr("source", source)).join(t("list.and"));
        return (
          <span key={track} class={others.length ? "shut" : ""}>
            <Toggle
              on={open}
              label={label}
              title={others.length ? `${label}: ${t("gate.closedBy", { by })}` : label}
              icon={<Icon name={ICONS[track][open && !others.length ? 0 : 1]} />}
              change={(on) => props.change(track, on ? "open" : "closed")}
            />
            {others.length > 0 && <small>{t("gate.by", { by })}</small>}
          </span>
        );
      })}
    </span>
  );
}

const OPERATOR = "operator";

export function PlayerGate({ player, changed }: { player: Player; changed(): void }): JSX.Element {
  const { gate, connection } = player;
  const turn = async (track: TrackKind, to: Switch) => {
    const key = to === "open" ? "gate.opened" : "gate.closed";
    const what = t(track === "audio" ? "audio" : "video");
    await act(() => api.switchGate(connection, track, to), t(key, { what, of: t("player.n", { n: connection }) }));
    changed();
  };
  return (
    <Switches
      of={t("player.n", { n: connection })}
      own={{ audio: !closers(gate, "audio").includes(OPERATOR), video: !closers(gate, "video").includes(OPERATOR) }}
      closedBy={{ audio: others(gate, "audio"), video: others(gate, "video") }}
      change={turn}
    />
  );
}

const closers = (gate: Gate, track: TrackKind) => (track === "audio" ? gate.audio_closed_by : gate.video_closed_by);
const others = (gate: Gate, track: TrackKind) => closers(gate, track).filter((source) => source !== OPERATOR);
