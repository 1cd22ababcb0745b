/* SPDX-License-Identifier: Apache-2.0 */
/* GC and STATUS. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cni_status.h"
#include "endpoint.h"
#include "log.h"
#include "own.h"
#include "state.h"

static bool is_in(const struct pk_json *attachments, const struct pk_record_name *name)
{
	for (const struct pk_json *v = pk_json_first(attachments); v; v = pk_json_next(v)) {
		const char *id = pk_json_string(pk_json_get(v, "containerID"));
		const char *ifname = pk_json_string(pk_json_get(v, "ifname"));

		if (id && ifname && !strcmp(id, name->container_id) &&
		    !strcmp(ifname, name->ifname))
			return true;
	}
	return false;
}

/* Returns whether either list has the attachment: what one of them calls valid stays. */
static bool is_valid(const struct cni_conf *conf, const struct pk_record_name *name)
{
	return is_in(conf->attachments[0], name) || is_in(conf->attachments[1], name);
}

static int check_list(const struct cni_call *call, const char *key, const struct pk_json *list,
		      struct pk_err *err)
{
	if (pk_json_type(list) != PK_JSON_ARRAY) {
		pk_fail(err, 0, "\"%s\" is no array", key);
		return pk_code(err, -EINVAL, PK_CODE_CONFIG);
	}
	for (const struct pk_json *v = pk_json_first(list); v; v = pk_json_next(v)) {
		if (pk_json_string(pk_json_get(v, "containerID")) &&
		    pk_json_string(pk_json_get(v, "ifname")))
			continue;
		pk_json_fail(err, call->conf.doc, v, false,
			     "expected {\"containerID\", \"ifname\"}");
		if (err)
			err->code = PK_CODE_CONFIG;
		return -EINVAL;
	}
	return 0;
}

/* Refuses a list with an odd element: GC would delete too much by a list that it misreads. */
static int check_lists(const struct cni_call *call, struct pk_err *err)
{
	const struct pk_json *const *list = call->conf.attachments;
	int r = 0;

	if (!list[0] && !list[1]) {
		pk_fail(err, 0, "\"%s\" is missing", cni_attachment_keys[0]);
		pk_fix(err, 0, "call GC with the attachments that are in use, [] where none is");
		return pk_code(err, -EINVAL, PK_CODE_CONFIG);
	}
	for (size_t i = 0; i < PK_ARRAY_LEN(cni_attachment_keys) && r == 0; i++)
		r = list[i] ? check_list(call, cni_attachment_keys[i], list[i], err) : 0;
	return r;
}

/* Does DEL for a record whose netns is gone, and only reports one that still has its netns. */
static int collect(struct cni_call *call, struct pk_bpf *bpf, const struct pk_record_name *name,
		   struct pk_err *err)
{
	own_record rec = { 0 };
	own_fd int lock = -1;
	ino_t inode;
	int r = pk_endpoint_lock(&call->paths, name->container_id, call->deadline_ns, &lock, err);

	if (r == 0)
		r = pk_record_read(&call->paths, name, &rec, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || !rec.network || strcmp(rec.network, call->conf.name) || rec.declared)
		return r; /* `picket attach` made it; it is no runtime's to collect */
	if (rec.netns && pk_netns_inode(rec.netns, &inode) == 0 && inode == rec.netns_inode) {
		log_warn("op=gc container=%s netns=%s is not in valid-attachments and lives: "
			 "keeping it",
			 rec.container_id, rec.netns);
		return 0;
	}
	return cni_endpoint_del(&call->paths, bpf, name, call->deadline_ns, err);
}

int cni_verb_gc(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	own_mem struct pk_record_name *names = NULL;
	own_bpf *bpf = NULL;
	size_t n = 0;
	int r = 0, one;

	(void)out;
	r = check_lists(call, err);
	if (r == 0)
		r = pk_records_list(&call->paths, &names, &n, err);
	if (r < 0 || n == 0)
		return pk_code(err, r, PK_CODE_STATE);
	r = cni_state_make(&call->paths, err);
	if (r < 0)
		return r;
	one = pk_bpf_open(&bpf, &call->paths, PK_BPF_READ, NULL, call->deadline_ns, err);
	if (one < 0 && one != -ENOENT)
		return one;
	*err = (struct pk_err){ 0 };
	for (size_t i = 0; i < n; i++) {
		struct pk_err seen = { 0 };

		if (names[i].closed || is_valid(&call->conf, &names[i]))
			continue;
		one = collect(call, bpf, &names[i], &seen);
		if (one < 0 && r == 0) {
			*err = seen;
			r = one;
		}
	}
	return pk_code(err, r, PK_CODE_STATE);
}

/*
 * STATUS answers 0 unless asked to be strict: on a stop Nomad asks it before DEL, and skips the DEL
 * when it fails.
 */
int cni_verb_status(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	(void)out;
	if (!call->conf.strict_status)
		return 0;
	return cni_status(&call->paths, &call->conf, call->deadline_ns, err);
}
