/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

#include "own.h"
#include "str.h"

/* A slot's counters at the last reading, and the endpoint that had it then. */
struct seen {
	char *key;    /* key of the last endpoint; NULL: nobody's yet */
	bool is_live; /* that endpoint is there now */
	uint64_t fed; /* the endpoint's `fed` when its job was looked up */
	size_t job;
	struct pk_traffic_read had;
};

/*
 * Room for all jobs with sums of their own, for each of these one "_other" of its tenant, and one
 * of everybody.
 */
#define ROOM (2 * PK_TRAFFIC_JOBS + 1)

struct pk_traffic {
	struct pk_counter sum[2][PK_REASON_SLOTS];
	struct seen *slots[PK_CAPACITY_MAX + 1];
	struct pk_traffic_job jobs[ROOM];
	size_t n_own; /* jobs with sums of their own */
	time_t since;
};

struct pk_traffic *pk_traffic_new(time_t since)
{
	struct pk_traffic *traffic = pk_alloc(sizeof(*traffic));

	traffic->since = since;
	return traffic;
}

static void seen_free(struct seen *seen)
{
	if (!seen)
		return;
	free(seen->key);
	free(seen);
}

void pk_traffic_free(struct pk_traffic *traffic)
{
	if (!traffic)
		return;
	for (size_t i = 0; i < PK_ARRAY_LEN(traffic->slots); i++)
		seen_free(traffic->slots[i]);
	free(traffic);
}

/*
 * Copies as much of a name as fits. Bytes that are no UTF-8 become U+FFFD here, so that names that
 * are shown alike are one job: no metric has two equal series.
 */
static void put_name(char to[PK_TRAFFIC_NAME + 1], const char *name)
{
	size_t room = PK_TRAFFIC_NAME;

	while (*name) {
		size_t n = pk_utf8_len(name);
		const char *from = n ? name : "\xef\xbf\xbd";
		size_t len = n ?: 3;

		if (len > room)
			break;
		memcpy(to, from, len);
		to += len;
		room -= len;
		name += n ?: 1;
	}
	*to = '\0';
}

static size_t find(const struct pk_traffic *t, const struct pk_traffic_job *want)
{
	for (size_t i = 0; i < ROOM; i++) {
		const struct pk_traffic_job *job = &t->jobs[i];

		if (job->endpoints && strcmp(job->tenant_name, want->tenant_name) == 0 &&
		    strcmp(job->job, want->job) == 0)
			return i;
	}
	return ROOM;
}

static size_t tenant_jobs(const struct pk_traffic *t, const char *tenant_name)
{
	size_t n = 0;

	for (size_t i = 0; i < ROOM; i++)
		n += t->jobs[i].endpoints && !t->jobs[i].other &&
		     strcmp(t->jobs[i].tenant_name, tenant_name) == 0;
	return n;
}

/*
 * Returns the index of a job's sums, made if there are none; there is always room, since ROOM has
 * it for all.
 */
static size_t take(struct pk_traffic *t, const struct pk_traffic_job *want)
{
	size_t i = find(t, want);

	if (i == ROOM) {
		for (i = 0; t->jobs[i].endpoints; i++)
			;
		t->jobs[i] = *want;
		t->n_own += !want->other;
	}
	t->jobs[i].endpoints++;
	return i;
}

static size_t tenant_others(const struct pk_traffic *t)
{
	size_t n = 0;

	for (size_t i = 0; i < ROOM; i++)
		n += t->jobs[i].endpoints && t->jobs[i].other;
	return n;
}

static size_t job_of(struct pk_traffic *t, const struct pk_local_endpoint *ep)
{
	const char *tenant_name = pk_local_endpoint_namespace(ep), *job = pk_local_endpoint_job(ep);
	struct pk_traffic_job want = { 0 };

	put_name(want.tenant_name, tenant_name ?: PK_TRAFFIC_QUARANTINE);
	put_name(want.job, job ?: PK_TRAFFIC_UNKNOWN);
	if (find(t, &want) < ROOM)
		return take(t, &want);
	if (t->n_own < PK_TRAFFIC_JOBS && tenant_jobs(t, want.tenant_name) < PK_TRAFFIC_TENANT_JOBS)
		return take(t, &want);
	want.other = true;
	strcpy(want.job, PK_TRAFFIC_OTHER);
	if (find(t, &want) == ROOM && tenant_others(t) >= PK_TRAFFIC_JOBS)
		strcpy(want.tenant_name, PK_TRAFFIC_OTHER);
	return take(t, &want);
}

