#include "profiler/row_loader.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

/* Behind what the machine is there for, but never without a share: idle priority would get none
 * where all CPUs are busy, and the namer may wait for the rows that are being read. */
enum { MAX_STACKS = 1024, NICE = 5 };

struct row_loader {
	struct unwinder *unwinder;
	pthread_t thread;
	bool runs;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct raw_stack *stacks[MAX_STACKS]; /* a circle from first on */
	size_t first, count;
	bool closed;
};

/* NULL: closed. */
static struct raw_stack *take_stack(struct row_loader *loader)
{
	struct raw_stack *stack = NULL;
	pthread_mutex_lock(&loader->lock);
	while (!loader->count && !loader->closed)
		pthread_cond_wait(&loader->changed, &loader->lock);
	if (!loader->closed) {
		stack = loader->stacks[loader->first];
		loader->first = (loader->first + 1) % MAX_STACKS;
		loader->count--;
	}
	pthread_mutex_unlock(&loader->lock);
	return stack;
}

static void *run_loader(void *ctx)
{
	struct row_loader *loader = ctx;
	struct raw_stack *stack;
	pthread_setname_np(pthread_self(), "hearth-rows");
	/* Of this thread alone: setpriority(2), C library/kernel differences. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while ((stack = take_stack(loader)) != NULL) {
		unwinder_prepare(loader->unwinder, stack);
		raw_stack_unref(stack);
	}
	return NULL;
}

int row_loader_new(struct row_loader **out, struct unwinder *unwinder, struct err *err)
{
	AUTO(row_loader) loader = calloc(1, sizeof(*loader));
	if (!loader)
		return err_set(err, -ENOMEM, "row loader: %m");
	pthread_mutex_init(&loader->lock, NULL);
	pthread_cond_init(&loader->changed, NULL);
	loader->unwinder = unwinder;
	int rc = pthread_create(&loader->thread, NULL, run_loader, loader);
	if (rc)
		return err_set(err, -rc, "start a thread: %m");
	loader->runs = true;
	*out = TAKE(loader);
	return 0;
}

static void stop(struct row_loader *loader)
{
	pthread_mutex_lock(&loader->lock);
	loader->closed = true;
	pthread_cond_signal(&loader->changed);
	pthread_mutex_unlock(&loader->lock);
	pthread_join(loader->thread, NULL);
}

void row_loader_free(struct row_loader *loader)
{
	if (!loader)
		return;
	if (loader->runs)
		stop(loader);
	for (size_t i = 0; i < loader->count; i++)
		raw_stack_unref(loader->stacks[(loader->first + i) % MAX_STACKS]);
	pthread_cond_destroy(&loader->changed);
	pthread_mutex_destroy(&loader->lock);
	free(loader);
}

void row_loader_add(struct row_loader *loader, struct raw_stack *stack)
{
	pthread_mutex_lock(&loader->lock);
	if (loader->count < MAX_STACKS) {
		loader->stacks[(loader->first + loader->count++) % MAX_STACKS] =
			raw_stack_ref(stack);
		pthread_cond_signal(&loader->changed);
	}
	pthread_mutex_unlock(&loader->lock);
}
