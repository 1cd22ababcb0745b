/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Finds the open endpoint of this node that has an address. */
#include "local_endpoint.h"

struct pk_by_address;

struct pk_by_address *pk_by_address_new(void);
void pk_by_address_free(struct pk_by_address *index);
/* Adds ep, which stays its owner's; its addresses must not change while it is here. */
void pk_by_address_add(struct pk_by_address *index, struct pk_local_endpoint *ep);
void pk_by_address_remove(struct pk_by_address *index, const struct pk_local_endpoint *ep);
/*
 * Returns the endpoint that has addr, of several (one that moved) the last that was added; or NULL.
 */
struct pk_local_endpoint *pk_by_address_get(const struct pk_by_address *index,
					    const union pk_addr *addr);
