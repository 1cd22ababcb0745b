/* SPDX-License-Identifier: Apache-2.0 */
/* Settles a new endpoint's addresses, MAC, MTU and tap: all of the record but its identity. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "add.h"
#include "addr.h"
#include "fault.h"
#include "ipam.h"
#include "own.h"
#include "picket/limits.h"
#include "resolv.h"
#include "state.h"
#include "str.h"

#define RACES	    256 /* addresses that other ADDs may take between our look and our take */
#define MTU_DEFAULT 1500

static int no_address(struct cni_add *add, bool v6, struct pk_err *err)
{
	char text[PK_ADDR_TEXT] = "";

	for (size_t i = add->n_pools; i-- > 0;)
		if (add->pool[i].v6 == v6)
			pk_prefix_format(&add->pool[i], text);
	pk_fail(err, 0, "no free IPv%d address in the pool (%s)", v6 ? 6 : 4, text);
	pk_fix(err, 0, "%s; `picket ip list` shows who has them",
	       add->settings.claimed ? "picketd claims another block: `picket status` says why it "
				       "can't"
				     : "add a block to the conflist's \"pool\"");
	return pk_code(err, -EADDRNOTAVAIL, PK_CODE_NO_ADDRESS);
}

/* -EEXIST: another endpoint holds it. A lease that this endpoint holds already counts as taken. */
static int take(struct cni_add *add, const struct pk_lease_dir *dir, const union pk_addr *addr,
		struct pk_err *err)
{
	const union pk_addr *held = &add->rec.ipv4;
	int r = -ENOENT;

	if (!pk_addr_is4(addr) && !pk_addr_is_zero(held)) /* both families share one file */
		r = pk_lease_take_beside(dir, addr, held, NULL);
	if (r < 0 && r != -EEXIST)
		r = pk_lease_take(dir, addr, add->owner, err);
	if (r != -EEXIST)
		return r;
	r = pk_lease_is(dir, addr, add->owner, err);
	if (r < 0)
		return r;
	return r ? 0 : -EEXIST;
}

/* Returns -ENOSPC where this block has no marks, or no mark of a free address. */
static int take_marked(struct cni_add *add, const struct cni_ipam *ipam,
		       const struct pk_prefix *block, union pk_addr *out, struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(&add->call->paths);
	own_lease_marks marks = { 0 };
	int r = -EEXIST;

	if (pk_lease_marks_open(&dir, block, &marks, NULL) < 0)
		return -ENOSPC;
	for (int race = 0; race < RACES && r == -EEXIST; race++) {
		if (!cni_ipam_pick_marked(ipam, &marks, add->name.slot - 1u, dir.now_s, out))
			return -ENOSPC;
		*err = (struct pk_err){ 0 };
		r = take(add, &dir, out, err);
		if (r == 0 || r == -EEXIST)
			*pk_lease_mark(&marks, out) = PK_MARK_HELD;
	}
	return r == -EEXIST ? -ENOSPC : r;
}

static bool is_held(void *arg, const union pk_addr *addr)
{
	const struct cni_ipam *ipam = arg;

	return cni_ipam_is_held(ipam, addr);
}

/*
 * Reads every lease, and so finds what the marks can't: an address beyond them, one whose mark is
 * wrong, or else the one that rests longest.
 */
static int take_listed(struct cni_add *add, struct cni_ipam *ipam, bool v6, union pk_addr *out,
		       struct pk_err *err)
{
	int r = -EEXIST;

	for (int race = 0; race < RACES && r == -EEXIST; race++) {
		const struct pk_lease_dir dir = pk_leases_now(&add->call->paths);
		own_mem struct pk_lease *leases = NULL;

		*err = (struct pk_err){ 0 };
		r = pk_leases_read(&dir, &leases, &ipam->n_leases, err);
		ipam->leases = leases;
		if (r == 0)
			pk_lease_marks_settle(&dir, is_held, ipam);
		if (r == 0 && !cni_ipam_pick(ipam, v6, add->name.slot - 1u, out))
			r = no_address(add, v6, err);
		if (r == 0)
			r = take(add, &dir, out, err);
		if (r == 0)
			pk_lease_marks_set(&dir, out, PK_MARK_HELD);
		ipam->leases = NULL;
	}
	return r == -EEXIST ? no_address(add, v6, err) : r;
}

