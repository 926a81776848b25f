/*
 * flametip: what one frame is and weighs; and the menu of what can be done with it.
 */
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { type CallTree, Kind, mappingOf, nameOf } from "../model/calltree";
import { formatCount, formatNs, formatShare } from "../model/format";
import { shortName, splitLine } from "../model/names";
import { reasonOfNode, reasonText } from "../model/reasons";
import type { Frames } from "../model/urlstate";
import { KIND_NAMES } from "./colors";

export interface Place {
	readonly x: number /* CSS px in the flame graph's box */;
	readonly y: number;
}

interface FactsProps {
	readonly tree: CallTree;
	readonly node: number;
	readonly zoomed: number;
	readonly frames: Frames;
}

/* A frame's own samples are what its callees leave over; unknown (null) when the server left
 * out the lightest of them. */
function selfSamples(tree: CallTree, node: number): number | null {
	let below = 0;
	let belowNs = 0;
	for (let i = node + 1; i < tree.end[node]!; i = tree.end[i]!)
		[below, belowNs] = [below + tree.nodeSamples[i]!, belowNs + tree.nodeNs[i]!];
	const isWhole = tree.nodeNs[node]! - belowNs - tree.selfNs[node]! < 1;
	return isWhole ? Math.max(0, tree.nodeSamples[node]! - below) : null;
}

function Facts({ tree, node, zoomed, frames }: FactsProps): JSX.Element {
	const kind = KIND_NAMES.find((k) => k.kind === tree.kind[node]!)?.name;
	const { name, place } =
		frames === "line" && hasFunction(tree, node)
			? splitLine(nameOf(tree, node))
			: { name: nameOf(tree, node), place: "" };
	const reason = reasonOfNode(tree, node);
	const short = shortName(name);
	const where = [mappingOf(tree, node), node === 0 ? "" : kind].filter(Boolean).join(" · ");
	const rows = [
		{ name: "Total", ns: tree.nodeNs[node]!, samples: tree.nodeSamples[node]! },
		{ name: "Self", ns: tree.selfNs[node]!, samples: selfSamples(tree, node) },
	];
	const viewNs = tree.nodeNs[zoomed]!;
	return (
		<>
			<div class="tip-name">{short}</div>
			{short !== name && <div class="tip-whole">{name}</div>}
			{place && <div class="tip-place">{place}</div>}
			{reason && <div class="tip-place">waiting: {reasonText(reason)}</div>}
			{where && <div class="tip-where">{where}</div>}
			<table class="tip-table">
				<thead>
					<tr>
						<th />
						<th>time</th>
						<th>of all</th>
						{zoomed > 0 && <th>of view</th>}
						<th>samples</th>
					</tr>
				</thead>
				<tbody>
					{rows.map((r) => (
						<tr key={r.name}>
							<th>{r.name}</th>
							<td>{formatNs(r.ns)}</td>
							<td>{formatShare(r.ns, tree.totalNs)}</td>
							{zoomed > 0 && <td>{r.ns <= viewNs ? formatShare(r.ns, viewNs) : "–"}</td>}
							<td>{r.samples === null ? "–" : formatCount(r.samples)}</td>
						</tr>
					))}
				</tbody>
			</table>
		</>
	);
}

/* Beside the place, inside of the page: flips to the other side where there is no room. */
function usePlacement(place: Place, offset: number): (element: HTMLDivElement | null) => void {
	const box = useRef<HTMLDivElement | null>(null);
	useLayoutEffect(() => {
		const element = box.current;
		const around = element?.offsetParent?.getBoundingClientRect();
		if (!element || !around) return;
		const { offsetWidth: wide, offsetHeight: high } = element;
		const roomRight = window.innerWidth - (around.left + place.x + offset);
		const x = roomRight >= wide + 8 ? place.x + offset : place.x - offset - wide;
		const roomBelow = window.innerHeight - (around.top + place.y + offset);
		const y = roomBelow >= high + 8 ? place.y + offset : place.y - offset - high;
		const left = Math.max(8 - around.left, Math.min(x, window.innerWidth - around.left - wide - 8));
		element.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(8 - around.top, y))}px)`;
	});
	return (element) => {
		box.current = element;
	};
}

export function FlameTip({ place, ...facts }: FactsProps & { readonly place: Place }): JSX.Element {
	const ref = usePlacement(place, 14);
	return (
		<div class="tip" ref={ref} role="presentation">
			<Facts {...facts} />
		</div>
	);
}

export interface MenuAction {
	readonly name: string;
	readonly hint?: string;
	readonly run: () => void;
}

interface MenuProps extends FactsProps {
	readonly place: Place;
	readonly actions: readonly MenuAction[];
	readonly onClose: () => void;
}

export function FlameMenu({ place, actions, onClose, ...facts }: MenuProps): JSX.Element {
	const ref = usePlacement(place, 2);
	const list = useRef<HTMLDivElement>(null);
	useEffect(() => {
		list.current?.querySelector("button")?.focus({ preventScroll: true });
		const onPress = (event: Event): void => {
			if (event.target instanceof Node && !list.current?.parentElement?.contains(event.target))
				onClose();
		};
		document.addEventListener("pointerdown", onPress, true);
		return () => document.removeEventListener("pointerdown", onPress, true);
	}, []);
	const onKeyDown = (event: KeyboardEvent): void => {
		const buttons = [...(list.current?.querySelectorAll("button") ?? [])];
		const at = buttons.findIndex((b) => b === document.activeElement);
		const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
		if (step !== 0) buttons[(at + step + buttons.length) % buttons.length]?.focus();
		else if (event.key === "Escape" || event.key === "Tab") onClose();
		else return;
		event.preventDefault();
		event.stopPropagation();
	};
	return (
		<div class="tip tip-menu" ref={ref} onKeyDown={onKeyDown}>
			<Facts {...facts} />
			<div class="menu" role="menu" ref={list}>
				{actions.map((a) => (
					<button
						key={a.name}
						type="button"
						role="menuitem"
						class="item"
						tabIndex={-1}
						onClick={() => (onClose(), a.run())}
					>
						<span>{a.name}</span>
						{a.hint && <kbd>{a.hint}</kbd>}
					</button>
				))}
			</div>
		</div>
	);
}

export const hasFunction = (tree: CallTree, node: number): boolean =>
	node > 0 && tree.kind[node] !== Kind.Root && tree.kind[node] !== Kind.Mark;
