import { describe, expect, test } from "vitest";
import { shortName, splitLine } from "../../src/model/names";

const PAIR = "std::pair<std::string const, unsigned long>";

describe("short names", () => {
	test.each([
		["", ""],
		["main", "main"],
		[`std::vector<${PAIR}>::size()`, `std::vector<${PAIR}>::size()`] /* not long */,
		[
			`std::vector<${PAIR}, std::allocator<${PAIR}>>::push_back(int)`,
			"std::vector<std::pair<…>, std::allocator<…>>::push_back(int)",
		],
		[
			`std::map<int, std::vector<${PAIR}>, std::allocator<${PAIR}>>::find(int const&)`,
			"std::map<int, std::vector<…>, std::allocator<…>>::find(int const&)",
		],
		[
			`void a::sort<std::vector<${PAIR}>::iterator, a_comparer_of_quite_some_length, another_argument>(int)`,
			"void a::sort<…>(int)",
		],
		[
			"walk_tree_1(tree_node**, tree_node* (*)(tree_node**, int*, void*), void*, hash_set<tree_node*>*)",
			"walk_tree_1(…)",
		],
		[
			"<alloc::vec::Vec<alloc::string::String> as core::iter::traits::collect::FromIterator<alloc::string::String>>::from_iter",
			"<alloc::vec::Vec<…> as core::iter::traits::collect::FromIterator<…>>::from_iter",
		],
		[
			`std::ostream& operator<< <char, std::char_traits<char>, std::allocator<${PAIR}>, four>(std::ostream&)`,
			"std::ostream& operator<< <…>(std::ostream&)",
		],
		[
			`bool operator<(std::vector<${PAIR}> const&, std::vector<${PAIR}> const&)`,
			"bool operator<(std::vector<…> const&, std::vector<…> const&)",
		],
		[
			`a_smart_pointer<${PAIR}, a_deleter_with_a_name_of_some_length>::operator->() const`,
			"a_smart_pointer<…>::operator->() const",
		],
		[
			`function::FnOnce<fn(alloc::string::String) -> alloc::vec::Vec<${PAIR}>>::call_once`,
			"function::FnOnce<fn(alloc::string::String) -> alloc::vec::Vec<…>>::call_once",
		],
	])("%s", (name, short) => expect(shortName(name)).toBe(short));
	test.each([
		`LazyCompile:*compare /srv/a < b/${"x".repeat(80)}.js:212`,
		`a > b ${"x".repeat(80)}`,
		`${"x".repeat(200)}`,
		`(anonymous namespace)::${"x".repeat(100)}`,
		`${"<".repeat(100)}`,
		`${")".repeat(100)}`,
		`RegExp:^/orders/(\\d+)${"x".repeat(80)}`,
	])("left alone: %s", (name) => expect(shortName(name)).toBe(name));
	test("is never longer, and hostile names take no time", () => {
		const deep = `${"a<".repeat(5000)}${">".repeat(5000)}`;
		const wide = `f<${"std::pair<std::string, int>, ".repeat(3000)}int>`;
		const before = process.cpuUsage();
		for (const name of [deep, wide]) expect(shortName(name).length).toBeLessThanOrEqual(name.length);
		expect(shortName(wide)).toBe("f<…>");
		expect(process.cpuUsage(before).user).toBeLessThan(5e6);
	});
});

describe("lines", () => {
	test.each([
		["work work.c:12", "work", "work.c:12"],
		["work work.c", "work", "work.c"],
		[
			"std::vector<int>::at(int) const stl_vector.h:7",
			"std::vector<int>::at(int) const",
			"stl_vector.h:7",
		],
		["operator new(unsigned long) new_op.cc:50", "operator new(unsigned long)", "new_op.cc:50"],
		["main Makefile:3", "main", "Makefile:3"],
		["main", "main", ""],
		["[truncated]", "[truncated]", ""],
		["f(int) const", "f(int) const", ""],
		["void f<int>(int)", "void f<int>(int)", ""],
		["", "", ""],
	])("%s", (text, name, place) => expect(splitLine(text)).toEqual({ name, place }));
});
