/* SPDX-License-Identifier: Apache-2.0 */
/* An earlier ADD of this container id may have left something: it lives, or it is cleared. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "add.h"
#include "epclear.h"
#include "epfind.h"
#include "fault.h"
#include "own.h"
#include "state.h"

/* Returns whether the record's endpoint is open in this netns, with or without its devices. */
static bool is_alive(const struct cni_add *add, const struct pk_record *rec)
{
	return rec->netns_inode == add->ns.inode && cni_endpoint_owns(add->bpf, rec) &&
	       pk_word(add->bpf, rec->slot);
}

/* ADD again in the same netns mends the endpoint and gives the answer of the first time. */
static int repeat(struct cni_add *add, struct pk_record *rec, struct pk_str *out,
		  struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	struct cni_attachment attachment;
	own_plumb plumb = CNI_PLUMB_NONE;
	char host[16];
	int r;

	plumb.bpf = add->bpf;
	plumb.ns = &add->ns;
	plumb.record = rec;
	r = cni_plumb_open(&plumb, err);
	if (r == 0)
		r = cni_endpoint_repair(add->bpf, &plumb, &add->settings, add->call->deadline_ns,
					err);
	/* The driver file may be missing: an ADD was killed after opening, or /run was cleared. */
	cni_attachment_of(rec, &conf->dns, host, &attachment);
	if (r == 0)
		r = cni_driver_file_write(&add->call->paths, rec, &attachment, err);
	if (r < 0)
		return r;
	if (rec->version && rec->result && !strcmp(rec->version, cni_version_name(conf->version))) {
		pk_str_add(out, rec->result);
		pk_str_add(out, "\n");
		return 0;
	}
	return cni_result(&attachment, conf->version, conf->prev_result, out, err);
}

/*
 * Closes an old endpoint that is half-built (killed before its word) or in an earlier netns, and
 * deletes devices that never opened, so that eth0's name is free.
 */
static int replace(struct cni_add *add, const struct pk_record_name *name, struct pk_record *rec,
		   struct pk_err *err)
{
	const struct cni_call *call = add->call;
	bool never_opened = cni_endpoint_owns(add->bpf, rec) && !pk_word(add->bpf, rec->slot);
	own_plumb plumb = CNI_PLUMB_NONE;

	add->keep4 = rec->ipv4;
	add->keep6 = rec->ipv6;
	/* A reboot has ended the old endpoint: its device and numbers are gone. */
	add->has_stale = !name->slot || !pk_bpf_same_epoch(add->bpf, rec->epoch);
	add->stale = *name;
	if (add->has_stale)
		return 0;
	plumb.bpf = add->bpf;
	plumb.record = rec;
	plumb.ns = rec->netns_inode == add->ns.inode ? &add->ns : NULL;
	if (never_opened && cni_plumb_open(&plumb, err) == 0)
		cni_plumb_drop(&plumb);
	return cni_endpoint_del(&call->paths, add->bpf, name, call->deadline_ns, err);
}

/*
 * Clears what an ADD left that was killed before its record: Nomad tries again in the same netns,
 * where the tap may still be.
 */
static int forget(struct cni_add *add, struct pk_err *err)
{
	char tap[PK_IFNAME_MAX + 1];
	struct cni_leftover left = { .paths = &add->call->paths,
				     .bpf = add->bpf,
				     .who = &add->name,
				     .ns = &add->ns,
				     .in_the_way = true,
				     .deadline_ns = add->call->deadline_ns };

	if (!pk_slot_of(add->bpf, add->owner, 0))
		return 0;
	snprintf(tap, sizeof(tap), "%s", cni_tap_name(&add->args));
	if (!add->call->conf.process && !add->call->conf.host_tap)
		left.tap = tap;
	return cni_endpoint_forget(&left, err);
}

/*
 * Deals with what an earlier ADD of this container id left. Sets *answered where that endpoint
 * lives; out then has the answer.
 */
int cni_add_previous(struct cni_add *add, bool *answered, struct pk_str *out, struct pk_err *err)
{
	const struct cni_call *call = add->call;
	struct pk_record_name name;
	own_record rec = { 0 };
	int r = pk_endpoint_find(&call->paths, add->bpf, call->env.container_id, call->env.ifname,
				 &name, err);

	if (r == -ENOENT) {
		*err = (struct pk_err){ 0 };
		return forget(add, err);
	}
	if (r == 0)
		r = pk_record_read(&call->paths, &name, &rec, err);
	if (r < 0)
		return pk_code(err, r, PK_CODE_STATE);
	*answered = is_alive(add, &rec);
	if (*answered)
		return repeat(add, &rec, out, err);
	r = replace(add, &name, &rec, err);
	pk_fault("add-replaced");
	/* A killed ADD since the reboot may have left slot and leases beside the old record. */
	return r < 0 ? r : forget(add, err);
}
