/** One member: what the node knows of it beside what its phone says, and the log that its user sent. */
import type { JSX } from "preact";
import * as api from "../api/client";
import type { Component, Member } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { usePoll } from "../poll";
import { href } from "../router";
import { Await, Empty, Facts, Head, Panel } from "../ui/parts";
import { Screen } from "./stream";
import { Connected, MemberActions, MemberGate, Receives } from "./channel";

const POLL_MS = 2_000;

export function MemberPage({ app, channel, uid }: { app: string; channel: string; uid: string }): JSX.Element {
  const polled = usePoll(`member ${app}/${channel}/${uid}`, () => api.member(app, channel, uid), POLL_MS);
  const context = { app, channel, refresh: polled.refresh };
  const member = polled.data;
  return (
    <>
      <Head title={uid} up={{ label: channel, to: ["channels", app, channel] }}>
        {member && <MemberActions {...context} member={member} />}
      </Head>
      {polled.error?.status === 404 ? (
        <Panel>
          <Empty>{t("member.gone")}</Empty>
        </Panel>
      ) : (
        <Await of={polled}>
          {(member) => (
            <>
              <div class="watch">
                <Picture app={app} member={member} />
                <Panel title={t("member")}>
                  <Known member={member} app={app} />
                  {member.publication && (
                    <div class="actions">
                      <MemberGate {...context} member={member} />
                    </div>
                  )}
                </Panel>
              </div>
              <Panel title={t("receives")} note={t("receives.note")}>
                <Receives {...context} members={[member]} />
              </Panel>
              <Panel title={t("told.title")} note={t("told.note")}>
                <Told member={member} />
              </Panel>
              <Panel title={t("log.title")}>
                {member.log?.length ? (
                  <pre class="log" tabIndex={0}>
                    {member.log.join("\n")}
                  </pre>
                ) : (
                  <Empty>{t("log.none")}</Empty>
                )}
              </Panel>
            </>
          )}
        </Await>
      )}
    </>
  );
}

function Picture({ app, member }: { app: string; member: Member }): JSX.Element {
  const name = member.publication?.stream;
  if (name !== undefined) return <Screen app={app} name={name} label={member.uid} />;
  return (
    <Panel title={t("stream.picture")}>
      <Empty>{t("sends.nothing")}</Empty>
    </Panel>
  );
}

function Known({ member, app }: { member: Member; app: string }): JSX.Element {
  const { publication } = member;
  const publisher = publication?.publisher;
  return (
    <Facts
      rows={[
        [t("session"), <Connected member={member} />],
        [t("address"), member.ip],
        [t("sdk"), member.sdk || format.NONE],
        [t("age"), format.age(member.age_seconds)],
        !!publication && [
          t("stream"),
          <a href={href("streams", app, publication.stream)}>{publication.stream}</a>,
        ],
        !!publisher && [t("bitrate"), format.bitrate(publisher.bits_per_second)],
        !!publisher && [t("frameRate"), t("fps", { n: format.fps(publisher.frames_per_second) })],
        [
          t("told.last"),
          member.report_age_seconds === null
            ? t("told.never")
            : t("ago", { time: format.age(member.report_age_seconds) }),
        ],
      ]}
    />
  );
}

function Told({ member }: { member: Member }): JSX.Element {
  const sides: Array<[string, Component]> = [];
  if (member.publication?.reported) sides.push([t("told.pusher"), member.publication.reported]);
  for (const { uid, reported } of member.subscriptions) {
    if (reported) sides.push([t("told.player", { uid }), reported]);
  }
  if (!sides.length) return <Empty>{t("told.none")}</Empty>;
  return (
    <div class="sides">
      {sides.map(([title, side]) => (
        <section key={title}>
          <h3>{title}</h3>
          <Facts
            rows={[
              [t("told.state"), side.code === null ? format.NONE : `${side.code} ${side.message ?? ""}`],
              [t("told.stallsErrors"), `${format.count(side.stalls)} / ${format.count(side.errors)}`],
              [t("told.last"), t("ago", { time: format.age(side.age_seconds) })],
              ...Object.entries(side.net).map(([name, value]): [string, string] => [name, String(value)]),
            ]}
          />
        </section>
      ))}
    </div>
  );
}
