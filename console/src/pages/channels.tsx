/** Which channels there are. */
import type { JSX } from "preact";
import * as api from "../api/client";
import * as format from "../format";
import { t } from "../i18n";
import { usePoll } from "../poll";
import { href } from "../router";
import { Await, Empty, Head, Panel } from "../ui/parts";
import { Table } from "../ui/table";

const POLL_MS = 2_000;

export function Channels(): JSX.Element {
  const polled = usePoll("channels", api.channels, POLL_MS);
  return (
    <>
      <Head title={t("channels")}>
        <a class="button" href={href("meet")}>
          {t("meet.join")}
        </a>
      </Head>
      <Panel>
        <Await of={polled}>
          {({ items, total }) =>
            items.length ? (
              <>
                <Table
                  caption={t("channels")}
                  rows={items}
                  id={(row) => `${row.app}/${row.channel}`}
                  columns={[
                    {
                      label: t("channel"),
                      bare: true,
                      cell: (row) => (
                        <a class="name" href={href("channels", row.app, row.channel)}>
                          {row.channel}
                        </a>
                      ),
                    },
                    { label: t("app"), cell: (row) => row.app },
                    { label: t("members"), number: true, cell: (row) => format.count(row.members) },
                    { label: t("publishing"), number: true, cell: (row) => format.count(row.publications) },
                    { label: t("age"), number: true, cell: (row) => format.age(row.age_seconds) },
                  ]}
                />
                {total > items.length && <p class="note">{t("list.cut", { shown: items.length, total })}</p>}
              </>
            ) : (
              <Empty>{t("channels.none")}</Empty>
            )
          }
        </Await>
      </Panel>
    </>
  );
}
