/*
 * wait_lock SECONDS [PAIRS]: in each pair two threads fight for one mutex. One holds it for 60 ms
 * asleep in hold_long, the other for 20 ms in hold_short, lengths drawn at random around these
 * means; then both stay away from it for 15 ms in stay_away. The fight is in fight_for_lock.
 *
 * Prints its pid, and begins with a line on standard input, or its end. After SECONDS: "START END"
 * (unix us), then for each thread "TID ADDRESS NS_FIGHTING NS_HOLDING NS_AWAY", and stays.
 */
#include <pthread.h>
#include <stdlib.h>

#include "waits.h"

#define MAX_PAIRS     8
#define MEAN_LONG_NS  60000000
#define MEAN_SHORT_NS 20000000
#define MEAN_AWAY_NS  15000000

struct fighter {
	pthread_t thread;
	pthread_mutex_t *mutex;
	int tid, is_long;
	uint64_t random, end_mono_ns;
	uint64_t fighting_ns, holding_ns, away_ns;
};

static NOINLINE void fight_for_lock(pthread_mutex_t *mutex)
{
	pthread_mutex_lock(mutex);
	STAY();
}

static NOINLINE void hold_long(uint64_t ns)
{
	sleep_ns(ns);
	STAY();
}

static NOINLINE void hold_short(uint64_t ns)
{
	sleep_ns(ns);
	STAY();
}

static NOINLINE void stay_away(uint64_t ns)
{
	sleep_ns(ns);
	STAY();
}

static NOINLINE void *fight(void *arg)
{
	struct fighter *fighter = arg;
	fighter->tid = own_tid();
	while (mono_ns() < fighter->end_mono_ns) {
		uint64_t start_ns = mono_ns();
		fight_for_lock(fighter->mutex);
		uint64_t held_ns = mono_ns();
		if (fighter->is_long)
			hold_long(draw_around(&fighter->random, MEAN_LONG_NS));
		else
			hold_short(draw_around(&fighter->random, MEAN_SHORT_NS));
		pthread_mutex_unlock(fighter->mutex);
		uint64_t away_ns = mono_ns();
		stay_away(draw_around(&fighter->random, MEAN_AWAY_NS));
		fighter->fighting_ns += held_ns - start_ns;
		fighter->holding_ns += away_ns - held_ns;
		fighter->away_ns += mono_ns() - away_ns;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static pthread_mutex_t mutexes[MAX_PAIRS];
	static struct fighter fighters[2 * MAX_PAIRS];
	int pairs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 1;
	if (argc < 2 || pairs < 1 || pairs > MAX_PAIRS)
		return 2;
	printf("%d\n", getpid());
	fflush(stdout);
	wait_to_begin();
	uint64_t start_us = clock_ns(CLOCK_REALTIME) / 1000;
	uint64_t end_mono_ns = mono_ns() + (uint64_t)(strtod(argv[1], NULL) * 1e9);
	for (int i = 0; i < 2 * pairs; i++) {
		pthread_mutex_t *mutex = &mutexes[i / 2];
		if (i % 2 == 0)
			pthread_mutex_init(mutex, NULL);
		fighters[i] = (struct fighter){.mutex = mutex,
					       .is_long = i % 2 == 0,
					       .random = seed_of(i),
					       .end_mono_ns = end_mono_ns};
		if (pthread_create(&fighters[i].thread, NULL, fight, &fighters[i]))
			return 1;
	}
	for (int i = 0; i < 2 * pairs; i++)
		pthread_join(fighters[i].thread, NULL);
	printf("%lu %lu\n", start_us, clock_ns(CLOCK_REALTIME) / 1000);
	for (int i = 0; i < 2 * pairs; i++)
		printf("%d %p %lu %lu %lu\n", fighters[i].tid, (void *)fighters[i].mutex,
		       fighters[i].fighting_ns, fighters[i].holding_ns, fighters[i].away_ns);
	fflush(stdout);
	stay_until_told();
	return 0;
}
