/*
 * framespicker: what one frame of the flame graph, or row of the table, is.
 */
import type { JSX } from "preact";
import type { Frames } from "../model/urlstate";
import { WHOLE } from "../model/zoom";
import type { Go } from "./hooks";

interface Words {
	readonly one: string;
	readonly many: string;
	readonly One: string /* begins a sentence */;
	readonly title: string;
}

export const FRAMES: Readonly<Record<Frames, Words>> = {
	function: { one: "function", many: "functions", One: "Function", title: "A frame for each function" },
	line: { one: "line", many: "lines", One: "Line", title: "A frame for each line of source that ran" },
	library: {
		one: "library",
		many: "libraries",
		One: "Library",
		title: "A frame for each executable file; calls inside of one are one frame",
	},
};

/* Frames of another kind have other names, so whatever names a frame goes. */
export function FramesPicker({ frames, go }: { readonly frames: Frames; readonly go: Go }): JSX.Element {
	return (
		<div class="segments frames" role="group" aria-label="Frames by">
			{(Object.keys(FRAMES) as Frames[]).map((f) => (
				<button
					key={f}
					type="button"
					aria-pressed={f === frames}
					title={FRAMES[f].title}
					onClick={() => f !== frames && go({ frames: f, focus: "", zoom: "", span: WHOLE })}
				>
					{FRAMES[f].One}
				</button>
			))}
		</div>
	);
}
