/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the gateway tells an endpoint of resolvers and search list, encoded once as the options of
 * DHCP (RFC 2132, 3397), DHCPv6 (RFC 3646) and router advertisements (RFC 8106). Pure.
 */
#include <stddef.h>

#include "addr.h"
#include "picket/maps.h"

struct pk_told {
	const union pk_addr *servers; /* both families; the first PK_TOLD_SERVERS of each count */
	size_t n_servers;
	const char *search; /* domain names between blanks; NULL: none */
};
/*
 * Fills out; what is no domain name, and what has no room any more, stays out as a whole name. Names
 * that at least one of the three leaves out.
 */
size_t pk_told_encode(const struct pk_told *told, struct pk_answers *out);
