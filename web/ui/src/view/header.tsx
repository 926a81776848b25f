/*
 * header: the name of the place, what is going on, and the theme.
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Selection, type Status, exportUrl } from "../api";
import type { ThemeChoice } from "./hooks";
import { Icon, type IconName, Logo } from "./icons";
import { Popover } from "./popover";
import { Alerts } from "./status";

interface Props {
	readonly status: Status | null;
	readonly selection: Selection;
	readonly isLive: boolean;
	readonly hasFailed: boolean;
	readonly onLive: (live: boolean) => void;
	readonly choice: ThemeChoice;
	readonly choose: (choice: ThemeChoice) => void;
	readonly children: JSX.Element;
}

export function Header(props: Props): JSX.Element {
	const { status } = props;
	return (
		<header class="header">
			<div class="brand">
				<Logo />
				<h1>Hearth</h1>
				{status && (
					<span class="host" title={`Hearth ${status.version} on ${status.host}`}>
						{status.host}
					</span>
				)}
			</div>
			{props.children}
			<div class="tools">
				{status && <Alerts status={status} />}
				<LiveButton {...props} />
				<Downloads selection={props.selection} />
				<ThemeButton choice={props.choice} choose={props.choose} />
			</div>
		</header>
	);
}

function LiveButton({ isLive, hasFailed, onLive }: Props): JSX.Element {
	const look = !isLive ? "live is-paused" : hasFailed ? "live is-failing" : "live";
	return (
		<button
			type="button"
			class={`button ${look}`}
			aria-pressed={isLive}
			aria-label={isLive ? "Live" : "Paused"}
			title={isLive ? "Hold what is on the screen ( p )" : "Follow the present ( p )"}
			onClick={() => onLive(!isLive)}
		>
			<span class="live-dot" aria-hidden="true" />
			<span class="live-word">{isLive ? "Live" : "Paused"}</span>
			<Icon name={isLive ? "pause" : "play"} />
		</button>
	);
}

function Downloads({ selection }: { readonly selection: Selection }): JSX.Element {
	const [copied, setCopied] = useState(false);
	const pprof = exportUrl(selection, "pprof");
	const command = `go tool pprof -http=: '${pprof}'`;
	const copy = (): void =>
		void navigator.clipboard?.writeText(command).then(
			() => setCopied(true),
			() => undefined,
		);
	return (
		<Popover class="button icon-only" title="Download" align="right" label={<Icon name="download" />}>
			{() => (
				<div class="downloads">
					<p class="hint">The samples on the screen, as a file:</p>
					<a class="item" href={pprof} download>
						pprof <span class="dim">.pb.gz, for go tool pprof and most viewers</span>
					</a>
					<a class="item" href={exportUrl(selection, "folded")} download>
						Folded stacks <span class="dim">text, for flamegraph.pl and grep</span>
					</a>
					<p class="hint">Or without a file:</p>
					<code class="command">{command}</code>
					<button type="button" class="button" onClick={copy}>
						{copied ? "Copied" : "Copy the command"}
					</button>
				</div>
			)}
		</Popover>
	);
}

const NEXT: Readonly<
	Record<ThemeChoice, { readonly next: ThemeChoice; readonly icon: IconName; readonly name: string }>
> = {
	auto: { next: "light", icon: "auto", name: "as the system" },
	light: { next: "dark", icon: "sun", name: "light" },
	dark: { next: "auto", icon: "moon", name: "dark" },
};

function ThemeButton({ choice, choose }: Pick<Props, "choice" | "choose">): JSX.Element {
	const { next, icon, name } = NEXT[choice];
	return (
		<button
			type="button"
			class="button icon-only theme-button"
			aria-label={`Theme: ${name}. Change to ${NEXT[next].name}.`}
			title={`Theme: ${name}`}
			onClick={() => choose(next)}
		>
			<Icon name={icon} />
		</button>
	);
}
