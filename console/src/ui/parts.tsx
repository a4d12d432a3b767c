/** The small parts that every page is made of. */
import type { ComponentChildren, JSX } from "preact";
import type { ApiError } from "../api/client";
import { t } from "../i18n";
import { href } from "../router";
import { Icon } from "./icons";

export type Tone = "good" | "warn" | "bad" | "plain";

export function Tag({ tone = "plain", children }: { tone?: Tone; children: ComponentChildren }): JSX.Element {
  return <span class={`tag ${tone}`}>{children}</span>;
}

/** A page's head: its title, where it lies, what can be done to all of it. */
export function Head(props: {
  title: ComponentChildren;
  up?: { label: string; to: string[] };
  children?: ComponentChildren;
}): JSX.Element {
  return (
    <header class="head">
      <div>
        {props.up && (
          <a class="up" href={href(...props.up.to)}>
            <Icon name="back" />
            {props.up.label}
          </a>
        )}
        <h1>{props.title}</h1>
      </div>
      <div class="actions">{props.children}</div>
    </header>
  );
}

export function Panel(props: {
  title?: ComponentChildren;
  note?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  return (
    <section class={`panel ${props.class ?? ""}`}>
      {props.title && (
        <div class="panel-head">
          <h2>{props.title}</h2>
          {props.note && <span class="note">{props.note}</span>}
        </div>
      )}
      {props.children}
    </section>
  );
}

export function Stat(props: { label: string; value: string; hint?: string; tone?: Tone }): JSX.Element {
  return (
    <div class="stat">
      <dt>{props.label}</dt>
      <dd class={props.tone ?? ""}>{props.value}</dd>
      <dd class="hint">{props.hint ?? "\u00a0"}</dd>
    </div>
  );
}

/** Names and values, a line each. */
export function Facts({ rows }: { rows: Array<[string, ComponentChildren] | false> }): JSX.Element {
  return (
    <dl class="facts">
      {rows.map(
        (row) =>
          row && (
            <div key={row[0]}>
              <dt>{row[0]}</dt>
              <dd>{row[1]}</dd>
            </div>
          ),
      )}
    </dl>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** What cannot be shown, and what to do about it. */
export function Problem({ error }: { error: ApiError }): JSX.Element {
  const text = error.status === 0 ? t("error.noAnswer") : error.message;
  return (
    <div class="problem" role="alert">
      <strong>{text}</strong>
      {error.next && <span>{error.next}</span>}
    </div>
  );
}

/** Data once it is there; before, why it is not. What could not be asked anew stays shown. */
export function Await<T>(props: {
  of: { data?: T; error?: ApiError };
  children: (data: T) => ComponentChildren;
}): JSX.Element {
  const { data, error } = props.of;
  return (
    <>
      {error && <Problem error={error} />}
      {data !== undefined && props.children(data)}
      {data === undefined && !error && <Loading />}
    </>
  );
}

export function Loading(): JSX.Element {
  return (
    <div class="loading" aria-busy="true">
      <span class="visually-hidden">{t("loading")}</span>
      <i />
      <i />
      <i />
    </div>
  );
}

export function Field(props: { label: string; hint?: string; children: ComponentChildren }): JSX.Element {
  return (
    <label class="field">
      <span>{props.label}</span>
      {props.children}
      {props.hint && <small>{props.hint}</small>}
    </label>
  );
}

/** A switch: on is as it should be. */
export function Toggle(props: {
  on: boolean;
  label: string;
  icon: JSX.Element;
  disabled?: boolean;
  title?: string;
  change(on: boolean): void;
}): JSX.Element {
  return (
    <button
      type="button"
      role="switch"
      class="toggle"
      aria-checked={props.on}
      aria-label={props.label}
      title={props.title ?? props.label}
      disabled={props.disabled}
      onClick={() => props.change(!props.on)}
    >
      {props.icon}
    </button>
  );
}
