/** One channel: who is in it, what each sends, and what each sees of the others, from both ends. */
import type { JSX } from "preact";
import * as api from "../api/client";
import type { Component, Member, Subscription, Switch, TrackKind } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { usePoll } from "../poll";
import { href } from "../router";
import { askBan, confirm } from "../ui/dialog";
import { PlayerGate, Switches } from "../ui/gate";
import { Await, Empty, Head, Panel, Tag } from "../ui/parts";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";
import { act } from "../ui/toast";

const POLL_MS = 2_000;

export function ChannelPage({ app, channel }: { app: string; channel: string }): JSX.Element {
  const polled = usePoll(`members ${app}/${channel}`, () => api.members(app, channel), POLL_MS);
  const { error, data, refresh } = polled;
  return (
    <>
      <Head title={channel} up={{ label: t("channels"), to: ["channels"] }}>
        <a class="button" href={href("meet", app, channel)}>
          {t("meet.join")}
        </a>
        <button type="button" class="danger quiet" onClick={() => askBan({ app, channel }, channel, refresh)}>
          {t("ban.channel")}
        </button>
      </Head>
      {error?.code === "channel_not_found" ? (
        <Panel>
          <Empty>{t("channel.empty")}</Empty>
        </Panel>
      ) : (
        <>
          <Panel title={t("members")} note={data && format.count(data.total)}>
            <Await of={polled}>
              {({ items }) => <Members app={app} channel={channel} members={items} refresh={refresh} />}
            </Await>
          </Panel>
          {data && (
            <Panel title={t("receives")} note={t("receives.note")}>
              <Receives app={app} channel={channel} members={data.items} refresh={refresh} />
            </Panel>
          )}
        </>
      )}
    </>
  );
}

interface Context {
  app: string;
  channel: string;
  refresh(): void;
}

function Members({ app, channel, members, refresh }: Context & { members: Member[] }): JSX.Element {
  return (
    <Table
      caption={t("members")}
      rows={members}
      id={(member) => member.uid}
      columns={[
        {
          label: t("member"),
          bare: true,
          cell: (member) => (
            <a class="name" href={href("channels", app, channel, member.uid)}>
              {member.uid}
            </a>
          ),
        },
        { label: t("session"), cell: (member) => <Connected member={member} /> },
        { label: t("sends"), cell: (member) => <Sends member={member} app={app} /> },
        { label: t("gate"), cell: (member) => <MemberGate {...{ app, channel, member, refresh }} /> },
        ...reportColumns<Member>((member) => member.publication?.reported ?? null).slice(0, 2),
        { label: t("address"), cell: (member) => member.ip },
        { label: t("age"), number: true, cell: (member) => format.age(member.age_seconds) },
        {
          label: t("actions"),
          bare: true,
          cell: (member) => <MemberActions {...{ app, channel, member, refresh }} />,
        },
      ]}
    />
  );
}

export function Connected({ member }: { member: Member }): JSX.Element {
  return (
    <>
      <Tag tone={member.connected ? "good" : "warn"}>{t(member.connected ? "session.open" : "session.grace")}</Tag>{" "}
      <small>{t(member.role === "host" ? "role.host" : "role.audience")}</small>
    </>
  );
}

function Sends({ member, app }: { member: Member; app: string }): JSX.Element {
  const { publication } = member;
  if (!publication) return <span class="muted">{t("sends.nothing")}</span>;
  const { publisher } = publication;
  return (
    <>
      <a href={href("streams", app, publication.stream)}>
        {publisher ? format.bitrate(publisher.bits_per_second) : t(publication.live ? "state.grace" : "sends.notYet")}
      </a>{" "}
      {publisher && <small>{t("fps", { n: format.fps(publisher.frames_per_second) })}</small>}
    </>
  );
}

export function MemberGate({ app, channel, member, refresh }: Context & { member: Member }): JSX.Element {
  const { publication } = member;
  if (!publication) return <span class="muted">{format.NONE}</span>;
  const turn = async (track: TrackKind, to: Switch) => {
    const key = to === "open" ? "gate.opened" : "gate.closed";
    const what = t(track === "audio" ? "audio" : "video");
    await act(() => api.muteMember(app, channel, member.uid, track, to), t(key, { what, of: member.uid }));
    refresh();
  };
  // Closed, and not by the operator: by the member itself.
  const self = (all: Switch, own: Switch) => (all === "closed" && own === "open" ? ["publisher"] : []);
  return (
    <Switches
      of={member.uid}
      own={{ audio: publication.operator_audio === "open", video: publication.operator_video === "open" }}
      closedBy={{
        audio: self(publication.audio, publication.operator_audio),
        video: self(publication.video, publication.operator_video),
      }}
      change={turn}
    />
  );
}

