/*
 * timeline: use over time as a stacked area with a brush; gaps hatched, losses as red ticks.
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { formatClock, formatCores, formatCount, formatShare } from "../model/format";
import {
	OTHER,
	type Series,
	type Stack,
	type Stretch,
	arrivingSince,
	findGaps,
	pointAt,
	stackSeries,
} from "../model/timeline";
import { LINE_COLORS, type Theme, lineColor, reasonColor } from "./colors";
import { Swatch } from "./flame";
import { Legend, lineTitle } from "./legend";

interface Props {
	readonly series: Series;
	readonly theme: Theme;
	readonly nowUs: number;
	readonly legend: JSX.Element | null /* in place of the plain one */;
	readonly isOld: boolean;
	readonly onBrush: (fromUs: number, untilUs: number) => void;
	readonly onWiden: () => void;
	readonly onNarrow: () => void;
	readonly onPick: (name: string, isNot: boolean) => void;
}

const HEIGHT_PX = 148;

/* A name keeps its colour as the ranking changes from refresh to refresh. */
function useSlots(names: readonly string[], groupBy: string): readonly number[] {
	const slots = useRef<{ groupBy: string; of: Map<string, number> }>({ groupBy, of: new Map() });
	if (slots.current.groupBy !== groupBy) slots.current = { groupBy, of: new Map() };
	const { of } = slots.current;
	for (const name of [...of.keys()]) if (!names.includes(name)) of.delete(name);
	for (const name of names) {
		if (name === OTHER || of.has(name)) continue;
		const used = new Set(of.values());
		let slot = 0;
		while (used.has(slot) && slot < LINE_COLORS) slot++;
		of.set(name, slot);
	}
	return names.map((name) => of.get(name) ?? -1);
}

/* Reasons have colours of their own; slot -1 is "other". */
function colorOf(theme: Theme, groupBy: string, name: string, slot: number): string {
	return groupBy === "reason" ? reasonColor(theme, name) : lineColor(theme, slot);
}

const cssVar = (name: string): string =>
	getComputedStyle(document.documentElement).getPropertyValue(name).trim();

interface Drawn {
	readonly stack: Stack;
	readonly gaps: readonly Stretch[];
	readonly series: Series;
	readonly colors: readonly string[] /* by line */;
	readonly arrivingUs: number | null;
}

function hatch(context: CanvasRenderingContext2D, color: string, ratio: number): CanvasPattern | null {
	const tile = document.createElement("canvas");
	tile.width = tile.height = Math.round(7 * ratio);
	const pen = tile.getContext("2d");
	if (!pen) return null;
	const size = tile.width;
	pen.strokeStyle = color;
	pen.lineWidth = ratio;
	pen.beginPath();
	for (const shift of [-size, 0, size]) {
		pen.moveTo(shift, size);
		pen.lineTo(shift + size, 0);
	}
	pen.stroke();
	return context.createPattern(tile, "repeat");
}

