/** Asks the node again and again, and keeps what it said last when it does not answer. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "./api/client";

export interface Polled<T> {
  data?: T;
  error?: ApiError;
  /** Asks at once: after a change, say. */
  refresh(): void;
}

/** `key` names what is asked for: another key is another question, and the old answer goes. */
export function usePoll<T>(key: string, load: () => Promise<T>, everyMs: number): Polled<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: ApiError }>({ key });
  const loader = useRef(load);
  loader.current = load;
  const again = useRef<() => void>(() => {});

  useEffect(() => {
    let ended = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let turn = 0;
    const ask = async () => {
      clearTimeout(timer);
      const mine = ++turn;
      try {
        const data = await loader.current();
        if (!ended && mine === turn) setState({ key, data });
      } catch (thrown) {
        const error = thrown as ApiError;
        if (!ended && mine === turn) {
          // What is gone is gone; what could not be asked is shown as it was.
          setState((old) => ({ key, error, data: error.status === 404 ? undefined : old.data }));
        }
      }
      if (!ended && mine === turn) timer = setTimeout(tick, everyMs);
    };
    // Nobody looks at a hidden page.
    const tick = () => {
      if (document.visibilityState !== "hidden") void ask();
    };
    again.current = () => void ask();
    document.addEventListener("visibilitychange", tick);
    void ask();
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, [key, everyMs]);

  const refresh = useCallback(() => again.current(), []);
  return state.key === key ? { data: state.data, error: state.error, refresh } : { refresh };
}