export function MemberActions({ app, channel, member, refresh }: Context & { member: Member }): JSX.Element {
  const { uid } = member;
  return (
    <span class="actions">
      <button
        type="button"
        class="danger quiet"
        aria-label={t("kick.memberN", { uid })}
        onClick={() =>
          confirm({
            title: t("kick.memberN", { uid }),
            text: t("kick.memberText"),
            action: t("kick"),
            run: async () => {
              await act(() => api.kickMember(app, channel, uid), t("kick.done"));
              refresh();
            },
          })
        }
      >
        {t("kick")}
      </button>
      <button
        type="button"
        class="danger quiet"
        aria-label={t("ban.title", { what: uid })}
        onClick={() => askBan({ app, uid }, uid, refresh)}
      >
        {t("ban")}
      </button>
    </span>
  );
}

/** Numbers of a component, under the names that live-pusher and live-player have for them. */
export const told = {
  fps: (side: Component | null) => side?.net.videoFPS,
  kbits: (side: Component | null) => {
    const { videoBitrate, audioBitrate } = side?.net ?? {};
    return videoBitrate === undefined && audioBitrate === undefined ? undefined : (videoBitrate ?? 0) + (audioBitrate ?? 0);
  },
  /** Seconds held back before they are seen or heard. */
  held: (side: Component | null) => {
    const held = [side?.net.videoCache, side?.net.audioCache].filter((each) => each !== undefined);
    return held.length ? Math.max(...held) / 1000 : undefined;
  },
  jitter: (side: Component | null) => (side?.net.netJitter === undefined ? undefined : side.net.netJitter / 1000),
  loss: (side: Component | null) => side?.net.packetLoss,
};

/** What the client itself says. */
function reportColumns<T>(of: (row: T) => Component | null): Column<T>[] {
  return [
    { label: t("told.fps"), number: true, cell: (row) => format.fps(told.fps(of(row))) },
    {
      label: t("told.bitrate"),
      number: true,
      cell: (row) => {
        const kbits = told.kbits(of(row));
        return format.bitrate(kbits === undefined ? undefined : kbits * 1000);
      },
    },
    { label: t("told.held"), number: true, cell: (row) => format.delay(told.held(of(row))) },
    {
      label: t("told.loss"),
      number: true,
      cell: (row) => {
        const loss = told.loss(of(row));
        return format.percent(loss === undefined ? undefined : loss / 100, 1);
      },
    },
    {
      label: t("told.stalls"),
      number: true,
      cell: (row) => {
        const side = of(row);
        if (!side) return format.NONE;
        return <span class={side.stalls + side.errors ? "warn" : ""}>{format.count(side.stalls + side.errors)}</span>;
      },
    },
  ];
}

interface Pair {
  member: Member;
  subscription: Subscription;
}

export function Receives(props: Context & { members: Member[] }): JSX.Element {
  const { app, channel, members, refresh } = props;
  const pairs: Pair[] = members.flatMap((member) =>
    member.subscriptions.map((subscription) => ({ member, subscription })),
  );
  if (!pairs.length) return <Empty>{t("receives.none")}</Empty>;
  return (
    <Table
      caption={t("receives")}
      rows={pairs}
      id={({ member, subscription }) => `${member.uid} ${subscription.uid}`}
      columns={[
        {
          label: t("receives.who"),
          bare: true,
          cell: ({ member, subscription }) => (
            <span class="name pair-of">
              <a href={href("channels", app, channel, member.uid)}>{member.uid}</a>
              <span class="muted"> ← </span>
              <a href={href("channels", app, channel, subscription.uid)}>{subscription.uid}</a>
            </span>
          ),
        },
        { label: t("gate"), cell: ({ subscription }) => <SubscriptionGate {...{ subscription, refresh }} /> },
        { label: t("bitrate"), number: true, cell: ({ subscription: { player } }) => format.bitrate(player?.bits_per_second) },
        { label: t("behind"), number: true, cell: ({ subscription: { player } }) => format.delay(player?.delay_seconds) },
        {
          label: t("skips"),
          number: true,
          cell: ({ subscription: { player } }) => <span class={player?.skips ? "warn" : ""}>{format.count(player?.skips)}</span>,
        },
        ...reportColumns<Pair>(({ subscription }) => subscription.reported),
      ]}
    />
  );
}

/** The player's gate where there is one; before, what the subscriber has asked for. */
function SubscriptionGate({ subscription, refresh }: { subscription: Subscription; refresh(): void }): JSX.Element {
  if (subscription.player) return <PlayerGate player={subscription.player} changed={refresh} />;
  const muted = (["audio", "video"] as const).filter((track) => subscription[track] === "closed");
  return (
    <span class="muted">
      {t("receives.noPlayer")}
      {muted.length > 0 && ` (${t("receives.muted", { what: muted.map((track) => t(track)).join(t("list.and")) })})`}
    </span>
  );
}
