/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* apply.c on tables that note what they are asked for: no kernel, a loop, documents in a directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpfobj.h"
#include "controller/sync/apply.h"
#include "fs.h"
#include "own.h"

#define DENY "{\"endpointSelector\": {}, \"ingress\": [{}]}"

/* What the tables' side was asked for, pass by pass: 'a' names of others go too, 'f' they don't. */
static struct {
	struct pk_bpf bpf;
	char asked[64];
	uint64_t numbers[64]; /* of the documents, at each pass */
	unsigned int passes, later, turns;
	int error;
	bool pinned;
	void (*between)(void);
	struct pk_docs *docs;
	bool sliced;
	unsigned int unread; /* records that can't be read */
} fake;

struct pk_sync;

struct pk_bpf *pk_sync_bpf(struct pk_sync *sync)
{
	(void)sync;
	return fake.pinned ? &fake.bpf : NULL;
}

int pk_sync_open(struct pk_sync *sync, const struct pk_settings *settings, struct pk_err *err)
{
	(void)sync;
	(void)settings;
	(void)err;
	fake.pinned = true;
	return 0;
}

uint64_t pk_sync_until(void)
{
	return pk_now_ns();
}

uint64_t pk_sync_until_long(void)
{
	return pk_now_ns();
}

int pk_sync_pass(struct pk_sync *sync, const struct pk_sync_want *want, struct pk_sync_done *done,
		 struct pk_err *err)
{
	(void)sync;
	*done = (struct pk_sync_done){ .switched = 1 };
	fake.sliced = want->slice;
	fake.asked[fake.passes] = want->all ? 'a' : 'f';
	fake.numbers[fake.passes++] = pk_docs_number(fake.docs);
	if (fake.between)
		fake.between();
	if (fake.error)
		return pk_fail(err, fake.error, "the tables say so");
	if (!fake.later)
		return 0;
	fake.later--;
	return -EAGAIN;
}

void pk_sync_tidy(struct pk_sync *sync, struct pk_model *model)
{
	(void)sync;
	(void)model;
}

bool pk_sync_tidy_next(struct pk_sync *sync, struct pk_model *model)
{
	(void)model;
	(void)sync;
	return false;
}

void pk_sync_state(struct pk_sync *sync, const struct pk_local_endpoint *ep,
		   struct pk_sync_state *out)
{
	(void)sync;
	(void)ep;
	*out = (struct pk_sync_state){ 0 };
}

bool pk_sync_in_step(struct pk_sync *sync, struct pk_model *model,
		     const struct pk_local_endpoint *ep)
{
	(void)sync;
	(void)model;
	(void)ep;
	return false;
}

bool pk_bpf_is_pinned(const struct pk_bpf *bpf, bool whole)
{
	(void)bpf;
	(void)whole;
	return true;
}

int pk_bpf_pin_again(const struct pk_bpf *bpf, uint64_t deadline_ns, struct pk_err *err)
{
	(void)bpf;
	(void)deadline_ns;
	(void)err;
	return 0;
}

void pk_records_set_epoch(struct pk_records *records, const uint64_t epoch[2])
{
	(void)records;
	(void)epoch;
}

unsigned int pk_records_bad(const struct pk_records *records)
{
	(void)records;
	return fake.unread;
}

bool pk_records_look(struct pk_records *records)
{
	(void)records;
	return false;
}

int pk_events_open(struct pk_events *events, const char *pin, struct pk_err *err)
{
	(void)events;
	(void)pin;
	return pk_fail(err, ENOENT, "no events here");
}

static unsigned int journal;

void pk_journal_document(struct pk_journal *j, const struct pk_doc_change *change)
{
	(void)j;
	(void)change;
	journal++;
}

struct fixture {
	struct pk_loop *loop;
	struct pk_config config;
	struct pk_docs *docs;
	struct pk_model *model;
	struct pk_writer *disk, *fsync;
	struct pk_apply *apply;
	struct pk_timer *tick;
	unsigned int passed;
	int gate[2]; /* a byte for each write that the disk may do; none: it hangs */
	char dir[32];
};

static struct fixture *now; /* for what has no argument */

static inline void on_passed(void *arg)
{
	((struct fixture *)arg)->passed++;
}

static inline void on_tick(void *arg)
{
	struct fixture *f = arg;

	fake.turns++;
	pk_timer_set(f->tick, 0);
}

static inline int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_model_args model = { .settings = &f->config.settings };
	struct pk_apply_args args = { .config = &f->config, .passed = on_passed, .arg = f };

	memset(&fake, 0, sizeof(fake));
	memset(fake.bpf.map, -1, sizeof(fake.bpf.map));
	strcpy(fake.bpf.build, pk_bpf_own_build());
	fake.bpf.paths = &f->config.paths;
	pk_settings_init(&f->config.settings);
	strcpy(f->config.flows_allowed, "none");
	strcpy(f->dir, "/tmp/pk-apply-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(pk_paths_init(&f->config.paths, f->dir, NULL), 0);
	pk_fs_mkdirs(f->config.paths.policies, 0700, NULL);
	f->loop = pk_loop_new();
	fake.docs = f->docs = pk_docs_new(f->config.paths.policies);
	model.docs = f->docs;
	f->model = pk_model_new(&model);
	f->disk = pk_writer_new(f->loop, 1 << 20);
	f->fsync = pk_writer_new(f->loop, 1 << 20);
	args.loop = f->loop;
	args.docs = f->docs;
	args.model = f->model;
	args.disk = f->disk;
	args.fsync = f->fsync;
	f->apply = pk_apply_new(&args);
	f->tick = pk_timer_new(f->loop, on_tick, f);
	pk_timer_set(f->tick, 0);
	now = f;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_writer_flush(f->disk, pk_now_ns() + 20000000000);
	pk_writer_flush(f->fsync, pk_now_ns() + 20000000000);
	pk_apply_free(f->apply);
	pk_timer_free(f->tick);
	pk_model_free(f->model);
	pk_docs_free(f->docs);
	pk_writer_free(f->disk);
	pk_writer_free(f->fsync);
	pk_loop_free(f->loop);
	pk_settings_done(&f->config.settings);
	pk_str_addf(&command, "rm -r %s", f->dir);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

static inline void turn(struct fixture *f)
{
	event_base_loop(pk_loop_base(f->loop), EVLOOP_ONCE);
}

/* Until so many changes are acknowledged; a bound on waiting alone. */
static inline void until_revision(struct fixture *f, uint64_t revision)
{
	uint64_t end = pk_now_ns() + 20000000000;

	while (pk_apply_state(f->apply)->revision < revision && pk_now_ns() < end)
		turn(f);
	assert_int_equal(pk_apply_state(f->apply)->revision, revision);
}

static inline void start(struct fixture *f)
{
	pk_apply_now(f->apply);
	pk_apply_serve(f->apply);
	until_revision(f, 1);
	fake.passes = fake.turns = journal = 0;
	f->passed = 0;
}

static inline void offer(struct fixture *f, const char *path)
{
	const struct pk_doc_origin origin = { .source = "file", .path = path };

	assert_true(pk_docs_offer(f->docs, &origin, DENY, strlen(DENY)));
	pk_apply_documents(f->apply);
}

static inline bool has_file(struct fixture *f, const char *name)
{
	own_str path = { 0 };

	pk_str_addf(&path, "%s/file/%s", f->config.paths.policies, name);
	return access(path.text, F_OK) == 0;
}
