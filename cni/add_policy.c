/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the rule set that a new endpoint starts under. */
#include <errno.h>

#include "add.h"
#include "fault.h"
#include "log.h"

static struct pk_label_set *label_set(const struct cni_add *add)
{
	const struct pk_claims claims = { .tenant_name = add->args.tenant_name,
					  .job = add->args.job,
					  .group = add->args.group,
					  .believed = !add->settings.has_nomad };

	if (add->no_policy || add->unproven)
		return pk_label_set_init();
	return add->declared ? pk_label_set_from_declared(add->declared, &add->settings)
			     : pk_label_set_from_claims(&claims, &add->settings);
}

static int take_numbers(struct cni_add *add, struct pk_err *err)
{
	pk_label_set_free(add->set);
	add->set = label_set(add);
	return cni_labels_take(add->bpf, add->set, add->call->deadline_ns, &add->labels, err);
}

static struct cni_start_policy start_policy_of(const struct cni_add *add)
{
	return (struct cni_start_policy){ .bpf = add->bpf,
					  .paths = &add->call->paths,
					  .settings = &add->settings,
					  .set = add->set,
					  .labels = add->labels,
					  .no_policy = add->no_policy,
					  .deadline_ns = add->call->deadline_ns };
}

static int find_rule_set(const struct cni_add *add, struct pk_err *err)
{
	const struct cni_start_policy o = start_policy_of(add);

	return cni_start_policy_rule_set(&o, err);
}

/* An endpoint without a policy that can be trusted starts in quarantine, and reaches nothing. */
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

int cni_add_open(const struct cni_add *add, struct pk_err *err)
{
	const struct cni_start_policy o = start_policy_of(add);

	return cni_endpoint_open(&o, &add->rec, err);
}
