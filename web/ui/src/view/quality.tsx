/*
 * quality: how many user stacks were whole, and why the others were not, a row for each process or
 * library.
 */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { baseName, formatCount, formatShare } from "../model/format";
import { type EndsTable, type QualityKey, type QualityRow, qualityRows, stackQuality } from "../model/stacks";
import type { UrlState } from "../model/urlstate";
import type { Go } from "./hooks";
import { Icon } from "./icons";

interface Props {
	readonly title: string;
	readonly hint?: string;
	readonly table: EndsTable;
	readonly state: UrlState;
	readonly go: Go;
}

const COLUMNS: readonly (readonly [name: string, key: QualityKey, title: string])[] = [
	["Name", "name", "Name"],
	["Samples", "samples", "Samples with a user stack"],
	["Whole", "whole", "Of these, stacks that reach their thread's start"],
	["Cut", "cut", "Samples whose stack is cut, and why"],
];

export function QualityTable({ title, hint, table, state, go }: Props): JSX.Element {
	const { qualitySort: sort, qualityAscending: ascending } = state;
	const rows = useMemo(() => qualityRows(table, sort, ascending), [table, sort, ascending]);
	const other = { name: "other", pid: 0, ...stackQuality(table.other) };
	const sortBy = (key: QualityKey): void =>
		go({ qualitySort: key, qualityAscending: sort === key ? !ascending : key === "name" || key === "whole" });
	return (
		<section class="card" aria-label={title}>
			<h2>{title}</h2>
			<div class="quality-scroll" tabIndex={0} role="group" aria-label={`${title}, rows`}>
				<table class="quality">
					<thead>
						<tr>
							{COLUMNS.map(([name, key, what]) => (
								<th
									key={key}
									scope="col"
									title={what}
									aria-sort={sort !== key ? "none" : ascending ? "ascending" : "descending"}
								>
									<button
										type="button"
										class={sort === key ? "sorted" : ""}
										onClick={() => sortBy(key)}
									>
										{name}
										{sort === key && (
											<span class={ascending ? "arrow up" : "arrow"}>
												<Icon name="down" />
											</span>
										)}
									</button>
								</th>
							))}
						</tr>
					</thead>
					<tbody>
						{rows.map((row) => (
							<Row key={`${row.pid} ${row.name}`} row={row} />
						))}
						{other.walked > 0 && <Row row={other} />}
					</tbody>
				</table>
			</div>
			{rows.length === 0 && <p class="hint">No user stack has been walked yet.</p>}
			{hint && <p class="hint">{hint}</p>}
		</section>
	);
}

function Row({ row }: { readonly row: QualityRow }): JSX.Element {
	const cut = row.walked - row.whole;
	return (
		<tr>
			<th scope="row" title={row.name}>
				{baseName(row.name)}
				{row.pid > 0 && <span class="dim"> {row.pid}</span>}
			</th>
			<td>{formatCount(row.walked)}</td>
			<td>{formatShare(row.whole, row.walked)}</td>
			<td class={cut > 0 ? "" : "dim"}>
				{formatCount(cut)}
				{row.cut.map(([reason, count]) => (
					<div key={reason} class="dim">
						{row.cut.length > 1 && `${formatCount(count)} `}
						{reason}
					</div>
				))}
			</td>
		</tr>
	);
}
