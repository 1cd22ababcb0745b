/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chooses which of Consul's documents this node asks for: the operator's, and those of each tenant
 * that has an endpoint here or had one lately. Each is a query of its own (consul_watch.h), so a
 * tenant's keys are read only by the nodes that run him, and no tenant holds up another's or the
 * operator's.
 */
#include "consul_watch.h"
#include "model.h"

struct pk_consul_set;

/* args->of isn't used. args->changed is called for all of the sources. */
struct pk_consul_set *pk_consul_set_new(const struct pk_consul_args *args, struct pk_model *model);
void pk_consul_set_free(struct pk_consul_set *set);
/* Say why Consul doesn't answer now; that it answers again, with anew: by another token. */
void pk_consul_set_unserved(struct pk_consul_set *set, const char *why);
void pk_consul_set_served(struct pk_consul_set *set, bool anew);
/* Says that the model's tenants may have changed. */
void pk_consul_set_follow(struct pk_consul_set *set);

/*
 * Makes what Consul says of these sources count from now on, as the operator asked for. Returns
 * false where none of them is behind.
 */
bool pk_consul_set_release(struct pk_consul_set *set, const char *what);

/* Returns the worst state of all sources, and which source it is of. Valid until the next call. */
const struct pk_source *pk_consul_set_source(struct pk_consul_set *set);
/* Returns the state of the i-th source, the operator's first, and its name; NULL after the last. */
const struct pk_source *pk_consul_set_at(const struct pk_consul_set *set, size_t i,
					 const char **source);
/* Returns the i-th tenant that is asked for, NULL after the last; *over is pk_consul_over of it. */
const char *pk_consul_set_tenant(const struct pk_consul_set *set, size_t i, const char **over);
/* Returns the keys that no document could have, as text; "" where there are none. */
const char *pk_consul_set_strays(const struct pk_consul_set *set);
