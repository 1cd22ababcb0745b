/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads all that an ADD is told, before anything is made: CNI_ARGS, the netns, node.json, the
 * blocks.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "add.h"
#include "log.h"
#include "node.h"
#include "own.h"
#include "state.h"

static int job_limits(struct cni_add *add, struct pk_err *err)
{
	own_json *doc = NULL;
	int r;

	if (!add->args.limits)
		return 0;
	r = pk_json_parse("picket.limits", add->args.limits, strlen(add->args.limits), 0, &doc,
			  err);
	if (r == 0)
		r = pk_limits_read(doc, pk_json_root(doc), &add->job_limits, err);
	if (r < 0) {
		err->code = PK_CODE_ARGS;
		return pk_fix(err, r, "write it as {\"bytesPerSecond\":1000000}");
	}
	return 0;
}

/* A network has a pool of its own or the claimed blocks, never both. */
static int choose_claimed(struct cni_add *add, struct pk_err *err)
{
	int r;

	if (add->call->conf.n_pools) {
		r = pk_fail(err, EINVAL,
			    "the conflist names a \"pool\", and this node claims its blocks");
		pk_fix(err, r, "drop \"pool\", or \"claim\" from \"blocks\" of picketd.json");
		return pk_code(err, r, PK_CODE_CONFIG);
	}
	add->pool = add->settings.blocks;
	add->n_pools = add->settings.n_blocks;
	return pk_settings_check_blocks(&add->settings, time(NULL), err);
}

static int choose_pool(struct cni_add *add, struct pk_err *err)
{
	const struct cni_conf *conf = &add->call->conf;
	int r;

	if (add->settings.claimed)
		return choose_claimed(add, err);
	add->pool = conf->pool;
	add->n_pools = conf->n_pools;
	if (conf->n_pools)
		return 0;
	if (add->no_policy) {
		r = pk_fail(err, 0,
			    "no \"pool\", and node.json, which may name blocks, can't be read");
		return pk_fix(err, pk_code(err, r, PK_CODE_TRY_LATER),
			      "restart picketd, which writes it");
	}
	pk_fail(err, 0, "the conflist names no \"pool\" and this node has no block");
	pk_fix(err, 0,
	       "say \"pool\": \"10.40.7.0/24\", another block on each node, or let picketd claim "
	       "one (\"blocks\" of picketd.json)");
	return pk_code(err, -EINVAL, PK_CODE_CONFIG);
}

/*
 * Refuses a baseline that differs from the node's: a node has one. picketd's status says where
 * networks' conflists differ.
 */
static int check_baseline(const struct cni_call *call, const struct pk_settings *s,
			  struct pk_err *err)
{
	int r;

	if (!s->baseline_differs || call->conf.baseline == s->baseline)
		return 0;
	r = pk_fail(err, EINVAL,
		    "this network's baseline is \"%s\", another one's of this node is \"%s\"",
		    pk_baseline_name(call->conf.baseline), pk_baseline_name(s->baseline));
	pk_fix(err, r, "say the same \"baseline\" in both conflists, or say it in picketd.json");
	return pk_code(err, r, PK_CODE_CONFIG);
}

/*
 * Decides whether CNI_ARGS can be believed. Nomad below 1.9.4 names no namespace, and on 1.8.2 to
 * 1.9.3 a job's own args could name one.
 */
static void judge_args(struct cni_add *add)
{
	const enum pk_args_word word = pk_settings_args_word(&add->settings);
	const char *version = add->settings.nomad_version;

	add->unproven = !add->declared && word != PK_ARGS_BELIEVED;
	if (!add->unproven)
		return;
	log_warn("op=add container=%s err=\"Nomad's agent is %s: CNI_ARGS are not believed\" "
		 "starting in quarantine until Nomad's record says the namespace",
		 add->call->env.container_id,
		 word == PK_ARGS_UNKNOWN ? "of a version that picketd doesn't know" : version);
}

/* Reads all input, before anything is made. */
int cni_add_gather(struct cni_add *add, struct pk_err *err)
{
	struct cni_call *call = add->call;
	struct pk_err seen = { 0 }, note = { 0 };
	int r = cni_args_parse(call->env.args, call->env.container_id, call->conf.job_args,
			       &add->args, err);

	if (r == 0)
		r = cni_add_declared(add, err);
	if (r == 0)
		r = job_limits(add, err);
	if (r == 0)
		r = cni_netns_open(call->env.netns, &add->ns, err);
	if (r < 0)
		return pk_code(err, r, PK_CODE_ENV);
	if (!cni_dns_fill(&call->conf, &call->paths, &note))
		log_warn("op=add container=%s err=\"%s\" fix=\"%s\"", call->env.container_id,
			 note.text, note.fix);
	if (cni_settings(&call->conf, &add->args, &call->paths, &add->settings, &seen) < 0) {
		log_warn("op=add container=%s err=\"%s\" starting in quarantine",
			 call->env.container_id, seen.text);
		add->no_policy = true;
	}
	judge_args(add);
	r = choose_pool(add, err);
	if (r == 0)
		r = check_baseline(call, &add->settings, err);
	if (r < 0)
		return r;
	if (add->settings.baseline == PK_BASELINE_OPEN)
		log_warn("op=add container=%s baseline=open: nothing is fenced but spoofing",
			 call->env.container_id);
	return 0;
}
