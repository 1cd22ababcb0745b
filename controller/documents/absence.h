/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Decides about what a source's whole answer lacks that was there before: it is gone, or the source
 * isn't what it was. One thing that goes is somebody's act and counts at once, also where it is the
 * last one. Many at once are as likely a missing mount, a restored snapshot or a prefix that was
 * too short: they are held until they are back or an operator releases them. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#define PK_ABSENCE_WINDOW_MS 10000

struct pk_absence {
	size_t had;    /* documents of this source that are in force and not held */
	size_t lacks;  /* how many of those the answer lacks */
	size_t recent; /* how many went within the window before */
	bool first;    /* the source's first whole answer since it was started */
	bool behind;   /* its history is older than the one that was believed before */
};

/* Returns why the lacking ones are held, or NULL where they are gone. */
const char *pk_absence_held(const struct pk_absence *absence);
