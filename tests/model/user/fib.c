// SPDX-License-Identifier: Apache-2.0
/* The FIB of the tests' node, for the guard in user space. */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <string.h>

#include "tests/model/cast.h"
#include "tests/model/user/user.h"

#define ENDPOINT (-1) /* to the host veth of the address's last byte */

struct route {
	const char *to;
	uint32_t bits; /* of the 128 */
	int result;
};

/* The longest first. */
static const struct route routes[] = {
	{ "::ffff:192.0.2.1", 128, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "::ffff:192.0.2.255", 128, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "::ffff:255.255.255.255", 128, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "fd00:2::1", 128, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "::1", 128, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "::ffff:10.20.0.11", 128, ENDPOINT },
	{ "::ffff:10.20.0.12", 128, ENDPOINT },
	{ "::ffff:10.20.0.13", 128, ENDPOINT },
	{ "::ffff:10.20.0.14", 128, ENDPOINT },
	{ "fd00:20::b", 128, ENDPOINT },
	{ "fd00:20::c", 128, ENDPOINT },
	{ "fd00:20::d", 128, ENDPOINT },
	{ "fd00:20::e", 128, ENDPOINT },
	{ "::ffff:203.0.113.0", 120, BPF_FIB_LKUP_RET_UNREACHABLE },
	{ "::ffff:127.0.0.0", 104, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "2001:db8:dead::", 48, BPF_FIB_LKUP_RET_UNREACHABLE },
	{ "fe80::", 10, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "ff00::", 8, BPF_FIB_LKUP_RET_NOT_FWDED },
	{ "::", 0, BPF_FIB_LKUP_RET_SUCCESS },
};

int user_route(const uint8_t to[16], uint32_t *device)
{
	uint8_t prefix[16];
	union pk_addr a;

	memcpy(a.b, to, 16);
	*device = UPLINK;
	for (const struct route *r = routes;; r++) {
		inet_pton(AF_INET6, r->to, prefix);
		if (!addr_within(&a, prefix, r->bits))
			continue;
		if (r->result != ENDPOINT)
			return r->result;
		*device = cast_device(to[15] - 10u);
		return BPF_FIB_LKUP_RET_SUCCESS;
	}
}
