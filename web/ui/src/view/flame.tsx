/*
 * flame: the flame graph with its search, breadcrumb, tooltip, menu and keys.
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type CallTree, Kind, heaviestChildOf, nameOf, pathOf, siblingOf } from "../model/calltree";
import { formatCount, formatNs, formatShare } from "../model/format";
import { shortName } from "../model/names";
import { carryNode, encodePath, resolvePath } from "../model/nodepath";
import { reasonOfNode, reasonTitle, toggleReason } from "../model/reasons";
import { type Matches, findMatches, matchedNs, parseSearch } from "../model/search";
import { parseSelector } from "../model/selector";
import type { UrlState } from "../model/urlstate";
import { type Span, WHOLE, anchorOf, carryWindow, windowOf } from "../model/zoom";
import { KIND_NAMES, type Theme, kindColor } from "./colors";
import { FlameCanvas } from "./flamecanvas";
import { FlameMenu, FlameTip, type MenuAction, type Place, hasFunction } from "./flametip";
import { FlameTree } from "./flametree";
import { FRAMES, FramesPicker } from "./framespicker";
import type { Go } from "./hooks";
import { Icon } from "./icons";
import { Popover } from "./popover";

interface Props {
	readonly tree: CallTree;
	readonly state: UrlState;
	readonly go: Go;
	readonly theme: Theme;
	readonly isOld: boolean /* another answer is on its way */;
	readonly labels: readonly string[] /* what the root can be split by */;
	readonly isFixed: boolean /* what is selected cannot be changed from here */;
	readonly onOnlyRoot: (value: string) => void /* of the label at the root */;
}

interface Pointed {
	readonly tree: CallTree;
	readonly node: number;
	readonly place: Place;
}

/* A live page gets a new tree every few seconds: what is pointed at stays, when it is there. */
function stillThere(pointed: Pointed | null, tree: CallTree): Pointed | null {
	if (!pointed || pointed.tree === tree) return pointed;
	const node = carryNode(pointed.tree, tree, pointed.node);
	return node === null ? null : { tree, node, place: pointed.place };
}

/* The text of a search for exactly this function. */
export function exactSearch(name: string): string {
	return `/^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$/`;
}

function useMatches(
	tree: CallTree,
	search: string,
): { readonly found: Matches | null; readonly fault: string } {
	return useMemo(() => {
		const parsed = parseSearch(search);
		if (!parsed.ok) return { found: null, fault: parsed.message };
		return { found: parsed.matches ? findMatches(tree, parsed.matches) : null, fault: "" };
	}, [tree, search]);
}

const copy = (text: string): void => void navigator.clipboard?.writeText(text).catch(() => undefined);

interface Acting {
	readonly tree: CallTree;
	readonly state: UrlState;
	readonly go: Go;
	readonly zoomTo: (node: number) => void;
	readonly onOnlyRoot: (value: string) => void;
	readonly isFixed: boolean /* the selection cannot be changed from here */;
}

const HOME: Partial<UrlState> = { zoom: "", span: WHOLE };

/* What the menu of a frame offers. */
function frameActions(node: number, acting: Acting): MenuAction[] {
	const { tree, state, go, zoomTo, isFixed } = acting;
	const name = nameOf(tree, node);
	const ofFunction: MenuAction[] = [
		{
			name: `Only stacks with this ${FRAMES[state.frames].one}`,
			hint: "f",
			run: () => go({ focus: name, ...HOME }),
		},
		{ name: "Highlight everywhere", hint: "h", run: () => go({ search: exactSearch(name) }) },
	];
	return [
		{ name: "Zoom to this frame", hint: "Enter", run: () => zoomTo(node) },
		...(hasFunction(tree, node) ? ofFunction : []),
		...(isFixed ? [] : selectingActions(node, acting)),
		{ name: "Copy name", hint: "c", run: () => copy(name) },
	];
}

