/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <stdlib.h>

#include "log.h"
#include "own.h"

#define AGAIN_MS 5000

struct pk_listener {
	struct pk_loop *loop;
	struct pk_httpd *httpd; /* NULL: not yet */
	struct pk_timer *timer;
	union pk_addr addr;
	uint16_t port;
	pk_httpd_fn *fn;
	void *arg;
	struct pk_err error;
};

static void try_now(void *arg)
{
	struct pk_listener *l = arg;
	struct pk_err err = { 0 };

	l->httpd = pk_httpd_new_network(l->loop, &l->addr, l->port, &err);
	if (l->httpd) {
		l->error = (struct pk_err){ 0 };
		pk_httpd_serve(l->httpd, l->fn, l->arg);
		return;
	}
	pk_fix(&err, 0, "give \"http\".\"listen\" an address of this node and a port that is free");
	if (!*l->error.text)
		log_warn("op=http err=\"%s\" fix=\"%s\" trying again", err.text, err.fix);
	l->error = err;
	pk_timer_set(l->timer, AGAIN_MS);
}

struct pk_listener *pk_listener_new(struct pk_loop *loop, const struct pk_config *config,
				    pk_httpd_fn *fn, void *arg)
{
	struct pk_listener *l;

	if (!*config->http_listen)
		return NULL;
	l = pk_alloc(sizeof(*l));
	*l = (struct pk_listener){ .loop = loop, .fn = fn, .arg = arg };
	l->timer = pk_timer_new(loop, try_now, l);
	if (pk_config_listen(config->http_listen, &l->addr, &l->port) == 0)
		try_now(l);
	return l;
}

void pk_listener_free(struct pk_listener *l)
{
	if (!l)
		return;
	pk_httpd_free(l->httpd);
	pk_timer_free(l->timer);
	free(l);
}

const struct pk_err *pk_listener_error(const struct pk_listener *l)
{
	return &l->error;
}
