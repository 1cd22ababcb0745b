/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The name of an endpoint when something happened to it, as the members of a JSON object. All
 * events of it share one copy, so a thousand kept events of an endpoint with many labels keep them
 * once.
 */
#include "local_endpoint.h"
#include "remotes.h"
#include "str.h"
#include "world.h"

#define PK_FLOW_WHO_MAX 1536 /* bytes: labels, then the ends of names, are left out for it */

struct pk_flow_who;
struct pk_flow_who_set; /* The names that are held. */

struct pk_flow_who_set *pk_flow_who_set_new(void);
void pk_flow_who_set_free(
	struct pk_flow_who_set *held); /* to be called after all of them are let go */

/* ep is as the engine has it; NULL where its labels aren't known. */
struct pk_flow_who *pk_flow_who_endpoint(struct pk_flow_who_set *held,
					 const struct pk_local_endpoint *local,
					 const struct pk_world_endpoint *ep);
/* Does the same for another node's endpoint. */
struct pk_flow_who *pk_flow_who_remote(struct pk_flow_who_set *held,
				       const struct pk_remote_endpoint *remote);
struct pk_flow_who *pk_flow_who_stranger(struct pk_flow_who_set *held, const char *name);
void pk_flow_who_drop(struct pk_flow_who *who);
const char *pk_flow_who_text(const struct pk_flow_who *who);
