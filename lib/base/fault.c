/* SPDX-License-Identifier: Apache-2.0 */
#include "fault.h"

#ifdef PK_FAULTS
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void pk_fault(const char *point)
{
	static unsigned long passed;
	const char *want = getenv("PICKET_FAULT");
	size_t n = strlen(point);
	char *end;

	if (!want || strncmp(want, point, n) || (want[n] != ':' && want[n] != '\0'))
		return;
	if (++passed == (want[n] == ':' ? strtoul(want + n + 1, &end, 10) : 1))
		raise(want[n] == ':' && strcmp(end, ":stop") == 0 ? SIGSTOP : SIGKILL);
}

bool pk_fault_asked(const char *name)
{
	const char *want = getenv("PICKET_FAULT");

	return want && !strcmp(want, name);
}
#endif
