/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "epclear.h"
#include "epfind.h"
#include "eplease.h"
#include "fault.h"
#include "fs.h"
#include "log.h"
#include "own.h"
#include "state.h"
#include "told.h"

int cni_labels_take(struct pk_bpf *bpf, const struct pk_label_set *set, uint64_t deadline_ns,
		    struct pk_labels *labels, struct pk_err *err)
{
	struct pk_labels_want want = { .no_tenant = !set->tenant_name };

	memcpy(want.hash, set->hash, sizeof(want.hash));
	if (set->tenant_name)
		pk_tenant_hash(set->tenant_name, want.tenant);
	return pk_labels_take(bpf, &want, deadline_ns, labels, err);
}

/* Fills in resolvers, search list and host name, for DHCP and router advertisements. */
static int write_told(struct pk_bpf *bpf, const struct pk_record *rec, struct pk_err *err)
{
	union pk_addr servers[2 * PK_TOLD_SERVERS];
	char host[PK_TOLD_HOST + 1];
	const struct pk_told told = { .servers = servers,
				      .n_servers = pk_record_servers(rec, servers),
				      .search = rec->search,
				      .host = host };
	struct pk_answers answers;
	size_t out;

	pk_told_host(NULL, rec->job, rec->container_id, host);
	out = pk_told_encode(&told, &answers);

	if (out)
		log_warn("op=add container=%s err=\"%zu names of the search list are no domain "
			 "names or have no room\" guests hear the others",
			 rec->container_id, out);
	return pk_answers_write(bpf, rec->slot, &answers, err);
}

int cni_endpoint_write(struct pk_bpf *bpf, const struct pk_record *rec,
		       const struct pk_settings *settings, struct pk_err *err)
{
	struct pk_limit_words said = { .conflist = rec->limits,
				       .bandwidth = rec->bandwidth,
				       .args = rec->job_limits,
				       .burst = { rec->burst[0], rec->burst[1] } };
	struct pk_limits_held held;
	int r;
	struct pk_endpoint e = {
		.ipv4 = rec->ipv4,
		.ipv6 = rec->ipv6,
		.gateway4 = rec->gateway4,
		.ipv4_prefix = rec->ipv4_prefix,
		.host_ifindex = rec->host_ifindex,
		.identity = rec->identity,
		.tenant = rec->tenant,
		.mtu = rec->mtu,
		.flags = (rec->process ? PK_EP_PROCESS : 0) | (rec->host_tap ? PK_EP_HOST_TAP : 0),
	};

	memcpy(e.mac, rec->mac, sizeof(e.mac));
	pk_settings_limits(settings, &said.node);
	pk_limits_hold(&said, &held);
	pk_endpoint_limits_put(bpf, &held, &e);
	r = write_told(bpf, rec, err);
	return r == 0 ? pk_endpoint_write(bpf, rec->slot, &e, err) : r;
}

/* Both forms of a record's ports: as published on the node, and as open at the endpoint. */
struct ports {
	struct pk_publish *published;
	struct pk_open_port *open;
};

static void ports_done(struct ports *p)
{
	free(p->published);
	free(p->open);
}

static void fill_ports(const struct pk_record *rec, struct ports *p)
{
	p->published = pk_alloc((rec->n_ports + 1) * sizeof(*p->published));
	p->open = pk_alloc((rec->n_ports + 1) * sizeof(*p->open));
	for (size_t i = 0; i < rec->n_ports; i++) {
		const struct pk_record_port *port = &rec->ports[i];

		p->published[i].from = (struct pk_published_key){ .addr = port->host_addr,
								  .proto = port->proto,
								  .port = htons(port->host) };
		p->published[i].to =
			(struct pk_published){ .slot = rec->slot, .port = htons(port->container) };
		p->open[i] = (struct pk_open_port){ .proto = port->proto,
						    .port = port->container,
						    .flags = PK_OPEN_PUBLISHED };
	}
}

