/** Is the node well, what does it carry, and what went wrong? */
import type { JSX } from "preact";
import * as api from "../api/client";
import type { Metrics } from "../api/metrics";
import type { Player } from "../api/types";
import * as format from "../format";
import { t, tOr } from "../i18n";
import type { Key } from "../i18n";
import { usePoll } from "../poll";
import { usePulse } from "../pulse";
import type { Beat, Pulse } from "../pulse";
import { href } from "../router";
import { Chart } from "../ui/chart";
import { Await, Empty, Head, Loading, Panel, Stat } from "../ui/parts";
import { Table } from "../ui/table";

const POLL_MS = 5_000;

/** A player this far behind has been seen to. */
const LATE_SECONDS = 1;

export function Overview(): JSX.Element {
  const pulse = usePulse();
  return (
    <>
      <Head title={t("overview")} />
      {pulse.now ? <Figures pulse={pulse} metrics={pulse.now} /> : <Loading />}
    </>
  );
}

function Figures({ pulse, metrics }: { pulse: Pulse; metrics: Metrics }): JSX.Element {
  const latest = [...pulse.beats].reverse().find((beat) => beat.cpu !== undefined || beat.memory !== undefined);
  const protocols = (name: string) => {
    const some = [...metrics.by(name, "protocol")].filter(([, value]) => value > 0);
    return some.map(([protocol, value]) => `${protocol} ${format.count(value)}`).join(" · ");
  };
  const connections = metrics.by("lockgate_connections", "protocol");
  const all = [...connections.values()].reduce((sum, value) => sum + value, 0);
  return (
    <>
      <dl class="stats">
        <Stat label={t("in")} value={format.bitrate(latest?.bitsIn)} hint={protocols("lockgate_publishers")} />
        <Stat label={t("out")} value={format.bitrate(latest?.bitsOut)} hint={protocols("lockgate_players")} />
        <Stat label={t("publishers")} value={format.count(metrics.sum("lockgate_publishers"))} />
        <Stat label={t("players")} value={format.count(metrics.sum("lockgate_players"))} />
        <Stat
          label={t("members")}
          value={format.count(metrics.sum("lockgate_members"))}
          hint={t("overview.channels", { n: format.count(metrics.sum("lockgate_channels")) })}
        />
        <Stat label={t("cpu")} value={format.percent(latest?.cpu)} hint={t("overview.ofOneCore")} />
        <Stat
          label={t("memory")}
          value={format.bytes(metrics.sum("process_resident_memory_bytes"))}
          hint={t("overview.rings", { n: format.bytes(metrics.sum("lockgate_ring_bytes")) })}
        />
        <Stat label={t("connections")} value={format.count(all)} hint={files(metrics)} />
      </dl>
      <Charts beats={pulse.beats} />
      <div class="columns">
        <Late />
        <Delays metrics={metrics} />
      </div>
      <Trouble metrics={metrics} first={pulse.first} />
    </>
  );
}

function files(metrics: Metrics): string {
  const [open, max] = [metrics.sum("process_open_fds"), metrics.sum("process_max_fds")];
  return open === undefined || max === undefined ? "" : t("overview.files", { open: format.count(open), max: format.count(max) });
}

function Charts({ beats }: { beats: Beat[] }): JSX.Element {
  const at = beats.map((beat) => beat.at);
  const of = (name: keyof Beat) => beats.map((beat) => beat[name]);
  return (
    <div class="charts">
      <Chart
        title={t("chart.traffic")}
        at={at}
        value={format.bitrate}
        top={1000}
        lines={[
          { label: t("out"), colour: "--line-1", values: of("bitsOut") },
          { label: t("in"), colour: "--line-2", values: of("bitsIn") },
        ]}
      />
      <Chart
        title={t("chart.people")}
        at={at}
        value={format.count}
        top={4}
        whole
        lines={[
          { label: t("players"), colour: "--line-1", values: of("players") },
          { label: t("publishers"), colour: "--line-2", values: of("publishers") },
          { label: t("members"), colour: "--line-3", values: of("members") },
        ]}
      />
      <Chart
        title={t("chart.cpu")}
        at={at}
        value={(value) => format.percent(value)}
        top={0.1}
        lines={[{ label: t("cpu"), colour: "--line-1", values: of("cpu") }]}
      />
      <Chart
        title={t("chart.trouble")}
        at={at}
        value={(value) => t("perSecond", { n: value < 10 ? value.toFixed(1) : format.count(value) })}
        top={1}
        lines={[
          { label: t("chart.skips"), colour: "--line-4", values: of("skips") },
          { label: t("chart.refused"), colour: "--line-3", values: of("refused") },
        ]}
      />
    </div>
  );
}

