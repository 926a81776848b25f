#include "symbolizer/kallsyms.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/strtab.h"

enum {
	MAX_SYMBOLS = 4 << 20,
	MAX_MODULES = 1 << 16,
	MAX_NAME_BYTES = 256 << 20,
	CHUNK_BYTES = 64 << 10, /* also the longest line; KSYM_NAME_LEN is 512 */

	/* There are no sizes, so the last function of each range needs an end. No function is
	 * longer than a MiB; a BPF program has a few KiB, with the next one close behind. */
	MAX_FUNCTION_BYTES = 1 << 20,
	MAX_BPF_BYTES = 64 << 10,
};

struct raw_symbol {
	uint64_t ip;
	uint32_t name_off;
	uint32_t module; /* id in modules */
	bool global, weak;
};

struct kallsyms {
	struct kernel_symbol *symbols; /* by ip; an empty name: what follows is no code */
	size_t count;
	struct buf names;
	struct strtab modules;
	uint64_t text_start_ip, text_end_ip, init_end_ip;
};

struct parser {
	struct kallsyms *syms;
	struct raw_symbol *raw;
	size_t count, cap;
	bool seen_address; /* any that is not 0 */
};

static void parser_fini(struct parser *parser)
{
	free(parser->raw);
}

void kallsyms_free(struct kallsyms *syms)
{
	if (!syms)
		return;
	free(syms->symbols);
	buf_fini(&syms->names);
	strtab_fini(&syms->modules);
	free(syms);
}

void kallsyms_text(const struct kallsyms *syms, uint64_t *start_ip, uint64_t *end_ip)
{
	*start_ip = syms->text_start_ip;
	*end_ip = syms->text_end_ip;
}

