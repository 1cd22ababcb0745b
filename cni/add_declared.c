/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what `picket attach` says of the endpoint on the command line (declared.h). */
#include <errno.h>

#include "add.h"
#include "declared.h"

/* The operator's words take the place of CNI_ARGS', which then say nothing of who it is. */
static int check(const struct cni_add *add, struct pk_err *err)
{
	const struct cni_args *args = &add->args;

	if (args->tenant_name || args->alloc || args->job || args->group || args->region)
		return pk_fail(err, EINVAL, "CNI_ARGS: NOMAD_* beside what an operator declares");
	return pk_declared_name(add->call->env.container_id, err);
}

static const char *value_of(const struct pk_label_set *set, const char *key)
{
	const struct pk_label *label = pk_label_set_get(set, key);

	return label ? label->value : NULL;
}

int cni_add_declared(struct cni_add *add, struct pk_err *err)
{
	int r;

	if (!add->call->env.declared)
		return 0;
	r = check(add, err);
	if (r == 0)
		r = pk_declared_parse(add->call->env.declared, &add->declared, err);
	if (r < 0)
		return pk_code(err, r, PK_CODE_ARGS);
	add->args.tenant_name = add->declared->tenant_name;
	add->args.job = value_of(add->declared, "nomad:job");
	add->args.group = value_of(add->declared, "nomad:group");
	return 0;
}
