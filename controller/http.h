/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The HTTP client: libcurl's multi interface on the loop. Every request has a time limit and a cap
 * on its body; redirects and proxies are not followed. libcurl appears in http.c alone.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop.h"

struct pk_http;
struct pk_http_call;

typedef bool pk_http_sink_fn(void *arg, const char *bytes, size_t n);

struct pk_http_request {
	const char *method; /* NULL: GET */
	const char *url;
	const char *token_header; /* "X-Nomad-Token", "X-Consul-Token" */
	const char *token;	  /* NULL or "": none */
	const char *ca_file;	  /* NULL or "": the system's */
	const char *cert_file;	  /* PEM, with key_file; NULL or "": none */
	const char *key_file;
	const char *server_name; /* the certificate is for it; NULL or "": for the URL's host */
	const char *socket_path; /* a unix socket in place of the URL's host; NULL or "": none */
	const char *body;	 /* or NULL; copied */
	unsigned int timeout_ms; /* of the whole call */
	size_t cap;		 /* bytes of the answer's body */
	/*
	 * Gets the body of a 200 piece by piece in place of the reply. It returns false where it
	 * wants no more, and the reply is then an error. arg is fn's.
	 */
	pk_http_sink_fn *sink;
};

struct pk_http_reply {
	int status; /* 0: no answer; error says why */
	const char *error;
	bool over;	  /* the answer had more bytes than cap */
	const char *body; /* NUL-terminated */
	size_t len;
	uint64_t index; /* X-Nomad-Index or X-Consul-Index; 0 = none */
	bool filtered; /* X-Consul-Results-Filtered-By-ACLs: there is more than the token may see */
	int known_leader; /* of X-Consul-KnownLeader / X-Nomad-KnownLeader: 1, 0; -1 = not said */
};

/*
 * reply is valid during the call only. It is called once, never from within pk_http_start, never
 * after a cancel.
 */
typedef void pk_http_fn(void *arg, const struct pk_http_reply *reply);

struct pk_http *pk_http_new(struct pk_loop *loop);
void pk_http_free(struct pk_http *http); /* cancels what is under way */
/* Returns NULL where the request can't be made (bad URL); fn isn't called then. */
struct pk_http_call *pk_http_start(struct pk_http *http, const struct pk_http_request *request,
				   pk_http_fn *fn, void *arg);
void pk_http_cancel(struct pk_http_call *call);
/* Appends text with everything but unreserved characters (RFC 3986) and those of keep as %XX. */
struct pk_str;
void pk_url_add(struct pk_str *url, const char *text, const char *keep);
