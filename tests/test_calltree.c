#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/calltree.h"
#include "tests/profile_maker.h"

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static struct calltree *build(const struct profile *profile, const struct calltree_options *options)
{
	struct calltree *tree = NULL;
	struct err err = {0};
	assert_int_equal(calltree_build(&tree, profile, options, &err), 0);
	return tree;
}

/* One line per node: indent by depth, name, kind, mapping, self/total weight. */
static void expect_tree(const struct calltree *tree, const char *expected)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < tree->node_count; i++) {
		const struct calltree_node *node = &tree->nodes[i];
		buf_printf(&text, "%*s%s %d %s %lld/%lld\n", (int)node->depth, "",
			   strtab_get(&tree->strings, node->name), (int)node->kind,
			   strtab_get(&tree->strings, node->mapping), (long long)node->self_weight,
			   (long long)node->total_weight);
	}
	AUTO_MEM char *got = buf_take_str(&text);
	assert_string_equal(got, expected);
}

static void an_empty_profile_is_a_root(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  0/0\n");
	assert_int_equal(tree->nodes[0].end, 1);
	assert_int_equal(tree->max_depth, 0);
	calltree_free(NULL);
}

static void samples_without_a_stack_are_the_roots(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "", 5);
	maker_sample(profile, "c", 1, "f", 2);
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  5/7\n f 1 /bin/x 2/2\n");
}

static void children_are_sorted_and_summed(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "main;z", 1);
	maker_sample(profile, "c", 1, "main;a;q", 10);
	maker_sample(profile, "d", 1, "main;a", 100);
	maker_sample(profile, "d", 1, "main;B", 1000);
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  0/1111\n"
			  " main 1 /bin/x 0/1111\n"
			  "  B 1 /bin/x 1000/1000\n"
			  "  a 1 /bin/x 100/110\n"
			  "   q 1 /bin/x 10/10\n"
			  "  z 1 /bin/x 1/1\n");
	assert_int_equal(tree->max_depth, 3);
	assert_int_equal(tree->nodes[0].end, 6);
	assert_int_equal(tree->nodes[3].end, 5);
	assert_int_equal(tree->nodes[3].total_count, 2);
	assert_int_equal(tree->nodes[3].self_count, 1);
}

static void all_kinds_of_frames(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "[truncated];main>vec>len;?12af;j:lambda;k:do_syscall", 7);
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  0/7\n"
			  " [truncated] 6  0/7\n"
			  "  main 1 /bin/x 0/7\n"
			  "   vec>len 3 /bin/x 0/7\n"
			  "    [x+0x12af] 1 /bin/x 0/7\n"
			  "     lambda 4 [jit] 0/7\n"
			  "      do_syscall 2 [kernel.kallsyms] 7/7\n");
}

