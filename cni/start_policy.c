/* SPDX-License-Identifier: Apache-2.0 */
#include "start_policy.h"

#include <errno.h>

#include "tenant_base.h"
#include "fault.h"
#include "fs.h"

/* Compiling may take half of the time that is left; the other half is for the devices. */
static uint64_t compile_until(const struct cni_start_policy *o)
{
	uint64_t now = pk_now_ns();

	return now < o->deadline_ns ? now + (o->deadline_ns - now) / 2 : now;
}

static int compile(const struct cni_start_policy *o, struct pk_image **image, struct pk_err *err)
{
	if (o->no_policy)
		return cni_tenant_base_quarantine(o->settings, image, err);
	return cni_tenant_base_compile(o->paths, o->settings, o->set->tenant_name, compile_until(o),
				       image, err);
}

int cni_start_policy_rule_set(const struct cni_start_policy *o, struct pk_err *err)
{
	struct pk_labels labels = o->labels;
	own_image *image = NULL;
	uint32_t rule_set;
	int r = pk_labels_get(o->bpf, o->set->hash, &labels);

	if (r == 0 || r == -ENOENT)
		r = pk_rule_set_of(o->bpf, &labels, &rule_set);
	if (r != -ENOENT)
		return r < 0 ? pk_fail(err, -r, "find the rule set") : 0;
	r = compile(o, &image, err);
	pk_fault("add-compiled");
	if (r == 0)
		r = pk_rule_set_install_base(o->bpf, image, labels.tenant, o->deadline_ns,
					     &rule_set, err);
	return r;
}
