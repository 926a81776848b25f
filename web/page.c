#include <errno.h>
#include <string.h>

#include "web/handlers.h"

static void no_page(struct response *response)
{
	response_text(response, "<!doctype html><title>Hearth</title>"
				"<p>This build of Hearth has no page. The API is at "
				"<a href=\"/api/v1/status\">/api/v1/</a>.</p>\n");
	response->content_type = "text/html; charset=utf-8";
}

int page(const struct web_context *context, const struct request *request,
	 struct response *response, struct err *err)
{
	static const char hashed[] = "/assets/";
	bool is_root = !strcmp(request->path, "/");
	response->asset = asset_find(&context->assets, is_root ? "/index.html" : request->path);
	if (!response->asset && is_root) {
		no_page(response);
		return 0;
	}
	if (!response->asset)
		return err_set(err, -ENOENT, "nothing is at \"%.160s\"", request->path);
	/* The build puts a hash of the contents in the names under /assets/, so those never
	 * change; all others are asked for again each time, and are mostly a 304. */
	bool is_hashed = !strncmp(request->path, hashed, strlen(hashed));
	response->cache_control = is_hashed ? "public, max-age=31536000, immutable" : "no-cache";
	return 0;
}