const struct kernel_symbol *kallsyms_find(const struct kallsyms *syms, uint64_t ip)
{
	size_t low = 0, high = syms->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (syms->symbols[middle].ip <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	const struct kernel_symbol *symbol = &syms->symbols[low - 1];
	/* "bpf", "__builtin__ftrace", "__builtin__kprobes": code made while running */
	bool made = !strcmp(symbol->module, "bpf") || !strncmp(symbol->module, "__builtin__", 11);
	if (!symbol->name[0] || ip - symbol->ip >= (made ? MAX_BPF_BYTES : MAX_FUNCTION_BYTES))
		return NULL;
	return symbol;
}

static bool take_hex(char **pos, uint64_t *value)
{
	char *start = *pos;
	*value = 0;
	for (; *pos - start <= 16; ++*pos) {
		char c = **pos;
		if (c >= '0' && c <= '9')
			*value = *value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return *pos > start;
	}
	return false;
}

/* "name" or "name\t[module]" at pos; *module is "" when there is none. */
static bool split_name(char *pos, char **module)
{
	char *tab = strchr(pos, '\t');
	*module = pos + strlen(pos);
	if (!tab)
		return *pos;
	size_t len = strlen(tab);
	if (tab == pos || len < 4 || tab[1] != '[' || tab[len - 1] != ']')
		return false;
	tab[len - 1] = 0;
	*tab = 0;
	*module = tab + 2;
	return true;
}

/* Ends of code get an empty name: _etext is where the kernel's text is over. */
static const char *note_bounds(struct kallsyms *syms, uint64_t ip, const char *name)
{
	if (!strcmp(name, "_stext"))
		syms->text_start_ip = ip;
	if (!strcmp(name, "_etext"))
		syms->text_end_ip = ip;
	else if (strcmp(name, "_einittext"))
		return name;
	return "";
}

static int add_symbol(struct parser *parser, uint64_t ip, char type, const char *name,
		      const char *module)
{
	struct kallsyms *syms = parser->syms;
	int rc = ARRAY_RESERVE(parser->raw, parser->cap, parser->count, MAX_SYMBOLS);
	if (rc)
		return rc;
	struct raw_symbol raw = {.ip = ip, .global = type < 'a', .weak = (type | 0x20) == 'w'};
	rc = strtab_add(&syms->modules, module, &raw.module);
	if (rc)
		return rc;
	if (!*module)
		name = note_bounds(syms, ip, name);
	raw.name_off = (uint32_t)syms->names.len_bytes;
	buf_append(&syms->names, name, strlen(name) + 1);
	parser->raw[parser->count++] = raw;
	parser->seen_address |= ip != 0;
	return buf_error(&syms->names);
}

/* "ffffffff81000000 T _stext" or "ffffffffc0201000 t helper\t[module]" */
static int parse_line(struct parser *parser, char *line, struct err *err)
{
	uint64_t ip;
	char *pos = line, *module;
	if (!take_hex(&pos, &ip) || pos[0] != ' ' || !pos[1] || pos[2] != ' ' ||
	    !split_name(pos + 3, &module))
		return err_set(err, -EBADMSG, "not a line of kallsyms: \"%.80s\"", line);
	if (!strchr("tTwW", pos[1]))
		return 0; /* data */
	int rc = add_symbol(parser, ip, pos[1], pos + 3, module);
	return rc ? err_set(err, rc, "kernel symbols: %m") : 0;
}

/* Parse the whole lines in chunk; *len_bytes is what is left of it, moved to its start. */
static int parse_lines(struct parser *parser, char *chunk, size_t *len_bytes, struct err *err)
{
	char *pos = chunk, *end = chunk + *len_bytes, *newline;
	for (newline = memchr(pos, '\n', *len_bytes); newline;
	     newline = memchr(pos, '\n', (size_t)(end - pos))) {
		*newline = 0;
		int rc = parse_line(parser, pos, err);
		if (rc)
			return rc;
		pos = newline + 1;
	}
	*len_bytes = (size_t)(end - pos);
	memmove(chunk, pos, *len_bytes);
	return 0;
}

static int parse(struct parser *parser, int fd, struct err *err)
{
	AUTO_MEM char *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return err_set(err, -ENOMEM, "kernel symbols: %m");
	size_t have_bytes = 0;
	while (true) {
		ssize_t got = read(fd, chunk + have_bytes, CHUNK_BYTES - have_bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, -errno, "read kernel symbols: %m");
		if (!got)
			break;
		have_bytes += (size_t)got;
		int rc = parse_lines(parser, chunk, &have_bytes, err);
		if (rc)
			return rc;
		if (have_bytes == CHUNK_BYTES)
			return err_set(err, -EBADMSG, "kernel symbols: a line without an end");
	}
	if (have_bytes)
		return err_set(err, -ENODATA, "kernel symbols end within a line");
	if (!parser->count)
		return err_set(err, -ENODATA, "no kernel symbols");
	if (!parser->seen_address)
		return err_set(err, -EPERM,
			       "the kernel hides its addresses; run as root or with CAP_SYSLOG, "
			       "and with sysctl kernel.kptr_restrict below 2");
	return 0;
}

static size_t leading_underscores(const char *name)
{
	return strspn(name, "_");
}

/* By ip, then the best name first: an end of code, global before local before weak, fewest
 * leading underscores, longest. */
static int compare(const void *left, const void *right, void *ctx)
{
	const struct raw_symbol *a = left, *b = right;
	if (a->ip != b->ip)
		return a->ip < b->ip ? -1 : 1;
	const char *names = ctx;
	const char *a_name = names + a->name_off, *b_name = names + b->name_off;
	if (!*a_name || !*b_name)
		return !*b_name - !*a_name;
	if (a->weak != b->weak)
		return a->weak - b->weak;
	if (a->global != b->global)
		return b->global - a->global;
	size_t a_score = leading_underscores(a_name), b_score = leading_underscores(b_name);
	if (a_score != b_score)
		return a_score < b_score ? -1 : 1;
	size_t a_len = strlen(a_name), b_len = strlen(b_name);
	if (a_len != b_len)
		return a_len > b_len ? -1 : 1;
	return strcmp(a_name, b_name);
}

/* The table is held for as long as the kernel runs: give back what growing left over. */
static void trim(void **memory, size_t *cap_bytes, size_t len_bytes)
{
	void *exact = realloc(*memory, len_bytes);
	if (!exact)
		return;
	*memory = exact;
	*cap_bytes = len_bytes;
}

static int finish(struct parser *parser, struct err *err)
{
	struct kallsyms *syms = parser->syms;
	trim((void **)&syms->names.data, &syms->names.cap_bytes, syms->names.len_bytes);
	syms->symbols = calloc(parser->count, sizeof(*syms->symbols));
	if (!syms->symbols)
		return err_set(err, -ENOMEM, "kernel symbols: %m");
	qsort_r(parser->raw, parser->count, sizeof(*parser->raw), compare, syms->names.data);
	for (size_t i = 0; i < parser->count; i++) {
		const struct raw_symbol *raw = &parser->raw[i];
		if (i && raw->ip == raw[-1].ip)
			continue;
		syms->symbols[syms->count++] = (struct kernel_symbol){
			.name = syms->names.data + raw->name_off,
			.module = strtab_get(&syms->modules, raw->module),
			.ip = raw->ip,
		};
	}
	size_t cap_bytes;
	trim((void **)&syms->symbols, &cap_bytes, syms->count * sizeof(*syms->symbols));
	return 0;
}

int kallsyms_read(struct kallsyms **out, int fd, struct err *err)
{
	AUTO(kallsyms) syms = calloc(1, sizeof(*syms));
	if (!syms)
		return err_set(err, -ENOMEM, "kernel symbols: %m");
	buf_init(&syms->names, MAX_NAME_BYTES);
	int rc = strtab_init(&syms->modules, MAX_MODULES, MAX_NAME_BYTES);
	if (rc)
		return err_set(err, rc, "kernel symbols: %m");
	AUTO_FINI(parser_fini) struct parser parser = {.syms = syms};
	rc = parse(&parser, fd, err);
	if (!rc)
		rc = finish(&parser, err);
	if (rc)
		return rc;
	*out = TAKE(syms);
	return 0;
}