/* Waits of the last seconds may be missing yet: what is there is drawn faint. */
function drawArriving(u: uPlot, fromPx: number, untilPx: number): void {
	const { ctx, bbox } = u;
	const ratio = uPlot.pxRatio;
	ctx.globalAlpha = 0.6;
	ctx.fillStyle = cssVar("--bg");
	ctx.fillRect(fromPx, bbox.top, untilPx - fromPx, bbox.height);
	ctx.globalAlpha = 1;
	ctx.strokeStyle = cssVar("--dim");
	ctx.lineWidth = ratio;
	ctx.setLineDash([3 * ratio, 3 * ratio]);
	ctx.beginPath();
	ctx.moveTo(fromPx, bbox.top);
	ctx.lineTo(fromPx, bbox.top + bbox.height);
	ctx.stroke();
	ctx.setLineDash([]);
	ctx.font = `${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
	ctx.fillStyle = cssVar("--dim");
	ctx.textBaseline = "top";
	ctx.textAlign = "right";
	ctx.fillText("still arriving", fromPx - 4 * ratio, bbox.top + 2 * ratio);
}

function drawMarks(u: uPlot, { gaps, series, arrivingUs }: Drawn): void {
	const { ctx, bbox } = u;
	const ratio = uPlot.pxRatio;
	const x = (us: number): number =>
		Math.min(bbox.left + bbox.width, Math.max(bbox.left, u.valToPos(us / 1e6, "x", true)));
	ctx.save();
	if (arrivingUs !== null) drawArriving(u, x(arrivingUs), x(series.untilUs));
	ctx.fillStyle = hatch(ctx, cssVar("--hatch"), ratio) ?? "transparent";
	for (const gap of gaps)
		ctx.fillRect(x(gap.fromUs), bbox.top, x(gap.untilUs) - x(gap.fromUs), bbox.height);
	ctx.fillStyle = cssVar("--red");
	series.dropped.forEach((count, i) => {
		if (count === 0) return;
		const left = x(series.startUs + i * series.stepUs);
		const right = x(series.startUs + (i + 1) * series.stepUs);
		ctx.fillRect(left, bbox.top, Math.max(2 * ratio, right - left), 5 * ratio);
	});
	ctx.restore();
}

function axisFont(): string {
	return `11px ${getComputedStyle(document.body).fontFamily}`;
}

type OnCursor = (point: number | null, leftPx: number) => void;

function makePlot(
	host: HTMLElement,
	drawn: { current: Drawn },
	on: { cursor: OnCursor; brush: Props["onBrush"]; widen: () => void },
): uPlot {
	const { stack } = drawn.current;
	const stepped = uPlot.paths.stepped?.({ align: 1 });
	const lines: uPlot.Series[] = stack.names.map((_, i) => {
		const line = stack.names.length - 1 - i; /* the top one first: lower ones cover it */
		const color = (): string => drawn.current.colors[line] ?? "transparent";
		return {
			fill: color,
			stroke: color,
			width: 0,
			points: { show: false },
			...(stepped ? { paths: stepped } : {}),
		};
	});
	const axis = { stroke: () => cssVar("--dim"), font: axisFont(), ticks: { show: false } };
	const options: uPlot.Options = {
		width: Math.max(120, host.clientWidth),
		height: HEIGHT_PX,
		legend: { show: false },
		padding: [8, 6, 0, 0],
		cursor: {
			y: false,
			points: { show: false },
			drag: { x: true, y: false, setScale: false, dist: 4 },
			bind: { dblclick: () => () => (on.widen(), null) },
		},
		scales: {
			x: {
				time: true,
				range: () => [drawn.current.series.fromUs / 1e6, drawn.current.series.untilUs / 1e6],
			},
			y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
		},
		axes: [
			{
				...axis,
				size: 20,
				gap: 4,
				grid: { show: false },
				space: 70,
				values: (u, splits, _, __, incr) =>
					timeLabels(splits, incr, (s) => u.valToPos(s, "x") > u.over.clientWidth - 14),
			},
			{
				...axis,
				size: 44,
				gap: 6,
				space: 28,
				grid: { stroke: () => cssVar("--grid"), width: 1 },
				values: (_, splits) => splits.map((v) => String(Number(v.toPrecision(3)))),
			},
		],
		series: [{}, ...lines],
		hooks: {
			draw: [(u) => drawMarks(u, drawn.current)],
			setCursor: [
				(u) => {
					const left = u.cursor.left ?? -1;
					on.cursor(
						left < 0 ? null : pointAt(drawn.current.series, u.posToVal(left, "x") * 1e6),
						left + u.over.offsetLeft,
					);
				},
			],
			setSelect: [
				(u) => {
					if (u.select.width < 2) return;
					on.brush(
						u.posToVal(u.select.left, "x") * 1e6,
						u.posToVal(u.select.left + u.select.width, "x") * 1e6,
					);
					u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
				},
			],
		},
	};
	return new uPlot(options, plotData(stack), host);
}

/* The date only where it changes; nothing where the edge would cut it. */
function timeLabels(
	splits: readonly number[],
	stepSeconds: number,
	isAtEdge: (seconds: number) => boolean,
): string[] {
	let day = "";
	return splits.map((seconds) => {
		const date = new Date(seconds * 1000);
		const clock = formatClock(seconds * 1e6, stepSeconds < 1);
		const today = date.toDateString();
		const isNewDay = day !== "" && today !== day;
		day = today;
		if (isAtEdge(seconds)) return "";
		if (isNewDay || stepSeconds >= 86400)
			return date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
		return stepSeconds >= 60 ? clock.slice(0, 5) : clock;
	});
}

function plotData(stack: Stack): uPlot.AlignedData {
	return [[...stack.seconds], ...[...stack.tops].reverse().map((line) => [...line])];
}

/* Brush by keys: arrows move the cursor, with Shift they span a selection. */
function useKeys(plot: { current: uPlot | null }, props: Props): (event: KeyboardEvent) => void {
	const anchor = useRef<number | null>(null);
	return (event) => {
		const u = plot.current;
		if (!u || event.ctrlKey || event.metaKey || event.altKey) return;
		const width = u.over.clientWidth;
		const at = u.cursor.left === undefined || u.cursor.left < 0 ? width / 2 : u.cursor.left;
		const step = Math.max(4, width / props.series.coveredUs.length);
		const moveTo = (left: number): void => {
			const next = Math.min(width - 1, Math.max(0, left));
			if (event.shiftKey) anchor.current ??= at;
			else anchor.current = null;
			const from = anchor.current ?? next;
			u.setSelect(
				{
					left: Math.min(from, next),
					width: Math.abs(next - from),
					top: 0,
					height: u.over.clientHeight,
				},
				false,
			);
			u.setCursor({ left: next, top: 10 });
		};
		const clear = (): void => {
			anchor.current = null;
			u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
		};
		const keys: Readonly<Record<string, () => void>> = {
			ArrowLeft: () => moveTo(at - step),
			ArrowRight: () => moveTo(at + step),
			Home: () => moveTo(0),
			End: () => moveTo(width - 1),
			Enter: () => {
				const { left, width: wide } = u.select;
				const time = (px: number): number => u.posToVal(px, "x") * 1e6;
				clear();
				if (wide > 1) props.onBrush(time(left), time(left + wide));
			},
			Escape: clear,
			"-": props.onWiden,
			"+": props.onNarrow,
		};
		const run = keys[event.key];
		if (run) {
			event.preventDefault();
			run();
		}
	};
}

export function Timeline(props: Props): JSX.Element {
	const { series, theme } = props;
	const host = useRef<HTMLDivElement>(null);
	const plot = useRef<uPlot | null>(null);
	const stack = useMemo(() => stackSeries(series), [series]);
	const gaps = useMemo(() => findGaps(series), [series]);
	const slots = useSlots(stack.names, series.groupBy);
	const colors = stack.names.map((name, i) => colorOf(theme, series.groupBy, name, slots[i] ?? -1));
	const arrivingUs = arrivingSince(series, props.nowUs);
	const drawn = useRef<Drawn>({ stack, gaps, series, colors, arrivingUs });
	drawn.current = { stack, gaps, series, colors, arrivingUs };
	const latest = useRef(props);
	latest.current = props;
	const [cursor, setCursor] = useState<{ readonly point: number; readonly leftPx: number } | null>(null);
	const onKeyDown = useKeys(plot, props);

	const lines = stack.names.length;
	useEffect(() => {
		const box = host.current;
		if (!box) return;
		const made = makePlot(box, drawn, {
			cursor: (point, leftPx) => setCursor(point === null ? null : { point, leftPx }),
			brush: (a, b) => latest.current.onBrush(a, b),
			widen: () => latest.current.onWiden(),
		});
		plot.current = made;
		const resizer = new ResizeObserver(() =>
			made.setSize({ width: Math.max(120, box.clientWidth), height: HEIGHT_PX }),
		);
		resizer.observe(box);
		return () => {
			resizer.disconnect();
			plot.current = null;
			made.destroy();
		};
	}, [lines]);
	useEffect(() => plot.current?.setData(plotData(stack)), [stack]);
	useEffect(() => plot.current?.redraw(false), [theme, colors.join()]);

	return (
		<div class={props.isOld ? "timeline is-old" : "timeline"}>
			{props.legend ?? <Legend stack={stack} colors={colors} onPick={props.onPick} />}
			<div
				class="plot"
				ref={host}
				tabIndex={0}
				role="application"
				onKeyDown={onKeyDown}
				onBlur={() => setCursor(null)}
				aria-label="Use over time. Arrow keys move the cursor, with Shift they select, Enter zooms into the selection, minus zooms out."
			/>
			{cursor && cursor.point < series.coveredUs.length && (
				<TimeTip
					series={series}
					stack={stack}
					colors={colors}
					isArriving={
						arrivingUs !== null &&
						series.startUs + (cursor.point + 1) * series.stepUs > arrivingUs
					}
					point={cursor.point}
					leftPx={cursor.leftPx}
				/>
			)}
		</div>
	);
}

interface TipProps {
	readonly series: Series;
	readonly stack: Stack;
	readonly colors: readonly string[];
	readonly isArriving: boolean;
	readonly point: number;
	readonly leftPx: number;
}

function TimeTip({ series, stack, colors, isArriving, point, leftPx }: TipProps): JSX.Element {
	const fromUs = series.startUs + point * series.stepUs;
	const values = stack.names.map((name, i) => ({
		name,
		color: colors[i] ?? "transparent",
		cores: stack.cores[i]?.[point] ?? null,
	}));
	const sum = values.reduce((total, v) => total + (v.cores ?? 0), 0);
	const covered = series.coveredUs[point]!;
	const lost = series.dropped[point]!;
	const onRight = leftPx < 420;
	return (
		<div
			class="tip time-tip"
			role="status"
			style={onRight ? { left: `${leftPx + 14}px` } : { right: `calc(100% - ${leftPx - 14}px)` }}
		>
			<div class="tip-time">
				{formatClock(fromUs)} – {formatClock(fromUs + series.stepUs)}
			</div>
			{covered === 0 ? (
				<div>Hearth was not sampling.</div>
			) : (
				<table class="tip-table">
					<tbody>
						{[...values]
							.reverse()
							.filter((v) => (v.cores ?? 0) > 0)
							.map((v) => (
								<tr key={v.name}>
									<th>
										<Swatch color={v.color} />
										{lineTitle(series.groupBy, v.name)}
									</th>
									<td>{formatCores(v.cores ?? 0)}</td>
								</tr>
							))}
						<tr class="sum">
							<th>all, in {series.type === "cpu" ? "cores" : "threads"}</th>
							<td>{formatCores(sum)}</td>
						</tr>
					</tbody>
				</table>
			)}
			{covered > 0 && covered < series.stepUs && (
				<div class="tip-where">Sampled {formatShare(covered, series.stepUs)} of this step.</div>
			)}
			{isArriving && (
				<div class="tip-where">Still arriving: a wait that goes on is stored every 10 s.</div>
			)}
			{lost > 0 && (
				<div class="fault">
					{formatCount(lost)} samples lost ({formatShare(lost, series.taken[point]!)}).
				</div>
			)}
		</div>
	);
}
