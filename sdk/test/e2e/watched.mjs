// Something that changes by itself: tests wait for what it comes to, up to a deadline, and never for time.

/** How long anything may take: the machine may be busy, and a test that passes never waits for it. */
export const PATIENCE = 20_000;

export class Watched {
  #waiting = new Set();

  /** To be called after every change. */
  changed() {
    for (const look of this.#waiting) look();
  }

  /** Waits until `condition` gives something true, and gives it back. */
  until(what, condition, patience = PATIENCE) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = condition();
        if (!found) return;
        this.#waiting.delete(look);
        clearTimeout(deadline);
        resolve(found);
      };
      const deadline = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`not in ${patience} ms: ${what}; there is ${this.describe()}`));
      }, patience);
      this.#waiting.add(look);
      look();
    });
  }

  describe() {
    return "nothing to say";
  }
}
