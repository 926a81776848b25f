#include "profiler/kernel_names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"

static const int64_t first_wait_ns = 2 * NS_PER_S;
static const int64_t changed_wait_ns = 10 * NS_PER_S;
static const int64_t longest_wait_ns = 60 * NS_PER_S;

struct kernel_names {
	char *path;
	struct kallsyms *table; /* NULL: not readable so far */
	int64_t read_mono_ns;   /* when it was read, or tried */
	int64_t wait_ns;        /* after that, until an unknown address is a reason to look again */
	bool is_changed;        /* since it was read */
};

int kernel_names_new(struct kernel_names **out, const char *path, struct err *err)
{
	AUTO(kernel_names) names = calloc(1, sizeof(*names));
	if (names)
		names->path = strdup(path);
	if (!names || !names->path)
		return err_set(err, -ENOMEM, "kernel symbols: %m");
	names->wait_ns = first_wait_ns;
	*out = TAKE(names);
	return 0;
}

void kernel_names_free(struct kernel_names *names)
{
	if (!names)
		return;
	kallsyms_free(names->table);
	free(names->path);
	free(names);
}

int kernel_names_read(struct kernel_names *names, int64_t now_mono_ns, struct err *err)
{
	names->read_mono_ns = now_mono_ns;
	names->is_changed = false;
	AUTO_FD fd = open(names->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "open %s: %m", names->path);
	struct kallsyms *table = NULL;
	int rc = kallsyms_read(&table, fd, err);
	if (rc)
		return rc;
	kallsyms_free(names->table);
	names->table = table;
	return 0;
}

void kernel_names_note_change(struct kernel_names *names)
{
	names->is_changed = true;
}

const struct kallsyms *kernel_names_table(const struct kernel_names *names)
{
	return names->table;
}

static const struct kernel_symbol *find(const struct kernel_names *names, uint64_t ip)
{
	return names->table ? kallsyms_find(names->table, ip) : NULL;
}

const struct kernel_symbol *kernel_names_find(struct kernel_names *names, uint64_t ip,
					      int64_t now_mono_ns)
{
	const struct kernel_symbol *symbol = find(names, ip);
	int64_t age_ns = now_mono_ns - names->read_mono_ns;
	bool is_made = symbol && symbol->module[0];
	int64_t made_wait_ns = names->is_changed ? changed_wait_ns : longest_wait_ns;
	if (symbol ? !is_made || age_ns < made_wait_ns : age_ns < names->wait_ns)
		return symbol;
	bool was_unknown = !symbol;
	kernel_names_read(names, now_mono_ns, NULL);
	symbol = find(names, ip);
	if (symbol)
		names->wait_ns = first_wait_ns;
	else if (was_unknown)
		names->wait_ns =
			names->wait_ns * 2 < longest_wait_ns ? names->wait_ns * 2 : longest_wait_ns;
	return symbol;
}
