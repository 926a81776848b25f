#include "symbolizer/executable.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "symbolizer/demangle.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/function_bounds.h"
#include "symbolizer/gsym.h"
#include "symbolizer/symtab.h"

enum { MAX_NAME_BYTES = 64 << 10, MAX_ATTACHED = 64 };

/* What is read on the first lookup; never changes after. */
struct names {
	struct symtab *symtab;      /* NULL: could not be read */
	_Atomic(char *) *demangled; /* by position: NULL: not yet; owned, or the symtab's */
	char unnamed_reason[128];   /* "": none */
};

/* What is read when a symbol table has no answer; never changes after. */
struct unnamed {
	struct function_bounds *bounds; /* NULL: could not be read */
	_Atomic(char *) *marks;         /* by position, owned; NULL: not yet */
};

struct attached {
	struct gsym *gsym;
	struct attached *before;
	unsigned int count; /* of it and those before */
};

struct executable {
	atomic_uint refs;
	struct elf_file *file;
	char *display_name;
	char build_id[BUILD_ID_HEX_BYTES];
	pthread_mutex_t lock; /* guards the filling of names_memory and unnamed_memory */
	struct names names_memory;
	_Atomic(struct names *) names; /* NULL: not read yet; else names_memory */
	struct unnamed unnamed_memory;
	_Atomic(struct unnamed *) unnamed;   /* likewise */
	_Atomic(struct attached *) attached; /* the last one; NULL: none */
};

_Static_assert((int)BUILD_ID_MAX_BYTES == (int)ELF_BUILD_ID_MAX_BYTES, "one limit");

static void names_fini(struct names *names)
{
	for (uint32_t i = 0; names->demangled && i < symtab_count(names->symtab); i++) {
		char *text = atomic_load(&names->demangled[i]);
		if (text != symtab_entry(names->symtab, i).name)
			free(text);
	}
	free(names->demangled);
	symtab_free(names->symtab);
}

static void unnamed_fini(struct unnamed *unnamed)
{
	for (uint32_t i = 0; unnamed->marks && i < function_bounds_count(unnamed->bounds); i++)
		free(atomic_load(&unnamed->marks[i]));
	free(unnamed->marks);
	function_bounds_free(unnamed->bounds);
}

static void free_attached(struct attached *attached)
{
	while (attached) {
		struct attached *before = attached->before;
		gsym_free(attached->gsym);
		free(attached);
		attached = before;
	}
}

struct executable *executable_ref(struct executable *exe)
{
	atomic_fetch_add(&exe->refs, 1);
	return exe;
}

void executable_unref(struct executable *exe)
{
	if (!exe || atomic_fetch_sub(&exe->refs, 1) > 1)
		return;
	names_fini(&exe->names_memory);
	unnamed_fini(&exe->unnamed_memory);
	free_attached(atomic_load(&exe->attached));
	elf_file_free(exe->file);
	pthread_mutex_destroy(&exe->lock);
	free(exe->display_name);
	free(exe);
}

bool executable_is_shared(const struct executable *exe)
{
	return atomic_load(&exe->refs) > 1;
}

const char *executable_name(const struct executable *exe)
{
	return exe->display_name;
}

const char *executable_build_id(const struct executable *exe)
{
	return exe->build_id;
}

const struct elf_file *executable_elf(const struct executable *exe)
{
	return exe->file;
}

static void format_build_id(struct executable *exe)
{
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t len_bytes = elf_file_build_id(exe->file, id);
	for (size_t i = 0; i < len_bytes; i++)
		snprintf(exe->build_id + 2 * i, 3, "%02x", id[i]);
}

/* Takes file. */
static int executable_new(struct executable **out, struct elf_file *file, const char *display_name,
			  struct err *err)
{
	AUTO(elf_file) owned = file;
	AUTO_MEM char *name = strdup(display_name);
	struct executable *exe = calloc(1, sizeof(*exe));
	if (!exe || !name) {
		free(exe);
		return err_set(err, -ENOMEM, "%s: %m", display_name);
	}
	atomic_init(&exe->refs, 1);
	pthread_mutex_init(&exe->lock, NULL); /* cannot fail without attributes */
	exe->display_name = TAKE(name);
	exe->file = TAKE(owned);
	format_build_id(exe);
	*out = exe;
	return 0;
}

int executable_open(struct executable **out, int fd, const char *display_name, struct err *err)
{
	struct elf_file *file;
	int rc = elf_file_open(&file, fd, err);
	return rc ? err_wrap(err, rc, "%s", display_name)
		  : executable_new(out, file, display_name, err);
}

