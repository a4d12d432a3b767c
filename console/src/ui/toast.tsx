/** What became of what one did: said once, read out, gone after a while. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError } from "../api/client";
import { t } from "../i18n";

interface Said {
  id: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 6_000;
let next = 0;
let tell: (said: Said) => void = () => {};

export const say = (text: string): void => tell({ id: ++next, text, bad: false });

export function sayError(thrown: unknown): void {
  const error = thrown instanceof ApiError ? thrown : undefined;
  const text = error?.status === 0 ? t("error.noAnswer") : String((thrown as Error)?.message ?? thrown);
  tell({ id: ++next, text, bad: true });
}

/** Does it, and says what became of it. True when it was done. */
export async function act(action: () => Promise<unknown>, done: string): Promise<boolean> {
  try {
    await action();
    say(done);
    return true;
  } catch (thrown) {
    sayError(thrown);
    return false;
  }
}

export function Toasts(): JSX.Element {
  const [all, setAll] = useState<Said[]>([]);
  useEffect(() => {
    tell = (said) => {
      setAll((old) => [...old.slice(-2), said]);
      setTimeout(() => setAll((old) => old.filter(({ id }) => id !== said.id)), SHOWN_MS);
    };
  }, []);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {all.map(({ id, text, bad }) => (
        <p key={id} class={bad ? "bad" : ""}>
          {text}
        </p>
      ))}
    </div>
  );
}
