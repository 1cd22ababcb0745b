/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The HTTP server on the unix socket, and the one on the network (docs/api.md): evhttp with limits,
 * peer credentials and answers that may come later or never end. evhttp appears in httpd*.c alone.
 */
#include <stdbool.h>
#include <stddef.h>

#include "addr.h"
#include "err.h"
#include "loop.h"
#include "str.h"

struct pk_httpd;
struct pk_exchange; /* a request and its answer */

/*
 * Each request must be answered by exactly one of reply, error or stream…end, at once or later. The
 * exchange is gone after that.
 */
typedef void pk_httpd_fn(void *arg, struct pk_exchange *x);

/* Binds path (0660, group if it exists). -EADDRINUSE where another process listens on it. */
struct pk_httpd *pk_httpd_new(struct pk_loop *loop, const char *path, const char *group,
			      struct pk_err *err);
/* Listens on an address of the node. Nobody who comes that way counts as root. */
struct pk_httpd *pk_httpd_new_network(struct pk_loop *loop, const union pk_addr *addr,
				      uint16_t port, struct pk_err *err);
/* Looks for idle clients; it does so by itself, too, while there are any. */
void pk_httpd_look(struct pk_httpd *httpd);
/* Ends what is open and removes the socket's name. */
void pk_httpd_free(struct pk_httpd *httpd);
void pk_httpd_serve(struct pk_httpd *httpd, pk_httpd_fn *fn, void *arg);

const char *pk_exchange_method(const struct pk_exchange *x); /* "GET", "POST", else "" */
const char *pk_exchange_path(const struct pk_exchange *x);   /* decoded, without the query */
const char *pk_exchange_query(const struct pk_exchange *x, const char *name); /* NULL: absent */
const char *pk_exchange_body(struct pk_exchange *x, size_t *len);
bool pk_exchange_admin(const struct pk_exchange *x); /* the peer is root */

void pk_exchange_reply(struct pk_exchange *x, int status, const struct pk_str *json);
/* Answers 200 with another type than JSON. A line end follows the text. */
void pk_exchange_reply_text(struct pk_exchange *x, const char *type, const struct pk_str *text);
struct pk_jw;
void pk_exchange_write_error(struct pk_jw *w, const char *error, const char *fix);
/* Answers {"error":, "fix":}. */
void pk_exchange_error(struct pk_exchange *x, int status, const char *error, const char *fix);

/*
 * Sets what is called, once, if the peer goes before the answer is whole; the exchange is gone
 * afterwards.
 */
void pk_exchange_on_close(struct pk_exchange *x, pk_loop_fn *fn, void *arg);
void pk_exchange_stream(struct pk_exchange *x); /* begins a 200 of JSON lines */
/* Returns false, and takes nothing, where the reader is too slow. */
bool pk_exchange_line(struct pk_exchange *x, const char *line, size_t len);
void pk_exchange_end(struct pk_exchange *x);