static int take_free(struct cni_add *add, struct cni_ipam *ipam, bool v6, union pk_addr *out,
		     struct pk_err *err)
{
	int r = -ENOSPC;

	for (size_t i = 0; i < ipam->n_pools && r == -ENOSPC; i++)
		if (ipam->pool[i].v6 == v6)
			r = take_marked(add, ipam, &ipam->pool[i], out, err);
	if (r == -ENOSPC)
		r = take_listed(add, ipam, v6, out, err);
	if (r == -EADDRNOTAVAIL && cni_add_make_room(add, NULL) == 0)
		r = take_listed(add, ipam, v6, out, err);
	return r;
}

/* Takes the address that the job asked for, where the operator allows jobs to ask. */
static int take_asked(struct cni_add *add, const struct cni_ipam *ipam, union pk_addr *out,
		      struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(&add->call->paths);
	char text[PK_ADDR_TEXT];
	int r;

	pk_addr_format(&add->args.ip, text);
	if (!cni_block_of(ipam, &add->args.ip) || pk_addr_is_local(&add->args.ip)) {
		pk_fail(err, 0, "picket.ip=%s is not an endpoint's address of this node's pool",
			text);
		pk_fix(err, 0, "let the job ask for one of the pool, or for none");
		return pk_code(err, -EINVAL, PK_CODE_ARGS);
	}
	r = take(add, &dir, &add->args.ip, err);
	if (r == -EEXIST) {
		*err = (struct pk_err){ 0 };
		pk_fail(err, 0, "picket.ip=%s is another endpoint's", text);
		pk_fix(err, 0, "`picket ip list` shows whose it is");
		return pk_code(err, r, PK_CODE_NO_ADDRESS);
	}
	if (r == 0)
		*out = add->args.ip;
	return r;
}

/*
 * Takes one family's address: the one asked for, else that of the endpoint replaced, else a free
 * one.
 */
static int take_family(struct cni_add *add, struct cni_ipam *ipam, bool v6, union pk_addr *out,
		       struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(&add->call->paths);
	const union pk_addr *keep = v6 ? &add->keep6 : &add->keep4;

	if (!cni_ipam_has_family(ipam, v6))
		return 0;
	if (add->args.has_ip && pk_addr_is4(&add->args.ip) != v6)
		return take_asked(add, ipam, out, err);
	if (!pk_addr_is_zero(keep) && cni_block_of(ipam, keep) &&
	    take(add, &dir, keep, NULL) == 0) {
		*out = *keep;
		return 0;
	}
	return take_free(add, ipam, v6, out, err);
}

int cni_add_addresses(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	struct cni_ipam ipam = { .pool = add->pool,
				 .n_pools = add->n_pools,
				 .gateway = conf->gateway,
				 .is_local = pk_addr_is_local };
	struct pk_record *rec = &add->rec;
	const struct pk_prefix *block;
	int r = take_family(add, &ipam, false, &rec->ipv4, err);

	pk_fault("add-leased4");
	if (r == 0)
		r = take_family(add, &ipam, true, &rec->ipv6, err);
	if (r < 0)
		return r;
	pk_fault("add-leased");
	block = cni_block_of(&ipam, &rec->ipv4);
	if (block) {
		rec->ipv4_prefix = block->len;
		rec->gateway4 = cni_block_gateway(block, &ipam.gateway);
	}
	return 0;
}

void cni_add_addresses_undo(struct cni_add *add)
{
	const struct pk_lease_dir dir = pk_leases_now(&add->call->paths);

	if (!pk_addr_is_zero(&add->rec.ipv4))
		pk_lease_free(&dir, &add->rec.ipv4, add->owner, NULL);
	if (!pk_addr_is_zero(&add->rec.ipv6))
		pk_lease_free(&dir, &add->rec.ipv6, add->owner, NULL);
}

/*
 * A MAC is 02:70 and 32 bits of a hash, so that endpoints of one network are unlikely to share one
 * even on different nodes.
 */
static void make_mac(struct cni_add *add)
{
	uint8_t *mac = add->rec.mac;
	char text[PK_CNI_ID_MAX + 16];
	uint64_t hash[2];
	int n = snprintf(text, sizeof(text), "%s@%u", add->call->env.container_id, add->name.slot);

	if (add->args.has_mac) {
		memcpy(mac, add->args.mac, 6);
		return;
	}
	pk_hash128(text, (size_t)n, hash);
	mac[0] = PK_MAC_PREFIX0;
	mac[1] = PK_MAC_PREFIX1;
	for (int i = 0; i < 4; i++)
		mac[2 + i] = (uint8_t)(hash[0] >> (8 * i));
}

