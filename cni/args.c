/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"
#include "addr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "label.h"
#include "own.h"
#include "picket/limits.h"
#include "str.h"

#define FIX_JOB "look at the job's network { cni { args } }, its name and its group's"

static int refuse(struct pk_err *err, int r)
{
	return pk_code(err, pk_fix(err, r, FIX_JOB), PK_CODE_ARGS);
}

/* Refuses what a terminal would not show as it stands: control, bidi, bytes that are no UTF-8. */
static int check_text(const char *text, struct pk_err *err)
{
	own_str safe = { 0 };

	pk_str_add_escaped(&safe, text);
	if (safe.failed || (safe.text && strcmp(safe.text, text)))
		return refuse(err, pk_fail(err, 0,
					   "CNI_ARGS: a control character or invalid "
					   "UTF-8 in \"%.80s\"",
					   safe.text ? safe.text : ""));
	return 0;
}

static int take_word(const char **to, const char *key, const char *value, struct pk_err *err)
{
	if (!*value || strlen(value) > CNI_WORD_MAX)
		return refuse(err, pk_fail(err, 0, "CNI_ARGS: %s is empty or longer than %d bytes",
					   key, CNI_WORD_MAX));
	*to = value;
	return 0;
}

static int take_id(int64_t *to, const char *key, const char *value, struct pk_err *err)
{
	uint64_t id;

	if (pk_parse_u64(value, UINT32_MAX - 1u, &id) < 0)
		return refuse(err, pk_fail(err, 0, "CNI_ARGS: %s=\"%.40s\" is no numeric id", key,
					   value));
	*to = (int64_t)id;
	return 0;
}

static int take_tap_name(struct cni_args *args, const char *value, struct pk_err *err)
{
	if (!cni_ifname_ok(value) || !strcmp(value, "lo") || strchr(value, '%'))
		return refuse(err, pk_fail(err, 0,
					   "CNI_ARGS: TC_REDIRECT_TAP_NAME=\"%.40s\" cannot "
					   "be a tap's name",
					   value));
	args->tap_name = value;
	return 0;
}

static int take_mac(struct cni_args *args, const char *value, struct pk_err *err)
{
	static const uint8_t zero[6];

	if (pk_mac_parse(value, args->mac) < 0 || args->mac[0] & 1 ||
	    !memcmp(args->mac, pk_gateway_mac, 6) || !memcmp(args->mac, zero, 6))
		return refuse(err, pk_fail(err, 0,
					   "CNI_ARGS: picket.mac=\"%.40s\" is no unicast MAC "
					   "that an endpoint may have",
					   value));
	args->has_mac = true;
	return 0;
}

static int take_ip(struct cni_args *args, const char *value, struct pk_err *err)
{
	if (pk_addr_parse(value, &args->ip) < 0)
		return refuse(
			err, pk_fail(err, 0, "CNI_ARGS: picket.ip=\"%.64s\" is no address", value));
	args->has_ip = true;
	return 0;
}

/* Reads a picket.* key, which a job may set only where the operator lets jobs do so. */
static int take_job_arg(struct cni_args *args, const char *key, const char *value,
			unsigned int allowed, struct pk_err *err)
{
	unsigned int bit = cni_job_arg_bit(key);
	const char *near = pk_nearest(key, cni_job_arg_names);

	if (!bit) {
		pk_fail(err, 0, "CNI_ARGS: \"%.40s\" is no argument of Picket's", key);
		if (near)
			pk_fix(err, 0, "did you mean \"%s\"?", near);
		return refuse(err, -EINVAL);
	}
	if (!(bit & allowed)) {
		pk_fail(err, 0, "CNI_ARGS: %s is set by the job and not allowed here", key);
		pk_fix(err, 0,
		       "drop it from the job's cni args, or list it in the conflist's "
		       "\"allowJobArgs\"");
		return refuse(err, -EINVAL);
	}
	if (bit == CNI_JOB_MAC)
		return take_mac(args, value, err);
	if (bit == CNI_JOB_IP)
		return take_ip(args, value, err);
	args->limits = value;
	return 0;
}

/*
 * Refuses the keys of CNI's own conventions that we don't honour: whoever sets IP or MAC would get
 * another one unnoticed.
 */
static int refuse_convention(const char *key, struct pk_err *err)
{
	const bool ip = !strcmp(key, "IP");

	pk_fail(err, 0, "CNI_ARGS: %s is not how this plugin is told of an address", key);
	pk_fix(err, 0, "write picket.%s, and list \"picket.%s\" in the conflist's \"allowJobArgs\"",
	       ip ? "ip" : "mac", ip ? "ip" : "mac");
	return refuse(err, -EINVAL);
}