static void leave(struct pk_traffic *t, size_t job)
{
	struct pk_traffic_job *left = &t->jobs[job];

	if (--left->endpoints)
		return;
	t->n_own -= !left->other;
	*left = (struct pk_traffic_job){ 0 };
}

static void add(struct pk_counter *sum, const struct pk_counter *more)
{
	sum->packets += more->packets;
	sum->bytes += more->bytes;
}

/*
 * Returns what was counted since the last reading. A counter that is lower than before began at 0
 * again, as its slot was freed.
 */
static struct pk_counter since(const struct pk_counter *now, const struct pk_counter *before)
{
	if (now->packets < before->packets || now->bytes < before->bytes)
		return *now;
	return (struct pk_counter){ now->packets - before->packets, now->bytes - before->bytes };
}

static void count(struct pk_traffic *t, struct seen *seen, const struct pk_traffic_read *read)
{
	uint64_t lost = read->lost < seen->had.lost ? read->lost : read->lost - seen->had.lost;

	if (seen->is_live)
		t->jobs[seen->job].lost += lost;
	for (unsigned int k = 0; k < 2 * PK_REASON_SLOTS; k++) {
		unsigned int dir = k / PK_REASON_SLOTS, reason = k % PK_REASON_SLOTS;
		struct pk_counter more =
			since(&read->row[dir][reason], &seen->had.row[dir][reason]);

		add(&t->sum[dir][reason], &more);
		if (seen->is_live)
			add(&t->jobs[seen->job].sum[dir][reason != PK_REASON_OK], &more);
	}
	seen->had = *read;
}

static void forget(struct pk_traffic *t, struct seen *seen)
{
	if (seen->is_live)
		leave(t, seen->job);
	seen->is_live = false;
}

/* Counts the endpoint for its job from now on, once that is confirmed or another. */
static void follow(struct pk_traffic *t, struct seen *seen, const struct pk_local_endpoint *ep)
{
	size_t job;

	if (seen->is_live && seen->fed == ep->fed && !t->jobs[seen->job].other)
		return;
	job = job_of(t, ep);
	forget(t, seen);
	seen->job = job;
	seen->fed = ep->fed;
	seen->is_live = true;
}

/* Begins again for another endpoint: the slot was freed in between, and its counters are 0. */
static void replace(struct pk_traffic *t, struct seen *seen, const char *key)
{
	if (seen->key && strcmp(seen->key, key) == 0)
		return;
	forget(t, seen);
	if (seen->key)
		memset(&seen->had, 0, sizeof(seen->had));
	free(seen->key);
	seen->key = pk_strdup(key);
}

void pk_traffic_take(struct pk_traffic *t, uint32_t slot, const struct pk_local_endpoint *ep,
		     const struct pk_traffic_read *read)
{
	struct seen *seen = t->slots[slot];

	if (!seen) {
		seen = t->slots[slot] = pk_alloc(sizeof(*seen));
		/*
		 * What an older endpoint was counted before picketd's start would be a leap: leave
		 * it out.
		 */
		if (!ep || ep->added < t->since)
			seen->had = *read;
	}
	if (ep) {
		replace(t, seen, ep->key);
		follow(t, seen, ep);
	}
	count(t, seen, read);
	if (!ep)
		forget(t, seen);
}

void pk_traffic_read(struct pk_traffic *t, const struct pk_bpf *bpf, struct pk_model *model,
		     uint32_t slot)
{
	struct pk_traffic_read read;

	if (slot >= PK_ARRAY_LEN(t->slots) || pk_counter_row(bpf, slot, read.row, NULL) < 0)
		return;
	read.lost = pk_events_lost(bpf, slot);
	pk_traffic_take(t, slot, pk_model_by_slot(model, slot), &read);
}

void pk_traffic_settle(struct pk_traffic *t, const struct pk_bpf *bpf, struct pk_model *model)
{
	for (uint32_t slot = 1; bpf && slot < PK_ARRAY_LEN(t->slots); slot++) {
		const struct pk_local_endpoint *ep;

		if (!t->slots[slot] || !t->slots[slot]->is_live)
			continue;
		ep = pk_model_by_slot(model, slot);
		if (!ep || strcmp(ep->key, t->slots[slot]->key) != 0)
			pk_traffic_read(t, bpf, model, slot);
	}
}

const struct pk_counter *pk_traffic_sum(const struct pk_traffic *t, enum pk_dir dir,
					unsigned int reason)
{
	return &t->sum[dir][reason];
}

const struct pk_traffic_job *pk_traffic_job(const struct pk_traffic *t, size_t i)
{
	for (size_t at = 0; at < ROOM; at++)
		if (t->jobs[at].endpoints && i-- == 0)
			return &t->jobs[at];
	return NULL;
}
