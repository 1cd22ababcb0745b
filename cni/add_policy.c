/* SPDX-License-Identifier: GPL-2.0-only */
/* Which rule set a new endpoint starts under. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "add.h"
#include "base.h"
#include "fault.h"
#include "fs.h"
#include "log.h"
#include "own.h"

static struct pk_label_set *label_set(const struct cni_add *add)
{
	const struct pk_claims claims = { .namespace = add->args.namespace,
					  .job = add->args.job,
					  .group = add->args.group,
					  .believed = !add->settings.has_nomad };

	return add->no_policy ? pk_label_set_init()
			      : pk_label_set_from_claims(&claims, &add->settings);
}

static int take_numbers(struct cni_add *add, struct pk_err *err)
{
	pk_label_set_free(add->set);
	add->set = label_set(add);
	return cni_labels_take(add->bpf, add->set, add->call->deadline_ns, &add->labels, err);
}

/* Compiling may take half of what is left; the other half is the plumbing's. */
static uint64_t compile_until(const struct cni_call *call)
{
	uint64_t now = pk_now_ns();

	return now < call->deadline_ns ? now + (call->deadline_ns - now) / 2 : now;
}

static int compile(struct cni_add *add, struct pk_image **image, struct pk_err *err)
{
	if (add->no_policy)
		return cni_base_quarantine(&add->settings, image, err);
	return cni_base_compile(&add->call->paths, &add->settings, add->set->namespace,
				compile_until(add->call), image, err);
}

/* The rule set of the label set, else its tenant's base, else a base made here. */
static int find_rule_set(struct cni_add *add, struct pk_err *err)
{
	own_image *image = NULL;
	uint32_t rule_set;
	int r = pk_rule_set_of(add->bpf, &add->labels, &rule_set);

	if (r != -ENOENT)
		return r < 0 ? pk_fail(err, -r, "find the rule set") : 0;
	r = compile(add, &image, err);
	pk_fault("add-compiled");
	if (r == 0)
		r = pk_rule_set_install_base(add->bpf, image, add->labels.tenant,
					     add->call->deadline_ns, &rule_set, err);
	return r;
}

/* Fail closed: without a policy that can be trusted the endpoint starts, and reaches nothing. */
static int quarantine(struct cni_add *add, const struct pk_err *why, struct pk_err *err)
{
	log_warn("op=add container=%s err=\"%s\" starting in quarantine",
		 add->call->env.container_id, why->text);
	add->no_policy = true;
	*err = (struct pk_err){ 0 };
	return take_numbers(add, err);
}

int cni_add_policy(struct cni_add *add, struct pk_err *err)
{
	int r = take_numbers(add, err);

	pk_fault("add-numbered");
	if (r < 0)
		return r;
	r = find_rule_set(add, err);
	if (r < 0 && !add->no_policy && err->code != PK_CODE_CAPACITY) {
		const struct pk_err why = *err;

		r = quarantine(add, &why, err);
		if (r == 0)
			r = find_rule_set(add, err);
	}
	return pk_code(err, r, PK_CODE_KERNEL);
}
