/** The API's token, asked for when the node wants it. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import * as api from "../api/client";
import { t } from "../i18n";
import { Field } from "../ui/parts";

export function Login({ refused, done }: { refused: boolean; done(): void }): JSX.Element {
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(refused ? t("login.wrong") : "");
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    api.token.set(typed.trim());
    try {
      await api.node();
      done();
    } catch (thrown) {
      const failed = thrown as api.ApiError;
      api.token.forget();
      setError(failed.locked ? t("login.wrong") : failed.status === 0 ? t("error.noAnswer") : failed.message);
    }
    setBusy(false);
  };
  return (
    <main class="login">
      <form class="panel stack" onSubmit={submit}>
        <h1>Lockgate</h1>
        <p>{t("login.text")}</p>
        {/* For password managers: a token is one, and the node is whose. */}
        <input class="visually-hidden" tabIndex={-1} aria-hidden="true" autocomplete="username" value="lockgate" readOnly />
        <Field label={t("login.token")}>
          <input
            type="password"
            autocomplete="current-password"
            autofocus
            required
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </Field>
        {error && (
          <p class="problem" role="alert">
            {error}
          </p>
        )}
        <button type="submit" class="primary" disabled={busy || !typed.trim()}>
          {t("login")}
        </button>
        <small>{t("login.where")}</small>
      </form>
    </main>
  );
}
