/*
 * unwind_cxx MODE SECONDS: burns CPU below C++ constructs; SECONDS 0: in nested, for ever.
 * throw: main < catcher < thrower<N> < ... < burn, left by an exception each time.
 * nested: burn is called by a destructor that runs while the stack is being unwound.
 * templates: main < apply<...> x 12 < burn.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <chrono>
#include <stdexcept>
#include <string>

#define FRAME __attribute__((noipa))

FRAME int burn(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		__asm__ volatile("");
	return 1;
}

template <int N> FRAME int thrower(const std::string &text)
{
	std::string mine = text + std::to_string(N);
	if constexpr (N == 0) {
		burn(20000);
		throw std::runtime_error(mine);
	} else {
		return thrower<N - 1>(mine) + (int)mine.size();
	}
}

FRAME int catcher(int x)
{
	try {
		return thrower<8>("x") + x;
	} catch (const std::runtime_error &error) {
		return (int)strlen(error.what());
	}
}

static uint64_t loops = 20000000;

struct Guard {
	FRAME ~Guard()
	{
		burn(loops);
		__asm__ volatile(""); /* else burn is jumped to */
	}
};

FRAME int guarded(int x)
{
	Guard guard;
	if (x)
		throw x;
	return x;
}

FRAME int nested(int x)
{
	try {
		return guarded(x) + 1;
	} catch (int value) {
		return value;
	}
}

template <int N, typename F> FRAME int apply(const F &function)
{
	if constexpr (N == 0)
		return function() + 1;
	else
		return apply<N - 1>(function) + 1;
}

static int run(const char *mode)
{
	if (!strcmp(mode, "throw"))
		return catcher(1);
	if (!strcmp(mode, "nested"))
		return nested(1);
	return apply<11>([] { return burn(20000000); });
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	if (!strcmp(argv[2], "0"))
		loops = UINT64_MAX;
	auto end = std::chrono::steady_clock::now() +
		   std::chrono::duration<double>(strtod(argv[2], nullptr));
	volatile int sum = 0;
	do
		sum = sum + run(argv[1]);
	while (std::chrono::steady_clock::now() < end);
	return 0;
}
