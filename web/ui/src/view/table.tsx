/*
 * table: functions by their own and their total time. Only the rows in view are elements.
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { baseName, formatCount, formatNs, formatShare } from "../model/format";
import { Kind } from "../model/calltree";
import { shortName, splitLine } from "../model/names";
import { parseSearch } from "../model/search";
import { type TopRow, type TopTable, filterRows, sortRows, visibleRows } from "../model/toptable";
import type { SortKey, UrlState } from "../model/urlstate";
import { type Theme, frameColor } from "./colors";
import { Swatch, exactSearch } from "./flame";
import { FRAMES, FramesPicker } from "./framespicker";
import type { Go } from "./hooks";
import { Icon } from "./icons";

interface Props {
	readonly table: TopTable;
	readonly state: UrlState;
	readonly go: Go;
	readonly theme: Theme;
	readonly isOld: boolean;
}

const ROW_PX = 28;

interface Column {
	readonly name: string;
	readonly key: SortKey;
	readonly class: string;
	readonly title: string;
}

const COLUMNS: readonly Column[] = [
	{ name: "Self", key: "self", class: "number", title: "Time in it itself" },
	{ name: "%", key: "self", class: "number share", title: "Own time, of all" },
	{
		name: "Total",
		key: "total",
		class: "number wide-only",
		title: "Time in it and what it calls",
	},
	{ name: "%", key: "total", class: "number share", title: "Total time, of all" },
	{ name: "Samples", key: "samples", class: "number wide-only", title: "Samples in it itself" },
	{ name: "Name", key: "name", class: "name", title: "Name" },
	{ name: "Library", key: "mapping", class: "library", title: "Executable file" },
];

export function TableView({ table, state, go, theme, isOld }: Props): JSX.Element {
	const scroller = useRef<HTMLDivElement>(null);
	const [view, setView] = useState({ top: 0, height: 800 });
	const parsed = useMemo(() => parseSearch(state.filter), [state.filter]);
	const rows = useMemo(() => {
		const kept = parsed.ok ? filterRows(table.rows, parsed.matches) : table.rows;
		return sortRows(kept, state.sort, state.ascending);
	}, [table, parsed, state.sort, state.ascending]);
	useEffect(() => {
		const box = scroller.current;
		if (!box) return;
		const measure = (): void => setView({ top: box.scrollTop, height: box.clientHeight });
		const resizer = new ResizeObserver(measure);
		resizer.observe(box);
		box.addEventListener("scroll", measure, { passive: true });
		return () => resizer.disconnect();
	}, []);
	const { first, last } = visibleRows(rows.length, view.top, view.height, ROW_PX);
	const selfUs = rows.reduce((sum, row) => sum + row.selfUs, 0);
	const summary = !parsed.ok
		? parsed.message
		: `${formatCount(rows.length)} of ${formatCount(table.functions)} ${FRAMES[state.frames].many}${state.filter ? ` · ${formatShare(selfUs, table.totalUs)} self` : ""}`;
	const pick = (row: TopRow): void => go({ tab: "flame", search: exactSearch(row.name) });
	const sortBy = (key: SortKey): void =>
		go({
			sort: key,
			ascending: state.sort === key ? !state.ascending : key === "name" || key === "mapping",
		});
	return (
		<section class={isOld ? "table is-old" : "table"} aria-label="Functions">
			<div class="bar">
				<label class="search">
					<Icon name="search" />
					<input
						id="search"
						type="search"
						value={state.filter}
						placeholder="Function or library, or /regular expression/"
						spellcheck={false}
						aria-label="Filter functions"
						aria-invalid={!parsed.ok}
						onInput={(e) => go({ filter: e.currentTarget.value }, "slide")}
					/>
				</label>
				<span class={parsed.ok ? "matched" : "matched fault"} role="status">
					{summary}
				</span>
				<span class="spacer" />
				<FramesPicker frames={state.frames} go={go} />
			</div>
			<div class="table-scroll" ref={scroller} tabIndex={-1}>
				<table aria-rowcount={rows.length + 1}>
					<thead>
						<tr>
							{COLUMNS.map((c, i) => (
								<th
									key={i}
									class={c.class}
									scope="col"
									title={c.title}
									aria-sort={
										state.sort === c.key && c.name !== "%"
											? state.ascending
												? "ascending"
												: "descending"
											: "none"
									}
								>
									<button
										type="button"
										class={state.sort === c.key && c.name !== "%" ? "sorted" : ""}
										onClick={() => sortBy(c.key)}
									>
										{c.key === "name" ? FRAMES[state.frames].One : c.name}
										{state.sort === c.key && c.name !== "%" && (
											<span class={state.ascending ? "arrow up" : "arrow"}>
												<Icon name="down" />
											</span>
										)}
									</button>
								</th>
							))}
						</tr>
					</thead>
					<tbody>
						{first > 0 && <tr aria-hidden="true" style={{ height: `${first * ROW_PX}px` }} />}
						{rows.slice(first, last).map((row, i) => (
							<Row
								key={`${row.name} ${row.mapping} ${row.kind}`}
								row={row}
								at={first + i}
								total={table.totalUs}
								isLine={state.frames === "line"}
								theme={theme}
								onPick={pick}
							/>
						))}
						{last < rows.length && (
							<tr aria-hidden="true" style={{ height: `${(rows.length - last) * ROW_PX}px` }} />
						)}
					</tbody>
				</table>
				{rows.length === 0 && (
					<p class="hint table-empty">
						No {FRAMES[state.frames].one} matches “{state.filter}”.
					</p>
				)}
			</div>
		</section>
	);
}

interface RowProps {
	readonly row: TopRow;
	readonly at: number;
	readonly total: number;
	readonly isLine: boolean;
	readonly theme: Theme;
	readonly onPick: (row: TopRow) => void;
}

function Share({ part, total }: { readonly part: number; readonly total: number }): JSX.Element {
	return (
		<span class="share-cell">
			<span
				class="share-bar"
				style={{ width: `${total > 0 ? Math.min(100, (100 * part) / total) : 0}%` }}
			/>
			<span class="share-text">{formatShare(part, total)}</span>
		</span>
	);
}

function Row({ row, at, total, isLine, theme, onPick }: RowProps): JSX.Element {
	const isInlined = row.kind === Kind.Inlined;
	const { name, place } = isLine ? splitLine(row.name) : { name: row.name, place: "" };
	return (
		<tr aria-rowindex={at + 2} onClick={() => onPick(row)}>
			<td class="number">{formatNs(row.selfUs * 1e3)}</td>
			<td class="number share">
				<Share part={row.selfUs} total={total} />
			</td>
			<td class="number wide-only">{formatNs(row.totalUs * 1e3)}</td>
			<td class="number share">
				<Share part={row.totalUs} total={total} />
			</td>
			<td class="number wide-only">{formatCount(row.selfSamples)}</td>
			<td class="name">
				<button
					type="button"
					title={`${row.name}${isInlined ? " (inlined)" : ""}\nShow in the flame graph`}
				>
					<Swatch color={frameColor(theme, row.kind, row.name)} isInlined={isInlined} />
					<span class="what">{shortName(name)}</span>
					{place && <span class="place">{place}</span>}
				</button>
			</td>
			<td class="library" title={row.mapping}>
				{baseName(row.mapping)}
			</td>
		</tr>
	);
}
