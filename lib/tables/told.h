/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The gateway tells an endpoint of resolvers, search list and host name. This encodes them once as
 * the options of DHCP (RFC 2132, 3397), DHCPv6 (RFC 3646) and router advertisements (RFC 8106). It
 * is pure.
 */
#include <stddef.h>

#include "addr.h"
#include "picket/maps.h"

struct pk_told {
	const union pk_addr *servers; /* both families; the first PK_TOLD_SERVERS of each count */
	size_t n_servers;
	const char *search; /* domain names between blanks; NULL: none */
	const char *host;   /* DHCP's alone; NULL or "": none */
};
/*
 * Fills out; what is no domain name, and what has no room any more, stays out as a whole name.
 * Returns how many names at least one of the three leaves out.
 */
size_t pk_told_encode(const struct pk_told *told, struct pk_answers *out);

/*
 * Makes an endpoint's host name (RFC 1123): `asked` where it is one, else the job's name made one
 * and the first eight characters of the container id, which is the alloc's: `api-3f1c7a52`. ""
 * without a job.
 */
void pk_told_host(const char *asked, const char *job, const char *id, char text[PK_TOLD_HOST + 1]);
