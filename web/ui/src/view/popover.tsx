/*
 * popover: a button with a panel below it. Closes on Escape, on a press elsewhere, and when
 * the focus leaves it; gives the focus back to its button.
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface Props {
	readonly label: ComponentChildren;
	readonly title: string;
	readonly class?: string;
	readonly align?: "left" | "right";
	readonly children: (close: () => void) => ComponentChildren;
}

export function Popover(props: Props): JSX.Element {
	const [isOpen, setOpen] = useState(false);
	const root = useRef<HTMLDivElement>(null);
	const button = useRef<HTMLButtonElement>(null);
	const close = (): void => {
		setOpen(false);
		button.current?.focus();
	};
	useEffect(() => {
		if (!isOpen) return;
		const onPress = (event: Event): void => {
			if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
		};
		document.addEventListener("pointerdown", onPress, true);
		document.addEventListener("focusin", onPress, true);
		return () => {
			document.removeEventListener("pointerdown", onPress, true);
			document.removeEventListener("focusin", onPress, true);
		};
	}, [isOpen]);
	const onKeyDown = (event: KeyboardEvent): void => {
		if (event.key === "Escape" && isOpen) {
			event.stopPropagation();
			close();
		}
	};
	return (
		<div class="popover" ref={root} onKeyDown={onKeyDown}>
			<button
				type="button"
				ref={button}
				class={props.class ?? "button"}
				title={props.title}
				aria-label={props.title}
				aria-haspopup="dialog"
				aria-expanded={isOpen}
				onClick={() => setOpen(!isOpen)}
			>
				{props.label}
			</button>
			{isOpen && (
				<div class={`panel panel-${props.align ?? "left"}`} role="dialog" aria-label={props.title}>
					{props.children(close)}
				</div>
			)}
		</div>
	);
}
