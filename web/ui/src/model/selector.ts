/*
 * selector: {service_name="api",comm=~"post.*"} as text and as a list of conditions.
 *
 * The same grammar as the server's storage/selector.h: operators = != =~ !~, double-quoted
 * values with \\ \" \n escapes. The server has the last word on regular expressions.
 * https://prometheus.io/docs/prometheus/latest/querying/basics/#time-series-selectors
 */

export type Op = "=" | "!=" | "=~" | "!~";

export interface Condition {
	readonly label: string;
	readonly op: Op;
	readonly value: string;
}

export type ParsedSelector =
	| { readonly ok: true; readonly conditions: readonly Condition[] }
	| { readonly ok: false; readonly at: number; readonly message: string };

const LABEL = /[A-Za-z_][A-Za-z0-9_]*/y;
const OP = /=~|!~|!=|=/y;
const SPACE = /\s*/y;
const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\", '"': '"', n: "\n" };

class Fault extends Error {
	constructor(
		readonly at: number,
		message: string,
	) {
		super(message);
	}
}

class Scanner {
	at = 0;
	constructor(private readonly text: string) {}

	take(pattern: RegExp): string | null {
		pattern.lastIndex = this.at;
		const found = pattern.exec(this.text);
		if (!found) return null;
		this.at = pattern.lastIndex;
		return found[0];
	}
	skip(token: string): boolean {
		this.take(SPACE);
		if (!this.text.startsWith(token, this.at)) return false;
		this.at += token.length;
		return true;
	}
	done(): boolean {
		this.take(SPACE);
		return this.at === this.text.length;
	}
	fail(expected: string): never {
		const found = this.text[this.at];
		throw new Fault(
			this.at,
			`expected ${expected}, found ${found === undefined ? "the end" : JSON.stringify(found)}`,
		);
	}
	quoted(): string {
		if (!this.skip('"')) this.fail("a value in double quotes");
		let value = "";
		for (;;) {
			const c = this.text[this.at];
			if (c === undefined) this.fail("a closing quote");
			this.at++;
			if (c === '"') return value;
			value += c === "\\" ? this.escape() : c;
		}
	}
	private escape(): string {
		const plain = ESCAPES[this.text[this.at] ?? ""];
		if (plain === undefined) this.fail('\\\\, \\" or \\n');
		this.at++;
		return plain;
	}
}

function parseCondition(scanner: Scanner): Condition {
	scanner.skip("");
	const label = scanner.take(LABEL) ?? scanner.fail("a label name");
	scanner.skip("");
	const op = (scanner.take(OP) ?? scanner.fail("=, !=, =~ or !~")) as Op;
	return { label, op, value: scanner.quoted() };
}

function parseAll(text: string): Condition[] {
	const scanner = new Scanner(text);
	const conditions: Condition[] = [];
	if (scanner.done()) return conditions;
	if (!scanner.skip("{")) scanner.fail("{");
	while (!scanner.skip("}")) {
		if (conditions.length > 0 && !scanner.skip(",")) scanner.fail(", or }");
		if (conditions.length > 0 && scanner.skip("}"))
			break; /* a comma after the last one, as Prometheus allows */
		conditions.push(parseCondition(scanner));
	}
	if (!scanner.done()) scanner.fail("nothing after }");
	return conditions;
}

export function parseSelector(text: string): ParsedSelector {
	try {
		return { ok: true, conditions: parseAll(text) };
	} catch (error) {
		if (error instanceof Fault) return { ok: false, at: error.at, message: error.message };
		throw error;
	}
}

function quote(value: string): string {
	return `"${value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n")}"`;
}

export function conditionText(c: Condition): string {
	return `${c.label}${c.op}${quote(c.value)}`;
}

/* "{}" for no conditions. */
export function selectorText(conditions: readonly Condition[]): string {
	return `{${conditions.map(conditionText).join(",")}}`;
}

/* Adds the condition; one on the same label and value, or a contradicting `=`, is replaced. */
export function withCondition(conditions: readonly Condition[], add: Condition): readonly Condition[] {
	const kept = conditions.filter(
		(c) => c.label !== add.label || (c.value !== add.value && !(c.op === "=" && add.op === "=")),
	);
	return [...kept, add];
}

const NEGATED: Readonly<Record<Op, Op>> = { "=": "!=", "!=": "=", "=~": "!~", "!~": "=~" };

export function negated(c: Condition): Condition {
	return { ...c, op: NEGATED[c.op] };
}
