/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What was there and is lacking in a source's whole answer: is it gone, or is the source not what
 * it was? One thing that goes is somebody's act and counts at once, the last one too. Many at once
 * are as likely a mount that is missing, a restored snapshot, a prefix that was too short: they
 * are held until they are back or an operator releases them. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#define PK_ABSENCE_WINDOW_MS 10000

struct pk_absence {
	size_t had;    /* of this source, and not held already */
	size_t lacks;  /* of those, not in the answer */
	size_t recent; /* gone from this source within the window before */
	bool first;    /* the source's first whole answer since it was started */
	bool behind;   /* its history is older than the one that was believed before */
};

/* Why what lacks is held; NULL: it is gone. */
const char *pk_absence_held(const struct pk_absence *absence);