/* No endpoint gets the gateway's MAC, which has the same first bytes. */
static void settle_macs(struct cni_add *add)
{

	make_mac(add);
	if (!memcmp(add->rec.mac, pk_gateway_mac, 6))
		add->rec.mac[5] ^= 2;
	memcpy(add->rec.host_mac, pk_gateway_mac, 6);
}

/* Returns the link's MTU, or the bound that it is beyond (at least PK_MTU_MIN). */
static uint32_t bounded_mtu(uint32_t mtu)
{
	if (mtu < PK_MTU_MIN)
		return PK_MTU_MIN;
	return mtu > PK_MTU_MAX ? PK_MTU_MAX : mtu;
}

/*
 * The endpoint gets the uplink's MTU less what the overlay takes; on a node without an uplink it
 * gets Ethernet's.
 */
static int settle_mtu(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	const char *name = conf->uplinks.n ? conf->uplinks.name[0] : NULL;
	uint32_t uplink = add->bpf->node.uplink[0].ifindex;
	struct pk_nl_link link;

	add->rec.mtu = conf->mtu ? conf->mtu : MTU_DEFAULT;
	if (conf->mtu || (!name && !uplink))
		return 0;
	if (pk_nl_link(add->plumb.at_home, name ? 0 : uplink, name, &link, err) < 0) {
		if (!name)
			return 0; /* the uplink is gone since the load; picketd follows it */
		pk_fix(err, 0, "name devices of the node in \"uplinks\", or drop the key");
		return pk_code(err, -ENODEV, PK_CODE_CONFIG);
	}
	add->rec.mtu = bounded_mtu(link.mtu - pk_vxlan_overhead(&add->settings.vxlan));
	return 0;
}

/*
 * A tap without owner and group could be opened by anyone, so root is the owner then. Owner 0
 * beside a group would demand both of an opener.
 */
static uint32_t tap_owner(int64_t owner, int64_t group)
{
	if (owner >= 0)
		return (uint32_t)owner;
	return group >= 0 ? UINT32_MAX : 0;
}

/*
 * Programs of another build may know nothing of host taps and deliver to one as to a veth pair;
 * then no packet would arrive.
 */
static int settle_host_tap(struct cni_add *add, struct pk_err *err)
{
	char name[PK_HOST_NAME_ROOM];
	int r;

	if (add->args.tap_name) {
		r = pk_fail(err, EINVAL,
			    "TC_REDIRECT_TAP_NAME: a host tap has its host end's name");
		return pk_fix(err, pk_code(err, r, PK_CODE_ARGS), "drop it");
	}
	if (strcmp(add->bpf->build, pk_bpf_own_build()) != 0) {
		r = pk_fail(err, 0, "the programs in use are another release's than the plugin");
		return pk_fix(err, pk_code(err, r, PK_CODE_LAYOUT),
			      "restart picketd after the upgrade: it switches them");
	}
	pk_host_name(add->rec.slot, name);
	add->rec.tap = pk_strdup(name);
	return 0;
}

static int settle_tap(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	const struct cni_args *args = &add->args;
	int64_t owner = args->tap_uid >= 0 ? args->tap_uid : conf->owner;
	int64_t group = args->tap_gid >= 0 ? args->tap_gid : conf->group;
	struct pk_record *rec = &add->rec;

	rec->process = conf->process;
	rec->host_tap = conf->host_tap;
	rec->queues = conf->queues;
	rec->tap_owner = tap_owner(owner, group);
	rec->tap_group = group >= 0 ? (uint32_t)group : UINT32_MAX;
	if (conf->process)
		return 0;
	if (conf->host_tap)
		return settle_host_tap(add, err);
	rec->tap = pk_strdup(cni_tap_name(args));
	if (!strcmp(rec->tap, add->call->env.ifname)) {
		pk_fail(err, 0, "the tap and the interface are both to be called \"%s\"", rec->tap);
		pk_fix(err, 0, "use another CNI_IFNAME, such as eth0");
		return pk_code(err, -EINVAL, PK_CODE_ARGS);
	}
	return 0;
}

