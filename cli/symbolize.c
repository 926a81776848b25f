#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/symbol_source.h"
#include "symbolizer/demangle_cache.h"

enum {
	MAX_FRAMES = 256,
	MAX_OUT_BYTES = 32 << 20,
	MAX_NAMES_BYTES = 64 << 20,
	WRITE_BYTES = 64 << 10, /* answers are collected up to that */
};

struct symbolize_config {
	const char *build_id; /* NULL: a file is given */
	struct symbol_source_config source;
	bool json;
	bool addresses;
	bool mangled;
};

static const struct option_spec symbolize_options[] = {
	{"build-id", 'b', "ID", "names by build ID instead of a file", option_string,
	 offsetof(struct symbolize_config, build_id)},
	{"data", 0, "DIR", "keep and use names in DIR/cache (see below)", option_string,
	 offsetof(struct symbolize_config, source.data_dir)},
	NAMING_OPTIONS(struct symbolize_config, source.naming),
	{"json", 0, NULL, "a JSON object a line instead of text", option_flag,
	 offsetof(struct symbolize_config, json)},
	{"addresses", 'a', NULL, "print each address before its frames, as addr2line -a",
	 option_flag, offsetof(struct symbolize_config, addresses)},
	{"mangled", 0, NULL, "names as in the file, not demangled", option_flag,
	 offsetof(struct symbolize_config, mangled)},
};

static int run(int argc, char **argv);

const struct command command_symbolize = {
	.name = "symbolize",
	.usage = "[OPTIONS] FILE [ADDRESS...]\n"
		 "   or: hearth symbolize [OPTIONS] --build-id ID [ADDRESS...]",
	.summary = "name addresses of an executable: functions, lines, inlined calls",
	.details =
		"Addresses are those of the file (as nm and objdump print them), in hexadecimal,\n"
		"with or without 0x. Without any they are read from standard input, one a line.\n"
		"\n"
		"Of every address two lines for each frame: the function, and file:line; the\n"
		"innermost inlined call first. It is what `addr2line -f -i -C` prints. What is\n"
		"not known is ?? and ??:0. With --json:\n"
		"\n"
		"  {\"address\":\"0x12af\",\"frames\":[{\"function\":\"f\",\"file\":\"/src/f.c\",\n"
		"   \"line\":7,\"column\":0,\"inlined\":true},...]}\n"
		"\n"
		"\"inlined\" is whether the function was inlined into the next. Columns are not\n"
		"kept and always 0. Names come from the symbol table, from DWARF in the file or\n"
		"in its debug file, and from Go's own tables. Debug files are searched as gdb\n"
		"does it: below /usr/lib/debug and --debug-dirs, beside the file, and where\n"
		"DEBUGINFOD_URLS or --debuginfod-urls says; files of split DWARF and of dwz, too.\n"
		"\n"
		"With --data DIR names are compiled once and kept in DIR/cache, and so is what\n"
		"servers send; without, that is kept in ~/.cache/hearth. --build-id looks there\n"
		"(default /var/lib/hearth), in /usr/lib/debug/.build-id, and asks the servers.\n",
	.options = symbolize_options,
	.option_count = ARRAY_LEN(symbolize_options),
	.run = run,
};

/* What goes from one address to the next. */
struct symbolizing {
	const struct symbolize_config *config;
	struct symbol_source source;
	struct demangle_cache *names;
	struct buf out; /* not written yet */
};

static void symbolizing_fini(struct symbolizing *all)
{
	symbol_source_fini(&all->source);
	demangle_cache_free(all->names);
	buf_fini(&all->out);
}

static const char *readable(struct symbolizing *all, const char *name)
{
	return all->config->mangled ? name : demangle_cached(all->names, name);
}

static void append_path(struct buf *out, const struct gsym_frame *frame)
{
	const char *directory = frame->directory;
	buf_append_str(out, directory);
	if (directory[0] && directory[strlen(directory) - 1] != '/')
		buf_append_u8(out, '/');
	buf_append_str(out, frame->base);
}

static void add_json(struct symbolizing *all, const struct gsym_frame *frame, struct json *json)
{
	AUTO_FINI(buf_fini) struct buf path;
	buf_init(&path, MAX_OUT_BYTES);
	append_path(&path, frame);
	buf_append_u8(&path, 0);
	json_open_object(json);
	json_key_str(json, "function", readable(all, frame->name));
	json_key_str(json, "file", buf_error(&path) ? "" : path.data);
	json_key_u64(json, "line", frame->line);
	json_key_u64(json, "column", 0);
	json_key_bool(json, "inlined", frame->is_inlined);
	json_close_object(json);
}

