/*
 * flametree: the flame graph for screen readers and keys: the path to the focused frame, and
 * what it calls, as a tree.
 */
import type { JSX, Ref } from "preact";
import { useMemo } from "preact/hooks";
import { type CallTree, Kind, childrenOf, mappingOf, nameOf, pathOf } from "../model/calltree";
import { baseName, formatNs, formatShare } from "../model/format";
import { reasonOfNode, reasonText } from "../model/reasons";

interface Props {
	readonly tree: CallTree;
	readonly focused: number;
	readonly treeRef: Ref<HTMLDivElement>;
	readonly onKeyDown: (event: KeyboardEvent) => void;
	readonly onFocusChange: (hasFocus: boolean) => void /* a focus to be seen: not by a click */;
}

const MOST_CHILDREN = 40;
const itemId = (node: number): string => `frame-${node}`;

export function FlameTree({ tree, focused, treeRef, onKeyDown, onFocusChange }: Props): JSX.Element {
	const path = useMemo(() => pathOf(tree, focused), [tree, focused]);
	const children = useMemo(
		() => childrenOf(tree, focused).sort((a, b) => tree.nodeNs[b]! - tree.nodeNs[a]!),
		[tree, focused],
	);
	const shown = children.slice(0, MOST_CHILDREN);
	return (
		<div
			ref={treeRef}
			class="sr-only"
			role="tree"
			tabIndex={0}
			aria-activedescendant={itemId(focused)}
			aria-label="Flame graph. Arrow keys move between frames, Enter zooms, Backspace zooms out, slash searches."
			onKeyDown={onKeyDown}
			onFocus={(e) => onFocusChange(e.currentTarget.matches(":focus-visible"))}
			onBlur={() => onFocusChange(false)}
		>
			{path.map((node) => (
				<Item key={node} tree={tree} node={node} isFocused={node === focused} of={1} at={1} />
			))}
			{shown.map((node, i) => (
				<Item key={node} tree={tree} node={node} isFocused={false} of={children.length} at={i + 1} />
			))}
		</div>
	);
}

interface ItemProps {
	readonly tree: CallTree;
	readonly node: number;
	readonly isFocused: boolean;
	readonly at: number;
	readonly of: number;
}

function Item({ tree, node, isFocused, at, of }: ItemProps): JSX.Element {
	const hasChildren = tree.end[node]! > node + 1;
	const library = baseName(mappingOf(tree, node));
	const reason = reasonText(reasonOfNode(tree, node));
	return (
		<div
			id={itemId(node)}
			role="treeitem"
			aria-level={tree.depth[node]! + 1}
			aria-setsize={of}
			aria-posinset={at}
			aria-selected={isFocused}
			{...(hasChildren ? { "aria-expanded": isFocused } : {})}
		>
			{`${nameOf(tree, node)}${library ? `, ${library}` : ""}${tree.kind[node] === Kind.Inlined ? ", inlined" : ""}${reason ? `, waiting: ${reason}` : ""}, ${formatShare(tree.nodeNs[node]!, tree.totalNs)}, ` +
				`total ${formatNs(tree.nodeNs[node]!)}, self ${formatNs(tree.selfNs[node]!)}`}
		</div>
	);
}