static int take(struct cni_args *args, const char *key, const char *value, unsigned int allowed,
		struct pk_err *err)
{
	if (!strcmp(key, "NOMAD_REGION"))
		return take_word(&args->region, key, value, err);
	if (!strcmp(key, "NOMAD_JOB_ID"))
		return take_word(&args->job, key, value, err);
	if (!strcmp(key, "NOMAD_GROUP_NAME"))
		return take_word(&args->group, key, value, err);
	if (!strcmp(key, "NOMAD_ALLOC_ID"))
		return take_word(&args->alloc, key, value, err);
	if (!strcmp(key, "NOMAD_NAMESPACE")) {
		if (!pk_tenant_name_ok(value))
			return refuse(err, pk_fail(err, 0,
						   "CNI_ARGS: NOMAD_NAMESPACE=\"%.40s\" is "
						   "not 1 to 128 of a-z A-Z 0-9 -",
						   value));
		args->tenant_name = value;
		return 0;
	}
	if (!strcmp(key, "TC_REDIRECT_TAP_NAME"))
		return take_tap_name(args, value, err);
	if (!strcmp(key, "TC_REDIRECT_TAP_UID"))
		return take_id(&args->tap_uid, key, value, err);
	if (!strcmp(key, "TC_REDIRECT_TAP_GID"))
		return take_id(&args->tap_gid, key, value, err);
	if (!strcmp(key, "IP") || !strcmp(key, "MAC"))
		return refuse_convention(key, err);
	if (!strncmp(key, "picket.", 7))
		return take_job_arg(args, key, value, allowed, err);
	return 0; /* a key for another plugin is never read */
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Refuses a key that comes twice: an author could slip in a second NOMAD_NAMESPACE that way. */
static int check_twice(const char **keys, size_t n, struct pk_err *err)
{
	qsort(keys, n, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < n; i++)
		if (!strcmp(keys[i - 1], keys[i]))
			return refuse(err, pk_fail(err, 0, "CNI_ARGS: \"%.64s\" is given twice",
						   keys[i]));
	return 0;
}

/* Splits in place: on ';', then on the first '='. */
static int split(struct cni_args *args, unsigned int allowed, struct pk_err *err)
{
	const char *keys[CNI_ARGS_KEYS];
	char *rest = args->text, *pair;
	size_t n = 0;
	int r;

	while ((pair = strsep(&rest, ";"))) {
		char *value = strchr(pair, '=');

		if (!*pair)
			continue;
		if (!value || value == pair)
			return refuse(
				err, pk_fail(err, 0, "CNI_ARGS: \"%.64s\" is not KEY=VALUE", pair));
		*value++ = '\0';
		if (n == CNI_ARGS_KEYS)
			return refuse(
				err, pk_fail(err, 0, "CNI_ARGS: more than %d keys", CNI_ARGS_KEYS));
		keys[n++] = pair;
		r = take(args, pair, value, allowed, err);
		if (r < 0)
			return r;
	}
	return check_twice(keys, n, err);
}

static int check_together(const struct cni_args *args, const char *container_id, struct pk_err *err)
{
	bool nomad = args->tenant_name || args->alloc || args->job || args->group || args->region;

	if (args->alloc && strcmp(args->alloc, container_id))
		return refuse(err,
			      pk_fail(err, 0, "CNI_ARGS: NOMAD_ALLOC_ID is not the container id"));
	if (nomad && (args->tap_name || args->tap_uid >= 0 || args->tap_gid >= 0)) {
		pk_fail(err, 0, "CNI_ARGS: TC_REDIRECT_TAP_* is not a job's to set");
		pk_fix(err, 0, "name \"owner\" and \"group\" in the conflist");
		return refuse(err, -EINVAL);
	}
	return 0;
}

int cni_args_parse(const char *text, const char *container_id, unsigned int allowed,
		   struct cni_args *out, struct pk_err *err)
{
	PK_OWN(cni_args_done) struct cni_args args = { .tap_uid = -1, .tap_gid = -1 };
	int r;

	if (strlen(text) > CNI_ARGS_MAX)
		return refuse(err,
			      pk_fail(err, 0, "CNI_ARGS is longer than %d bytes", CNI_ARGS_MAX));
	r = check_text(text, err);
	if (r < 0)
		return r;
	args.text = strdup(text);
	if (!args.text)
		return pk_fail(err, ENOMEM, "CNI_ARGS");
	r = split(&args, allowed, err);
	if (r == 0)
		r = check_together(&args, container_id, err);
	if (r < 0)
		return r;
	*out = args;
	args.text = NULL;
	return 0;
}

void cni_args_done(struct cni_args *args)
{
	free(args->text);
	args->text = NULL;
}

const char *cni_tap_name(const struct cni_args *args)
{
	return args->tap_name ? args->tap_name : CNI_TAP_NAME;
}
