/*
 * labels: fits names into boxes without asking the canvas about each one. Widths of ASCII are
 * measured once per font; anything else counts as the widest letter, which only makes a label
 * shorter than it could be.
 */
const ELLIPSIS = "…";
const FIRST = 32;
const LAST = 126;

export interface Ruler {
	fit(name: string, widthPx: number): string /* "" when not even one letter fits */;
}

export function makeRuler(context: CanvasRenderingContext2D): Ruler {
	const widths = new Float32Array(LAST + 1);
	for (let c = FIRST; c <= LAST; c++) widths[c] = context.measureText(String.fromCharCode(c)).width;
	const widest = Math.max(context.measureText("W").width, context.measureText("漢").width);
	const ellipsisPx = context.measureText(ELLIPSIS).width;
	const fit = (name: string, widthPx: number): string => {
		let used = 0;
		let keep = 0; /* letters that leave room for the ellipsis */
		for (let i = 0; i < name.length; i++) {
			used += widths[name.charCodeAt(i)] || widest;
			if (used > widthPx) return keep > 0 ? name.slice(0, keep) + ELLIPSIS : "";
			if (used + ellipsisPx <= widthPx) keep = i + 1;
		}
		return name;
	};
	return { fit };
}
