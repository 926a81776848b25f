#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/sat.h"
#include "profile/calltree.h"
#include "profile/folded.h"

/* A line to be: its path is text[off .. off + len_bytes). */
struct line {
	size_t off;
	size_t len_bytes;
	int64_t weight;
};

struct encoder {
	const struct calltree *tree;
	struct buf path;  /* of the node at hand */
	size_t *path_end; /* by depth: where the frame of that depth ends in `path` */
	struct buf text;  /* paths of all lines */
	struct line *lines;
	size_t line_count;
};

static void fini_encoder(struct encoder *e)
{
	buf_fini(&e->path);
	buf_fini(&e->text);
	free(e->path_end);
	free(e->lines);
}

static int init_encoder(struct encoder *e, const struct buf *out)
{
	buf_init(&e->path, out->max_bytes);
	buf_init(&e->text, out->max_bytes);
	e->path_end = calloc((size_t)e->tree->max_depth + 1, sizeof(*e->path_end));
	e->lines = calloc(e->tree->node_count, sizeof(*e->lines));
	return e->path_end && e->lines ? 0 : -ENOMEM;
}

static char plain_char(char c)
{
	if (c == ';')
		return ':';
	return (unsigned char)c < ' ' ? ' ' : c; /* newlines and other control characters */
}

static void append_frame(struct buf *path, const char *name, enum frame_kind kind)
{
	if (path->len_bytes)
		buf_append_u8(path, ';');
	if (!name[0])
		name = "[unknown]";
	size_t len_bytes = strlen(name);
	char *text = buf_extend(path, len_bytes);
	for (size_t i = 0; text && i < len_bytes; i++)
		text[i] = plain_char(name[i]);
	if (kind == FRAME_KERNEL)
		buf_append_str(path, "_[k]");
	else if (kind == FRAME_INLINED)
		buf_append_str(path, "_[i]");
	else if (kind == FRAME_JIT)
		buf_append_str(path, "_[j]");
}

/* Nodes come depth first, so the path of a node is its parent's and one frame. */
static void collect_lines(struct encoder *e)
{
	for (size_t i = 1; i < e->tree->node_count; i++) {
		const struct calltree_node *node = &e->tree->nodes[i];
		e->path.len_bytes = e->path_end[node->depth - 1];
		append_frame(&e->path, strtab_get(&e->tree->strings, node->name), node->kind);
		e->path_end[node->depth] = e->path.len_bytes;
		if (!node->self_weight)
			continue;
		e->lines[e->line_count++] =
			(struct line){e->text.len_bytes, e->path.len_bytes, node->self_weight};
		buf_append(&e->text, e->path.data, e->path.len_bytes);
	}
}

static int compare_paths(const void *a, const void *b, void *ctx)
{
	const struct line *left = a, *right = b;
	const char *text = ctx;
	size_t common = left->len_bytes < right->len_bytes ? left->len_bytes : right->len_bytes;
	int order = memcmp(text + left->off, text + right->off, common);
	if (order)
		return order;
	return (left->len_bytes > right->len_bytes) - (left->len_bytes < right->len_bytes);
}

static void write_lines(struct buf *out, struct encoder *e)
{
	for (size_t i = 0; i < e->line_count;) {
		const struct line *first = &e->lines[i];
		int64_t weight = 0;
		/* Names that differ only in what may not be written have become equal. */
		while (i < e->line_count && !compare_paths(first, &e->lines[i], e->text.data))
			weight = sat_add_i64(weight, e->lines[i++].weight);
		if (!weight)
			continue;
		buf_append(out, e->text.data + first->off, first->len_bytes);
		buf_printf(out, " %" PRId64 "\n", weight);
	}
}

int folded_encode(struct buf *out, const struct profile *profile, struct err *err)
{
	AUTO(calltree) tree = NULL;
	int rc =
		calltree_build(&tree, profile, &(struct calltree_options){.group_by = "comm"}, err);
	if (rc)
		return rc;
	AUTO_FINI(fini_encoder) struct encoder e = {.tree = tree};
	rc = init_encoder(&e, out);
	if (!rc) {
		collect_lines(&e);
		rc = buf_error(&e.path) ? buf_error(&e.path) : buf_error(&e.text);
	}
	if (!rc && e.line_count) {
		qsort_r(e.lines, e.line_count, sizeof(*e.lines), compare_paths, e.text.data);
		write_lines(out, &e);
		rc = buf_error(out);
	}
	return rc ? err_set(err, rc, "write folded text: %m") : 0;
}
