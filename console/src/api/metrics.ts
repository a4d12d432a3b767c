/** Prometheus' text format, as far as the node writes it. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads what /metrics says; a line that is none is left out. */
export function parse(text: string): Metrics {
  const samples: Sample[] = [];
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const [, name, inner, number] = LINE.exec(line) ?? [];
    const value = Number(number);
    if (!name || Number.isNaN(value)) continue;
    const labels: Record<string, string> = {};
    for (const [, label, raw] of (inner ?? "").matchAll(LABEL)) {
      labels[label as string] = (raw as string).replace(/\\(.)/g, (_, char) => (char === "n" ? "\n" : char));
    }
    samples.push({ name, labels, value });
  }
  return new Metrics(samples);
}

export class Metrics {
  private readonly byName = new Map<string, Sample[]>();

  constructor(samples: Sample[]) {
    for (const sample of samples) {
      const same = this.byName.get(sample.name);
      if (same) same.push(sample);
      else this.byName.set(sample.name, [sample]);
    }
  }

  /** The sum over all labels; `undefined` when the node does not export it. */
  sum(name: string): number | undefined {
    return this.byName.get(name)?.reduce((sum, sample) => sum + sample.value, 0);
  }

  /** The values by one label, summed over the others. */
  by(name: string, label: string): Map<string, number> {
    const values = new Map<string, number>();
    for (const { labels, value } of this.byName.get(name) ?? []) {
      const key = labels[label];
      if (key !== undefined) values.set(key, (values.get(key) ?? 0) + value);
    }
    return values;
  }

  /** A quantile of a histogram, in its buckets' unit; `undefined` when it has counted nothing. */
  quantile(name: string, q: number, since?: Metrics): number | undefined {
    const now = this.by(`${name}_bucket`, "le");
    const before = since?.by(`${name}_bucket`, "le");
    const buckets = [...now]
      .map(([le, count]) => [Number(le === "+Inf" ? Infinity : le), count - (before?.get(le) ?? 0)] as const)
      .sort(([a], [b]) => a - b);
    const total = buckets.at(-1)?.[1] ?? 0;
    if (!(total > 0)) return undefined;
    const rank = q * total;
    let [lower, below] = [0, 0];
    for (const [upper, count] of buckets) {
      if (count >= rank) {
        if (!Number.isFinite(upper)) return lower;
        const inside = count - below;
        return inside > 0 ? lower + ((upper - lower) * (rank - below)) / inside : upper;
      }
      [lower, below] = [upper, count];
    }
    return lower;
  }
}
