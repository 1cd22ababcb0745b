/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the state of a source: when it was asked, when it answered, why it failed. */
#include <stdio.h>

#include "fs.h"
#include "source.h"

const char *pk_source_state_name(enum pk_source_state state)
{
	static const char *const names[] = { "off", "starting", "ok", "stale" };

	return names[state];
}

void pk_source_start(struct pk_source *s)
{
	*s = (struct pk_source){ .state = PK_SOURCE_STARTING, .since = pk_boot_seconds() };
}

void pk_source_good(struct pk_source *s)
{
	s->state = PK_SOURCE_OK;
	s->failures = 0;
	s->unserved = false;
	clock_gettime(CLOCK_REALTIME, &s->contact);
}

static void went_stale(struct pk_source *s, enum pk_source_fault fault, const char *why)
{
	s->fault = fault;
	if (s->state == PK_SOURCE_OK)
		s->state = PK_SOURCE_STALE;
	s->errors++;
	s->failures++;
	s->unserved = false;
	snprintf(s->last_error, sizeof(s->last_error), "%s", why);
}

void pk_source_bad(struct pk_source *s, enum pk_source_fault fault, const char *why)
{
	s->turn++;
	went_stale(s, fault, why);
}

bool pk_source_note_outage(struct pk_source *s)
{
	if (!s->outage || s->failures)
		return false;
	/* No answer failed, so it isn't the next address's turn. */
	went_stale(s, PK_FAULT_ANSWER, s->outage);
	s->unserved = true;
	return true;
}

bool pk_source_served(struct pk_source *s)
{
	s->outage = NULL;
	if (!s->unserved)
		return false;
	s->unserved = false;
	s->failures = 0;
	s->state = s->contact.tv_sec ? PK_SOURCE_OK : PK_SOURCE_STARTING;
	return true;
}