/* Finds the open record of a slot; returns false where none can be read. */
static bool find_holder(const struct pk_paths *paths, uint32_t slot, struct pk_record *rec)
{
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;

	if (pk_records_list(paths, &list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (list[i].slot == slot && !list[i].closed)
			return pk_record_read(paths, &list[i], rec, NULL) == 0;
	return false;
}

static void say_taken(const struct pk_paths *paths, const struct pk_record_port *port,
		      uint32_t slot, struct pk_err *err)
{
	own_record holder = { 0 };
	char text[PK_ADDR_TEXT] = "every address";

	if (!pk_addr_is_zero(&port->host_addr))
		pk_addr_format(&port->host_addr, text);
	pk_fail(err, 0, "host port %u of %s is published by another endpoint", port->host, text);
	err->code = PK_CODE_TRY_LATER;
	if (!find_holder(paths, slot, &holder))
		pk_fix(err, 0, "stop what has it (pk%u), or take another port", slot);
	else
		pk_fix(err, 0, "stop %s/%s/%s (%s, pk%u), which has it, or take another port",
		       holder.tenant_name ?: "?", holder.job ?: "?", holder.group ?: "?",
		       holder.container_id, slot);
}

/*
 * Names the record's port that another endpoint publishes, and that endpoint. An address that is
 * taken needs no such search: its error says whose it is.
 */
static void name_holder(const struct pk_bpf *bpf, const struct pk_record *rec,
			const struct ports *ports, struct pk_err *err)
{
	for (size_t i = 0; i < rec->n_ports; i++) {
		uint32_t slot = pk_published_holder(bpf, &ports->published[i].from, rec->slot);

		if (slot) {
			say_taken(bpf->paths, &rec->ports[i], slot, err);
			return;
		}
	}
}

/*
 * How often an open is tried: picketd may withdraw the base at the same moment, and each try then
 * finds it or makes it again.
 */
#define OPEN_TRIES 4

static void say_untranslated(const struct pk_record *rec)
{
	if (!rec->n_untranslated)
		return;
	log_warn("op=open container=%s slot=%u err=\"%zu of its ports are of neither TCP nor UDP: "
		 "an earlier release took them, and nothing is translated for them\" leaving these "
		 "unpublished; fix: start the job anew without them",
		 rec->container_id, rec->slot, rec->n_untranslated);
}

int cni_endpoint_open(const struct cni_start_policy *o, const struct pk_record *rec,
		      struct pk_err *err)
{
	PK_OWN(ports_done) struct ports ports = { 0 };
	struct pk_endpoint_open open = { .slot = rec->slot,
					 .labels = o->labels,
					 .flags = (rec->masquerade ? PK_WORD_MASQUERADE : 0u) |
						  (rec->masquerade6 ? PK_WORD_MASQUERADE6 : 0u) };
	int r;

	say_untranslated(rec);
	memcpy(open.hash, o->set->hash, sizeof(open.hash));
	fill_ports(rec, &ports);
	open.published = ports.published;
	open.n_published = rec->n_ports;
	open.open = ports.open;
	/* Under the baseline `deny` nothing is allowed by itself, and no published port is open. */
	open.n_open = o->settings->baseline == PK_BASELINE_DENY ? 0 : rec->n_ports;
	r = pk_endpoint_open(o->bpf, &open, o->deadline_ns, err);
	for (int tries = 1; r == -ENOENT && tries < OPEN_TRIES; tries++) {
		*err = (struct pk_err){ 0 };
		r = cni_start_policy_rule_set(o, err);
		if (r == 0)
			r = pk_endpoint_open(o->bpf, &open, o->deadline_ns, err);
	}
	if (r == -EADDRINUSE)
		name_holder(o->bpf, rec, &ports, err);
	return pk_code(err, r, PK_CODE_KERNEL);
}

static int reopen(struct pk_bpf *bpf, const struct pk_record *rec,
		  const struct pk_settings *settings, uint64_t deadline_ns, struct pk_err *err)
{
	own_labels *set = NULL;
	struct cni_start_policy o = {
		.bpf = bpf, .paths = bpf->paths, .settings = settings, .deadline_ns = deadline_ns
	};
	int r = pk_label_set_parse(rec->labels, &set, err);

	o.set = set;
	if (r == 0)
		r = cni_labels_take(bpf, set, deadline_ns, &o.labels, err);
	if (r == 0)
		r = cni_endpoint_open(&o, rec, err);
	return r;
}

/* Makes a lost pair again, then tells the tables, then attaches the guard; the pair stays down. */
static int mend_pair(struct pk_bpf *bpf, struct cni_plumb *plumb, struct pk_err *err)
{
	int r = cni_plumb_remake(plumb, err);

	if (r <= 0)
		return r;
	r = pk_endpoint_device(bpf, plumb->record->slot, plumb->record->host_ifindex, err);
	if (r == 0)
		r = cni_plumb_guard(plumb, err);
	if (r == 0)
		r = pk_record_write(bpf->paths, plumb->record, err);
	return r;
}

/* Returns 1 where the device is now down, 0 where it is gone or somebody else's, or -errno. */
static int host_end_down(const struct pk_host_end *want, struct pk_err *err)
{
	own_nl *nl = NULL;
	struct pk_nl_link link = { 0 };
	int r = pk_nl_open(&nl, err);

	if (r == 0)
		r = pk_host_end_find(nl, want, &link, err);
	if (r == 0) {
		pk_nl_down(nl, link.ifindex);
		r = pk_nl_send(nl, err);
	}
	if (r == -ENODEV)
		return 0;
	return r < 0 ? r : 1;
}

/*
 * Does what host_end_down does, but deletes a host tap at once, which would not go with the
 * endpoint's netns.
 */
static int host_end_end(const struct pk_host_end *want, struct pk_err *err)
{
	own_nl *nl = NULL;
	struct pk_nl_link link = { 0 };
	int r = pk_nl_open(&nl, err);

	if (r == 0 && pk_host_end_find(nl, want, &link, NULL) == 0 && pk_host_end_is_tap(&link))
		return pk_host_end_delete(nl, want, err);
	return r == 0 ? host_end_down(want, err) : r;
}

int cni_endpoint_repair(struct pk_bpf *bpf, struct cni_plumb *plumb,
			const struct pk_settings *settings, uint64_t deadline_ns,
			struct pk_err *err)
{
	const struct pk_record *rec = plumb->record;
	int r = mend_pair(bpf, plumb, err);

	if (r == 0)
		r = cni_plumb_repair(plumb, err);
	if (r == -EPERM) { /* a program before the guard may pass packets on to the stack */
		pk_endpoint_close(bpf, rec->slot, deadline_ns, NULL);
		host_end_down(
			&(struct pk_host_end){ rec->slot, rec->host_ifindex, rec->eth_ifindex },
			NULL);
	}
	if (r < 0)
		return r;
	return pk_word(bpf, rec->slot) ? 0 : reopen(bpf, rec, settings, deadline_ns, err);
}

/* Drops the tap that is left where the pair was deleted and its netns was not. */
static void drop_tap(const struct pk_paths *paths, const struct pk_record_name *name)
{
	own_record rec = { 0 };
	own_netns ns = PK_NETNS_NONE;
	own_plumb plumb = CNI_PLUMB_NONE;

	if (pk_record_read(paths, name, &rec, NULL) < 0 || !rec.tap || !rec.netns ||
	    pk_netns_open(rec.netns, &ns, NULL) < 0 || ns.inode != rec.netns_inode)
		return;
	plumb.record = &rec;
	plumb.ns = &ns;
	if (cni_plumb_open(&plumb, NULL) == 0)
		cni_plumb_drop_tap(&plumb);
}

/* Frees slot and addresses for other endpoints. The device must be gone. */
static int bury(const struct pk_paths *paths, struct pk_bpf *bpf, const struct pk_record_name *name,
		uint64_t deadline_ns, struct pk_err *err)
{
	const struct pk_clear clear = { paths, bpf, deadline_ns };

	drop_tap(paths, name);
	return pk_endpoint_clear(&clear, name, err);
}

/* Logs what DEL can't finish; the sweep finds the closed record and does it. */
static void log_left_to_sweep(const struct pk_record_name *name, int r, const struct pk_err *err)
{
	if (r < 0)
		log_warn("op=del container=%s slot=%u err=\"%s\" leaving it to the sweep",
			 name->container_id, name->slot, err->text);
}

/*
 * Bounds the wait for the node lock, which is held for microseconds: after a longer wait its holder
 * hangs, and DEL still needs time for the rest.
 */
static uint64_t half_of(uint64_t deadline_ns)
{
	uint64_t now = pk_now_ns();

	return now < deadline_ns ? now + (deadline_ns - now) / 2 : deadline_ns;
}

/*
 * Finds the endpoint's device, as far as it is known. The tables know it for as long as the slot is
 * the endpoint's. Where no tables can be read, the record is believed while its netns is there.
 */
static bool find_host_end(const struct pk_paths *paths, const struct pk_bpf *bpf,
			  const struct pk_record_name *name, struct pk_host_end *end)
{
	own_record rec = { 0 };
	ino_t inode;

	*end = (struct pk_host_end){ .slot = name->slot };
	if (bpf && !pk_endpoint_owns(bpf, name))
		return false;
	if (bpf) {
		end->ifindex = bpf->endpoints[name->slot].host_ifindex;
		return true;
	}
	if (!name->slot || pk_record_read(paths, name, &rec, NULL) < 0 || !rec.netns ||
	    pk_netns_inode(rec.netns, &inode) < 0 || inode != rec.netns_inode)
		return false;
	end->ifindex = rec.host_ifindex;
	end->peer = rec.eth_ifindex;
	return true;
}

/* Closes the endpoint and sets its host end down. Returns 1 if the device is there, 0 if gone. */
static int shut(const struct pk_paths *paths, struct pk_bpf *bpf, const struct pk_record_name *name,
		uint64_t deadline_ns)
{
	struct pk_host_end end;
	struct pk_err err = { 0 };
	bool known = find_host_end(paths, bpf, name, &end);
	int r = 0;

	if (bpf && known)
		r = pk_endpoint_close(bpf, name->slot, half_of(deadline_ns), &err);
	log_left_to_sweep(name, r, &err);
	pk_fault("del-word-closed");
	/* A record from before a reboot may name a device that is somebody else's by now. */
	r = known ? host_end_end(&end, &err) : 0;
	log_left_to_sweep(name, r, &err);
	return r;
}

int cni_endpoint_del(const struct pk_paths *paths, struct pk_bpf *bpf,
		     const struct pk_record_name *name, uint64_t deadline_ns, struct pk_err *err)
{
	struct pk_record_name closed = *name;
	int device = shut(paths, bpf, name, deadline_ns), r;
	struct pk_err seen = { 0 };

	pk_fault("del-device-down");
	r = pk_record_close(paths, name, err);
	closed.closed = true;
	pk_fault("del-record-closed");
	pk_driver_file_remove(paths, name->container_id);
	if (r == 0 && device == 0)
		log_left_to_sweep(name, bury(paths, bpf, &closed, deadline_ns, &seen), &seen);
	return r;
}

static int forget_slot(const struct cni_leftover *left, uint32_t slot, struct pk_err *err)
{
	struct pk_record rec = { .slot = slot, .process = !left->tap, .tap = left->tap };
	own_plumb plumb = CNI_PLUMB_NONE;
	int r = pk_endpoint_close(left->bpf, slot, left->deadline_ns, err);

	plumb.record = &rec;
	plumb.ns = left->ns;
	if (r == 0)
		r = cni_plumb_open(&plumb, err);
	if (r < 0)
		return r;
	cni_plumb_drop(&plumb);
	return pk_slot_free(left->bpf, slot, left->deadline_ns, err);
}

/*
 * A slot that has a closed record is freed when its device goes, not before. The exception is an
 * ADD into the same netns after the DEL: nobody uses the device any more, and its names are needed.
 */
static int forget_closed(const struct cni_leftover *left, const struct pk_record_name *name,
			 struct pk_err *err)
{
	own_record rec = { 0 };
	own_plumb plumb = CNI_PLUMB_NONE;
	int r = pk_record_read(left->paths, name, &rec, NULL);

	if (r == -ENOENT)
		return forget_slot(left, name->slot, err);
	if (r < 0 || !left->in_the_way || rec.netns_inode != left->ns->inode ||
	    !pk_bpf_same_epoch(left->bpf, rec.epoch))
		return 0;
	plumb.record = &rec;
	plumb.ns = left->ns;
	r = cni_plumb_open(&plumb, err);
	if (r < 0)
		return r;
	cni_plumb_drop(&plumb);
	return bury(left->paths, left->bpf, name, left->deadline_ns, err);
}

int cni_endpoint_forget(const struct cni_leftover *left, struct pk_err *err)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	struct pk_record_name name = *left->who;
	int r = 0;

	pk_record_owner(&name, owner);
	name.slot = 0;
	name.closed = true;
	while (r == 0 && (name.slot = pk_slot_of(left->bpf, owner, name.slot)))
		r = forget_closed(left, &name, err);
	return r < 0 ? r : pk_leases_drop_unrecorded(left->paths, &name, err);
}

bool cni_endpoint_owns(const struct pk_bpf *bpf, const struct pk_record *rec)
{
	struct pk_record_name name = { .slot = rec->slot };

	strcpy(name.container_id, rec->container_id);
	strcpy(name.ifname, rec->ifname);
	return pk_bpf_same_epoch(bpf, rec->epoch) && pk_endpoint_owns(bpf, &name);
}

bool cni_endpoint_has_other(const struct pk_bpf *bpf, const struct pk_record_name *name)
{
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	uint32_t slot = pk_slot_of(bpf, pk_record_owner(name, owner), 0);

	while (slot == name->slot && slot)
		slot = pk_slot_of(bpf, owner, slot);
	return slot;
}

void cni_attachment_of(const struct pk_record *rec, const struct cni_dns *dns,
		       char host[PK_HOST_NAME_ROOM], struct cni_attachment *a)
{
	pk_host_name(rec->slot, host);
	*a = (struct cni_attachment){
		.container_id = rec->container_id,
		.ifname = rec->ifname,
		.netns = rec->netns,
		.host_name = host,
		.tap_name = rec->process ? NULL : rec->tap,
		.host_tap = rec->host_tap,
		.ipv4 = rec->ipv4,
		.ipv6 = rec->ipv6,
		.gateway4 = rec->gateway4,
		.prefix4 = rec->ipv4_prefix,
		.mtu = rec->mtu,
		.queues = rec->queues,
		.dns = dns,
	};
	memcpy(a->mac, rec->mac, sizeof(a->mac));
	memcpy(a->host_mac, rec->host_mac, sizeof(a->host_mac));
}