int executable_from_memory(struct executable **out, const void *data, size_t len_bytes,
			   const char *display_name, struct err *err)
{
	struct elf_file *file;
	int rc = elf_file_from_memory(&file, data, len_bytes, err);
	return rc ? err_wrap(err, rc, "%s", display_name)
		  : executable_new(out, file, display_name, err);
}

bool executable_vaddr(const struct executable *exe, uint64_t off, uint64_t *vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(exe->file, &count);
	const struct elf_segment *found = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct elf_segment *segment = &segments[i];
		bool inside = off >= segment->off && off - segment->off < segment->file_bytes;
		/* Segments may share bytes of the file; the question is about code. */
		if (inside && (!found || (segment->flags & PF_X)))
			found = segment;
	}
	if (!found)
		return false;
	*vaddr = found->vaddr + (off - found->off);
	return true;
}

bool executable_mapped_vaddr(const struct executable *exe, uint64_t off, uint64_t *vaddr)
{
	static const uint64_t page_bytes = 4096; /* the smallest; larger ones are multiples */
	size_t count;
	const struct elf_segment *segments = elf_file_segments(exe->file, &count);
	for (size_t i = 0; i < count; i++) {
		const struct elf_segment *segment = &segments[i];
		uint64_t first_off = segment->off & ~(page_bytes - 1);
		if (!(segment->flags & PF_X) || off < first_off ||
		    off - first_off >= segment->off - first_off + segment->file_bytes)
			continue;
		*vaddr = segment->vaddr - segment->off + off;
		return true;
	}
	return false;
}

void executable_segment(const struct executable *exe, uint64_t vaddr, uint64_t *start_vaddr,
			uint64_t *limit_vaddr, uint64_t *file_off)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(exe->file, &count);
	const struct elf_segment *found = NULL;
	for (size_t i = 0; i < count; i++) {
		const struct elf_segment *segment = &segments[i];
		if (!(segment->flags & PF_X))
			continue;
		bool inside =
			vaddr >= segment->vaddr && vaddr - segment->vaddr < segment->memory_bytes;
		if (inside || !found)
			found = segment;
		if (inside)
			break;
	}
	*start_vaddr = found ? found->vaddr : 0;
	*limit_vaddr = found ? found->vaddr + found->memory_bytes : 0;
	*file_off = found ? found->off : 0;
}

static void read_names(struct names *names, const struct elf_file *file)
{
	struct err err = {0};
	int rc = symtab_read(&names->symtab, file, &err);
	if (rc) {
		snprintf(names->unnamed_reason, sizeof(names->unnamed_reason),
			 "unreadable symbol table: %.90s", err.text);
		return;
	}
	if (symtab_is_stripped(names->symtab))
		snprintf(names->unnamed_reason, sizeof(names->unnamed_reason), "stripped");
	names->demangled =
		calloc((size_t)symtab_count(names->symtab) + 1, sizeof(*names->demangled));
}

static struct names *names_of(struct executable *exe)
{
	struct names *names = atomic_load_explicit(&exe->names, memory_order_acquire);
	if (names)
		return names;
	pthread_mutex_lock(&exe->lock);
	names = atomic_load_explicit(&exe->names, memory_order_relaxed);
	if (!names) {
		names = &exe->names_memory;
		read_names(names, exe->file);
		atomic_store_explicit(&exe->names, names, memory_order_release);
	}
	pthread_mutex_unlock(&exe->lock);
	return names;
}

/* Names are demangled when they are first asked for, and kept. Of two threads that do the
 * same at once, the later one throws its work away. */
static const char *readable_name(struct names *names, uint32_t position, const char *mangled)
{
	if (!names->demangled)
		return mangled; /* no memory for them */
	char *known = atomic_load_explicit(&names->demangled[position], memory_order_acquire);
	if (known)
		return known;
	AUTO_MEM char *owned = demangle(mangled);
	char *text = owned ? owned : (char *)(uintptr_t)mangled;
	if (!atomic_compare_exchange_strong(&names->demangled[position], &known, text))
		return known;
	owned = NULL; /* the table has it */
	return text;
}

