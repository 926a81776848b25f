/* A library for unwind.c: to be opened while it runs, or to be called through the PLT. */
#include <stdint.h>

#define FRAME __attribute__((noipa))

int plugin_empty(int x);
int plugin_outer(uint64_t count);
int plugin_burn(uint64_t count);

FRAME int plugin_empty(int x)
{
	return x + 1;
}

FRAME int plugin_burn(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		__asm__ volatile("");
	return 1;
}

FRAME int plugin_outer(uint64_t count)
{
	return plugin_burn(count) + 1;
}