/* printf would take as long as finding it. */
static void append_number(struct buf *out, uint32_t value)
{
	char digits[10];
	size_t first = sizeof(digits);
	do {
		digits[--first] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_append(out, digits + first, sizeof(digits) - first);
}

static void add_text(struct symbolizing *all, const struct gsym_frame *frame)
{
	struct buf *out = &all->out;
	buf_append_str(out, frame->name[0] ? readable(all, frame->name) : "??");
	buf_append_u8(out, '\n');
	if (!frame->base[0]) {
		buf_append_str(out, "??:0\n");
		return;
	}
	append_path(out, frame);
	buf_append_u8(out, ':');
	append_number(out, frame->line);
	buf_append_u8(out, '\n');
}

static void answer_text(struct symbolizing *all, uint64_t vaddr, const struct gsym_frame *frames,
			uint32_t count)
{
	if (all->config->addresses)
		buf_printf(&all->out, "0x%016llx\n", (unsigned long long)vaddr);
	for (uint32_t i = 0; i < count; i++)
		add_text(all, &frames[i]);
	if (!count)
		buf_append_str(&all->out, "??\n??:0\n");
}

static void answer_json(struct symbolizing *all, uint64_t vaddr, const struct gsym_frame *frames,
			uint32_t count)
{
	struct json json = json_to(&all->out);
	char address[32];
	snprintf(address, sizeof(address), "0x%llx", (unsigned long long)vaddr);
	json_open_object(&json);
	json_key_str(&json, "address", address);
	json_key(&json, "frames");
	json_open_array(&json);
	for (uint32_t i = 0; i < count; i++)
		add_json(all, &frames[i], &json);
	json_close_array(&json);
	json_close_object(&json);
	buf_append_u8(&all->out, '\n');
}

static int write_out(struct symbolizing *all)
{
	int rc = buf_error(&all->out);
	if (!rc && all->out.len_bytes &&
	    fwrite(all->out.data, 1, all->out.len_bytes, stdout) != all->out.len_bytes)
		rc = -EIO;
	buf_clear(&all->out);
	return rc;
}

static int answer(struct symbolizing *all, uint64_t vaddr)
{
	struct gsym_frame frames[MAX_FRAMES];
	struct gsym_answer answer = {0};
	bool found = gsym_lookup(all->source.gsym, vaddr, frames, MAX_FRAMES, &answer);
	/* A function that nobody named has bounds only, and those are not asked for. */
	if (!found || answer.has_mark_only)
		answer.frame_count = 0;
	demangle_cache_sweep(all->names);
	if (all->config->json)
		answer_json(all, vaddr, frames, answer.frame_count);
	else
		answer_text(all, vaddr, frames, answer.frame_count);
	return all->out.len_bytes >= WRITE_BYTES || buf_error(&all->out) ? write_out(all) : 0;
}

/* Hexadecimal, all of text. */
static bool parse_address(const char *text, uint64_t *vaddr)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	char *end;
	errno = 0;
	*vaddr = strtoull(text, &end, 16);
	return isxdigit((unsigned char)*text) && !*end && !errno;
}

static int fail(const char *text)
{
	fprintf(stderr, "hearth symbolize: %s\n", text);
	return EXIT_FAILED;
}

static char *trimmed(char *line)
{
	while (isspace((unsigned char)*line))
		line++;
	size_t len = strlen(line);
	while (len && isspace((unsigned char)line[len - 1]))
		line[--len] = 0;
	return line;
}

/* Whoever writes addresses into a pipe may wait for each answer. */
static bool must_flush(FILE *input)
{
	struct stat st;
	return fstat(fileno(input), &st) || !S_ISREG(st.st_mode);
}

static int answer_lines(struct symbolizing *all, FILE *input)
{
	AUTO_MEM char *line = NULL;
	size_t cap_bytes = 0;
	bool flushes = must_flush(input);
	for (unsigned long number = 1; getline(&line, &cap_bytes, input) >= 0; number++) {
		const char *text = trimmed(line);
		uint64_t vaddr;
		if (!*text)
			continue;
		if (!parse_address(text, &vaddr)) {
			(void)write_out(all);
			fflush(stdout);
			fprintf(stderr, "hearth symbolize: line %lu: \"%.64s\" is not an address\n",
				number, text);
			return EXIT_FAILED;
		}
		if (answer(all, vaddr) || (flushes && (write_out(all) || fflush(stdout))))
			return fail("cannot write the answers");
	}
	return ferror(input) ? fail("cannot read standard input") : EXIT_DONE;
}

static int open_source(struct symbolizing *all, const char *path)
{
	const struct symbolize_config *config = all->config;
	struct err err = {0};
	int rc = demangle_cache_new(&all->names, MAX_NAMES_BYTES, &err);
	if (!rc && config->build_id)
		rc = symbol_source_of_build_id(&all->source, config->build_id, &config->source,
					       &err);
	else if (!rc)
		rc = symbol_source_of_file(&all->source, path, &config->source, &err);
	if (rc)
		return fail(err.text);
	if (all->source.problem[0])
		fprintf(stderr, "hearth symbolize: names may be missing: %s\n",
			all->source.problem);
	return EXIT_DONE;
}

static int run(int argc, char **argv)
{
	struct symbolize_config config = {0};
	int first;
	int code = options_parse(&command_symbolize, &config, argc, argv, &first);
	if (code >= 0)
		return code;
	const char *path = config.build_id || first >= argc ? NULL : argv[first++];
	if (!config.build_id && !path)
		return usage_error(&command_symbolize, "a file is missing");
	for (int i = first; i < argc; i++) {
		uint64_t vaddr;
		if (!parse_address(argv[i], &vaddr))
			return usage_error(&command_symbolize, "\"%s\" is not an address", argv[i]);
	}
	AUTO_FINI(symbolizing_fini) struct symbolizing all = {.config = &config};
	buf_init(&all.out, MAX_OUT_BYTES);
	code = open_source(&all, path);
	if (code)
		return code;
	if (first >= argc)
		code = answer_lines(&all, stdin);
	for (int i = first; i < argc && !code; i++) {
		uint64_t vaddr = 0;
		(void)parse_address(argv[i], &vaddr);
		code = answer(&all, vaddr) ? fail("cannot write the answers") : EXIT_DONE;
	}
	if (!code && write_out(&all))
		code = fail("cannot write the answers");
	return fflush(stdout) && !code ? fail("cannot write the answers") : code;
}
