/* SPDX-License-Identifier: Apache-2.0 */
#include "absence.h"

#define FEW 4 /* of fewer, half is one or two acts */

const char *pk_absence_held(const struct pk_absence *a)
{
	/*
	 * Documents that go one after another within the window are judged as if they went at once.
	 */
	size_t had = a->had + a->recent, lacks = a->lacks + a->recent;

	if (!a->lacks)
		return NULL;
	if (a->behind)
		return "the source's history is older than what it said before";
	if (a->first && a->lacks == a->had)
		return "the source was empty when it was asked first, and was not before";
	if (!a->first && a->lacks == 1)
		return NULL;
	if (had >= 2 && lacks == had)
		return "the source lost all that it had at once";
	if (had >= FEW && 2 * lacks > had)
		return "the source lost more than half of what it had at once";
	return NULL;
}
