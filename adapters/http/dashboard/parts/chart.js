// The chart of rates, by uPlot. It is for the eye: the same numbers are beside it as text.

import { OUTCOMES } from "../live/rates.js";
import { clock, grouped } from "../base/format.js";

/** How much time the chart shows, in seconds, however little is known yet. */
const SPAN_S = 300;

const HEIGHT = 210;

/** Draws readings into an element. `point(reading)` is told which one the pointer is at, or null. */
export class RateChart {
  #plot = null;
  #data = null;

  constructor(element, point, signal) {
    this.element = element;
    this.point = point;
    this.#build();
    addEventListener("theme", () => this.#build(), { signal });
    const observer = new ResizeObserver(() => this.#fit());
    observer.observe(element);
    signal.addEventListener("abort", () => {
      observer.disconnect();
      this.#plot.destroy();
    });
  }

  draw(readings) {
    this.readings = readings;
    this.#data = [readings.map(({ at }) => at / 1000), ...OUTCOMES.map((outcome) => lineOf(readings, outcome))];
    this.#plot.setData(this.#data);
  }

  #build() {
    this.#plot?.destroy();
    const color = (name) => getComputedStyle(this.element).getPropertyValue(name).trim();
    const line = { stroke: color("--quiet"), grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false }, font: `11px ${color("--sans")}` };
    const options = {
      width: this.#width(),
      height: HEIGHT,
      padding: [10, 30, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false, range: () => this.#span() },
        y: { range: (_plot, _min, max) => [0, roundUp(max ?? 0)] },
      },
      axes: [
        { ...line, size: 34, gap: 9, space: 90, values: (_plot, splits) => splits.map((second) => clock(second * 1000)), incrs: [15, 30, 60, 120] },
        { ...line, size: 54, space: 34, values: (_plot, splits) => splits.map(grouped) },
      ],
      series: [{}, ...OUTCOMES.map((outcome, at) => ({
        stroke: color(`--${outcome}`),
        fill: at === 0 ? color("--processed-fill") : undefined,
        width: 2,
        dash: [undefined, undefined, [6, 4], [2, 3]][at],
        points: { show: false },
      }))],
      hooks: { setCursor: [(plot) => this.point(this.readings?.[plot.cursor.idx] ?? null)] },
    };
    this.#plot = new uPlot(options, this.#data ?? [[], [], [], [], []], this.element);
  }

  /** The last minutes, up to the latest reading. */
  #span() {
    const last = (this.readings?.at(-1)?.at ?? Date.now()) / 1000;
    return [last - SPAN_S, last];
  }

  #fit() {
    this.#plot.setSize({ width: this.#width(), height: HEIGHT });
  }

  #width() {
    return Math.max(200, this.element.clientWidth);
  }
}

/** What did not happen at all has no line: four of them at zero would hide one another. */
function lineOf(readings, outcome) {
  const values = readings.map((reading) => reading[outcome]);
  return outcome === "processed" || values.some((value) => value > 0) ? values : values.map(() => null);
}

/** The next larger of 10, 20, 50, 100, 200 … so that the scale seldom changes. */
function roundUp(max) {
  let top = 10;
  for (const step of [2, 2.5, 2].concat(Array(30).fill([2, 2.5, 2]).flat())) {
    if (top >= max * 1.05) return top;
    top *= step;
  }
  return top;
}
