/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The result that ADD prints, and the file that it leaves for a VMM. Pure. The result has one
 * shape (docs/cni.md, "Result"): the host end, eth0, and in vm mode tap0 twice: the device, with
 * sandbox = the netns, and the guest's side of it, with sandbox = the container id, as
 * Firecracker's SDK asks for. The IPv4 address points at eth0 and at the guest's side, the IPv6
 * address at eth0 alone, since the SDK takes exactly one address. A host tap's result has the tap,
 * and eth0 as the guest's own with sandbox = the container id and both addresses; the netns has
 * no device then.
 */
#include "cni_conf.h"
#include "picket/limits.h"
#include "str.h"

/* An endpoint as the result and the driver file tell it. */
struct cni_attachment {
	const char *container_id, *ifname, *netns;
	const char *host_name; /* pk<slot> */
	const char *tap_name;  /* NULL: process mode */
	bool host_tap;	       /* tap_name is host_name */
	uint8_t mac[6];	       /* the guest's MAC; eth0 has the same */
	uint8_t host_mac[6];
	union pk_addr ipv4, ipv6; /* all zero = none */
	union pk_addr gateway4;
	uint8_t prefix4; /* length of the pool block's prefix */
	uint32_t mtu, queues;
	const struct cni_dns *dns;
};

/*
 * prev is the prevResult, of the same version, or NULL; one that can't be passed through is -EINVAL
 * with code 7.
 */
int cni_result(const struct cni_attachment *a, enum cni_version version, const struct pk_json *prev,
	       struct pk_str *out, struct pk_err *err);
/* Writes the text of /run/picket/vm/<container id>.json. */
void cni_driver_file(const struct cni_attachment *a, struct pk_str *out);
/*
 * Writes ip=<client>::<gateway>:<netmask>::eth0:off:<dns0>:<dns1>: for the kernel's command line;
 * "" without IPv4. eth0 is what a guest's kernel calls its first device: of two or more it
 * configures none that isn't named.
 */
void cni_kernel_ip(const struct cni_attachment *a, char *text, size_t room);
