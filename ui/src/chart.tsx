/** Lines over time. Drawn on a canvas by uPlot, described in words for those who do not see it. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { language } from "./i18n";

export interface Line {
  label: string;
  values: (number | null)[];
}

const HEIGHT = 150;

function colors(): { lines: string[]; text: string; grid: string } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(name).trim();
  return { lines: [of("--line-1"), of("--line-2"), of("--line-3"), of("--line-4")], text: of("--soft"), grid: of("--border") };
}

/** Seconds are told where the minutes would repeat themselves. */
function clock(times: number[]): Intl.DateTimeFormatOptions {
  const minutes = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 60;
  return { hour: "2-digit", minute: "2-digit", hour12: false, ...(minutes < 6 ? { second: "2-digit" } : {}) };
}

export function Chart(props: { title: string; times: number[]; lines: Line[]; format: (value: number) => string }) {
  const { title, times, lines, format } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = lines.map((l) => l.label).join("|");
  const data = [times, ...lines.map((l) => l.values)] as uPlot.AlignedData;

  useEffect(() => {
    const holder = box.current!;
    const make = () => {
      plot.current?.destroy();
      const { lines: strokes, text, grid } = colors();
      const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      plot.current = new uPlot(
        {
          width: holder.clientWidth || 300,
          height: HEIGHT,
          legend: { show: false },
          cursor: { drag: { x: false, y: false } },
          tzDate: (ts) => new Date(ts * 1000),
          axes: [
            { ...axis, values: (_, ticks) => ticks.map((s) => new Date(s * 1000).toLocaleTimeString(language(), clock(times))) },
            { ...axis, size: 62, values: (_, ticks) => ticks.map(format) },
          ],
          scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 1e-6) * 1.1] } },
          series: [{}, ...lines.map((l, i) => ({ label: l.label, stroke: strokes[i % strokes.length], width: 1.6, points: { show: false }, spanGaps: false }))],
        },
        data,
        holder,
      );
    };
    make();
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: holder.clientWidth, height: HEIGHT }));
    sized.observe(holder);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    const themed = new MutationObserver(make);
    themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      sized.disconnect();
      themed.disconnect();
      dark.removeEventListener("change", make);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [times, lines]);

  const latest = (line: Line) => {
    const value = line.values.findLast((v) => v !== null && v !== undefined);
    return value === undefined || value === null ? "–" : format(value);
  };
  return (
    <figure class="chart">
      <figcaption>
        <strong>{title}</strong>
        <span class="legend-row">
          {lines.map((line, i) => (
            <span key={line.label} class={`key key-${(i % 4) + 1}`}>
              {line.label && `${line.label} `}
              <b>{latest(line)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}: ${lines.map((l) => `${l.label} ${latest(l)}`).join(", ")}`} />
    </figure>
  );
}
