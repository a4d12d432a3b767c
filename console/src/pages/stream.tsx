/** One stream: its picture, who brings it, who watches it, and the gate of each. */
import type { JSX } from "preact";
import * as api from "../api/client";
import type { Player, Publisher, Stream } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { flvUrl } from "../media/flv";
import type { Urls } from "../media/play";
import { endpoint } from "../media/sdp";
import { Viewer } from "../media/viewer";
import { usePoll } from "../poll";
import { href } from "../router";
import { askBan, confirm } from "../ui/dialog";
import { PlayerGate } from "../ui/gate";
import { Await, Empty, Facts, Head, Panel, Tag } from "../ui/parts";
import { Table } from "../ui/table";
import { act } from "../ui/toast";
import { audioText, stateText, stateTone, videoText } from "./streams";

const POLL_MS = 1_000;

export function StreamPage({ app, name }: { app: string; name: string }): JSX.Element {
  const polled = usePoll(`stream ${app}/${name}`, () => api.stream(app, name), POLL_MS);
  const players = usePoll(`players ${app}/${name}`, () => api.players(app, name), POLL_MS);
  const stream = polled.data;
  return (
    <>
      <Head title={`${app}/${name}`} up={{ label: t("streams"), to: ["streams"] }}>
        {stream && <Tag tone={stateTone[stream.state]}>{stateText(stream.state)}</Tag>}
      </Head>
      <div class="watch">
        <Screen app={app} name={name} label={`${app}/${name}`} />
        <Panel title={t("publisher")}>
          {polled.error?.code === "stream_not_found" ? (
            <Empty>{t("stream.gone")}</Empty>
          ) : (
            <Await of={polled}>{(stream) => <Source stream={stream} refresh={polled.refresh} />}</Await>
          )}
        </Panel>
      </div>
      <Panel title={t("players")} note={players.data && format.count(players.data.total)}>
        <Await of={players}>
          {({ items, total }) => (
            <>
              {items.length ? <Players rows={items} refresh={players.refresh} /> : <Empty>{t("players.none")}</Empty>}
              {total > items.length && <p class="note">{t("list.cut", { shown: items.length, total })}</p>}
            </>
          )}
        </Await>
      </Panel>
    </>
  );
}

/** The stream as it plays here, whatever its app asks players for. */
export function Screen({ app, name, label }: { app: string; name: string; label: string }): JSX.Element {
  const urls = async (): Promise<Urls> => {
    const query = await api.ticket(app, name);
    return { whep: endpoint(app, name, "whep", query), flv: flvUrl(app, name, query) };
  };
  return (
    <Panel class="flush">
      <Viewer of={`${app}/${name}`} urls={urls} label={label} />
    </Panel>
  );
}

function Source({ stream, refresh }: { stream: Stream; refresh(): void }): JSX.Element {
  const { publisher, ring } = stream;
  return (
    <>
      <Facts
        rows={[
          [t("track.video"), videoText(stream.video)],
          [t("track.audio"), audioText(stream.audio)],
          !!publisher && [t("bitrate"), format.bitrate(publisher.bits_per_second)],
          !!publisher && [t("frameRate"), t("fps", { n: format.fps(publisher.frames_per_second) })],
          !!publisher && [t("from"), `${publisher.protocol} ${publisher.peer}`],
          !!publisher && [t("publishingFor"), format.age(publisher.age_seconds)],
          !!publisher && [t("received"), format.bytes(publisher.bytes)],
          [t("knownFor"), format.age(stream.age_seconds)],
          [t("ring"), t("ring.text", { bytes: format.bytes(ring.bytes), packets: format.count(ring.packets) })],
          [t("gop"), ring.gop_packets ? t("gop.text", { n: format.count(ring.gop_packets) }) : t("gop.none")],
          stream.timeline_jumps > 0 && [t("jumps"), format.count(stream.timeline_jumps)],
        ]}
      />
      {publisher && <SourceActions publisher={publisher} refresh={refresh} />}
    </>
  );
}

function SourceActions({ publisher, refresh }: { publisher: Publisher; refresh(): void }): JSX.Element {
  return (
    <div class="actions">
      <button
        type="button"
        class="danger quiet"
        onClick={() =>
          confirm({
            title: t("kick.publisher"),
            text: t("kick.publisherText", { from: publisher.peer }),
            action: t("kick"),
            run: async () => {
              await act(() => api.kick(publisher.connection), t("kick.done"));
              refresh();
            },
          })
        }
      >
        {t("kick.publisher")}
      </button>
      <BanPeer peer={publisher.peer} />
    </div>
  );
}

/** An address without its port. */
export const hostOf = (peer: string): string => peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");

function BanPeer({ peer }: { peer: string }): JSX.Element {
  const ip = hostOf(peer);
  return (
    <button type="button" class="danger quiet" onClick={() => askBan({ ip }, ip)} title={t("ban.title", { what: ip })}>
      {t("ban.ip")}
    </button>
  );
}

function Players({ rows, refresh }: { rows: Player[]; refresh(): void }): JSX.Element {
  return (
    <Table
      caption={t("players")}
      rows={rows}
      id={(player) => player.connection}
      columns={[
        {
          label: t("player"),
          cell: (player) => <span class="name">{`${player.connection} ${player.protocol}`}</span>,
        },
        { label: t("peer"), cell: (player) => player.peer },
        { label: t("gate"), cell: (player) => <PlayerGate player={player} changed={refresh} /> },
        { label: t("bitrate"), number: true, cell: (player) => format.bitrate(player.bits_per_second) },
        {
          label: t("behind"),
          number: true,
          cell: (player) => (
            <span class={player.delay_seconds >= 1 ? "bad" : ""}>{format.delay(player.delay_seconds)}</span>
          ),
        },
        {
          label: t("skips"),
          number: true,
          cell: (player) => <span class={player.skips ? "warn" : ""}>{format.count(player.skips)}</span>,
        },
        { label: t("sent"), number: true, cell: (player) => format.bytes(player.bytes) },
        { label: t("age"), number: true, cell: (player) => format.age(player.age_seconds) },
        {
          label: t("actions"),
          bare: true,
          cell: (player) => (
            <button
              type="button"
              class="danger quiet"
              aria-label={t("kick.playerN", { n: player.connection })}
              onClick={() =>
                confirm({
                  title: t("kick.playerN", { n: player.connection }),
                  text: t("kick.playerText", { from: player.peer }),
                  action: t("kick"),
                  run: async () => {
                    await act(() => api.kick(player.connection), t("kick.done"));
                    refresh();
                  },
                })
              }
            >
              {t("kick")}
            </button>
          ),
        },
      ]}
    />
  );
}

/** A link to a stream's page, by its name in an app. */
export function StreamLink({ app, name, children }: { app: string; name: string; children: string }): JSX.Element {
  return <a href={href("streams", app, name)}>{children}</a>;
}
