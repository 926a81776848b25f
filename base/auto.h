/*
 * auto: owners clean up by scope.
 *
 *	AUTO_FD fd = open(...);			closed at the end of the scope
 *	AUTO_MEM char *text = strdup(...);	freed at the end of the scope
 *	AUTO(symtab) tab = ...;			symtab_free(tab) at the end of the scope
 *	*out = TAKE(tab);			ownership leaves; the scope frees NULL
 *
 * A type T gets AUTO(T) by AUTO_DEFINE(T) after the declaration of T_free().
 */
#pragma once
#include <stdlib.h>
#include <unistd.h>

#define AUTO_DEFINE(type)                                    \
	static inline void auto_free_##type(struct type **p) \
	{                                                    \
		type##_free(*p);                             \
	}
#define AUTO(type) __attribute__((cleanup(auto_free_##type))) struct type *

static inline void auto_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define AUTO_FD __attribute__((cleanup(auto_close_fd))) int

static inline void auto_free_mem(void *p)
{
	free(*(void **)p);
}
#define AUTO_MEM __attribute__((cleanup(auto_free_mem)))

/* Runs fini(&var) at the end of the scope, for structs in the caller's memory. */
#define AUTO_FINI(fini) __attribute__((cleanup(fini)))

#define TAKE(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})