/* Those that change what is selected, or the tab. */
function selectingActions(node: number, { tree, state, go, onOnlyRoot }: Acting): MenuAction[] {
	const name = nameOf(tree, node);
	const actions: MenuAction[] = [];
	if (hasFunction(tree, node))
		actions.push({ name: "Show in table", run: () => go({ tab: "table", filter: exactSearch(name) }) });
	const reason = reasonOfNode(tree, node);
	if (reason)
		actions.push({
			name: `Only waits of reason ${reasonTitle(reason)}`,
			run: () => go({ query: toggleReason(parseSelector(state.query), reason, false), ...HOME }),
		});
	if (state.rootBy && tree.depth[node] === 1)
		actions.push({ name: `Only ${state.rootBy} ${name}`, run: () => onOnlyRoot(name) });
	return actions;
}

interface Keying extends Acting {
	readonly focused: number;
	readonly zoomed: number;
	readonly move: (node: number) => void;
	readonly zoomBy: (factor: number) => void;
	readonly openMenu: () => void;
}

/* What each key does to the focused frame. */
function frameKeys(k: Keying): Readonly<Record<string, () => void>> {
	const { tree, focused, state, go, move } = k;
	const name = nameOf(tree, focused);
	const caller = (): void => move(tree.parent[focused] ?? 0);
	const callee = (): void => move(heaviestChildOf(tree, focused));
	const isFlame = state.layout === "flame";
	const isFunction = hasFunction(tree, focused);
	return {
		ArrowDown: isFlame ? caller : callee,
		ArrowUp: isFlame ? callee : caller,
		ArrowLeft: () => move(siblingOf(tree, focused, -1)),
		ArrowRight: () => move(siblingOf(tree, focused, 1)),
		Home: () => move(0),
		Enter: () => k.zoomTo(focused),
		Backspace: () => k.zoomTo(tree.parent[k.zoomed] ?? 0),
		Escape: () => k.zoomTo(0),
		"+": () => k.zoomBy(0.7),
		"-": () => k.zoomBy(1 / 0.7),
		f: () => isFunction && go({ focus: name, zoom: "", span: WHOLE }),
		h: () => isFunction && go({ search: exactSearch(name) }),
		c: () => copy(name),
		m: k.openMenu,
		ContextMenu: k.openMenu,
	};
}

const placeText = (zoom: string, span: Span): string => `${zoom} ${span.a} ${span.b}`;

