/* SPDX-License-Identifier: Apache-2.0 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault.h"
#include "own.h"
#include "picket/limits.h"

#define TUN_PATH "/dev/net/tun"

static int open_tun(int *out, struct pk_err *err)
{
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0) {
		r = pk_code(err, pk_fail(err, errno, "open %s", TUN_PATH), PK_CODE_KERNEL);
		return pk_fix(err, r, "load the tun module: modprobe tun");
	}
	*out = fd;
	return 0;
}

static int fail_tap(struct pk_err *err, const struct pk_tap *tap, const char *what)
{
	return pk_code(err, pk_fail(err, errno, "tap %s: %s", tap->name, what), PK_CODE_NETNS);
}

uint32_t pk_tap_frames(uint32_t queues)
{
	return PK_TAP_FRAMES / (queues > 1 ? queues : 1);
}

/* Sets the MTU and the queues' length. */
static int set_device(const struct pk_tap *tap, struct pk_err *err)
{
	own_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = { .ifr_mtu = (int)tap->mtu };

	strncpy(req.ifr_name, tap->name, IFNAMSIZ - 1);
	if (fd < 0 || (tap->mtu && ioctl(fd, SIOCSIFMTU, &req) < 0))
		return fail_tap(err, tap, "set MTU");
	req.ifr_qlen = (int)pk_tap_frames(tap->queues);
	if (ioctl(fd, SIOCSIFTXQLEN, &req) < 0)
		return fail_tap(err, tap, "set the queues' length");
	return 0;
}

/* The tap's own descriptor sets its MAC, so no other is needed. */
static int set_mac(const struct pk_tap *tap, int fd)
{
	struct ifreq req = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };

	memcpy(req.ifr_hwaddr.sa_data, tap->mac, 6);
	return ioctl(fd, SIOCSIFHWADDR, &req);
}

/* The tap gets owner and group before anything can open it: a tap without owner is anyone's. */
static int settle(const struct pk_tap *tap, int fd, struct pk_err *err)
{
	int r;

	if (tap->owner == (uid_t)-1 && tap->group == (gid_t)-1)
		return pk_fail(err, EINVAL, "tap %s: neither owner nor group", tap->name);
	if (tap->owner != (uid_t)-1 && ioctl(fd, TUNSETOWNER, (unsigned long)tap->owner) < 0)
		return fail_tap(err, tap, "set owner");
	if (tap->group != (gid_t)-1 && ioctl(fd, TUNSETGROUP, (unsigned long)tap->group) < 0)
		return fail_tap(err, tap, "set group");
	r = set_device(tap, err);
	if (r < 0)
		return r;
	if (tap->mac && set_mac(tap, fd) < 0)
		return fail_tap(err, tap, "set MAC");
	pk_fault("tap-owned");
	if (ioctl(fd, TUNSETPERSIST, 1) < 0)
		return fail_tap(err, tap, "make persistent");
	return 0;
}

static struct ifreq queue_request(const struct pk_tap *tap)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (tap->queues > 1)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	strncpy(req.ifr_name, tap->name, IFNAMSIZ - 1);
	return req;
}

int pk_tap_create(const struct pk_tap *tap, int *out, struct pk_err *err)
{
	struct ifreq req = queue_request(tap);
	unsigned int ifindex = tap->ifindex;
	own_fd int fd = -1;
	int r = open_tun(&fd, err);

	if (r < 0)
		return r;
	req.ifr_flags |= IFF_TUN_EXCL;
	if (ifindex && ioctl(fd, TUNSETIFINDEX, &ifindex) < 0)
		return fail_tap(err, tap, "choose ifindex");
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return fail_tap(err, tap, "create");
	r = settle(tap, fd, err);
	if (r < 0)
		return r;
	*out = PK_MOVE(fd, -1);
	return 0;
}

/*
 * Whoever held it may have changed these without any capability. A kernel that lacks one of them
 * has nothing there to undo.
 */
static void undo_user(const struct pk_tap *tap, int fd)
{
	const struct {
		unsigned long request;
		int value;
	} ints[] = {
		{ TUNSETVNETHDRSZ, 10 },    { TUNSETSNDBUF, INT_MAX }, { TUNSETCARRIER, 1 },
		{ TUNSETSTEERINGEBPF, -1 }, { TUNSETFILTEREBPF, -1 },
	};

	ioctl(fd, TUNSETPERSIST, 1);
	ioctl(fd, TUNSETOWNER, (unsigned long)tap->owner);
	ioctl(fd, TUNSETOFFLOAD, 0ul);
	ioctl(fd, TUNDETACHFILTER, 0ul);
	for (size_t i = 0; i < PK_ARRAY_LEN(ints); i++)
		ioctl(fd, ints[i].request, &ints[i].value);
	if (tap->mac)
		set_mac(tap, fd);
}

/* If there is no such name the kernel makes another tap, which goes with its descriptor. */
static int attach_one(struct pk_nl *nl, const struct pk_tap *tap, int *out, struct pk_err *err)
{
	struct ifreq req = queue_request(tap);
	struct pk_nl_link link;
	own_fd int fd = -1;
	int r = open_tun(&fd, err);

	if (r < 0)
		return r;
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return fail_tap(err, tap, "attach");
	r = pk_nl_link(nl, tap->ifindex, NULL, &link, err);
	if (r < 0 || strcmp(link.name, tap->name) != 0)
		return r < 0 ? r : pk_fail(err, ENODEV, "tap %s is another", tap->name);
	*out = PK_MOVE(fd, -1);
	return 0;
}

int pk_tap_attach(struct pk_nl *nl, const struct pk_tap *tap, int *fd, struct pk_err *err)
{
	uint32_t n = 0;
	int r = 0;

	for (; n < tap->queues && r == 0; n += r == 0)
		r = attach_one(nl, tap, &fd[n], err);
	if (r == 0)
		undo_user(tap, fd[0]);
	while (r < 0 && n > 0)
		close(PK_MOVE(fd[--n], -1));
	return r;
}

int pk_tap_check(struct pk_nl *nl, const struct pk_tap *tap, struct pk_err *err)
{
	struct pk_nl_link link;
	const char *what = NULL;
	int r = pk_nl_link(nl, 0, tap->name, &link, err);

	if (r < 0)
		return r;
	if (strcmp(link.kind, "tun"))
		what = "is no tap";
	else if (tap->ifindex && link.ifindex != tap->ifindex)
		what = "has another ifindex";
	else if (link.tun.owner != tap->owner || link.tun.group != tap->group)
		what = "belongs to somebody else";
	else if (link.tun.multi_queue != (tap->queues > 1))
		what = "has the other queue mode";
	else if (!link.tun.persist)
		what = "goes with its user";
	else if (link.tx_queue_len != pk_tap_frames(tap->queues))
		what = "has queues of another length";
	else if (link.tun.queues > (tap->queues ? tap->queues : 1))
		what = "has more queues attached than its conflist allows: it gets nothing";
	return what ? pk_code(err, pk_fail(err, 0, "tap %s %s", tap->name, what), PK_CODE_NETNS)
		    : 0;
}
