/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the overlay between nodes: its device, and whether endpoints' packets fit through it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bpfobj.h"
#include "check.h"
#include "own.h"
#include "settings.h"
#include "vxlan.h"

/* Finds another VXLAN device that has the port. */
static bool find_holder(struct pk_nl *nl, const struct pk_vxlan *v, struct pk_nl_link *holder)
{
	own_mem struct pk_nl_link *links = NULL;
	size_t n = 0;

	if (pk_nl_links(nl, &links, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		*holder = links[i];
		if (!strcmp(holder->kind, "vxlan") && strcmp(holder->name, PK_VXLAN_DEVICE) != 0 &&
		    holder->vxlan.port == v->port)
			return true;
	}
	return false;
}

/* Returns whether a socket has the port, by trying to bind it for a moment. */
static bool is_taken(const struct pk_vxlan *v)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)v->port) };
	const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
					  .sin6_port = htons((uint16_t)v->port) };
	const bool v6 = pk_vxlan_is6(v);
	own_fd int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 &&
	       bind(fd, v6 ? (const void *)&in6 : (const void *)&in,
		    v6 ? sizeof(in6) : sizeof(in)) < 0 &&
	       errno == EADDRINUSE;
}

/* Looks, where the device isn't up, whether somebody else has its port. */
static bool check_port(struct check *c, struct pk_nl *nl, const struct pk_vxlan *v)
{
	struct pk_nl_link holder;

	if (find_holder(nl, v, &holder))
		check_line(c, CHECK_FAIL, "overlay",
			   "delete that device, give it another port, or say another \"port\" in "
			   "\"vxlan\", the same on every node",
			   "UDP port %lld is the VXLAN device %s's", (long long)v->port,
			   holder.name);
	else if (is_taken(v))
		check_line(c, CHECK_FAIL, "overlay",
			   "end who has it (ss -ulnp), or say another \"port\" in \"vxlan\", the "
			   "same on every node",
			   "UDP port %lld is another socket's", (long long)v->port);
	else
		return false;
	return true;
}

static void check_device(struct check *c, struct pk_nl *nl, const struct pk_vxlan *v)
{
	struct pk_nl_link link = { 0 };
	struct pk_err err = { 0 };
	int r = pk_vxlan_find(nl, &link, &err);

	if (r == -EEXIST) {
		check_line(c, CHECK_FAIL, "overlay", err.fix, "%s", err.text);
	} else if (!link.up && check_port(c, nl, v)) {
		return;
	} else if (r < 0) {
		check_line(c, CHECK_WARN, "overlay",
			   "start picketd: it makes the device; picket status says what it lacks",
			   "%s is missing: no endpoint of another node is reached",
			   PK_VXLAN_DEVICE);
	} else {
		check_line(c, link.up ? CHECK_OK : CHECK_WARN, "overlay",
			   "start picketd: it sets the device up",
			   "%s: UDP port %u over %s, identifier %u, MTU %u%s", link.name,
			   link.vxlan.port, pk_vxlan_is6(v) ? "IPv6" : "IPv4", v->vni, link.mtu,
			   link.up ? "" : ", down");
	}
}

/*
 * Compares MTUs: a guest that is told a larger one learns of the smaller by an error for each
 * destination.
 */
static void check_mtu(struct check *c, struct pk_nl *nl, const struct pk_vxlan *v)
{
	struct pk_nl_link link;

	if (pk_vxlan_find(nl, &link, NULL) < 0)
		return;
	for (size_t i = 0; i < c->n_networks; i++) {
		const struct check_network *n = &c->networks[i];

		if (n->taken && n->conf.mtu > link.mtu)
			check_line(c, CHECK_WARN, "overlay",
				   "leave \"mtu\" out: it is then the uplink's less what the "
				   "overlay takes",
				   "%s: \"mtu\": %u, and the overlay leaves %u (the uplink's less "
				   "%u)",
				   n->path, n->conf.mtu, link.mtu, pk_vxlan_overhead(v));
	}
}

void check_overlay(struct check *c)
{
	const struct pk_vxlan *v = &c->settings.vxlan;
	struct pk_err err = { 0 };
	own_nl *nl = NULL;

	if (!v->on)
		return;
	if (pk_nl_open(&nl, &err) < 0) {
		check_line(c, CHECK_WARN, "overlay", "run picket check as root", "%s", err.text);
		return;
	}
	check_device(c, nl, v);
	check_mtu(c, nl, v);
}
