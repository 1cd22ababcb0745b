/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"
#include "addr.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "own.h"
#include "picket/limits.h"
#include "str.h"

void pk_host_name(uint32_t slot, char name[PK_HOST_NAME_ROOM])
{
	snprintf(name, PK_HOST_NAME_ROOM, "pk%u", slot);
}

uint32_t pk_host_slot(const char *name)
{
	char same[PK_HOST_NAME_ROOM];
	uint64_t slot;

	if (strncmp(name, "pk", 2) != 0 || pk_parse_u64(name + 2, PK_CAPACITY_MAX, &slot) < 0)
		return 0;
	pk_host_name((uint32_t)slot, same);
	return strcmp(name, same) == 0 ? (uint32_t)slot : 0; /* "pk007" is nobody's */
}

bool pk_host_end_is_tap(const struct pk_nl_link *link)
{
	return strcmp(link->kind, "tun") == 0;
}

/*
 * Both kinds of host end get the gateway's MAC when they are made. Who is handed a tap can change
 * its MAC; but the tables know a tap's ifindex before it is handed out, and that is proof enough.
 */
static bool is_ours(const struct pk_nl_link *link, const struct pk_host_end *want)
{
	if (pk_host_end_is_tap(link) && want->ifindex)
		return true;
	return (pk_host_end_is_tap(link) || strcmp(link->kind, "veth") == 0) &&
	       memcmp(link->mac, pk_gateway_mac, sizeof(pk_gateway_mac)) == 0;
}

/* Returns the name in a line of /proc/net/dev ("  pk7: …"), NULL where it has none. */
static const char *name_of_line(char *line)
{
	char *name = line + strspn(line, " "), *end = strchr(name, ':');

	if (!end)
		return NULL;
	*end = '\0';
	return name;
}

/*
 * The ioctl is asked about names that are there alone: for any other the kernel runs modprobe and
 * waits for it, thousands of times on a machine with modules.
 */
int pk_host_ends_read(uint32_t capacity, uint32_t *at, struct pk_err *err)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	own_file FILE *names = fopen("/proc/thread-self/net/dev", "re");
	char line[512];

	if (fd < 0 || !names)
		return pk_fail(err, errno, "look for devices");
	memset(at, 0, (capacity + 1) * sizeof(*at));
	while (fgets(line, sizeof(line), names)) {
		const char *name = name_of_line(line);
		uint32_t slot = name ? pk_host_slot(name) : 0;
		struct ifreq req = { 0 };

		if (!slot || slot > capacity)
			continue;
		pk_host_name(slot, req.ifr_name);
		at[slot] = ioctl(fd, SIOCGIFINDEX, &req) == 0 ? (uint32_t)req.ifr_ifindex : 0;
	}
	return ferror(names) ? pk_fail(err, EIO, "look for devices") : 0;
}

bool pk_host_end_is(const struct pk_nl_link *link, const struct pk_host_end *want)
{
	return is_ours(link, want) && pk_host_slot(link->name) == want->slot &&
	       (!want->ifindex || link->ifindex == want->ifindex) &&
	       (!want->peer || link->peer == want->peer);
}

int pk_host_end_find(struct pk_nl *nl, const struct pk_host_end *want, struct pk_nl_link *link,
		     struct pk_err *err)
{
	char name[PK_HOST_NAME_ROOM];
	int r;

	pk_host_name(want->slot, name);
	r = pk_nl_link(nl, 0, name, link, err);
	if (r < 0)
		return r;
	if (!pk_host_end_is(link, want))
		return pk_fail(err, ENODEV, "%s is not this endpoint's", name);
	return 0;
}

int pk_other_links(struct pk_nl *nl, struct pk_nl_link **out, size_t *n, struct pk_err *err)
{
	own_file FILE *names = fopen("/proc/thread-self/net/dev", "re");
	struct pk_nl_link *list = NULL;
	char line[512];

	*out = NULL;
	*n = 0;
	if (!names)
		return pk_fail(err, errno, "look for devices");
	while (fgets(line, sizeof(line), names)) {
		const char *name = name_of_line(line);

		if (!name || pk_nl_is_host_end(name))
			continue;
		list = realloc(list, (*n + 1) * sizeof(*list));
		if (!list)
			abort();
		/* A device that went meanwhile is left out. */
		*n += pk_nl_link(nl, 0, name, &list[*n], NULL) == 0;
	}
	*out = list;
	return ferror(names) ? pk_fail(err, EIO, "look for devices") : 0;
}

int pk_host_end_delete(struct pk_nl *nl, const struct pk_host_end *want, struct pk_err *err)
{
	struct pk_nl_link link;
	int r = pk_host_end_find(nl, want, &link, err);

	if (r == 0) {
		pk_nl_delete(nl, link.ifindex);
		r = pk_nl_send(nl, err);
	}
	return r == -ENODEV ? 0 : r;
}
