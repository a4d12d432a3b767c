import { expect, test } from "vitest";
import { parse } from "../src/api/metrics";
import { beat } from "../src/pulse";

const text = `# HELP lockgate_players Players, by protocol
# TYPE lockgate_players gauge
lockgate_players{protocol="rtmp"} 3
lockgate_players{protocol="whep"} 2
lockgate_build_info{version="0.1.0",odd="a \\"b\\" {c}, d"} 1
process_cpu_seconds_total 12.5
lockgate_egress_bytes_total{protocol="rtmp"} 1000
lockgate_dwell_seconds_bucket{le="0.001"} 50
lockgate_dwell_seconds_bucket{le="0.01"} 90
lockgate_dwell_seconds_bucket{le="0.1"} 100
lockgate_dwell_seconds_bucket{le="+Inf"} 100
this is no line of metrics
`;

test("values are summed, and told apart by a label", () => {
  const metrics = parse(text);
  expect(metrics.sum("lockgate_players")).toBe(5);
  expect(Object.fromEntries(metrics.by("lockgate_players", "protocol"))).toEqual({ rtmp: 3, whep: 2 });
  expect([...metrics.by("lockgate_build_info", "odd").keys()]).toEqual(['a "b" {c}, d']);
  expect(metrics.sum("lockgate_nothing")).toBeUndefined();
});

test("a quantile is interpolated in its bucket, and none of nothing", () => {
  const metrics = parse(text);
  expect(metrics.quantile("lockgate_dwell_seconds", 0.5)).toBeCloseTo(0.001);
  expect(metrics.quantile("lockgate_dwell_seconds", 0.7)).toBeCloseTo(0.0055);
  expect(metrics.quantile("lockgate_dwell_seconds", 0.99)).toBeCloseTo(0.091);
  expect(metrics.quantile("lockgate_other_seconds", 0.5)).toBeUndefined();
});

test("a rate is over the time between two readings, and none of a node that started anew", () => {
  const before = { metrics: parse(text), at: 100 };
  const now = parse(text.replace("} 1000", "} 3000"));
  expect(beat(now, 102, before).bitsOut).toBe(8000);
  expect(beat(now, 102).bitsOut).toBeUndefined();
  const anew = parse(text.replace("} 1000", "} 10"));
  expect(beat(anew, 102, before).bitsOut).toBeUndefined();
});