export function FlameView({
	tree,
	state,
	go,
	theme,
	isOld,
	labels,
	isFixed,
	onOnlyRoot,
}: Props): JSX.Element {
	const canvas = useRef<FlameCanvas | null>(null);
	const elements = useRef<Record<"scroller" | "space" | "boxes" | "marks" | "tree", HTMLElement | null>>({
		scroller: null,
		space: null,
		boxes: null,
		marks: null,
		tree: null,
	});
	const resolved = useMemo(() => resolvePath(tree, state.zoom), [tree, state.zoom]);
	const zoomed = resolved.node;
	const { found, fault } = useMatches(tree, state.search);
	const [lastHover, setHover] = useState<Pointed | null>(null);
	const [lastMenu, setMenu] = useState<Pointed | null>(null);
	const hover = useMemo(() => stillThere(lastHover, tree), [lastHover, tree]);
	const menu = useMemo(() => stillThere(lastMenu, tree), [lastMenu, tree]);
	const [focusPath, setFocusPath] = useState(state.zoom);
	const [hasFocus, setHasFocus] = useState(false);
	const focused = useMemo(() => resolvePath(tree, focusPath).node, [tree, focusPath]);
	const shown = useRef<{ readonly tree: CallTree; readonly at: string } | null>(null);

	const zoomTo = (node: number): void => {
		setFocusPath(encodePath(tree, node));
		canvas.current?.moveTo(windowOf(tree, node));
		go({ zoom: encodePath(tree, node), span: WHOLE });
	};
	const latest = useRef({ tree, zoomTo, go, setFocusPath });
	latest.current = { tree, zoomTo, go, setFocusPath };

	useEffect(() => {
		const { scroller, space, boxes, marks } = elements.current;
		if (
			!scroller ||
			!space ||
			!(boxes instanceof HTMLCanvasElement) ||
			!(marks instanceof HTMLCanvasElement)
		)
			return;
		const made = new FlameCanvas(scroller, space, boxes, marks, {
			onRest: (window) => {
				const { tree: now, go: navigate } = latest.current;
				const { node, span } = anchorOf(now, window);
				const zoom = encodePath(now, node);
				if (shown.current) shown.current = { ...shown.current, at: placeText(zoom, span) };
				navigate({ zoom, span }, "slide");
			},
			onHover: (node, x, y) =>
				setHover(node === null ? null : { tree: latest.current.tree, node, place: { x, y } }),
			onClick: (node) => {
				elements.current.tree?.focus({ preventScroll: true });
				setHasFocus(false);
				latest.current.zoomTo(node);
			},
			onMenu: (node, x, y) => (
				setHover(null),
				setMenu({ tree: latest.current.tree, node, place: { x, y } })
			),
		});
		canvas.current = made;
		return () => made.free();
	}, []);

	useEffect(() => {
		const before = shown.current;
		const isSameTree = before?.tree === tree;
		const at = placeText(state.zoom, state.span);
		shown.current = { tree, at };
		if (!isSameTree) {
			setHover((p) => stillThere(p, tree));
			setMenu((p) => stillThere(p, tree));
		}
		/* Whoever moves the window is ahead of the URL. */
		const moving = before?.at === at && canvas.current?.isMoving() ? canvas.current : null;
		canvas.current?.show(
			{
				tree,
				zoomed,
				found,
				isFlame: state.layout === "flame",
				theme,
				focused: hasFocus ? focused : null,
			},
			moving && before
				? carryWindow(before.tree, tree, moving.currentWindow())
				: windowOf(tree, zoomed, resolved.whole ? state.span : WHOLE),
			isSameTree && !moving,
		);
	}, [tree, zoomed, state.span.a, state.span.b, found, state.layout, theme, focused, hasFocus]);

	useEffect(() => {
		if (hasFocus) canvas.current?.reveal(focused);
	}, [focused]);

	const move = (node: number): void => setFocusPath(encodePath(tree, node));
	const openMenu = (): void => {
		const box = canvas.current?.boxOf(focused);
		if (box)
			setMenu({ tree, node: focused, place: { x: Math.max(0, box.left) + 20, y: box.top + 20 } });
	};
	const isFlame = state.layout === "flame";
	const acting: Acting = { tree, state, go, zoomTo, onOnlyRoot, isFixed };
	const keys = frameKeys({
		...acting,
		focused,
		zoomed,
		move,
		openMenu,
		zoomBy: (factor) => canvas.current?.zoomBy(factor),
	});
	const onKeyDown = (event: KeyboardEvent): void => {
		const run = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
		if (!run) return;
		event.preventDefault();
		setHasFocus(true);
		run();
	};

	/* By keyboard the tooltip stays in a corner: frames to go to next are beside the focused one. */
	const box = elements.current.scroller;
	const pointed =
		hover ??
		(hasFocus && box
			? { node: focused, place: { x: box.clientWidth, y: isFlame ? 0 : box.clientHeight } }
			: null);
	return (
		<section class={isOld ? "flame is-old" : "flame"} aria-label="Flame graph">
			<FlameBar
				tree={tree}
				zoomed={zoomed}
				state={state}
				go={go}
				found={found}
				fault={fault}
				theme={theme}
				labels={labels}
			/>
			<Breadcrumb
				tree={tree}
				zoomed={zoomed}
				state={state}
				go={go}
				zoomTo={zoomTo}
				isWhole={resolved.whole}
			/>
			<div class="flame-box">
				<div
					class="flame-scroll"
					ref={(e) => {
						elements.current.scroller = e;
					}}
				>
					<div
						class="flame-space"
						ref={(e) => {
							elements.current.space = e;
						}}
					>
						<div class="flame-pin" aria-hidden="true">
							<canvas
								ref={(e) => {
									elements.current.boxes = e;
								}}
							/>
							<canvas
								ref={(e) => {
									elements.current.marks = e;
								}}
							/>
						</div>
					</div>
				</div>
				{pointed && !menu && (
					<FlameTip
						tree={tree}
						node={pointed.node}
						zoomed={zoomed}
						frames={state.frames}
						place={pointed.place}
					/>
				)}
				{menu && (
					<FlameMenu
						tree={tree}
						node={menu.node}
						zoomed={zoomed}
						frames={state.frames}
						place={menu.place}
						actions={frameActions(menu.node, acting)}
						onClose={() => (setMenu(null), elements.current.tree?.focus({ preventScroll: true }))}
					/>
				)}
				<FlameTree
					tree={tree}
					focused={focused}
					treeRef={(e: HTMLDivElement | null) => {
						elements.current.tree = e;
					}}
					onKeyDown={onKeyDown}
					onFocusChange={setHasFocus}
				/>
			</div>
		</section>
	);
}

