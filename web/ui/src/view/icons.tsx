/* icons: small line drawings in the colour of the text around them. */
import type { JSX } from "preact";

const PATHS = {
	back: "M10 3 5 8l5 5",
	forward: "M6 3l5 5-5 5",
	down: "M4 6l4 4 4-4",
	close: "M4 4l8 8M12 4l-8 8",
	plus: "M8 3v10M3 8h10",
	out: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3 14 14M4.8 7h4.4",
	search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM10.3 10.3 14 14",
	download: "M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10",
	pause: "M5.5 3.5v9M10.5 3.5v9",
	play: "M5 3.2v9.6L12.5 8Z",
	warn: "M8 2.2 14.5 13.5h-13ZM8 6.5v3.2M8 11.4v.4",
	note: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 7.3v3.6M8 4.9v.4",
	sun: "M8 10.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M3 13l1.2-1.2M11.8 4.2 13 3",
	moon: "M13.5 9.6A5.8 5.8 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1Z",
	auto: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 2v12M8 5h4.9M8 8h6M8 11h4.9",
	icicle: "M2 3.5h12M2 8h8M2 12.5h4",
	flame: "M2 12.5h12M2 8h8M2 3.5h4",
	text: "M5.5 3C3.5 3 5 7.5 3 8c2 .5.5 5 2.5 5M10.5 3c2 0 .5 4.5 2.5 5-2 .5-.5 5-2.5 5",
	keys: "M2 4.5h12v7H2ZM4.5 7h.1M7 7h.1M9.5 7h.1M11.7 7h.1M5 9.3h6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { readonly name: IconName }): JSX.Element {
	return (
		<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
			<path d={PATHS[name]} />
		</svg>
	);
}

export function Logo(): JSX.Element {
	return (
		<svg class="logo" viewBox="0 0 16 16" aria-hidden="true">
			<rect x="1" y="11" width="14" height="3" rx="1" />
			<rect x="3" y="7" width="8.5" height="3" rx="1" opacity=".78" />
			<rect x="5" y="3" width="4" height="3" rx="1" opacity=".56" />
		</svg>
	);
}
