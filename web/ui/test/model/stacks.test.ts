import { expect, test } from "vitest";
import { stackQuality } from "../../src/model/stacks";

test("nothing walked", () => {
	expect(stackQuality({})).toEqual({ walked: 0, whole: 0, cut: [] });
	expect(stackQuality({ "no user stack": 7 })).toEqual({ walked: 0, whole: 0, cut: [] });
});

test("reasons, most first, without those that did not happen", () => {
	expect(stackQuality({ complete: 90, "too deep": 1, "no unwind info": 9, "no user stack": 5, odd: 0 })).toEqual({
		walked: 100,
		whole: 90,
		cut: [
			["no unwind info", 9],
			["too deep", 1],
		],
	});
});