static void names_and_kinds_by_mapping(void **state)
{
	(void)state;
	static const struct {
		const char *filename;
		const char *function;
		const char *name;
		enum frame_kind kind;
	} rows[] = {
		{"/usr/lib/libfoo.so.1", NULL, "[libfoo.so.1+0x40]", FRAME_NATIVE},
		{"/usr/lib/libfoo.so.1", "f", "f", FRAME_NATIVE},
		{"relative", NULL, "[relative+0x40]", FRAME_NATIVE},
		{"/ends/in/slash/", NULL, "[+0x40]", FRAME_NATIVE},
		{"[kernel.kallsyms]", "f", "f", FRAME_KERNEL},
		{"[kernel.kallsyms]_text", "f", "f", FRAME_KERNEL},
		{"[nf_tables]", "f", "f", FRAME_KERNEL},
		{"[nf_tables]", NULL, "[nf_tables+0x40]", FRAME_KERNEL},
		{"/lib/modules/6.1/x.ko", "f", "f", FRAME_KERNEL},
		{"/lib/modules/6.1/x.ko.xz", "f", "f", FRAME_KERNEL},
		{"/lib/libx.kot", "f", "f", FRAME_NATIVE},
		{"/boot/vmlinux-6.1", "f", "f", FRAME_KERNEL},
		{"[vdso]", "f", "f", FRAME_VDSO},
		{"[vdso]", NULL, "[vdso+0x40]", FRAME_VDSO},
		{"[jit]", "f", "f", FRAME_JIT},
		{"[jit]", NULL, "[jit]", FRAME_JIT},
		{"[anon:v8]", NULL, "[jit]", FRAME_JIT},
		{NULL, "[no unwind info]", "[no unwind info]", FRAME_MARK},
		{NULL, "f", "f", FRAME_NATIVE},
		{NULL, NULL, "[unknown]", FRAME_MARK},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(profile) profile = new_profile();
		struct profile_sample sample = {.weight = 1, .count = 1};
		uint32_t location =
			maker_location(profile, rows[i].filename, 0x40, rows[i].function, NULL);
		assert_int_equal(profile_add_stack(profile, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
		AUTO(calltree) tree = build(profile, NULL);
		assert_int_equal(tree->node_count, 2);
		assert_string_equal(strtab_get(&tree->strings, tree->nodes[1].name), rows[i].name);
		assert_int_equal(tree->nodes[1].kind, rows[i].kind);
	}
}

static void one_name_in_two_mappings_is_one_node(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	static const char *const files[] = {"/bin/a", "/bin/b", "[kernel.kallsyms]"};
	for (size_t i = 0; i < 3; i++) {
		struct profile_sample sample = {.weight = 1, .count = 1};
		uint32_t location = maker_location(profile, files[i], 1, "main", NULL);
		assert_int_equal(profile_add_stack(profile, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  0/3\n"
			  " main 1 /bin/a 2/2\n"
			  " main 2 [kernel.kallsyms] 1/1\n");
}

static void by_comm_has_a_first_level(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "zsh", 1, "main;f", 1);
	maker_sample(profile, "awk", 2, "main;f", 10);
	maker_sample(profile, "zsh", 3, "main", 100);
	maker_sample(profile, "awk", 2, "", 1000);
	assert_int_equal(profile_add_sample(profile,
					    &(struct profile_sample){.weight = 10000, .count = 1}),
			 0);
	AUTO(calltree) tree = build(profile, &(struct calltree_options){.group_by = "comm"});
	expect_tree(tree, "all 0  0/11111\n"
			  " [unknown] 6  10000/10000\n"
			  " awk 6  1000/1010\n"
			  "  main 1 /bin/x 0/10\n"
			  "   f 1 /bin/x 10/10\n"
			  " zsh 6  0/101\n"
			  "  main 1 /bin/x 100/101\n"
			  "   f 1 /bin/x 1/1\n");
}

/* main calls work() at two lines and, through it, libb, which calls itself; [mark] is no code. */
static struct profile *with_lines(void)
{
	static const struct {
		uint64_t vaddr;
		uint32_t line;
		int64_t weight;
	} places[] = {{0x10, 7, 1}, {0x20, 8, 10}, {0x30, 0, 100}};
	struct profile *profile = new_profile();
	struct profile_function work = {.name = maker_string(profile, "work"),
					.system_name = maker_string(profile, "work"),
					.filename = maker_string(profile, "/src/a/work.c")};
	uint32_t main = maker_location(profile, "/bin/a", 0x1, "main", NULL);
	uint32_t b = maker_location(profile, "/lib/libb.so.1", 0x1, "outer", "inner");
	uint32_t mark, id;
	assert_int_equal(profile_add_named_location(profile, "[mark]", &mark), 0);
	uint32_t top = 0;
	assert_int_equal(profile_add_stack(profile, 0, mark, &top), 0);
	assert_int_equal(profile_add_stack(profile, top, main, &top), 0);
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct profile_location location = {.vaddr = places[i].vaddr};
		location.mapping = profile->locations[main].mapping;
		struct profile_line line = {.line = places[i].line};
		struct profile_sample sample = {.weight = places[i].weight, .count = 1};
		assert_int_equal(profile_add_function(profile, &work, &line.function), 0);
		assert_int_equal(profile_add_location(profile, &location, &line, 1, &id), 0);
		assert_int_equal(profile_add_stack(profile, top, id, &sample.stack), 0);
		if (i == 2)
			assert_int_equal(profile_add_stack(profile, sample.stack, b, &sample.stack),
					 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	return profile;
}

static void views_tell_lines_and_libraries_apart(void **state)
{
	(void)state;
	AUTO(profile) profile = with_lines();
	static const struct {
		enum frame_view view;
		const char *tree;
	} rows[] = {
		{FRAME_VIEW_FUNCTION, "all 0  0/111\n"
				      " [mark] 6  0/111\n"
				      "  main 1 /bin/a 0/111\n"
				      "   work 1 /bin/a 11/111\n"
				      "    outer 1 /lib/libb.so.1 0/100\n"
				      "     inner 3 /lib/libb.so.1 100/100\n"},
		{FRAME_VIEW_LINE, "all 0  0/111\n"
				  " [mark] 6  0/111\n"
				  "  main 1 /bin/a 0/111\n"
				  "   work work.c 1 /bin/a 0/100\n"
				  "    outer 1 /lib/libb.so.1 0/100\n"
				  "     inner 3 /lib/libb.so.1 100/100\n"
				  "   work work.c:7 1 /bin/a 1/1\n"
				  "   work work.c:8 1 /bin/a 10/10\n"},
		{FRAME_VIEW_LIBRARY, "all 0  0/111\n"
				     " [mark] 6  0/111\n"
				     "  a 1 /bin/a 11/111\n"
				     "   libb.so.1 1 /lib/libb.so.1 100/100\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(calltree)
		tree = build(profile, &(struct calltree_options){.view = rows[i].view});
		expect_tree(tree, rows[i].tree);
		struct top_table *table = NULL;
		assert_int_equal(top_table_build(&table, profile, rows[i].view, NULL), 0);
		assert_int_equal(table->total_weight, 111);
		top_table_free(table);
	}
}

/* A wall-clock profile: on a CPU for 1, waiting for the rest. */
static struct profile *new_wall(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_WALL), 0);
	uint32_t a_lock = maker_wait(profile, WAIT_LOCK, "futex 0x10", false);
	uint32_t other_lock = maker_wait(profile, WAIT_LOCK, "futex 0x20", true);
	uint32_t db = maker_wait(profile, WAIT_NETWORK, "tcp 10.0.0.7:5432", false);
	maker_waiting(profile, "web", 1, "main;f", 0, 1);
	maker_waiting(profile, "web", 1, "main;f", a_lock, 10);
	maker_waiting(profile, "web", 2, "main;f", other_lock, 100);
	maker_waiting(profile, "web", 2, "main;f;g", db, 1000);
	maker_waiting(profile, "ssh", 3, "main", db, 10000);
	maker_waiting(profile, "ssh", 3, "", a_lock, 100000);
	return profile;
}

static void waits_end_in_their_reason(void **state)
{
	(void)state;
	AUTO(profile) profile = new_wall();
	AUTO(calltree) tree = build(profile, NULL);
	expect_tree(tree, "all 0  0/111111\n"
			  " [lock] 6  100000/100000\n"
			  " main 1 /bin/x 0/11111\n"
			  "  [network] 6  10000/10000\n"
			  "  f 1 /bin/x 1/1111\n"
			  "   [lock] 6  110/110\n"
			  "   g 1 /bin/x 0/1000\n"
			  "    [network] 6  1000/1000\n");
	AUTO(calltree) without = build(profile, &(struct calltree_options){.no_waits = true});
	expect_tree(without, "all 0  100000/111111\n"
			     " main 1 /bin/x 10000/11111\n"
			     "  f 1 /bin/x 111/1111\n"
			     "   g 1 /bin/x 1000/1000\n");
	struct calltree_options in_library = {.view = FRAME_VIEW_LIBRARY};
	AUTO(calltree) libraries = build(profile, &in_library);
	expect_tree(libraries, "all 0  0/111111\n"
			       " [lock] 6  100000/100000\n"
			       " x 1 /bin/x 1/11111\n"
			       "  [lock] 6  110/110\n"
			       "  [network] 6  11000/11000\n");
	AUTO(calltree) locks = build(profile, &(struct calltree_options){.focus = "[lock]"});
	expect_tree(locks, "all 0  0/100110\n"
			   " [lock] 6  100000/100000\n"
			   " main 1 /bin/x 0/110\n"
			   "  f 1 /bin/x 0/110\n"
			   "   [lock] 6  110/110\n");
	struct calltree_options unmarked = {.focus = "[lock]", .no_waits = true};
	AUTO(calltree) none = build(profile, &unmarked);
	expect_tree(none, "all 0  0/0\n");
}

/* The first level: its names and totals, "name=total name=total". */
static void expect_groups(const char *label, const char *expected)
{
	AUTO(profile) profile = new_wall();
	AUTO(calltree) tree = build(profile, &(struct calltree_options){.group_by = label});
	char have[512] = "";
	for (size_t i = 1; i < tree->node_count; i = tree->nodes[i].end) {
		size_t len = strlen(have);
		assert_int_equal(tree->nodes[i].kind, FRAME_MARK);
		snprintf(have + len, sizeof(have) - len, "%s%s=%lld", len ? " " : "",
			 strtab_get(&tree->strings, tree->nodes[i].name),
			 (long long)tree->nodes[i].total_weight);
	}
	assert_string_equal(have, expected);
}

static void any_label_can_be_the_first_level(void **state)
{
	(void)state;
	expect_groups("comm", "ssh=110000 web=1111");
	expect_groups("tid", "1=11 2=1100 3=110000");
	expect_groups("thread", "ssh=110000 web=1111");
	expect_groups("reason", "lock=100110 network=11000 running=1");
	expect_groups("waits_on", "[no waits_on]=1 futex 0x10=100010 futex 0x20=100 "
				  "tcp 10.0.0.7:5432=11000");
	expect_groups("idle", "[no idle]=111011 true=100");
	expect_groups("container", "[no container]=111111");
}

static void by_is_a_list_of_words(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
		enum frame_view view;
		bool by_comm, no_waits;
	} rows[] = {
		{"none", 0, FRAME_VIEW_FUNCTION, false, false},
		{"function", 0, FRAME_VIEW_FUNCTION, false, false},
		{"line", 0, FRAME_VIEW_LINE, false, false},
		{"library", 0, FRAME_VIEW_LIBRARY, false, false},
		{"comm", 0, FRAME_VIEW_FUNCTION, true, false},
		{"line,comm", 0, FRAME_VIEW_LINE, true, false},
		{"comm,library", 0, FRAME_VIEW_LIBRARY, true, false},
		{"nowaits", 0, FRAME_VIEW_FUNCTION, false, true},
		{"nowaits,line,comm", 0, FRAME_VIEW_LINE, true, true},
		{"waits", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"reason", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{",", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"line,", -EINVAL, FRAME_VIEW_LINE, false, false},
		{"lin", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"lines", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"Line", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
		{"line comm", -EINVAL, FRAME_VIEW_FUNCTION, false, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct calltree_options options = {0};
		struct err err = {0};
		assert_int_equal(calltree_options_by(&options, rows[i].text, &err), rows[i].rc);
		assert_int_equal(err.text[0] != 0, rows[i].rc != 0);
		if (rows[i].rc)
			continue;
		assert_int_equal(options.view, rows[i].view);
		assert_int_equal(options.group_by != NULL, rows[i].by_comm);
		assert_int_equal(options.no_waits, rows[i].no_waits);
	}
}

static void focus_keeps_stacks_with_the_function(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "main;f;g", 1);
	maker_sample(profile, "c", 1, "main;g", 10);
	maker_sample(profile, "c", 1, "main;h", 100);
	maker_sample(profile, "d", 1, "main;h>f", 1000);
	struct calltree_options options = {.focus = "f"};
	AUTO(calltree) tree = build(profile, &options);
	expect_tree(tree, "all 0  0/1001\n"
			  " main 1 /bin/x 0/1001\n"
			  "  f 1 /bin/x 0/1\n"
			  "   g 1 /bin/x 1/1\n"
			  "  h 1 /bin/x 0/1000\n"
			  "   f 3 /bin/x 1000/1000\n");
	static const char *const nowhere[] = {"", "F", "mai", "main;f", "all", "c"};
	for (size_t i = 0; i < ARRAY_LEN(nowhere); i++) {
		options = (struct calltree_options){.focus = nowhere[i], .group_by = "comm"};
		AUTO(calltree) none = build(profile, &options);
		expect_tree(none, "all 0  0/0\n");
	}
}

static void light_subtrees_are_dropped(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "main;heavy", 90);
	maker_sample(profile, "c", 1, "main;light;leaf", 9);
	maker_sample(profile, "c", 1, "main;light", 1);
	AUTO(calltree) tree = build(profile, &(struct calltree_options){.min_share = 0.10});
	expect_tree(tree, "all 0  0/100\n"
			  " main 1 /bin/x 0/100\n"
			  "  heavy 1 /bin/x 90/90\n"
			  "  light 1 /bin/x 1/10\n");
	assert_int_equal(tree->nodes[0].end, 4);
	AUTO(calltree) none = build(profile, &(struct calltree_options){.min_share = 1.5});
	assert_int_equal(none->node_count, 1);
}

static void the_heaviest_nodes_are_kept(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "a;b;c;d", 5);
	maker_sample(profile, "c", 1, "x", 7);
	maker_sample(profile, "c", 1, "y", 1);
	static const char *const expected[] = {
		[1] = "all 0  0/13\n",
		[2] = "all 0  0/13\n x 1 /bin/x 7/7\n",
		[3] = "all 0  0/13\n a 1 /bin/x 0/5\n x 1 /bin/x 7/7\n",
		[4] = "all 0  0/13\n a 1 /bin/x 0/5\n  b 1 /bin/x 0/5\n x 1 /bin/x 7/7\n",
	};
	for (size_t n = 1; n < ARRAY_LEN(expected); n++) {
		AUTO(calltree) tree = build(profile, &(struct calltree_options){.max_nodes = n});
		expect_tree(tree, expected[n]);
	}
	AUTO(calltree) all = build(profile, &(struct calltree_options){.max_nodes = 7});
	assert_int_equal(all->node_count, 7);
}

static void negative_weights_do_no_harm(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "a;b", -5);
	maker_sample(profile, "c", 1, "a;c", 6);
	maker_sample(profile, "c", 1, "a;d", INT64_MIN);
	maker_sample(profile, "c", 1, "e", INT64_MIN);
	AUTO(calltree) tree = build(profile, &(struct calltree_options){.max_nodes = 3});
	assert_true(tree->node_count >= 1 && tree->node_count <= 3);
	assert_true(tree->nodes[0].total_weight == INT64_MIN);
}

/* What holds for every tree. */
static void check_invariants(const struct calltree *tree, const struct profile *profile)
{
	assert_true(tree->nodes[0].total_weight == profile_total_weight(profile));
	assert_true(tree->nodes[0].total_count == profile_total_count(profile));
	AUTO_MEM int64_t *children = calloc(tree->node_count, sizeof(*children));
	for (size_t i = 1; i < tree->node_count; i++) {
		const struct calltree_node *node = &tree->nodes[i];
		const struct calltree_node *parent = &tree->nodes[node->parent];
		assert_true(node->parent < i && i < parent->end && node->end <= parent->end);
		assert_true(node->end > i && node->depth == parent->depth + 1);
		assert_true(node->total_weight <= parent->total_weight);
		children[node->parent] += node->total_weight;
	}
	for (size_t i = 0; i < tree->node_count; i++)
		assert_true(children[i] + tree->nodes[i].self_weight ==
			    tree->nodes[i].total_weight);
	for (size_t i = 1; i + 1 < tree->node_count; i++) {
		const struct calltree_node *next =
			&tree->nodes[tree->nodes[i].end < tree->node_count ? tree->nodes[i].end
									   : 0];
		if (next->kind != FRAME_ROOT && next->parent == tree->nodes[i].parent)
			assert_true(strcmp(strtab_get(&tree->strings, tree->nodes[i].name),
					   strtab_get(&tree->strings, next->name)) <= 0);
	}
}

static void random_trees_keep_the_invariants(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		unsigned seed = maker_seed(round);
		AUTO(profile) profile = maker_random(&seed, 1 + maker_roll(&seed, 300));
		AUTO(calltree) tree = build(profile, NULL);
		check_invariants(tree, profile);
		AUTO(calltree)
		by_comm = build(profile, &(struct calltree_options){.group_by = "comm"});
		check_invariants(by_comm, profile);
		size_t limit = 1 + maker_roll(&seed, 50);
		AUTO(calltree) cut = build(profile, &(struct calltree_options){.max_nodes = limit});
		assert_true(cut->node_count <= limit);
		assert_int_equal(cut->node_count,
				 limit < tree->node_count ? limit : tree->node_count);
		assert_true(cut->nodes[0].total_weight == tree->nodes[0].total_weight);
	}
}