/* Refuses to publish the overlay's port: what nodes send there would be that endpoint's. */
static int refuse_overlays(const struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	const struct pk_vxlan *v = &add->settings.vxlan;
	int r;

	for (size_t i = 0; v->on && i < conf->n_ports; i++) {
		if (conf->ports[i].proto != IPPROTO_UDP || conf->ports[i].host != v->port)
			continue;
		r = pk_fail(err, 0, "host port %u/udp is the overlay's: nodes alone send there",
			    v->port);
		pk_fix(err, r,
		       "give the job another port, and say reserved_ports = \"%u\" in the "
		       "client's \"reserved\" block",
		       v->port);
		return pk_code(err, r, PK_CODE_CONFIG);
	}
	return 0;
}

static void copy_ports(struct pk_record *rec, const struct cni_conf *conf)
{
	rec->ports = pk_alloc((conf->n_ports + 1) * sizeof(*rec->ports));
	for (size_t i = 0; i < conf->n_ports; i++)
		rec->ports[i] = (struct pk_record_port){ .proto = conf->ports[i].proto,
							 .host = conf->ports[i].host,
							 .container = conf->ports[i].container,
							 .host_addr = conf->ports[i].host_addr };
	rec->n_ports = conf->n_ports;
}

static void copy_dns(struct pk_record *rec, const struct cni_dns *dns)
{
	size_t n4 = 0, n6 = 0;
	own_str search = { 0 };

	for (size_t i = 0; i < dns->n_servers; i++) {
		const union pk_addr *a = &dns->server[i];

		if (pk_addr_is4(a) && n4 < PK_TOLD_SERVERS)
			rec->dns4[n4++] = *a;
		else if (!pk_addr_is4(a) && n6 < PK_TOLD_SERVERS)
			rec->dns6[n6++] = *a;
	}
	for (size_t i = 0; i < dns->n_search; i++)
		pk_str_addf(&search, "%s%s", i ? " " : "", dns->search[i]);
	if (search.len)
		rec->search = pk_str_take(&search);
	rec->dns_of_node = !dns->given;
	rec->search_of_node = !dns->given && !dns->search_given;
}

static void copy_limits(struct pk_record *rec, const struct cni_conf *conf)
{
	rec->limits = conf->limits;
	rec->bandwidth = conf->bandwidth;
	memcpy(rec->burst, conf->burst, sizeof(rec->burst));
}

static char *now_text(void)
{
	time_t now = time(NULL);
	char text[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return pk_strdup(text);
}

static void copy_names(struct cni_add *add)
{
	const struct cni_call *call = add->call;
	struct pk_record *rec = &add->rec;

	rec->container_id = pk_strdup(call->env.container_id);
	rec->ifname = pk_strdup(call->env.ifname);
	rec->netns = pk_strdup(call->env.netns);
	rec->network = pk_strdup(call->conf.name);
	rec->version = pk_strdup(cni_version_name(call->conf.version));
	rec->labels = pk_strdup(add->set->text);
	rec->tenant_name = pk_strdup(add->args.tenant_name);
	rec->job = pk_strdup(add->args.job);
	rec->group = pk_strdup(add->args.group);
	rec->declared = add->declared ? pk_strdup(add->declared->text) : NULL;
	rec->created = now_text();
}

int cni_add_record(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	struct pk_record *rec = &add->rec;
	int r;

	copy_names(add);
	rec->slot = add->name.slot;
	rec->netns_inode = add->ns.inode;
	memcpy(rec->epoch, add->bpf->node.epoch, sizeof(rec->epoch));
	rec->believed = add->args.tenant_name && (add->declared || !add->settings.has_nomad);
	rec->quarantined = !add->set->tenant_name;
	rec->unproven = add->unproven;
	rec->tenant = add->labels.tenant;
	rec->identity = add->labels.identity;
	rec->tcx = conf->tcx;
	rec->masquerade = add->settings.masquerade.ipv4;
	rec->masquerade6 = add->settings.masquerade.ipv6;
	copy_limits(rec, conf);
	rec->job_limits = add->job_limits;
	copy_dns(rec, &conf->dns);
	copy_ports(rec, conf);
	settle_macs(add);
	r = refuse_overlays(add, err);
	if (r == 0)
		r = settle_tap(add, err);
	return r == 0 ? settle_mtu(add, err) : r;
}
