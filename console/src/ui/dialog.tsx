/** Dialogs: what cannot be undone is asked for twice. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import * as api from "../api/client";
import type { NewBan } from "../api/types";
import { t } from "../i18n";
import { Field } from "./parts";
import { act } from "./toast";

export interface Question {
  title: string;
  text: ComponentChildren;
  /** What the button says. */
  action: string;
  /** Gives back whether it was done. */
  run(): Promise<unknown>;
}

let open: (dialog: (close: () => void) => JSX.Element) => void = () => {};

export const confirm = (question: Question): void =>
  open((close) => <Confirm question={question} close={close} />);

/** Asks for how long and why, and bans. */
export const askBan = (target: NewBan, what: string, done: () => void = () => {}): void =>
  open((close) => <BanForm target={target} what={what} done={done} close={close} />);

/** Where dialogs show. */
export function Dialogs(): JSX.Element {
  const [dialog, setDialog] = useState<((close: () => void) => JSX.Element) | undefined>();
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    open = (shown) => setDialog(() => shown);
  }, []);
  useEffect(() => {
    if (dialog) element.current?.showModal();
    else element.current?.close();
  }, [dialog]);
  const close = () => setDialog(undefined);
  return (
    <dialog ref={element} onClose={close} aria-labelledby="dialog-title">
      {dialog?.(close)}
    </dialog>
  );
}

function Confirm({ question, close }: { question: Question; close(): void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    await question.run();
    close();
  };
  return (
    <form onSubmit={submit}>
      <h2 id="dialog-title">{question.title}</h2>
      <p>{question.text}</p>
      <Buttons busy={busy} action={question.action} close={close} />
    </form>
  );
}

const HOUR = 3600;
const PERIODS = [0, HOUR / 6, HOUR, 24 * HOUR, 7 * 24 * HOUR];

function BanForm(props: { target: NewBan; what: string; done(): void; close(): void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const [seconds, setSeconds] = useState(HOUR);
  const [reason, setReason] = useState("");
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    const ban: NewBan = { ...props.target, reason: reason.trim() };
    if (seconds) ban.seconds = seconds;
    if (await act(() => api.ban(ban), t("ban.done", { what: props.what }))) {
      props.done();
      props.close();
    } else {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={submit}>
      <h2 id="dialog-title">{t("ban.title", { what: props.what })}</h2>
      <p>{banText(props.target)}</p>
      <Field label={t("ban.period")}>
        <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
          {PERIODS.map((period) => (
            <option key={period} value={period}>
              {periodText(period)}
            </option>
          ))}
        </select>
      </Field>
      <Field label={t("ban.reason")} hint={t("ban.reasonHint")}>
        <input value={reason} maxLength={150} onInput={(event) => setReason(event.currentTarget.value)} />
      </Field>
      <Buttons busy={busy} action={t("ban.action")} close={props.close} />
    </form>
  );
}

function banText(target: NewBan): string {
  if (target.ip) return t("ban.textIp");
  return target.channel ? t("ban.textChannel") : t("ban.textUid");
}

export function periodText(seconds: number): string {
  if (!seconds) return t("ban.forever");
  if (seconds < HOUR) return t("ban.minutes", { n: seconds / 60 });
  if (seconds < 24 * HOUR) return t("ban.hours", { n: seconds / HOUR });
  return t("ban.days", { n: seconds / HOUR / 24 });
}

function Buttons(props: { busy: boolean; action: string; close(): void }): JSX.Element {
  return (
    <div class="buttons">
      <button type="button" onClick={props.close} autofocus>
        {t("cancel")}
      </button>
      <button type="submit" class="danger" disabled={props.busy}>
        {props.action}
      </button>
    </div>
  );
}