/* The same content with other ids draws the same picture. */
static void the_picture_does_not_depend_on_ids(void **state)
{
	(void)state;
	unsigned seed = maker_seed(0);
	AUTO(profile) a = maker_random(&seed, 100);
	AUTO(profile) b = maker_random(&seed, 100);
	AUTO(profile) forth = new_profile();
	AUTO(profile) back = new_profile();
	assert_int_equal(profile_merge(forth, a, NULL) + profile_merge(forth, b, NULL), 0);
	assert_int_equal(profile_merge(back, b, NULL) + profile_merge(back, a, NULL), 0);
	AUTO(calltree) left = build(forth, NULL);
	AUTO(calltree) right = build(back, NULL);
	assert_int_equal(left->node_count, right->node_count);
	for (size_t i = 0; i < left->node_count; i++) {
		assert_int_equal(left->nodes[i].parent, right->nodes[i].parent);
		assert_int_equal(left->nodes[i].total_weight, right->nodes[i].total_weight);
		assert_string_equal(strtab_get(&left->strings, left->nodes[i].name),
				    strtab_get(&right->strings, right->nodes[i].name));
	}
}

static void a_very_deep_stack_needs_no_recursion(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	struct profile_sample sample = {.weight = 1, .count = 1};
	uint32_t f = maker_location(profile, "/bin/x", 1, "f", NULL);
	for (int i = 0; i < 300000; i++)
		assert_int_equal(profile_add_stack(profile, sample.stack, f, &sample.stack), 0);
	assert_int_equal(profile_add_sample(profile, &sample), 0);
	AUTO(calltree) tree = build(profile, &(struct calltree_options){.focus = "f"});
	assert_int_equal(tree->max_depth, 300000);
	assert_int_equal(tree->nodes[300000].self_weight, 1);
}

