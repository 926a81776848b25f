#include "symbolizer/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"

/* libiberty's own limit for C++ is 1 KiB, which names of templates pass; what it protects is
 * the stack, of which the worst names take some 200 bytes for each of theirs. */
enum { MAX_MANGLED_BYTES = 4 << 10, MAX_READABLE_BYTES = 64 << 10 };

struct sink {
	struct buf text;
	jmp_buf full;
};

/* Substitutions repeat what was said before, so that twenty of them print a million names.
 * libiberty prints to the end whatever we do; the way out is a jump over it, which leaks
 * nothing because its C++ demangler works on the stack alone. */
static void on_cxx_text(const char *text, size_t len_bytes, void *ctx)
{
	struct sink *sink = ctx;
	buf_append(&sink->text, text, len_bytes);
	if (buf_error(&sink->text))
		longjmp(sink->full, 1);
}

/* The same for Rust, whose demangler has memory only while it prints an identifier in
 * punycode: that never begins with the punctuation that stands between two of them. */
static void on_rust_text(const char *text, size_t len_bytes, void *ctx)
{
	struct sink *sink = ctx;
	buf_append(&sink->text, text, len_bytes);
	bool between = len_bytes && (ispunct((unsigned char)*text) || *text == ' ') && *text != '_';
	if (buf_error(&sink->text) && between)
		longjmp(sink->full, 1);
}

/* Apart from its caller, so that the jump finds no local variable of ours changed. */
static bool print_cxx(struct sink *sink, const char *mangled)
{
	if (setjmp(sink->full))
		return false;
	return cplus_demangle_v3_callback(mangled, DMGL_PARAMS | DMGL_ANSI | DMGL_NO_RECURSE_LIMIT,
					  on_cxx_text, sink);
}

/* With the limit of recursion: what a Rust name refers back to may be around it. */
static bool print_rust(struct sink *sink, const char *mangled)
{
	if (setjmp(sink->full))
		return false;
	return rust_demangle_callback(mangled, DMGL_PARAMS | DMGL_ANSI, on_rust_text, sink);
}

static void sink_fini(struct sink *sink)
{
	buf_fini(&sink->text);
}

static char *print(bool (*print_with)(struct sink *, const char *), const char *mangled)
{
	AUTO_FINI(sink_fini) struct sink sink;
	buf_init(&sink.text, MAX_READABLE_BYTES);
	bool whole = print_with(&sink, mangled);
	return whole && sink.text.len_bytes ? buf_take_str(&sink.text) : NULL;
}

/* D's demangler cannot be left half-way. Each back reference (Q) at most doubles the output,
 * so names that could pass the limit are not begun. */
static char *demangle_d(const char *mangled)
{
	if (!isdigit((unsigned char)mangled[2]))
		return NULL;
	size_t worst_bytes = strlen(mangled);
	for (const char *pos = mangled; *pos; pos++) {
		worst_bytes *= *pos == 'Q' ? 2 : 1;
		if (worst_bytes > MAX_READABLE_BYTES)
			return NULL;
	}
	return dlang_demangle(mangled, DMGL_PARAMS | DMGL_ANSI);
}

char *demangle(const char *mangled)
{
	if (mangled[0] != '_' || strnlen(mangled, MAX_MANGLED_BYTES + 1) > MAX_MANGLED_BYTES)
		return NULL;
	if (mangled[1] == 'R')
		return print(print_rust, mangled);
	if (mangled[1] == 'D')
		return demangle_d(mangled);
	if (mangled[1] != 'Z')
		return NULL;
	char *legacy_rust = print(print_rust, mangled);
	return legacy_rust ? legacy_rust : print(print_cxx, mangled);
}
