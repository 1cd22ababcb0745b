/* SPDX-License-Identifier: Apache-2.0 */
#include "instances.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "own.h"

static const char *const state_names[] = { "counts", "held", "critical", "endpoint", "refused" };

const char *pk_instance_state_name(enum pk_instance_state state)
{
	return state_names[state];
}

static bool is_in_force(const struct pk_instance_row *row)
{
	return row->state == PK_INSTANCE_COUNTS || row->state == PK_INSTANCE_HELD;
}

static void say(struct pk_instance_row *row, enum pk_instance_state state, const char *why)
{
	row->state = state;
	snprintf(row->why, sizeof(row->why), "%s", why);
}

/* Judges an instance. One outside of the declared addresses is refused whatever its checks say. */
static void judge(struct pk_instance_row *row, const struct pk_instance_look *look)
{
	const struct pk_declared_service *d = look->declared;

	row->state = PK_INSTANCE_COUNTS;
	if (pk_addr_parse(row->said.address, &row->addr) < 0) {
		say(row, PK_INSTANCE_REFUSED, "its address is no IP address");
	} else if (!pk_declared_service_has(d, &row->addr)) {
		say(row, PK_INSTANCE_REFUSED, "its address is outside of \"within\"");
	} else {
		row->state = look->where(look->arg, d, &row->said, &row->addr, row->why,
					 sizeof(row->why));
		if (row->state == PK_INSTANCE_COUNTS && row->said.health == PK_HEALTH_CRITICAL)
			say(row, PK_INSTANCE_CRITICAL, "a check of it is critical");
	}
}

static struct pk_instance_row *find(struct pk_instance_table *t, const union pk_addr *addr,
				    bool in_force)
{
	for (size_t i = 0; i < t->n; i++)
		if (pk_addr_equal(&t->row[i].addr, addr) && (!in_force || is_in_force(&t->row[i])))
			return &t->row[i];
	return NULL;
}

/*
 * Returns whether the answer lacks an instance that counted, or calls it critical. One that is
 * refused now isn't lacking: the answer has it.
 */
static bool is_lacking(struct pk_instance_table *now, const struct pk_instance_row *old)
{
	const struct pk_instance_row *row;

	if (find(now, &old->addr, true))
		return false;
	row = find(now, &old->addr, false);
	return !row || row->state == PK_INSTANCE_CRITICAL;
}

/* Leaves one row of several with the same address: ports don't matter. */
static void refuse_rest(struct pk_instance_table *t)
{
	size_t counted = 0;

	for (size_t i = 0; i < t->n; i++)
		if (t->row[i].state == PK_INSTANCE_COUNTS &&
		    find(t, &t->row[i].addr, true) == &t->row[i] &&
		    counted++ >= PK_DECLARED_SERVICE_INSTANCES)
			say(&t->row[i], PK_INSTANCE_REFUSED, "there are too many instances");
}

/*
 * Adds a row. Where none is free an instance that counts takes the row of one that doesn't: nobody
 * shuts an instance out by registering many that are refused.
 */
static void add_row(struct pk_instance_table *now, const struct pk_instance_row *row)
{
	if (now->n < PK_INSTANCE_ROWS) {
		now->row[now->n++] = *row;
		return;
	}
	now->left_out++;
	for (size_t i = 0; i < now->n && row->state == PK_INSTANCE_COUNTS; i++)
		if (!is_in_force(&now->row[i])) {
			now->row[i] = *row;
			return;
		}
}

static void read_answer(struct pk_instance_table *now, const struct pk_instance_look *look)
{
	for (size_t i = 0; i < look->instances->n; i++) {
		struct pk_instance_row row = { .said = look->instances->list[i] };

		judge(&row, look);
		add_row(now, &row);
	}
	refuse_rest(now);
}

static size_t recent(const struct pk_instance_table *t, uint64_t now_ms)
{
	return now_ms - t->recent_ms < PK_ABSENCE_WINDOW_MS ? t->recent : 0;
}

