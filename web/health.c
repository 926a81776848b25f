#include <errno.h>

#include "web/handlers.h"

int health_alive(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err)
{
	(void)context, (void)request, (void)err;
	response_text(response, "ok\n");
	return 0;
}

int health_ready(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err)
{
	(void)request;
	struct store_stats stats;
	if (store_stats(context->store, &stats, err))
		return err_wrap(err, -EAGAIN, "the store does not answer");
	response_text(response, "ready\n");
	return 0;
}
