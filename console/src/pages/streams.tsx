/** What is live, and what is waited for. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import * as api from "../api/client";
import type { Audio, Stream, Video } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { usePoll } from "../poll";
import { href } from "../router";
import { Await, Empty, Head, Panel, Tag } from "../ui/parts";
import type { Tone } from "../ui/parts";
import { Table } from "../ui/table";

const POLL_MS = 2_000;

export const stateTone: Record<Stream["state"], Tone> = { live: "good", grace: "warn", waiting: "plain" };

export const stateText = (state: Stream["state"]): string =>
  t(state === "live" ? "state.live" : state === "grace" ? "state.grace" : "state.waiting");

export function videoText(video: Video | null): string {
  if (!video) return format.NONE;
  return video.width && video.height ? `${video.codec} ${video.width}×${video.height}` : video.codec;
}

export function audioText(audio: Audio | null): string {
  if (!audio) return format.NONE;
  const rate = audio.sample_rate ? ` ${audio.sample_rate / 1000} kHz` : "";
  return audio.codec + rate + (audio.channels ? ` ${audio.channels === 1 ? t("mono") : audio.channels === 2 ? t("stereo") : audio.channels}` : "");
}

export function Streams(): JSX.Element {
  const polled = usePoll("streams", api.streams, POLL_MS);
  const [wanted, setWanted] = useState("");
  const matches = (stream: Stream) => `${stream.app}/${stream.name}`.toLowerCase().includes(wanted.toLowerCase());
  return (
    <>
      <Head title={t("streams")}>
        <input
          type="search"
          aria-label={t("streams.find")}
          placeholder={t("streams.find")}
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      </Head>
      <Panel>
        <Await of={polled}>
          {({ items, total }) => {
            const rows = items.filter(matches);
            if (!rows.length) return <Empty>{t(total ? "streams.noMatch" : "streams.none")}</Empty>;
            return (
              <>
                <StreamTable rows={rows} />
                {total > items.length && <p class="note">{t("list.cut", { shown: items.length, total })}</p>}
              </>
            );
          }}
        </Await>
      </Panel>
    </>
  );
}

function StreamTable({ rows }: { rows: Stream[] }): JSX.Element {
  return (
    <Table
      caption={t("streams")}
      rows={rows}
      id={(stream) => `${stream.app}/${stream.name}`}
      columns={[
        {
          label: t("stream"),
          bare: true,
          cell: (stream) => (
            <a class="name" href={href("streams", stream.app, stream.name)}>{`${stream.app}/${stream.name}`}</a>
          ),
        },
        { label: t("state"), cell: (stream) => <Tag tone={stateTone[stream.state]}>{stateText(stream.state)}</Tag> },
        { label: t("players"), number: true, cell: (stream) => format.count(stream.players) },
        { label: t("bitrate"), number: true, cell: (stream) => format.bitrate(stream.publisher?.bits_per_second) },
        { label: t("frameRate"), number: true, cell: (stream) => format.fps(stream.publisher?.frames_per_second) },
        { label: t("track.video"), cell: (stream) => videoText(stream.video) },
        { label: t("track.audio"), cell: (stream) => audioText(stream.audio) },
        {
          label: t("publisher"),
          cell: ({ publisher }) => (publisher ? `${publisher.protocol} ${publisher.peer}` : format.NONE),
        },
        { label: t("age"), number: true, cell: (stream) => format.age(stream.age_seconds) },
      ]}
    />
  );
}
