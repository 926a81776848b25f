#include "symbolizer/demangle.h"

#include <ctype.h>
#include <libiberty/demangle.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"
#include "base/buf.h"
#include "symbolizer/rust_name.h"

/* libiberty's own limit for C++ is 1 KiB, which names of templates pass; what it protects is
 * the stack, of which the worst names take some 200 bytes for each of theirs, and several times
 * that in builds with sanitizers. Few names are long, and those get a stack of their own. */
enum {
	MAX_MANGLED_BYTES = 64 << 10,
	MAX_READABLE_BYTES = 256 << 10,
	SHORT_BYTES = 4 << 10, /* with these a caller's stack suffices */
	LONG_STACK_BYTES = 256 << 20,
	MAX_LIFETIMES = 64,
};

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

/* libiberty counts the lifetimes of for<'a, 'b> one by one, up to 2^64, also in the paths of which
 * it prints nothing and so lets us not get away. */
static char *demangle_itanium_or_rust(const char *mangled)
{
	if (mangled[1] == 'R' && rust_name_lifetimes(mangled) > MAX_LIFETIMES)
		return NULL;
	char *rust = print(print_rust, mangled); /* legacy ones look like C++ */
	return rust || mangled[1] == 'R' ? rust : print(print_cxx, mangled);
}

struct long_name {
	const char *mangled;
	char *readable;
};

static void *run_long(void *ctx)
{
	struct long_name *name = ctx;
	name->readable = demangle_itanium_or_rust(name->mangled);
	return NULL;
}

/* The stack is memory only as far as it is used, and gone when the name is there. */
static char *demangle_long(const char *mangled)
{
	struct long_name name = {.mangled = mangled};
	pthread_attr_t attributes;
	pthread_t thread;
	if (pthread_attr_init(&attributes))
		return NULL;
	bool runs = !pthread_attr_setstacksize(&attributes, LONG_STACK_BYTES) &&
		    !pthread_create(&thread, &attributes, run_long, &name);
	pthread_attr_destroy(&attributes);
	if (runs)
		pthread_join(thread, NULL);
	return name.readable;
}

static char *demangle_plain(const char *mangled)
{
	if (!demangle_may_be(mangled))
		return NULL;
	bool is_short = strnlen(mangled, SHORT_BYTES + 1) <= SHORT_BYTES;
	if (mangled[1] == 'D')
		return is_short ? demangle_d(mangled) : NULL;
	if (is_short)
		return demangle_itanium_or_rust(mangled);
	return strnlen(mangled, MAX_MANGLED_BYTES + 1) <= MAX_MANGLED_BYTES ? demangle_long(mangled)
									    : NULL;
}

/* Stubs of the PLT are named after what they call. */
static char *demangle_stub(const char *mangled, size_t name_bytes)
{
	AUTO_MEM char *name = strndup(mangled, name_bytes);
	AUTO_MEM char *readable = name ? demangle_plain(name) : NULL;
	char *stub = NULL;
	if (readable && asprintf(&stub, "%s@plt", readable) < 0)
		stub = NULL;
	return stub;
}

char *demangle(const char *mangled)
{
	size_t len_bytes = strnlen(mangled, MAX_MANGLED_BYTES);
	bool is_stub = len_bytes > 4 && !strcmp(mangled + len_bytes - 4, "@plt");
	return is_stub ? demangle_stub(mangled, len_bytes - 4) : demangle_plain(mangled);
}
