/* SPDX-License-Identifier: GPL-2.0-only */
/* Per-device settings. /proc/sys/net shows the network namespace of whoever opens it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "nl.h"

int pk_sysctl_set(const char *family, const char *link, const char *key, const char *value,
		  struct pk_err *err)
{
	char path[128];
	own_fd int fd = -1;
	size_t n = strlen(value);

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, link, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, n) != (ssize_t)n)
		return pk_code(err, pk_fail(err, errno, "set %s", path), PK_CODE_KERNEL);
	return 0;
}

static bool reads_one(const char *path)
{
	own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = '0';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

bool pk_ipv6_is_off(void)
{
	return access("/proc/sys/net/ipv6", F_OK) < 0 ||
	       reads_one("/proc/sys/net/ipv6/conf/all/disable_ipv6") ||
	       reads_one("/proc/sys/net/ipv6/conf/default/disable_ipv6");
}

struct setting {
	const char *family, *key, *value;
};

/* A kernel without IPv6 (-ENOENT of its whole tree) has nothing there to set. */
static int apply(const char *link, const struct setting *list, size_t n, struct pk_err *err)
{
	bool v6 = access("/proc/sys/net/ipv6", F_OK) == 0;

	for (size_t i = 0; i < n; i++) {
		int r;

		if (!v6 && !strcmp(list[i].family, "ipv6"))
			continue;
		r = pk_sysctl_set(list[i].family, link, list[i].key, list[i].value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * forwarding: the FIB answers for packets from this device (no global ip_forward). accept_local:
 * an endpoint's packet to the node may come with an address that the node routes to itself.
 * arp_ignore 8, arp_announce 2: the node's stack says nothing there; the guard answers.
 */
int pk_sysctl_host_end(const char *link, struct pk_err *err)
{
	static const struct setting list[] = {
		{ "ipv4", "forwarding", "1" },	 { "ipv4", "accept_local", "1" },
		{ "ipv4", "rp_filter", "0" },	 { "ipv4", "arp_ignore", "8" },
		{ "ipv4", "arp_announce", "2" }, { "ipv6", "accept_ra", "0" },
		{ "ipv6", "accept_dad", "0" },	 { "ipv6", "forwarding", "1" },
	};

	return apply(link, list, PK_ARRAY_LEN(list), err);
}

int pk_sysctl_eth(const char *link, struct pk_err *err)
{
	static const struct setting list[] = {
		{ "ipv6", "accept_ra", "0" },
		{ "ipv6", "accept_dad", "0" },
		{ "ipv6", "router_solicitations", "0" },
	};

	return apply(link, list, PK_ARRAY_LEN(list), err);
}

int pk_sysctl_tap(const char *link, struct pk_err *err)
{
	static const struct setting list[] = {
		{ "ipv6", "disable_ipv6", "1" },
	};

	return apply(link, list, PK_ARRAY_LEN(list), err);
}
