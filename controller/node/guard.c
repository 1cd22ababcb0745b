/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fs.h"
#include "own.h"

#define UPGRADE_NS 20000000000ull /* the verifier reads the whole build */

struct pk_hook pk_guard_hook(const struct pk_local_endpoint *m, const int *prog, bool egress)
{
	enum pk_prog which = egress ? PK_PROG_TO_ENDPOINT : PK_PROG_FROM_ENDPOINT;

	return (struct pk_hook){ .ifindex = m->host_ifindex,
				 .egress = egress,
				 .tcx = m->tcx,
				 .prog = prog[which],
				 .name = pk_prog_name(which) };
}

bool pk_guard_is_gone(const struct pk_local_endpoint *m)
{
	static int fd = -1; /* kept, for all endpoints are asked about in a row */
	struct ifreq req = { .ifr_ifindex = (int)m->host_ifindex };

	if (fd < 0)
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return ioctl(fd, SIOCGIFNAME, &req) < 0 && errno == ENODEV;
}

static int switch_member(struct pk_nl *nl, const struct pk_local_endpoint *m, const int *to,
			 const int *from, struct pk_err *err)
{
	struct pk_hook in = pk_guard_hook(m, to, false), out = pk_guard_hook(m, to, true);
	int r = pk_hook_replace(nl, &in, from[PK_PROG_FROM_ENDPOINT], err);

	if (r == 0)
		r = pk_hook_replace(nl, &out, from[PK_PROG_TO_ENDPOINT], err);
	return r < 0 && pk_guard_is_gone(m) ? 0 : r;
}

/*
 * Switches an uplink, or the overlay. A program that stands before ours there doesn't make the new
 * build any worse.
 */
static int switch_uplink(struct pk_nl *nl, uint32_t ifindex, enum pk_prog which, const int *to,
			 const int *from, struct pk_err *err)
{
	const struct pk_hook hook = { .ifindex = ifindex,
				      .prog = to[which],
				      .name = pk_prog_name(which) };
	char name[IF_NAMESIZE];
	int r = pk_hook_replace(nl, &hook, from[which], err);

	return r == -EPERM || (r < 0 && !if_indextoname(ifindex, name)) ? 0 : r;
}

struct devices {
	const struct pk_model *model;
	const struct pk_bpf *bpf;
};

/*
 * Switches all devices. Forward, the first failure ends it; on the way back each device is tried.
 */
static int switch_devices(void *arg, const int *to, const int *from, struct pk_err *err)
{
	const struct devices *d = arg;
	own_nl *nl = NULL;
	int r = pk_nl_open(&nl, err);

	for (const struct pk_local_endpoint *m = pk_model_next(d->model, NULL);
	     m && (r == 0 || (nl && !err)); m = pk_model_next(d->model, m))
		if (m->open && m->epoch_matches)
			r = switch_member(nl, m, to, from, err);
	for (int i = 0; i < PK_UPLINKS && (r == 0 || (nl && !err)); i++)
		if (d->bpf->node.uplink[i].ifindex)
			r = switch_uplink(nl, d->bpf->node.uplink[i].ifindex, PK_PROG_FROM_UPLINK,
					  to, from, err);
	if (d->bpf->node.overlay.ifindex && (r == 0 || (nl && !err)))
		r = switch_uplink(nl, d->bpf->node.overlay.ifindex, PK_PROG_FROM_FABRIC, to, from,
				  err);
	return r;
}

int pk_guard_upgrade(struct pk_bpf *bpf, struct pk_model *model, struct pk_err *err)
{
	struct devices devices = { .model = model, .bpf = bpf };
	int r = pk_bpf_upgrade(bpf, switch_devices, &devices, pk_now_ns() + UPGRADE_NS, err);

	if (r == -EALREADY)
		return 0;
	return r == 0 ? 1 : r;
}
