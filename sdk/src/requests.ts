/**
 * Requests and their answers. Requests carry no id: an answer belongs to the oldest request of its
 * Cmd (and, for Subscribe, of its UserId), so one that was given up stays in line for its answer.
 *
 * What waits while there is no connection goes out in order when there is one; what was on its way
 * when the connection broke goes out again.
 */
import { REQUEST_TIMEOUT } from "./defaults";
import { failure, failureOf } from "./errors";
import type { LockgateError } from "./errors";
import { log } from "./log";

export interface Request {
  cmd: string;
  /** An object, or "" for nothing. */
  content: object | "";
  /** Whom it is about. */
  user?: string;
  /** False: the connection's own, which every new connection makes anew. */
  lasting?: boolean;
  timeout?: number;
}

interface Pending extends Request {
  resolve(answer: any): void;
  reject(error: LockgateError): void;
  timer?: any;
  givenUp?: boolean;
}

/** A connection's own request that broke with it. */
export const DROPPED = failure("ABORTED", "the connection broke");

export class Requests {
  private waiting: Pending[] = [];
  private sent: Pending[] = [];

  constructor(private readonly write: (cmd: string, content: object | "") => void) {}

  /** Sends it now, or with the next connection. */
  add(request: Request, connected: boolean): Promise<any> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { lasting: true, ...request, resolve, reject };
      if (connected) this.send(pending);
      else this.waiting.push(pending);
    });
  }

  /** There is a connection. */
  flush(): void {
    for (const pending of this.waiting.splice(0)) this.send(pending);
  }

  /** True when somebody waited for it. */
  answer(cmd: string, content: any): boolean {
    const user = content?.UserId === undefined ? undefined : String(content.UserId);
    let at = this.sent.findIndex(
      (pending) => pending.cmd === cmd && (user === undefined || !pending.user || pending.user === user),
    );
    if (at < 0) at = this.sent.findIndex((pending) => pending.cmd === cmd);
    if (at < 0) return false;
    const [pending] = this.sent.splice(at, 1) as [Pending];
    clearTimeout(pending.timer);
    if (pending.givenUp) return true;
    const code = typeof content?.Code === "number" ? content.Code : 0;
    if (code === 0) pending.resolve(content);
    else pending.reject(failureOf(code, content.Msg));
    return true;
  }

  /** The connection broke: what was on its way is to go out again. */
  broke(): void {
    const again: Pending[] = [];
    for (const pending of this.sent.splice(0)) {
      clearTimeout(pending.timer);
      if (pending.givenUp) continue;
      if (pending.lasting) again.push(pending);
      else pending.reject(DROPPED);
    }
    this.waiting = again.concat(this.waiting);
  }

  /** Nothing more will be sent. */
  end(error: LockgateError): void {
    for (const pending of this.sent.splice(0).concat(this.waiting.splice(0))) {
      clearTimeout(pending.timer);
      if (!pending.givenUp) pending.reject(error);
    }
  }

  private send(pending: Pending): void {
    this.sent.push(pending);
    pending.timer = setTimeout(() => {
      log.warn(pending.cmd, "was not answered in time");
      pending.givenUp = true;
      pending.reject(failure("TIMEOUT"));
    }, pending.timeout ?? REQUEST_TIMEOUT);
    this.write(pending.cmd, pending.content);
  }
}
