/** A chart of the last minutes, drawn by uPlot in the colours of the page. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { locale } from "../i18n";
import { onTheme } from "../theme";

export interface Line {
  label: string;
  /** A colour of the page: `--line-1` and so on. */
  colour: string;
  values: Array<number | undefined>;
}

export interface ChartProps {
  title: string;
  at: number[];
  lines: Line[];
  value(value: number): string;
  /** The least that the y axis reaches to. */
  top?: number;
  /** What is counted has no halves. */
  whole?: boolean;
}

const HEIGHT = 148;

/** The least that is shown: a chart of one reading would be an empty box. */
const SPAN_MIN = 120;

/** Steps of what is counted. */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5];

const colourOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(props: ChartProps, width: number): uPlot.Options {
  const { lines, value, top, whole } = props;
  const axis = { stroke: colourOf("--muted"), font: "11px system-ui, sans-serif" };
  const grid = { stroke: colourOf("--line"), width: 1 };
  const clock = { hour: "2-digit", minute: "2-digit", hour12: false } as const;
  const time = new Intl.DateTimeFormat(locale(), clock);
  const seconds = new Intl.DateTimeFormat(locale(), { ...clock, second: "2-digit" });
  return {
    width,
    height: HEIGHT,
    padding: [10, 24, 0, 0],
    legend: { show: false },
    cursor: { y: false, points: { size: 6 } },
    scales: {
      x: { time: true, range: (_, from, to) => [Math.min(from ?? 0, (to ?? 0) - SPAN_MIN), to ?? 0] },
      y: { range: (_, __, max) => [0, Math.max((max ?? 0) * 1.1, top ?? 1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, ticks: { show: false }, size: 24, space: 84,
        values: (_, at, __, ___, step) => at.map((each) => (step < 60 ? seconds : time).format(each * 1000)) },
      { ...axis, grid, ticks: { show: false }, size: 72, space: 32, ...(whole && { incrs: WHOLE }), values: (_, at) => at.map((each) => value(each)) },
    ],
    series: [
      {},
      ...lines.map((line, index) => ({
        label: line.label,
        stroke: colourOf(line.colour),
        width: 1.5,
        fill: index === 0 ? `${colourOf(line.colour)}1f` : undefined,
        points: { show: false },
      })),
    ],
  };
}

export function Chart(props: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const data = [props.at, ...props.lines.map(({ values }) => values.map((value) => value ?? null))] as uPlot.AlignedData;
  const latest = useRef({ props, data });
  latest.current = { props, data };

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const draw = () => {
      const { props, data } = latest.current;
      plot.current?.destroy();
      plot.current = new uPlot(options(props, element.clientWidth), data, element);
    };
    draw();
    const resized = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    resized.observe(element);
    const forget = onTheme(draw);
    return () => {
      forget();
      resized.disconnect();
      plot.current?.destroy();
      plot.current = undefined;
    };
    // The language is in the axes, the number of lines in the series.
  }, [locale(), props.lines.length]);

  useEffect(() => plot.current?.setData(data), [props.at]);

  return (
    <figure class="chart">
      <figcaption>
        <span>{props.title}</span>
        {props.lines.map((line) => {
          const value = line.values.at(-1);
          return (
            <span key={line.label} class={`key ${line.colour.slice(2)}`}>
              {line.label} <b>{value === undefined ? "–" : props.value(value)}</b>
            </span>
          );
        })}
      </figcaption>
      <div ref={box} class="plot" aria-hidden="true" />
    </figure>
  );
}
