/* trees: small call trees for tests, written as nested lists. */
import { type CallTree, decodeFlameTable } from "../../src/model/calltree";
import { type Node, encodeFlameTable } from "../mock-server/data";

export type Sketch = readonly [name: string, selfNs: number, ...children: Sketch[]];

export function node([name, selfNs, ...below]: Sketch): Node {
	const children = below.map(node);
	const totalNs = children.reduce((sum, c) => sum + c.totalNs, selfNs);
	return { name, mapping: "", kind: 1, selfNs, totalNs, children };
}

export function toArrayBuffer(bytes: Buffer): ArrayBuffer {
	const copy = new ArrayBuffer(bytes.length);
	new Uint8Array(copy).set(bytes);
	return copy;
}

export function encode(sketch: Sketch): ArrayBuffer {
	return toArrayBuffer(encodeFlameTable(node(sketch), 1, 2));
}

export function tree(sketch: Sketch): CallTree {
	return decodeFlameTable(encode(sketch));
}

/*
 *	all 100
 *	a 60           b 30        (self 10)
 *	a 20   c 30    d 30
 */
export const SMALL: Sketch = ["all", 10, ["a", 10, ["a", 20], ["c", 30]], ["b", 0, ["d", 30]]];
