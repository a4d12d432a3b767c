/** Who may not join, and for how long. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import * as api from "../api/client";
import type { Ban, NewBan } from "../api/types";
import * as format from "../format";
import { t } from "../i18n";
import { useNode } from "../node";
import { usePoll } from "../poll";
import { askBan, confirm } from "../ui/dialog";
import { Await, Empty, Field, Head, Panel, Tag } from "../ui/parts";
import { Table } from "../ui/table";
import { act } from "../ui/toast";

const POLL_MS = 5_000;

type Kind = "uid" | "ip" | "channel";
const KINDS: Kind[] = ["uid", "ip", "channel"];

const kindOf = (ban: Ban): Kind => (ban.ip ? "ip" : ban.channel ? "channel" : "uid");
const kindText = (kind: Kind) => t(kind === "ip" ? "ban.kindIp" : kind === "channel" ? "ban.kindChannel" : "ban.kindUid");
const targetOf = (ban: Ban) => ban.ip ?? ban.channel ?? ban.uid ?? format.NONE;

export function Bans(): JSX.Element {
  const polled = usePoll("bans", api.bans, POLL_MS);
  return (
    <>
      <Head title={t("bans")} />
      <Panel title={t("bans.new")}>
        <NewBanForm refresh={polled.refresh} />
      </Panel>
      <Panel title={t("bans.those")}>
        <Await of={polled}>
          {({ items }) =>
            items.length ? <BanTable rows={items} refresh={polled.refresh} /> : <Empty>{t("bans.none")}</Empty>
          }
        </Await>
      </Panel>
    </>
  );
}

function BanTable({ rows, refresh }: { rows: Ban[]; refresh(): void }): JSX.Element {
  const lift = (ban: Ban) =>
    confirm({
      title: t("lift.title", { what: targetOf(ban) }),
      text: t("lift.text"),
      action: t("lift"),
      run: async () => {
        await act(() => api.lift(ban.id), t("lift.done", { what: targetOf(ban) }));
        refresh();
      },
    });
  return (
    <Table
      caption={t("bans.those")}
      rows={rows}
      id={(ban) => ban.id}
      columns={[
        { label: t("ban.target"), bare: true, cell: (ban) => <span class="name">{targetOf(ban)}</span> },
        { label: t("ban.kind"), cell: (ban) => <Tag>{kindText(kindOf(ban))}</Tag> },
        { label: t("app"), cell: (ban) => ban.app ?? t("ban.everyApp") },
        { label: t("ban.since"), cell: (ban) => format.moment(ban.since) },
        { label: t("ban.until"), cell: (ban) => (ban.until === null ? t("ban.forever") : format.moment(ban.until)) },
        { label: t("ban.reason"), cell: (ban) => ban.reason || format.NONE },
        {
          label: t("actions"),
          bare: true,
          cell: (ban) => (
            <button
              type="button"
              class="quiet"
              aria-label={t("lift.title", { what: targetOf(ban) })}
              onClick={() => lift(ban)}
            >
              {t("lift")}
            </button>
          ),
        },
      ]}
    />
  );
}

function NewBanForm({ refresh }: { refresh(): void }): JSX.Element {
  const node = useNode();
  const [kind, setKind] = useState<Kind>("uid");
  const [app, setApp] = useState("");
  const [value, setValue] = useState("");
  const apps = node?.apps.map(({ name }) => name) ?? [];
  const chosen = app || apps[0] || "";
  const submit = (event: Event) => {
    event.preventDefault();
    const text = value.trim();
    const target: NewBan = kind === "ip" ? { ip: text } : { app: chosen, [kind]: text };
    askBan(target, text, () => {
      setValue("");
      refresh();
    });
  };
  return (
    <form class="row" onSubmit={submit}>
      <Field label={t("ban.kind")}>
        <select value={kind} onChange={(event) => setKind(event.currentTarget.value as Kind)}>
          {KINDS.map((each) => (
            <option key={each} value={each}>
              {kindText(each)}
            </option>
          ))}
        </select>
      </Field>
      {kind !== "ip" && (
        <Field label={t("app")}>
          <select value={chosen} onChange={(event) => setApp(event.currentTarget.value)}>
            {apps.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </Field>
      )}
      <Field label={kindText(kind)}>
        <input value={value} required autocomplete="off" onInput={(event) => setValue(event.currentTarget.value)} />
      </Field>
      <button type="submit" class="danger" disabled={!value.trim()}>
        {t("ban.ask")}
      </button>
    </form>
  );
}
