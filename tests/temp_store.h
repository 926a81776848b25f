/*
 * temp_store: a store in a folder of its own, gone with the test.
 *
 * Header only, included by tests that have included cmocka.h.
 */
#pragma once
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "storage/store.h"

struct temp_store {
	char directory[64];
	struct store *store;
};

static inline int temp_store_remove(const char *path, const struct stat *st, int type,
				    struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static inline void temp_store_init(struct temp_store *temp)
{
	snprintf(temp->directory, sizeof(temp->directory), "/tmp/hearth_test.XXXXXX");
	assert_non_null(mkdtemp(temp->directory));
	struct store_options options = {.directory = temp->directory, .writable = true};
	struct err err = {0};
	if (store_open(&temp->store, &options, &err))
		fail_msg("%s", err.text);
}

static inline void temp_store_fini(struct temp_store *temp)
{
	store_free(temp->store);
	nftw(temp->directory, temp_store_remove, 8, FTW_DEPTH | FTW_PHYS);
}