static const struct unnamed *unnamed_of(struct executable *exe)
{
	struct unnamed *unnamed = atomic_load_explicit(&exe->unnamed, memory_order_acquire);
	if (unnamed)
		return unnamed;
	pthread_mutex_lock(&exe->lock);
	unnamed = atomic_load_explicit(&exe->unnamed, memory_order_relaxed);
	if (!unnamed) {
		unnamed = &exe->unnamed_memory;
		if (!function_bounds_read(&unnamed->bounds, exe->file, NULL))
			unnamed->marks = calloc((size_t)function_bounds_count(unnamed->bounds) + 1,
						sizeof(*unnamed->marks));
		atomic_store_explicit(&exe->unnamed, unnamed, memory_order_release);
	}
	pthread_mutex_unlock(&exe->lock);
	return unnamed;
}

/* As readable_name() does. NULL: no memory for it. */
static const char *mark_text(const struct executable *exe, const struct unnamed *unnamed,
			     uint32_t position, uint64_t start_vaddr, bool is_stripped)
{
	char *known = atomic_load_explicit(&unnamed->marks[position], memory_order_acquire);
	if (known)
		return known;
	char text[FUNCTION_MARK_BYTES];
	function_mark(text, exe->display_name, start_vaddr, is_stripped);
	AUTO_MEM char *owned = strdup(text);
	if (!owned)
		return NULL;
	if (!atomic_compare_exchange_strong(&unnamed->marks[position], &known, owned))
		return known;
	return TAKE(owned);
}

static bool lookup_mark(struct executable *exe, const struct names *names, uint64_t vaddr,
			struct symbol *symbol)
{
	const struct unnamed *unnamed = unnamed_of(exe);
	uint32_t position = unnamed->marks ? function_bounds_find(unnamed->bounds, vaddr)
					   : FUNCTION_BOUNDS_NONE;
	if (position == FUNCTION_BOUNDS_NONE)
		return false;
	struct gsym_range range = function_bounds_range(unnamed->bounds, position);
	bool is_stripped = names->symtab && symtab_is_stripped(names->symtab);
	const char *text = mark_text(exe, unnamed, position, range.start_vaddr, is_stripped);
	if (!text)
		return false;
	*symbol = (struct symbol){
		.name = text,
		.system_name = text,
		.vaddr = range.start_vaddr,
		.size_bytes = range.end_vaddr - range.start_vaddr,
		.is_mark = true,
	};
	return true;
}

static bool lookup_symbol(struct names *names, uint64_t vaddr, struct symbol *symbol)
{
	uint32_t position = names->symtab ? symtab_find(names->symtab, vaddr) : SYMTAB_NONE;
	if (position == SYMTAB_NONE)
		return false;
	struct symtab_entry entry = symtab_entry(names->symtab, position);
	if (strnlen(entry.name, MAX_NAME_BYTES) == MAX_NAME_BYTES)
		return false; /* nobody could read it */
	*symbol = (struct symbol){
		.name = readable_name(names, position, entry.name),
		.system_name = entry.name,
		.vaddr = entry.vaddr,
		.size_bytes = entry.size_bytes,
	};
	return true;
}

bool executable_lookup(struct executable *exe, uint64_t vaddr, struct symbol *symbol)
{
	struct names *names = names_of(exe);
	struct symbol named = {0}, mark = {0};
	bool is_named = lookup_symbol(names, vaddr, &named);
	if (is_named && named.size_bytes) {
		*symbol = named;
		return true;
	}
	/* Assembly without a size would swallow the static functions that follow it, but for
	 * their unwind entries. */
	bool is_marked =
		lookup_mark(exe, names, vaddr, &mark) && (!is_named || mark.vaddr > named.vaddr);
	if (!is_named && !is_marked)
		return false;
	*symbol = is_marked ? mark : named;
	return true;
}

const char *executable_unnamed_reason(struct executable *exe)
{
	const struct names *names = names_of(exe);
	return names->unnamed_reason[0] ? names->unnamed_reason : NULL;
}

int executable_attach(struct executable *exe, struct gsym *gsym)
{
	struct attached *attached = calloc(1, sizeof(*attached));
	if (!attached)
		return -ENOMEM;
	pthread_mutex_lock(&exe->lock);
	struct attached *before = atomic_load_explicit(&exe->attached, memory_order_relaxed);
	*attached = (struct attached){gsym, before, before ? before->count + 1 : 1};
	bool is_full = attached->count > MAX_ATTACHED;
	if (!is_full)
		atomic_store_explicit(&exe->attached, attached, memory_order_release);
	pthread_mutex_unlock(&exe->lock);
	if (!is_full)
		return 0;
	free(attached);
	return -ENOSPC;
}

const struct gsym *executable_gsym(const struct executable *exe)
{
	const struct attached *attached =
		atomic_load_explicit(&exe->attached, memory_order_acquire);
	return attached ? attached->gsym : NULL;
}
