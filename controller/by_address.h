/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who has an address: the open endpoints of this node, found by their addresses. */
#include "local_endpoint.h"

struct pk_by_address;

struct pk_by_address *pk_by_address_new(void);
void pk_by_address_free(struct pk_by_address *index);
/* ep stays its owner's; its addresses must not change while it is here. */
void pk_by_address_add(struct pk_by_address *index, struct pk_local_endpoint *ep);
void pk_by_address_remove(struct pk_by_address *index, const struct pk_local_endpoint *ep);
/* Of several that have it (an endpoint that moved) the last that was added; NULL. */
struct pk_local_endpoint *pk_by_address_get(const struct pk_by_address *index,
					    const union pk_addr *addr);
