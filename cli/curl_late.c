/* SPDX-License-Identifier: Apache-2.0 */
#include "curl_late.h"

#include <dlfcn.h>
#include <errno.h>

#include "own.h"

#define LIBRARY "libcurl.so.4"

/* Only the CLI needs this one: it waits for one request, where picketd's loop runs many at once. */
#define OWN_FUNCTIONS(X) X(easy_perform)

struct late {
	bool loaded;
	struct pk_curl curl;
	OWN_FUNCTIONS(PK_CURL_MEMBER)
};

static int missing(struct pk_err *err)
{
	return pk_fix(err, pk_fail(err, ENOENT, "%s", dlerror() ?: LIBRARY),
		      "install libcurl (Debian: libcurl4), which speaks to Consul");
}

/* It stays until the process ends. */
static int load(struct late *late, struct pk_err *err)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return missing(err);
#define FIND(function)                                                                             \
	late->curl.function = (__typeof__(curl_##function) *)dlsym(library, "curl_" #function);    \
	if (!late->curl.function)                                                                  \
		return missing(err);
	PK_CURL_FUNCTIONS(FIND)
#define FIND_OWN(function)                                                                         \
	late->function = (__typeof__(curl_##function) *)dlsym(library, "curl_" #function);         \
	if (!late->function)                                                                       \
		return missing(err);
	OWN_FUNCTIONS(FIND_OWN)
	late->loaded = true;
	return 0;
}

static int perform(const struct late *late, const struct pk_http_request *request, void *arg,
		   struct pk_curl_answer *answer, struct pk_err *err)
{
	PK_OWN(pk_curl_done) struct pk_curl_call call = { 0 };

	if (pk_curl_begin(&call, &late->curl, request, arg) < 0)
		return pk_fail(err, EINVAL, "no usable address: \"%.200s\"", request->url);
	pk_curl_take(&call, late->easy_perform(call.easy), answer);
	return 0;
}

int cli_curl(const struct pk_http_request *request, void *arg, struct pk_curl_answer *answer,
	     struct pk_err *err)
{
	static struct late late = { .curl = { .agent = "picket/" PK_VERSION,
					      .ca_file = "CONSUL_CACERT",
					      .certificate =
						      "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY",
					      .server_name = "CONSUL_TLS_SERVER_NAME" } };
	int r = late.loaded ? 0 : load(&late, err);

	return r < 0 ? r : perform(&late, request, arg, answer, err);
}
