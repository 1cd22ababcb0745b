/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that the ports of masquerading are free for it on this node. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs.h"
#include "own.h"
#include "settings.h"
#include "str.h"

#define NOMAD_LOW  20000 /* min_dynamic_port and max_dynamic_port of a client by default */
#define NOMAD_HIGH 32000
#define SYSCTL	   "/proc/sys/net/ipv4/"

struct range {
	unsigned int low, high;
};

static bool overlap(struct range a, struct range b)
{
	return a.low <= b.high && b.low <= a.high;
}

/* Returns whether the whole of r is in one range of the kernel's list: "8080,9148-9150". */
static bool is_reserved(char *list, struct range r)
{
	char *part;

	while ((part = strsep(&list, ",\n"))) {
		struct range has = { 0 };
		int n = sscanf(part, "%u-%u", &has.low, &has.high);

		if (n == 1)
			has.high = has.low;
		if (n >= 1 && has.low <= r.low && r.high <= has.high)
			return true;
	}
	return false;
}

static int check_local(struct range ports, struct pk_err *err)
{
	own_mem char *text = NULL, *reserved = NULL;
	struct range local, both;
	int r;

	if (pk_fs_read(SYSCTL "ip_local_port_range", 64, &text, NULL, NULL) < 0 ||
	    sscanf(text, "%u %u", &local.low, &local.high) != 2 || !overlap(ports, local))
		return 0;
	both.low = local.low > ports.low ? local.low : ports.low;
	both.high = local.high < ports.high ? local.high : ports.high;
	if (pk_fs_read(SYSCTL "ip_local_reserved_ports", 65536, &reserved, NULL, NULL) == 0 &&
	    is_reserved(reserved, both))
		return 0;
	r = pk_fail(err, 0,
		    "masquerade.ports %u-%u overlaps net.ipv4.ip_local_port_range (%u-%u), the "
		    "ports that the node's own sockets get",
		    ports.low, ports.high, local.low, local.high);
	pk_fix(err, r,
	       "give it other ports in \"masquerade\", or keep these out of that range: sysctl -w "
	       "net.ipv4.ip_local_reserved_ports=%u-%u",
	       ports.low, ports.high);
	return pk_code(err, r, PK_CODE_CONFIG);
}

int pk_masquerade_check(const struct pk_masquerade *m, struct pk_err *err)
{
	const struct range ports = { m->low, m->high }, nomad = { NOMAD_LOW, NOMAD_HIGH };
	int r;

	if (!m->ipv4 && !m->ipv6)
		return 0;
	if (!overlap(ports, nomad))
		return check_local(ports, err);
	r = pk_fail(err, 0,
		    "masquerade.ports %u-%u overlaps %u-%u, the ports that Nomad gives to jobs",
		    ports.low, ports.high, nomad.low, nomad.high);
	pk_fix(err, r, "say \"masquerade\": { \"ports\": \"10000-19999\" }, or other ones");
	return pk_code(err, r, PK_CODE_CONFIG);
}
