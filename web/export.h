/*
 * export: the samples of a question as a file in somebody else's format.
 */
#pragma once
#include "web/handlers.h"
#include "web/question.h"

/* Waits that go on are stored every ten seconds: before a file is made of a range that reaches
 * into the last of them, have them stored up to now. */
void export_settle(const struct web_context *context, const struct request *request,
		   const struct question *question);

/* Body and content type: gzipped pprof of all that is asked, thread by thread. */
int export_pprof(const struct web_context *context, const struct question *question,
		 struct response *response, struct err *err);
