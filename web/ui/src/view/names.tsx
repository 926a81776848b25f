/*
 * names: how many executables are named, and what would name the others.
 */
import type { JSX } from "preact";
import type { SymbolsStatus, Unnamed } from "../api";
import { baseName, formatCount, formatShare } from "../model/format";

type Fact = readonly [name: string, value: string, hint?: string];

export function namesFacts(s: SymbolsStatus, taken: number): Fact[] {
	return [
		["Executables", formatCount(s.executables), "met"],
		[
			"With source lines",
			formatCount(s.withLines),
			s.executables > 0 ? `${formatShare(s.withLines, s.executables)}, inlined calls too` : "",
		],
		["Being compiled", s.compiling ? baseName(s.compiling) : "none", `${formatCount(s.waiting)} waiting`],
		["Compiled", formatCount(s.compiled), `${formatCount(s.fromCache)} were in the cache`],
		["Failed", formatCount(s.failed)],
		[
			"Unnamed samples",
			formatCount(s.unnamedSamples),
			taken > 0 ? `${formatShare(s.unnamedSamples, taken)} of all` : "",
		],
	];
}

export function UnnamedTable({ rows }: { readonly rows: readonly Unnamed[] }): JSX.Element {
	return (
		<section class="card wide" aria-label="What would name more">
			<h2>What would name more</h2>
			{rows.length === 0 ? (
				<p class="hint">Every frame of every sample has a name.</p>
			) : (
				<table class="unnamed">
					<thead>
						<tr>
							<th scope="col">File</th>
							<th scope="col" title="Samples with a frame in it that has no name">
								Samples
							</th>
							<th scope="col">Why</th>
							<th scope="col">What would help</th>
						</tr>
					</thead>
					<tbody>
						{rows.map((row) => (
							<Row key={`${row.file} ${row.buildId}`} row={row} />
						))}
					</tbody>
				</table>
			)}
		</section>
	);
}

function Row({ row }: { readonly row: Unnamed }): JSX.Element {
	return (
		<tr>
			<th scope="row">
				{row.file}
				{row.buildId && (
					<div class="dim mono" title="Build ID">
						{row.buildId}
					</div>
				)}
			</th>
			<td>{formatCount(row.samples)}</td>
			<td>{row.reason}</td>
			<td>{row.remedy}</td>
		</tr>
	);
}
