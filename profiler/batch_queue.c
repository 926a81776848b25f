#include "profiler/batch_queue.h"

#include <errno.h>
#include <pthread.h>

enum { MAX_BATCHES = 128 };

struct batch_queue {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct batch *batches[MAX_BATCHES]; /* a circle from first on */
	size_t first, count;
	size_t samples, max_samples;
	bool closed;
};

static size_t size_of(const struct batch *batch)
{
	return batch_samples(batch) + batch->switch_count;
}

int batch_queue_new(struct batch_queue **out, size_t max_samples)
{
	struct batch_queue *queue = calloc(1, sizeof(*queue));
	if (!queue)
		return -ENOMEM;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_cond_init(&queue->changed, NULL);
	queue->max_samples = max_samples;
	*out = queue;
	return 0;
}

void batch_queue_free(struct batch_queue *queue)
{
	if (!queue)
		return;
	for (size_t i = 0; i < queue->count; i++)
		batch_free(queue->batches[(queue->first + i) % MAX_BATCHES]);
	pthread_cond_destroy(&queue->changed);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

bool batch_queue_push(struct batch_queue *queue, struct batch *batch)
{
	pthread_mutex_lock(&queue->lock);
	bool fits = queue->count < MAX_BATCHES && !queue->closed &&
		    (!queue->count || queue->samples + size_of(batch) <= queue->max_samples);
	if (fits) {
		queue->batches[(queue->first + queue->count++) % MAX_BATCHES] = batch;
		queue->samples += size_of(batch);
		pthread_cond_signal(&queue->changed);
	}
	pthread_mutex_unlock(&queue->lock);
	return fits;
}

struct batch *batch_queue_pop(struct batch_queue *queue)
{
	struct batch *batch = NULL;
	pthread_mutex_lock(&queue->lock);
	while (!queue->count && !queue->closed)
		pthread_cond_wait(&queue->changed, &queue->lock);
	if (queue->count) {
		batch = queue->batches[queue->first];
		queue->first = (queue->first + 1) % MAX_BATCHES;
		queue->count--;
		queue->samples -= size_of(batch);
	}
	pthread_mutex_unlock(&queue->lock);
	return batch;
}

void batch_queue_close(struct batch_queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->closed = true;
	pthread_cond_broadcast(&queue->changed);
	pthread_mutex_unlock(&queue->lock);
}
