/*
 * gate: holds a handler up, so that a test can look at a server while it works.
 *
 * Header only, included by tests that have included cmocka.h. Any thread.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock; /* guards the rest, and what a test keeps beside it */
	pthread_cond_t changed;
	bool is_closed;
	int waiting; /* threads that are at it */
};

static inline void gate_init(struct gate *gate)
{
	*gate = (struct gate){0};
	pthread_mutex_init(&gate->lock, NULL);
	pthread_cond_init(&gate->changed, NULL);
}

static inline void gate_fini(struct gate *gate)
{
	pthread_cond_destroy(&gate->changed);
	pthread_mutex_destroy(&gate->lock);
}

/* Go through; wait while it is closed. */
static inline void gate_pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	pthread_cond_broadcast(&gate->changed);
	while (gate->is_closed)
		pthread_cond_wait(&gate->changed, &gate->lock);
	gate->waiting--;
	pthread_mutex_unlock(&gate->lock);
}

static inline void gate_set(struct gate *gate, bool is_closed)
{
	pthread_mutex_lock(&gate->lock);
	gate->is_closed = is_closed;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* Until that many threads are at it. */
static inline void gate_wait_for(struct gate *gate, int count)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->waiting < count)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}
