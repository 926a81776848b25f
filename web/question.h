/*
 * question: what most requests ask about: a profile type, a selector, a span of time.
 *
 * docs/API.md, "Common parameters", has names and defaults. One thread.
 */
#pragma once
#include "profile/api_json.h"
#include "storage/store.h"
#include "web/request.h"

struct question {
	enum profile_type type;
	const char *query; /* selector as given; borrowed from the request */
	struct selector *selector;
	int64_t from_unix_ns;
	int64_t until_unix_ns; /* excluded */
};

/* Read and check type, query, from, until. default_type is for a request without `type`.
 * -EINVAL with the parameter's name; -ENOMEM. */
int question_init(struct question *question, const struct request *request,
		  enum profile_type default_type, struct err *err);
void question_fini(struct question *question);
#define AUTO_QUESTION AUTO_FINI(question_fini) struct question

/* As the store and the JSON writers want it; borrows from the question. */
struct store_query question_store(const struct question *question);
struct api_question question_api(const struct question *question);