interface BarProps {
	readonly tree: CallTree;
	readonly zoomed: number;
	readonly state: UrlState;
	readonly go: Go;
	readonly found: Matches | null;
	readonly fault: string;
	readonly theme: Theme;
	readonly labels: readonly string[];
}

const KEYS: readonly (readonly [string, string])[] = [
	["/", "search"],
	["↑ ↓", "caller, heaviest callee"],
	["← →", "neighbours"],
	["Enter", "zoom to the frame"],
	["Backspace", "zoom out one frame"],
	["Esc", "zoom out to all"],
	["+ −", "zoom"],
	["f", "only stacks with the frame"],
	["h", "highlight it everywhere"],
	["c", "copy its name"],
	["m", "menu"],
	["Ctrl + wheel, pinch", "zoom at the pointer"],
	["Shift + wheel, drag", "pan"],
	["[ ]", "step in time"],
	["p", "pause or go live"],
];

/* Without marks for reasons, whose colours are those of the timeline. */
function shownKinds(tree: CallTree): ReadonlySet<number> {
	const kinds = new Set<number>();
	for (let i = 0; i < tree.count; i++) if (!reasonOfNode(tree, i)) kinds.add(tree.kind[i]!);
	return kinds;
}

function FlameBar({ tree, zoomed, state, go, found, fault, theme, labels }: BarProps): JSX.Element {
	const matched = useMemo(() => (found ? matchedNs(tree, found, zoomed) : 0), [tree, found, zoomed]);
	const seen = useMemo(() => shownKinds(tree), [tree]);
	const summary = fault || (found ? `${formatShare(matched, tree.nodeNs[zoomed]!)} matched` : "");
	return (
		<div class="bar">
			<label class="search">
				<Icon name="search" />
				<input
					id="search"
					type="search"
					value={state.search}
					placeholder="Search, or /regular expression/"
					spellcheck={false}
					aria-label="Search functions"
					aria-invalid={fault !== ""}
					onInput={(e) => go({ search: e.currentTarget.value }, "slide")}
					onKeyDown={(e) => e.key === "Escape" && go({ search: "" }, "slide")}
				/>
			</label>
			<span
				class={fault ? "matched fault" : "matched"}
				role="status"
				title={found ? `${formatCount(found.frames)} frames; a path counts once` : ""}
			>
				{summary}
			</span>
			<span class="spacer" />
			<ul class="legend plain" aria-label="Colours">
				{KIND_NAMES.filter(({ kind }) => seen.has(kind)).map(({ kind, name }) => (
					<li key={name}>
						<Swatch color={kindColor(theme, kind)} isInlined={kind === Kind.Inlined} />
						{name}
					</li>
				))}
			</ul>
			<FramesPicker frames={state.frames} go={go} />
			<RootPicker state={state} labels={labels} go={go} />
			<div class="segments" role="group" aria-label="Root">
				{(["icicle", "flame"] as const).map((layout) => (
					<button
						key={layout}
						type="button"
						aria-pressed={state.layout === layout}
						title={layout === "icicle" ? "Root at the top" : "Root at the bottom"}
						aria-label={layout === "icicle" ? "Root at the top" : "Root at the bottom"}
						onClick={() => go({ layout })}
					>
						<Icon name={layout} />
					</button>
				))}
			</div>
			<Popover
				class="button quiet icon-only keys-button"
				title="Keys"
				align="right"
				label={<Icon name="keys" />}
			>
				{() => (
					<dl class="keys">
						{KEYS.map(([key, does]) => (
							<div key={key}>
								<dt>
									<kbd>{key}</kbd>
								</dt>
								<dd>{does}</dd>
							</div>
						))}
					</dl>
				)}
			</Popover>
		</div>
	);
}