static void hold(struct pk_instance_table *now, const struct pk_instance_row *old, const char *why)
{
	struct pk_instance_row *row = find(now, &old->addr, false);

	if (!row && now->n < PK_INSTANCE_ROWS) {
		row = &now->row[now->n++];
		*row = *old;
	}
	/* An instance in force always gets a row. */
	for (size_t i = 0; !row && i < now->n; i++)
		if (!is_in_force(&now->row[i])) {
			row = &now->row[i];
			*row = *old;
			now->left_out++;
		}
	if (row)
		say(row, PK_INSTANCE_HELD, why);
}

static bool is_still_declared(const struct pk_instance_look *look,
			      const struct pk_instance_row *old)
{
	char why[sizeof(old->why)];

	return pk_declared_service_has(look->declared, &old->addr) &&
	       look->where(look->arg, look->declared, &old->said, &old->addr, why, sizeof(why)) ==
		       PK_INSTANCE_COUNTS;
}

void pk_instance_table_take(struct pk_instance_table *t, const struct pk_instance_look *look)
{
	struct pk_instance_table *now = pk_alloc(sizeof(*now));
	struct pk_absence absence = { .recent = recent(t, look->now_ms),
				      .first = look->first,
				      .behind = look->behind };
	const char *why;

	read_answer(now, look);
	for (size_t i = 0; i < t->n; i++) {
		/* Several ports of one address count once. */
		if (t->row[i].state != PK_INSTANCE_COUNTS ||
		    find(t, &t->row[i].addr, true) != &t->row[i])
			continue;
		absence.had++;
		absence.lacks += is_lacking(now, &t->row[i]);
	}
	why = pk_absence_held(&absence);
	for (size_t i = 0; i < t->n; i++) {
		const struct pk_instance_row *old = &t->row[i];

		if (!is_in_force(old) || !is_lacking(now, old) || !is_still_declared(look, old))
			continue;
		if (old->state == PK_INSTANCE_HELD)
			hold(now, old, old->why);
		else if (why)
			hold(now, old, why);
	}
	now->recent = absence.recent + (why ? 0 : absence.lacks);
	now->recent_ms = why || !absence.lacks ? t->recent_ms : look->now_ms;
	*t = *now;
	free(now);
}

void pk_instance_table_again(struct pk_instance_table *t, const struct pk_instance_look *look)
{
	for (size_t i = t->n; i-- > 0;) {
		struct pk_instance_row *row = &t->row[i];

		if (row->state != PK_INSTANCE_HELD) {
			row->why[0] = '\0';
			judge(row, look);
		} else if (!is_still_declared(look, row)) {
			*row = t->row[--t->n];
		}
	}
	refuse_rest(t);
}

void pk_instance_table_init(struct pk_instance_table *t, const struct pk_declared_service *d)
{
	*t = (struct pk_instance_table){ .n = d->n_instances };
	for (size_t i = 0; i < d->n_instances; i++) {
		t->row[i].addr = d->instances[i];
		pk_addr_format(&d->instances[i], t->row[i].said.address);
	}
}

size_t pk_instance_table_release(struct pk_instance_table *t)
{
	size_t n = 0;

	for (size_t i = t->n; i-- > 0;) {
		if (t->row[i].state != PK_INSTANCE_HELD)
			continue;
		n++;
		t->row[i] = t->row[--t->n];
	}
	return n;
}

size_t pk_instance_table_count(const struct pk_instance_table *t, enum pk_instance_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->row[i].state == state;
	return n;
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(union pk_addr));
}

bool pk_instance_table_fill(const struct pk_instance_table *t, struct pk_declared_service *d)
{
	union pk_addr list[PK_INSTANCE_ROWS];
	size_t n = 0, kept = 0;
	bool same;

	for (size_t i = 0; i < t->n; i++)
		if (is_in_force(&t->row[i]))
			list[n++] = t->row[i].addr;
	qsort(list, n, sizeof(*list), by_address);
	for (size_t i = 0; i < n; i++)
		if (!kept || !pk_addr_equal(&list[kept - 1], &list[i]))
			list[kept++] = list[i];
	kept = kept < PK_DECLARED_SERVICE_INSTANCES ? kept : PK_DECLARED_SERVICE_INSTANCES;
	same = kept == d->n_instances && memcmp(list, d->instances, kept * sizeof(*list)) == 0;
	memcpy(d->instances, list, kept * sizeof(*list));
	d->n_instances = kept;
	return !same;
}