/* 200,000 siblings: a linear search among children would take minutes. */
static void wide_trees_are_linear(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	for (uint64_t i = 0; i < 200000; i++) {
		struct profile_sample sample = {.weight = 1, .count = 1};
		uint32_t location = maker_location(profile, "/bin/x", 1 + i, NULL, NULL);
		assert_int_equal(profile_add_stack(profile, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	clock_t start = clock();
	AUTO(calltree) tree = build(profile, NULL);
	assert_int_equal(tree->node_count, 200001);
	assert_true(clock() - start < 20 * CLOCKS_PER_SEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_profile_is_a_root),
		cmocka_unit_test(samples_without_a_stack_are_the_roots),
		cmocka_unit_test(children_are_sorted_and_summed),
		cmocka_unit_test(all_kinds_of_frames),
		cmocka_unit_test(names_and_kinds_by_mapping),
		cmocka_unit_test(one_name_in_two_mappings_is_one_node),
		cmocka_unit_test(by_comm_has_a_first_level),
		cmocka_unit_test(waits_end_in_their_reason),
		cmocka_unit_test(any_label_can_be_the_first_level),
		cmocka_unit_test(views_tell_lines_and_libraries_apart),
		cmocka_unit_test(by_is_a_list_of_words),
		cmocka_unit_test(focus_keeps_stacks_with_the_function),
		cmocka_unit_test(light_subtrees_are_dropped),
		cmocka_unit_test(the_heaviest_nodes_are_kept),
		cmocka_unit_test(negative_weights_do_no_harm),
		cmocka_unit_test(random_trees_keep_the_invariants),
		cmocka_unit_test(the_picture_does_not_depend_on_ids),
		cmocka_unit_test(a_very_deep_stack_needs_no_recursion),
		cmocka_unit_test(wide_trees_are_linear),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
