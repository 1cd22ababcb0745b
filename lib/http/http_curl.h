/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A request as libcurl takes it: no redirects, no proxies, a cap on the body, TLS verified. libcurl
 * is given as a table of its functions, since picketd links it and the CLI loads it on demand.
 */
#include <curl/curl.h>

#include "http_request.h"
#include "str.h"

#define PK_CURL_FUNCTIONS(X)                                                                       \
	X(easy_init)                                                                               \
	X(easy_cleanup)                                                                            \
	X(easy_setopt)                                                                             \
	X(easy_getinfo)                                                                            \
	X(easy_strerror)                                                                           \
	X(slist_append)                                                                            \
	X(slist_free_all)                                                                          \
	X(url)                                                                                     \
	X(url_cleanup)                                                                             \
	X(url_set)                                                                                 \
	X(url_get)                                                                                 \
	X(free)
#define PK_CURL_MEMBER(function) __typeof__(curl_##function) *function;

struct pk_curl {
	const char *agent; /* "picketd/0.1.0" */
	/* The operator's names of the settings that mend an error. */
	const char *ca_file, *certificate, *server_name;
	PK_CURL_FUNCTIONS(PK_CURL_MEMBER)
};

/* One request that is under way; it must not move. */
struct pk_curl_call {
	const struct pk_curl *curl;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct pk_str body;
	bool tls, certified; /* by https; with a certificate of our own */
	size_t cap, got;
	uint64_t index;
	bool filtered, denies, streamed;
	int known_leader;
	pk_http_sink_fn *sink;
	void *arg;
	char error[CURL_ERROR_SIZE];
};

struct pk_curl_answer {
	struct pk_http_reply reply; /* into the members below */
	char *body;
	char error[CURL_ERROR_SIZE + 128];
};

/*
 * Prepares a request; arg is its sink's. -EINVAL: it can't be made. pk_curl_done is due either way.
 */
int pk_curl_begin(struct pk_curl_call *call, const struct pk_curl *curl,
		  const struct pk_http_request *request, void *arg);
void pk_curl_done(struct pk_curl_call *call);
/* Takes the answer of a request that libcurl has ended; it outlives the call. */
void pk_curl_take(struct pk_curl_call *call, CURLcode result, struct pk_curl_answer *answer);
void pk_curl_answer_done(struct pk_curl_answer *answer);
