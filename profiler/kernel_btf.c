#include "profiler/kernel_btf.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct kernel_btf {
	struct btf *btf;
};

int kernel_btf_open(struct kernel_btf **out, struct err *err)
{
	AUTO(kernel_btf) kernel = calloc(1, sizeof(*kernel));
	if (!kernel)
		return err_set(err, -ENOMEM, "the kernel's BTF: %m");
	kernel->btf = btf__load_vmlinux_btf();
	if (!kernel->btf)
		return err_set(err, -errno, "/sys/kernel/btf/vmlinux: %m");
	*out = TAKE(kernel);
	return 0;
}

void kernel_btf_free(struct kernel_btf *kernel)
{
	if (!kernel)
		return;
	btf__free(kernel->btf);
	free(kernel);
}

bool kernel_btf_has_function(const struct kernel_btf *kernel, const char *name)
{
	return btf__find_by_name_kind(kernel->btf, name, BTF_KIND_FUNC) > 0;
}

bool kernel_btf_has_struct(const struct kernel_btf *kernel, const char *name)
{
	return btf__find_by_name_kind(kernel->btf, name, BTF_KIND_STRUCT) > 0;
}

bool kernel_btf_has_enumerator(const struct kernel_btf *kernel, const char *enum_name,
			       const char *name)
{
	int id = btf__find_by_name_kind(kernel->btf, enum_name, BTF_KIND_ENUM);
	if (id <= 0)
		return false;
	const struct btf_type *type = btf__type_by_id(kernel->btf, (uint32_t)id);
	const struct btf_enum *values = btf_enum(type);
	for (uint16_t i = 0; i < btf_vlen(type); i++) {
		const char *text = btf__name_by_offset(kernel->btf, values[i].name_off);
		if (text && !strcmp(text, name))
			return true;
	}
	return false;
}

/* typedef void (*btf_trace_NAME)(void *, ...): include/trace/bpf_probe.h */
unsigned kernel_btf_tracepoint_args(const struct kernel_btf *kernel, const char *name)
{
	char type_name[128];
	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	int id = btf__find_by_name_kind(kernel->btf, type_name, BTF_KIND_TYPEDEF);
	if (id <= 0)
		return 0;
	const struct btf_type *type = btf__type_by_id(kernel->btf, (uint32_t)id);
	type = btf__type_by_id(kernel->btf, type->type);
	if (!type || !btf_is_ptr(type))
		return 0;
	type = btf__type_by_id(kernel->btf, type->type);
	return type && btf_is_func_proto(type) && btf_vlen(type) > 0 ? btf_vlen(type) - 1 : 0;
}
