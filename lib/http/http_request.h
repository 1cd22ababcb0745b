/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One HTTP request and its reply, of picketd's loop (controller/sources/http.h) or of the CLI. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef bool pk_http_sink_fn(void *arg, const char *bytes, size_t n);

struct pk_http_request {
	const char *method; /* NULL: GET */
	const char *server; /* the address of struct pk_service that it goes to; or NULL */
	const char *url;
	const char *token_header; /* "X-Nomad-Token", "X-Consul-Token" */
	const char *token;	  /* NULL or "": none */
	const char *ca_file;	  /* NULL or "": the system's */
	const char *cert_file;	  /* PEM, with key_file; NULL or "": none */
	const char *key_file;
	const char *server_name; /* the certificate is for it; NULL or "": for the URL's host */
	const char *socket_path; /* a unix socket in place of the URL's host; NULL or "": none */
	const char *body;	 /* the request's body, copied; or NULL */
	unsigned int timeout_ms; /* of the whole call, in ms */
	size_t cap;		 /* bytes of the answer's body */
	/*
	 * Gets the body of a 200 piece by piece in place of the reply. It returns false where it
	 * wants no more, and the reply is then an error. arg is the caller's.
	 */
	pk_http_sink_fn *sink;
};

struct pk_http_reply {
	int status; /* 0: no answer; error says why */
	const char *error;
	bool over;	  /* the body had more bytes than cap */
	bool cut;	  /* the answer began and never ended */
	bool late;	  /* it didn't come, or end, in the request's time */
	const char *body; /* NUL-terminated */
	size_t len;
	uint64_t index; /* X-Nomad-Index or X-Consul-Index; 0 = none */
	bool filtered; /* X-Consul-Results-Filtered-By-ACLs: there is more than the token may see */
	bool denies;   /* X-Consul-Default-ACL-Policy: what no rule allows isn't shown */
	bool streamed; /* X-Consul-Query-Backend: the agent's own view, which knows no leader */
	int known_leader; /* X-Consul-KnownLeader or X-Nomad-KnownLeader: 1, 0; -1 = not said */
};
