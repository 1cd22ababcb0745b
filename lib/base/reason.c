/* SPDX-License-Identifier: Apache-2.0 */
#include "reason.h"

#include <errno.h>
#include <string.h>

#include "own.h"

static const struct {
	const char *name, *help;
	bool built;
} reasons[] = {
#define REASON(nr, sym, name, built, help) [nr] = { name, help, built },
	PK_REASONS(REASON)
};
_Static_assert(PK_ARRAY_LEN(reasons) == PK_REASON_COUNT, "one name per reason");

const char *pk_reason_name(unsigned int reason)
{
	return reason < PK_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *pk_reason_help(unsigned int reason)
{
	return reason < PK_REASON_COUNT ? reasons[reason].help : "a reason of a newer release";
}

bool pk_reason_built(unsigned int reason)
{
	return reason < PK_REASON_COUNT && reasons[reason].built;
}

int pk_reason_parse(const char *name)
{
	for (int i = 0; i < PK_REASON_COUNT; i++)
		if (!strcmp(reasons[i].name, name))
			return i;
	return -ENOENT;
}
