/* SPDX-License-Identifier: Apache-2.0 */
#include "declared.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "own.h"

/* 8-4-4-4-12 hexadecimal digits. */
static bool is_alloc_id(const char *name)
{
	if (strlen(name) != 36)
		return false;
	for (int i = 0; i < 36; i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? name[i] != '-' : !isxdigit((unsigned char)name[i]))
			return false;
	}
	return true;
}

int pk_declared_name(const char *name, struct pk_err *err)
{
	if (!is_alloc_id(name))
		return 0;
	pk_fail(err, 0, "\"%s\" has the form of a Nomad allocation's id", name);
	return pk_fix(err, -EINVAL, "choose another name: such ids are Nomad's to give");
}

bool pk_declared_key(const char *key)
{
	return !strcmp(key, "nomad:namespace") || !strcmp(key, "nomad:job") ||
	       !strcmp(key, "nomad:group") || (!strncmp(key, "meta:", 5) && key[5]);
}

static int check(const struct pk_label_set *set, struct pk_err *err)
{
	if (set->n_unknown)
		return pk_fail(err, EINVAL, "a declared label is not known");
	if (set->init)
		return 0;
	if (!pk_tenant_name_ok(set->tenant_name)) {
		pk_fail(err, 0, "tenant \"%.40s\" is not 1 to 128 of a-z A-Z 0-9 -",
			set->tenant_name);
		return pk_fix(err, -EINVAL, "name it as a Nomad namespace is named");
	}
	for (size_t i = 0; i < set->n_known; i++) {
		const char *key = set->known[i].key;

		if (!pk_declared_key(key)) {
			pk_fail(err, 0, "label \"%.80s\" is not an operator's to give", key);
			return pk_fix(err, -EINVAL, "use job, group or keys of your own");
		}
		if (i && !strcmp(set->known[i - 1].key, key))
			return pk_fail(err, EINVAL, "label \"%.80s\" is given twice", key);
	}
	return 0;
}

int pk_declared_parse(const char *text, struct pk_label_set **out, struct pk_err *err)
{
	own_labels *set = NULL;
	int r = pk_label_set_parse(text, &set, err);

	if (r == 0)
		r = check(set, err);
	if (r == 0)
		*out = PK_MOVE(set, NULL);
	return r;
}
