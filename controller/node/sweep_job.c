/* SPDX-License-Identifier: Apache-2.0 */
#include "sweep_job.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs.h"
#include "log.h"
#include "own.h"

#define SWEEP_NS       2000000000ull
#define CLOSED_AT_ONCE 256

struct alloc {
	char id[PK_CNI_ID_MAX + 1];
	bool live;
};

struct pk_sweep_job {
	struct pk_sweep_wish wish; /* its lists are this one's own */
	struct pk_paths paths;
	bool loaded;
	uint64_t epoch[2];
	struct alloc *allocs; /* by id */
	union pk_addr *held;  /* sorted */
	struct pk_record_name *only;
	struct pk_orphan *found;
	size_t n_allocs, n_held, n_found;
	unsigned int left;
};

static void job_free(struct pk_sweep_job *job)
{
	free(job->allocs);
	free(job->held);
	free(job->only);
	free(job->found);
	free(job);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct alloc *)a)->id, ((const struct alloc *)b)->id);
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(union pk_addr));
}

static void copy_model(struct pk_sweep_job *job)
{
	struct pk_model *model = job->wish.model;
	size_t n = pk_model_count(model), room = 0;
	const struct pk_local_endpoint *m;

	job->allocs = pk_alloc((n + 1) * sizeof(*job->allocs));
	for (size_t i = 0; (m = pk_model_at(model, i)); i++) {
		struct alloc *alloc = &job->allocs[job->n_allocs++];

		snprintf(alloc->id, sizeof(alloc->id), "%s", m->container_id);
		alloc->live = pk_model_has_alloc(model, alloc->id);
		room += m->n_addresses;
	}
	qsort(job->allocs, job->n_allocs, sizeof(*job->allocs), by_id);
	job->held = pk_alloc((room + 1) * sizeof(*job->held));
	for (size_t i = 0; (m = pk_model_at(model, i)); i++)
		for (size_t k = 0; m->open && k < m->n_addresses; k++)
			job->held[job->n_held++] = m->addresses[k];
	qsort(job->held, job->n_held, sizeof(*job->held), by_address);
}

static enum pk_alloc_state alloc_state(void *arg, const char *container_id)
{
	const struct pk_sweep_job *job = arg;
	struct alloc key;
	const struct alloc *alloc;

	if (job->wish.nomad != PK_NOMAD_ANSWERS)
		return PK_ALLOC_UNKNOWN;
	snprintf(key.id, sizeof(key.id), "%s", container_id);
	alloc = bsearch(&key, job->allocs, job->n_allocs, sizeof(*job->allocs), by_id);
	if (!alloc)
		return PK_ALLOC_UNKNOWN;
	return alloc->live ? PK_ALLOC_LIVE : PK_ALLOC_GONE;
}

static bool holds(void *arg, const union pk_addr *addr)
{
	const struct pk_sweep_job *job = arg;

	return bsearch(addr, job->held, job->n_held, sizeof(*job->held), by_address);
}

static void on_found(void *arg, const struct pk_orphan *orphan)
{
	struct pk_sweep_job *job = arg;

	job->found = realloc(job->found, (job->n_found + 1) * sizeof(*orphan));
	if (!job->found)
		abort();
	job->found[job->n_found++] = *orphan;
}

static int sweep(struct pk_sweep_job *job, struct pk_sweep *s, struct pk_err *err)
{
	int r;

	s->paths = &job->paths;
	s->found = on_found;
	s->holds = holds;
	s->arg = job;
	s->apply = true;
	s->deadline_ns = pk_now_ns() + SWEEP_NS;
	if (job->wish.nomad != PK_NOMAD_OFF)
		s->alloc = alloc_state;
	r = pk_sweep(s, err);
	job->left += s->n_found - s->n_removed;
	return r;
}

/*
 * Opens the tables if they are the loop's own: endpoints under other tables are not ours to judge.
 */
static int open_tables(const struct pk_sweep_job *job, struct pk_bpf **bpf, struct pk_err *err)
{
	int r;

	if (!job->loaded)
		return 0;
	r = pk_bpf_open(bpf, &job->paths, PK_BPF_READ, NULL, pk_now_ns(), err);
	if (r == 0 && !pk_bpf_same_epoch(*bpf, job->epoch))
		r = pk_fail(err, ESTALE, "the pins are others by now");
	return r;
}

static int run(void *arg, struct pk_err *err)
{
	struct pk_sweep_job *job = arg;
	struct pk_sweep whole = { .parts = PK_SWEEP_EVERYTHING };
	struct pk_sweep closed = { .parts = PK_SWEEP_CLOSED, .most = CLOSED_AT_ONCE };
	struct pk_sweep open = { .only = job->only, .n_only = job->wish.n_only };
	own_bpf *bpf = NULL;
	int r = open_tables(job, &bpf, err);

	if (r < 0)
		return r;
	whole.bpf = closed.bpf = open.bpf = bpf;
	if (job->wish.whole)
		return sweep(job, &whole, err);
	r = sweep(job, &closed, err);
	job->left =
		0; /* a device that goes takes its closed record along, or the next sweep does */
	if (r == 0 && open.n_only)
		r = sweep(job, &open, err);
	return r;
}

static void done(void *arg, int r, const struct pk_err *err)
{
	struct pk_sweep_job *job = arg;
	const struct pk_sweep_wish *w = &job->wish;

	if (r < 0)
		log_warn("op=sweep err=\"%s\" ignoring until the next one", err->text);
	for (size_t i = 0; i < job->n_found; i++)
		w->found(w->arg, &job->found[i]);
	w->ended(w->arg, job->left);
	job_free(job);
}

void pk_sweep_begin(struct pk_writer *writer, const struct pk_sweep_wish *wish)
{
	struct pk_sweep_job *job = pk_alloc(sizeof(*job));
	const struct pk_work work = { .run = run, .done = done, .arg = job, .always = true };
	const struct pk_bpf *bpf = pk_sync_bpf(wish->sync);

	job->wish = *wish;
	job->paths = *wish->paths;
	job->loaded = bpf;
	if (bpf)
		memcpy(job->epoch, bpf->node.epoch, sizeof(job->epoch));
	copy_model(job);
	job->only = pk_alloc((wish->n_only + 1) * sizeof(*job->only));
	if (wish->n_only)
		memcpy(job->only, wish->only, wish->n_only * sizeof(*job->only));
	pk_writer_add(writer, &work);
}
