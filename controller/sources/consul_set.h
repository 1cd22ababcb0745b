/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Chooses which of Consul's documents this node asks for: the operator's, and those of each tenant
 * that has an endpoint here or had one lately, each by a query of its own (consul_watch.h). So one
 * tenant's keys cost the nodes that it runs on, and no tenant can hold up another's, or the
 * operator's.
 */
#include "consul_watch.h"
#include "model.h"

struct pk_consul_set;

/* `of` is not read. changed is called for all of them. */
struct pk_consul_set *pk_consul_set_new(const struct pk_consul_args *args, struct pk_model *model);
void pk_consul_set_free(struct pk_consul_set *set);
/* Says why nobody answers what is asked, and that it will be answered again, or is asked anew. */
void pk_consul_set_unserved(struct pk_consul_set *set, const char *why);
void pk_consul_set_served(struct pk_consul_set *set, bool anew);
/* Says that the model's tenants may be others by now. */
void pk_consul_set_follow(struct pk_consul_set *set);

/*
 * Passes on the operator's word that what Consul says of these sources counts from now on. Returns
 * false where none of them is behind.
 */
bool pk_consul_set_release(struct pk_consul_set *set, const char *what);

/*
 * Returns the state of all of them as one: the worst, and what it is about. Valid until the next
 * call.
 */
const struct pk_source *pk_consul_set_source(struct pk_consul_set *set);
/* Returns the state of the i-th source, the operator's first, and its name; NULL after the last. */
const struct pk_source *pk_consul_set_at(const struct pk_consul_set *set, size_t i,
					 const char **source);
/* Returns the i-th tenant that is asked for, NULL after the last; *over is pk_consul_over of it. */
const char *pk_consul_set_tenant(const struct pk_consul_set *set, size_t i, const char **over);
/* Returns keys that no document could have; "" where there are none. */
const char *pk_consul_set_strays(const struct pk_consul_set *set);
