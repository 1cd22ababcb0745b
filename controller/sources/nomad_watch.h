/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches Nomad: finds out which node this is, then follows its allocs by a blocking query. Errors
 * change nothing but the source's state; the pause before the next question grows, and is random.
 */
#include "conf.h"
#include "http.h"
#include "loop.h"
#include "nomad.h"
#include "source.h"

struct pk_nomad;
struct pk_confirm;

struct pk_nomad_fns {
	void (*node)(void *arg, const struct pk_nomad_node *node);
	/* called with each answer; it may take the list, and zero it */
	void (*allocs)(void *arg, struct pk_allocs *allocs);
	void *arg;
};

/* config must outlive it. */
struct pk_nomad *pk_nomad_new(struct pk_loop *loop, struct pk_http *http,
			      const struct pk_config *config, const struct pk_nomad_fns *fns);
void pk_nomad_free(struct pk_nomad *nomad);
const struct pk_source *pk_nomad_source(const struct pk_nomad *nomad);
/*
 * Says by a static text why Nomad doesn't answer now. The waiting question goes on: a thousand
 * nodes that ask again would only burden the servers. Where none waits it is noted with the next
 * one.
 */
void pk_nomad_unserved(struct pk_nomad *nomad, const char *why);
/* Says that Nomad answers again; anew: asks again at once, by the token of now. */
void pk_nomad_served(struct pk_nomad *nomad, bool anew);

/*
 * Asks for this node's whole record. Returns NULL where it can't be asked for, also while it isn't
 * known which node this is.
 */
struct pk_http_call *pk_nomad_ask_node(struct pk_nomad *nomad, unsigned int timeout_ms,
				       pk_http_fn *fn, void *arg);

/*
 * Asks for one alloc. fn gets NULL where Nomad doesn't answer, or, with unknown, where this node
 * has no such alloc. It is called at most once, never from within this call.
 */
typedef void pk_confirm_fn(void *arg, struct pk_alloc *alloc, bool unknown);
struct pk_confirm *pk_nomad_confirm(struct pk_nomad *nomad, const char *alloc_id,
				    unsigned int timeout_ms, pk_confirm_fn *fn, void *arg);
void pk_confirm_cancel(struct pk_confirm *confirm);
