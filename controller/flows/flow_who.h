/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps the names of an endpoint as they were at an event, as members of a JSON object. All events
 * of it share one copy: a thousand events of an endpoint with many labels keep them once.
 */
#include "local_endpoint.h"
#include "remotes.h"
#include "str.h"
#include "world.h"

/* most bytes of the names; of longer ones the labels are left out, then the ends of names */
#define PK_FLOW_WHO_MAX 1536

struct pk_flow_who;
struct pk_flow_who_set; /* all names that events share */

struct pk_flow_who_set *pk_flow_who_set_new(void);
void pk_flow_who_set_free(
	struct pk_flow_who_set *held); /* call it after all its names were let go */

/* ep: the engine's view of the endpoint; NULL where its labels aren't known. */
struct pk_flow_who *pk_flow_who_endpoint(struct pk_flow_who_set *held,
					 const struct pk_local_endpoint *local,
					 const struct pk_world_endpoint *ep);
/* Does the same for another node's endpoint. */
struct pk_flow_who *pk_flow_who_remote(struct pk_flow_who_set *held,
				       const struct pk_remote_endpoint *remote);
struct pk_flow_who *pk_flow_who_stranger(struct pk_flow_who_set *held, const char *name);
void pk_flow_who_drop(struct pk_flow_who *who);
const char *pk_flow_who_text(const struct pk_flow_who *who);
