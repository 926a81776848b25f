/*
 * hooks: the URL as state, loading with refresh, the theme, and the heartbeat of live pages.
 */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { formatUrlState, parseUrlState, type UrlState } from "../model/urlstate";
import type { Theme } from "./colors";

/* "step": a deliberate act, gets an entry in the history. "slide": one of many small ones. */
export type Mode = "step" | "slide";
export type Go = (patch: Partial<UrlState>, mode?: Mode) => void;

const SLIDE_MS = 200; /* browsers refuse more than about 100 history writes in 30 s */

export function useUrlState(): readonly [UrlState, Go] {
	const [state, setState] = useState(() => parseUrlState(location.search));
	const current = useRef(state);
	const timer = useRef(0);

	const write = useCallback((mode: Mode): void => {
		window.clearTimeout(timer.current);
		const url = `${location.pathname}${formatUrlState(current.current)}`;
		if (mode === "slide") history.replaceState(null, "", url);
		else if (url !== `${location.pathname}${location.search}`) history.pushState(null, "", url);
	}, []);

	const go = useCallback<Go>(
		(patch, mode = "step") => {
			const pending = current.current;
			current.current = { ...pending, ...patch };
			setState(current.current);
			window.clearTimeout(timer.current);
			if (mode === "step") write("step");
			else timer.current = window.setTimeout(() => write("slide"), SLIDE_MS);
		},
		[write],
	);

	useEffect(() => {
		const onPop = (): void => {
			window.clearTimeout(timer.current);
			current.current = parseUrlState(location.search);
			setState(current.current);
		};
		window.addEventListener("popstate", onPop);
		return () => window.removeEventListener("popstate", onPop);
	}, []);
	return [state, go];
}

/* Counts up every `ms` while the page is seen, and at once when it is seen again. */
export function useBeat(ms: number): number {
	const [beat, setBeat] = useState(0);
	useEffect(() => {
		let timer = 0;
		const next = (): void => {
			window.clearInterval(timer);
			if (document.visibilityState === "visible")
				timer = window.setInterval(() => setBeat((n) => n + 1), ms);
		};
		const onSeen = (): void => {
			if (document.visibilityState === "visible") setBeat((n) => n + 1);
			next();
		};
		next();
		document.addEventListener("visibilitychange", onSeen);
		return () => {
			window.clearInterval(timer);
			document.removeEventListener("visibilitychange", onSeen);
		};
	}, [ms]);
	return beat;
}

export interface Loaded<T> {
	readonly data: T | null /* the last good answer */;
	readonly error: string | null;
	readonly isLoading: boolean /* a new question is under way; refreshes do not count */;
	readonly isOld: boolean /* data answers an earlier question */;
	readonly atMs: number /* when data came, unix ms */;
}

const NOTHING: Loaded<never> = { data: null, error: null, isLoading: true, isOld: false, atMs: 0 };

interface Asked {
	key: string;
	beat: number;
	flight: AbortController | null;
}

/* Loads when `key` changes (an older request is abandoned), and again on each `beat` unless a
 * request is under way. A key of null asks nothing and keeps what is there. After an error
 * every beat tries again, also when `isLive` is false. */
export function useLoad<T>(
	key: string | null,
	beat: number,
	isLive: boolean,
	load: (signal: AbortSignal) => Promise<T>,
): Loaded<T> {
	const [loaded, setLoaded] = useState<Loaded<T>>(NOTHING);
	const asked = useRef<Asked>({ key: "", beat: -1, flight: null });
	const hasError = loaded.error !== null;
	useEffect(() => {
		const last = asked.current;
		const isNew = key !== null && last.key !== key;
		const isDue = last.beat !== beat && (isLive || hasError) && !last.flight;
		if (key === null) return; /* the beat stays as it was: who looks again gets news at once */
		last.beat = beat;
		if (!(isNew || isDue)) return;
		last.flight?.abort();
		const flight = new AbortController();
		asked.current = { key, beat, flight };
		if (isNew) setLoaded((l) => ({ ...l, isLoading: true, isOld: true }));
		load(flight.signal)
			.then(
				(data) =>
					setLoaded((l) =>
						flight.signal.aborted
							? l
							: { data, error: null, isLoading: false, isOld: false, atMs: Date.now() },
					),
				(error: unknown) =>
					setLoaded((l) =>
						flight.signal.aborted ? l : { ...l, error: sentence(error), isLoading: false },
					),
			)
			.finally(() => {
				if (asked.current.flight === flight) asked.current.flight = null;
			});
	}, [key, beat, isLive, hasError]);
	useEffect(() => () => asked.current.flight?.abort(), []);
	return loaded;
}

function sentence(error: unknown): string {
	const text = error instanceof Error ? error.message : String(error);
	return /[.!?]$/.test(text) ? text : `${text}.`;
}

export type ThemeChoice = "auto" | Theme;
const THEME_KEY = "hearth-theme";

function storedChoice(): ThemeChoice {
	try {
		const text = localStorage.getItem(THEME_KEY);
		return text === "light" || text === "dark" ? text : "auto";
	} catch {
		return "auto"; /* storage may be forbidden: then a choice lasts as long as the page */
	}
}

export function useMedia(query: string): boolean {
	const [matches, setMatches] = useState(() => matchMedia(query).matches);
	useEffect(() => {
		const list = matchMedia(query);
		const onChange = (): void => setMatches(list.matches);
		onChange();
		list.addEventListener("change", onChange);
		return () => list.removeEventListener("change", onChange);
	}, [query]);
	return matches;
}

export function useTheme(): {
	readonly theme: Theme;
	readonly choice: ThemeChoice;
	readonly choose: (choice: ThemeChoice) => void;
} {
	const [choice, setChoice] = useState(storedChoice);
	const isDark = useMedia("(prefers-color-scheme: dark)");
	const theme: Theme = choice === "auto" ? (isDark ? "dark" : "light") : choice;
	document.documentElement.dataset["theme"] = theme;
	const choose = (next: ThemeChoice): void => {
		try {
			localStorage.setItem(THEME_KEY, next);
		} catch {
			/* see storedChoice */
		}
		setChoice(next);
	};
	return { theme, choice, choose };
}
