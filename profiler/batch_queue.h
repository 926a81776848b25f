/*
 * batch_queue: batches from the collector to the namer, bounded by what is in it: samples,
 * waits and switches. Any thread.
 */
#pragma once
#include <stdbool.h>

#include "base/auto.h"
#include "profiler/batch.h"

struct batch_queue; /* opaque */

int batch_queue_new(struct batch_queue **out, size_t max_samples); /* -ENOMEM */
void batch_queue_free(struct batch_queue *queue); /* and what is in it; NULL is fine */
AUTO_DEFINE(batch_queue)

/* Takes the batch over. False: full, the caller still has it. A queue that is empty takes a
 * batch of any size. */
bool batch_queue_push(struct batch_queue *queue, struct batch *batch);
/* Waits. NULL: closed and empty. The caller owns it. */
struct batch *batch_queue_pop(struct batch_queue *queue);
/* No more pushes are to come. */
void batch_queue_close(struct batch_queue *queue);