interface RootProps {
	readonly state: UrlState;
	readonly labels: readonly string[];
	readonly go: Go;
}

function RootPicker({ state, labels, go }: RootProps): JSX.Element {
	const names = [...new Set([...labels, "comm", state.rootBy])].filter(Boolean).sort();
	return (
		<label class="root-by" title="A first level with each value of a label">
			<span>by</span>
			<select
				value={state.rootBy}
				aria-label="First level by"
				onChange={(e) => go({ rootBy: e.currentTarget.value, zoom: "", span: WHOLE })}
			>
				<option value="">–</option>
				{names.map((name) => (
					<option key={name} value={name}>
						{name}
					</option>
				))}
			</select>
		</label>
	);
}

/* A colour set through the element's style object, which the CSP allows. */
export function Swatch({
	color,
	isInlined = false,
}: {
	readonly color: string;
	readonly isInlined?: boolean;
}): JSX.Element {
	return (
		<span
			class={isInlined ? "swatch inlined" : "swatch"}
			aria-hidden="true"
			style={{ backgroundColor: color }}
		/>
	);
}

interface CrumbProps {
	readonly tree: CallTree;
	readonly zoomed: number;
	readonly state: UrlState;
	readonly go: Go;
	readonly zoomTo: (node: number) => void;
	readonly isWhole: boolean;
}

const CRUMBS = 5;

function Breadcrumb({ tree, zoomed, state, go, zoomTo, isWhole }: CrumbProps): JSX.Element {
	const path = pathOf(tree, zoomed);
	const shown = path.length <= CRUMBS ? path : [path[0]!, ...path.slice(1 - CRUMBS)];
	const isCut = shown.length < path.length;
	return (
		<nav class="crumbs" aria-label="Path of the zoom">
			{state.focus !== "" && (
				<span class="chip">
					<span class="chip-label">only with</span>
					<span class="chip-value" title={state.focus}>
						{shortName(state.focus)}
					</span>
					<button
						type="button"
						class="chip-close"
						aria-label="Show all stacks again"
						onClick={() => go({ focus: "", zoom: "", span: WHOLE })}
					>
						<Icon name="close" />
					</button>
				</span>
			)}
			{shown.map((node, i) => (
				<span key={node} class="crumb">
					{i > 0 && (
						<span class="crumb-sep" aria-hidden="true">
							{isCut && i === 1 ? "› … ›" : "›"}
						</span>
					)}
					<button
						type="button"
						title={nameOf(tree, node)}
						aria-current={node === zoomed}
						onClick={() => zoomTo(node)}
					>
						{tree.kind[node] === Kind.Root ? "all" : shortName(nameOf(tree, node))}
					</button>
				</span>
			))}
			<span class="crumb-facts">
				{formatNs(tree.nodeNs[zoomed]!)}
				{zoomed > 0 && ` · ${formatShare(tree.nodeNs[zoomed]!, tree.totalNs)}`}
				{` · ${formatCount(tree.nodeSamples[zoomed]!)} samples`}
				{!isWhole && " · the zoomed frame has no samples in this range"}
			</span>
			{(zoomed > 0 || state.span !== WHOLE) && (
				<button type="button" class="button quiet small" onClick={() => zoomTo(0)}>
					Show all
				</button>
			)}
		</nav>
	);
}
