#include "symbolizer/debuginfod_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"

/* target: where to write the pointer, of a type that ISO C keeps apart from void *. */
static int find_function(void *handle, const char *name, void *target)
{
	void *symbol = dlsym(handle, name);
	if (!symbol)
		return -ENOSYS;
	_Static_assert(sizeof(symbol) == sizeof(&debuginfod_begin), "POSIX: dlsym(3)");
	memcpy(target, &symbol, sizeof(symbol));
	return 0;
}

int debuginfod_library_load(struct debuginfod_library *library, struct err *err)
{
	void *handle = dlopen(DEBUGINFOD_SONAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return err_set(err, -ENOSYS, "%s; install libdebuginfod1", dlerror());
	const struct {
		const char *name;
		void *target;
	} functions[] = {
		{"debuginfod_begin", &library->begin},
		{"debuginfod_end", &library->end},
		{"debuginfod_find_debuginfo", &library->find_debuginfo},
		{"debuginfod_set_progressfn", &library->set_progressfn},
		{"debuginfod_set_user_data", &library->set_user_data},
	};
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		int rc = find_function(handle, functions[i].name, functions[i].target);
		if (rc)
			return err_set(err, rc, DEBUGINFOD_SONAME " has no %s", functions[i].name);
	}
	dlclose(handle); /* RTLD_NODELETE: it stays */
	return 0;
}

void *debuginfod_library_user_data(struct debuginfod_client *client)
{
	void *handle = dlopen(DEBUGINFOD_SONAME, RTLD_NOW | RTLD_NOLOAD);
	__typeof__(debuginfod_get_user_data) *get_user_data;
	void *data = NULL;
	if (!handle)
		return NULL;
	if (!find_function(handle, "debuginfod_get_user_data", &get_user_data))
		data = get_user_data(client);
	dlclose(handle);
	return data;
}
