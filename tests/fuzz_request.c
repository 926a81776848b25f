/* A request target and its common parameters, from bytes of a stranger. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "web/question.h"
#include "web/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

/* Whatever is found lies within the decoded bytes, or is the empty text. */
static void check_inside(const struct request *request, const char *text)
{
	assert(text >= request->decoded && text < request->decoded + sizeof(request->decoded));
	size_t room_bytes = (size_t)(request->decoded + sizeof(request->decoded) - text);
	assert(strnlen(text, room_bytes) < room_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO_MEM char *target = calloc(1, len_bytes + 1);
	AUTO_MEM struct request *request = calloc(1, sizeof(*request));
	if (!target || !request)
		return 0;
	memcpy(target, data, len_bytes);
	accepts_gzip(target);
	request->now_unix_ns = INT64_C(1800000000000000000);
	if (request_parse(request, target, NULL))
		return 0;
	for (size_t i = 0; i < request->param_count; i++) {
		check_inside(request, request->params[i].name);
		check_inside(request, request->params[i].value);
	}
	assert(request->path[0] == '/');
	uint64_t number = 1;
	request_number(request, "limit", 1000, &number, NULL);
	assert(number >= 1 && number <= 1000);
	AUTO_QUESTION question = {0};
	if (!question_init(&question, request, PROFILE_CPU, NULL))
		assert(question.from_unix_ns < question.until_unix_ns);
	return 0;
}
