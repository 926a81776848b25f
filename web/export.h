/*
 * export: the samples of a question as a file in somebody else's format.
 */
#pragma once
#include "web/handlers.h"
#include "web/question.h"

/* Body and content type: gzipped pprof of all that is asked, thread by thread. */
int export_pprof(const struct web_context *context, const struct question *question,
		 struct response *response, struct err *err);