/** Who is behind, or was: the ones that complain. */
function Late(): JSX.Element {
  const polled = usePoll("late", () => api.players(), POLL_MS);
  const late = (all: Player[]) =>
    all
      .filter((player) => player.delay_seconds >= LATE_SECONDS || player.skips > 0)
      .sort((a, b) => b.delay_seconds - a.delay_seconds || b.skips - a.skips)
      .slice(0, 8);
  return (
    <Panel title={t("late.title")} note={t("late.note")}>
      <Await of={polled}>
        {({ items }) => {
          const rows = late(items);
          if (!rows.length) return <Empty>{t("late.none")}</Empty>;
          return (
            <Table
              caption={t("late.title")}
              rows={rows}
              id={(player) => player.connection}
              columns={[
                { label: t("player"), cell: (player) => `${player.connection} ${player.protocol}` },
                {
                  label: t("stream"),
                  cell: (player) => (
                    <a href={href("streams", player.app, player.name)}>{`${player.app}/${player.name}`}</a>
                  ),
                },
                { label: t("peer"), cell: (player) => player.peer },
                { label: t("behind"), number: true, cell: (player) => format.delay(player.delay_seconds) },
                { label: t("skips"), number: true, cell: (player) => format.count(player.skips) },
              ]}
            />
          );
        }}
      </Await>
    </Panel>
  );
}

const DELAYS: Array<[Key, string]> = [
  ["delays.dwell", "lockgate_node_dwell_seconds"],
  ["delays.firstFrame", "lockgate_first_frame_seconds"],
  ["delays.mute", "lockgate_mute_effect_seconds"],
  ["delays.client", "lockgate_client_player_delay_seconds"],
];

function Delays({ metrics }: { metrics: Metrics }): JSX.Element {
  return (
    <Panel title={t("delays.title")} note={t("sinceStart")}>
      <Table
        caption={t("delays.title")}
        narrow
        rows={DELAYS}
        id={([key]) => key}
        columns={[
          { label: t("delays.what"), cell: ([key]) => t(key) },
          { label: t("delays.half"), number: true, cell: ([, name]) => format.delay(metrics.quantile(name, 0.5)) },
          { label: t("delays.most"), number: true, cell: ([, name]) => format.delay(metrics.quantile(name, 0.99)) },
        ]}
      />
    </Panel>
  );
}

/** Counters of what went wrong, and the label that says why. */
const TROUBLES: Array<[Key, string, string]> = [
  ["trouble.dropped", "lockgate_dropped_packets_total", "reason"],
  ["trouble.skips", "lockgate_skips_total", "kind"],
  ["trouble.cut", "lockgate_players_cut_total", "reason"],
  ["trouble.jumps", "lockgate_timeline_jumps_total", "reason"],
  ["trouble.returns", "lockgate_publisher_returns_total", "how"],
  ["trouble.publish", "lockgate_publish_refused_total", "reason"],
  ["trouble.play", "lockgate_play_refused_total", "reason"],
  ["trouble.connections", "lockgate_connections_refused_total", "reason"],
  ["trouble.handshakes", "lockgate_handshake_failures_total", "reason"],
  ["trouble.accept", "lockgate_accept_errors_total", "listener"],
  ["trouble.signalling", "lockgate_signalling_refusals_total", "code"],
  ["trouble.sessions", "lockgate_sessions_closed_total", "reason"],
  ["trouble.clients", "lockgate_client_errors_total", "side"],
  ["trouble.webhooks", "lockgate_webhook_attempts_total", "result"],
];

/** What is counted there and is no trouble. */
const FINE = ["delivered", "ok"];

interface TroubleRow {
  what: Key;
  why: string;
  lately: number;
  total: number;
}

function Trouble({ metrics, first }: { metrics: Metrics; first?: Metrics }): JSX.Element {
  const rows = TROUBLES.flatMap(([what, name, label]) => {
    const before = first?.by(name, label);
    return [...metrics.by(name, label)]
      .filter(([why, total]) => total > 0 && !FINE.includes(why))
      .map(([why, total]): TroubleRow => ({ what, why, total, lately: total - (before?.get(why) ?? 0) }));
  });
  const stalls = metrics.sum("lockgate_client_stalls_total") ?? 0;
  if (stalls > 0) {
    const lately = stalls - (first?.sum("lockgate_client_stalls_total") ?? 0);
    rows.push({ what: "trouble.clients", why: "stalls", total: stalls, lately });
  }
  rows.sort((a, b) => Number(b.lately > 0) - Number(a.lately > 0));
  return (
    <Panel title={t("trouble.title")}>
      {rows.length ? (
        <Table
          caption={t("trouble.title")}
          narrow
          rows={rows}
          id={(row) => `${row.what} ${row.why}`}
          columns={[
            {
              label: t("trouble.what"),
              cell: (row) => (
                <>
                  {t(row.what)}: <span class="muted">{tOr("reason", row.why)}</span>
                </>
              ),
            },
            {
              label: t("trouble.lately"),
              number: true,
              cell: (row) => (row.lately > 0 ? <b>{`+${format.count(row.lately)}`}</b> : format.NONE),
            },
            { label: t("sinceStart"), number: true, cell: (row) => format.count(row.total) },
          ]}
        />
      ) : (
        <Empty>{t("trouble.none")}</Empty>
      )}
    </Panel>
  );
}
