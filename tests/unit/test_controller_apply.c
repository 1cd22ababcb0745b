/* SPDX-License-Identifier: Apache-2.0 */
/* apply.c: passes of several turns, what comes between two of them, what waits for the disk. */
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
	return 0;
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

static void on_passed(void *arg)
{
	((struct fixture *)arg)->passed++;
}

static void on_tick(void *arg)
{
	struct fixture *f = arg;

	fake.turns++;
	pk_timer_set(f->tick, 0);
}

static int setup(void **state)
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

static int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_writer_flush(f->disk, pk_now_ns() + 1000000000);
	pk_writer_flush(f->fsync, pk_now_ns() + 1000000000);
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

static void turn(struct fixture *f)
{
	event_base_loop(pk_loop_base(f->loop), EVLOOP_ONCE);
}

/* Until so many changes are acknowledged; a bound on waiting alone. */
static void until_revision(struct fixture *f, uint64_t revision)
{
	uint64_t end = pk_now_ns() + 20000000000;

	while (pk_apply_state(f->apply)->revision < revision && pk_now_ns() < end)
		turn(f);
	assert_int_equal(pk_apply_state(f->apply)->revision, revision);
}

static void start(struct fixture *f)
{
	pk_apply_now(f->apply);
	pk_apply_serve(f->apply);
	until_revision(f, 1);
	fake.passes = fake.turns = journal = 0;
	f->passed = 0;
}

static void offer(struct fixture *f, const char *path)
{
	const struct pk_doc_origin origin = { .source = "file", .path = path };

	assert_true(pk_docs_offer(f->docs, &origin, DENY, strlen(DENY)));
	pk_apply_documents(f->apply);
}

static bool has_file(struct fixture *f, const char *name)
{
	own_str path = { 0 };

	pk_str_addf(&path, "%s/file/%s", f->config.paths.policies, name);
	return access(path.text, F_OK) == 0;
}

/* Five turns, and names went in the last one: a disk that was slow makes it a sixth. */
static void took_five_turns(struct fixture *f)
{
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	assert_true(fake.passes == 5 || fake.passes == 6);
	fake.passes = f->passed = 0;
	memset(fake.asked, 0, sizeof(fake.asked));
}

/* Each way in, with a pass that takes five turns. */
static void test_each_way_in_is_sliced(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.later = 4;
	offer(f, "/p/a");
	until_revision(f, 2);
	took_five_turns(f);
	assert_true(fake.sliced && fake.turns >= 4); /* others had theirs between */
	assert_int_equal(journal, 1);
	assert_true(has_file(f, "a"));
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));

	fake.later = 4;
	pk_apply_settings(f->apply);
	until_revision(f, 3);
	took_five_turns(f);
	assert_int_equal(access(f->config.paths.node_json, F_OK), 0);

	/* An endpoint came: no name of others goes, and no change is acknowledged. */
	fake.later = 4;
	pk_apply_soon(f->apply);
	while (!f->passed)
		turn(f);
	assert_string_equal(fake.asked, "fffff");
	assert_int_equal(pk_apply_state(f->apply)->revision, 3);

	/* Who can't wait for a turn begins one, and hears of its end. */
	fake.passes = f->passed = 0;
	memset(fake.asked, 0, sizeof(fake.asked));
	fake.later = 2;
	assert_int_equal(pk_apply_now(f->apply), -EAGAIN);
	assert_int_equal(f->passed, 0);
	while (!f->passed)
		turn(f);
	assert_string_equal(fake.asked, "fff");
}

static void in_the_third(void)
{
	if (fake.passes != 3)
		return;
	offer(now, "/p/b");
	pk_apply_settings(now->apply);
}

/* What comes between two turns is in the same acknowledgement or in a later one, never in none. */
static void test_a_change_between_two_turns(void **state)
{
	struct fixture *f = *state;
	uint64_t number;

	start(f);
	fake.later = 5;
	fake.between = in_the_third;
	offer(f, "/p/a");
	until_revision(f, 2);
	number = pk_docs_number(f->docs);
	assert_int_equal(fake.numbers[0] + 1, fake.numbers[3]);
	assert_int_equal(fake.numbers[fake.passes - 1], number);
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), number);
	assert_int_equal(journal, 2);
	assert_false(pk_apply_is_pending(f->apply));
	while (!has_file(f, "b"))
		turn(f);
	assert_true(has_file(f, "a"));
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	/* And it was the last word: nothing is done again. */
	fake.passes = 0;
	for (int i = 0; i < 100; i++)
		turn(f);
	assert_int_equal(fake.passes, 0);
	assert_int_equal(pk_apply_state(f->apply)->revision, 2);
}

/* An error loses nothing: what wasn't brought is brought by the next try. */
static void test_an_error_between_two_turns(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.error = EBUSY;
	offer(f, "/p/a");
	while (!fake.passes)
		turn(f);
	assert_int_equal(pk_apply_state(f->apply)->revision, 1);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text,
			    "the tables say so: Device or resource busy");
	assert_true(pk_apply_enforced(f->apply, NULL, false) < pk_docs_number(f->docs));
	fake.error = 0;
	pk_apply_soon(f->apply);
	until_revision(f, 2);
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text, "");
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));
}

/* The node lock is held: the pass ends, is no error yet, and is made again. */
static void test_a_lock_that_is_held(void **state)
{
	struct fixture *f = *state;

	start(f);
	fake.error = ETIMEDOUT;
	offer(f, "/p/a");
	while (fake.passes < 2)
		turn(f);
	assert_string_equal(pk_apply_state(f->apply)->apply_error.text, "");
	fake.error = 0;
	until_revision(f, 2);
	while (fake.asked[fake.passes - 1] != 'a')
		turn(f);
}

static int wait_at_the_gate(void *arg, struct pk_err *err)
{
	struct fixture *f = *(struct fixture **)arg;
	char byte;

	(void)err;
	return read(f->gate[0], &byte, 1) == 1 ? 0 : -EIO;
}

/* A disk that hangs: a change is in force and acknowledged, but no name goes before it is stored. */
static void test_a_disk_that_hangs(void **state)
{
	struct fixture *f = *state;
	struct fixture **arg = pk_alloc(sizeof(struct fixture *));
	const struct pk_work hang = { .run = wait_at_the_gate, .arg = arg, .always = true };

	start(f);
	assert_int_equal(pipe(f->gate), 0);
	*arg = f;
	assert_true(pk_writer_add(f->disk, &hang));
	offer(f, "/p/a");
	until_revision(f, 2);
	offer(f, "/p/b");
	until_revision(f, 3);
	pk_apply_settings(f->apply);
	until_revision(f, 4);
	assert_null(strchr(fake.asked, 'a'));
	assert_false(has_file(f, "a") || has_file(f, "b"));
	assert_int_equal(pk_apply_enforced(f->apply, NULL, false), pk_docs_number(f->docs));
	/* It goes on: two batches, and then the names. */
	assert_int_equal(write(f->gate[1], "", 1), 1);
	while (!strchr(fake.asked, 'a') || !has_file(f, "b"))
		turn(f);
	assert_true(has_file(f, "a"));
	assert_string_equal(pk_apply_state(f->apply)->store_error.text, "");
	close(f->gate[0]);
	close(f->gate[1]);
}

static uint64_t clock_ms;

static uint64_t set_clock(void *arg)
{
	(void)arg;
	return clock_ms;
}

static const struct pk_doc_entry *entry_of(struct fixture *f, const char *path)
{
	for (size_t i = 0; i < pk_docs_count(f->docs); i++)
		if (strcmp(pk_docs_at(f->docs, i)->path, path) == 0)
			return pk_docs_at(f->docs, i);
	return NULL;
}

static bool has_none(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	return false;
}

static void turns(struct fixture *f, int n)
{
	while (n--)
		turn(f);
}

/*
 * A file that the disk refused to sync is written again: asked once more, a disk says that it has
 * what it lost.
 */
static void test_a_disk_that_lost_what_was_written(void **state)
{
	struct fixture *f = *state;
	struct fixture **arg = pk_alloc(sizeof(struct fixture *));
	const struct pk_work hang = { .run = wait_at_the_gate, .arg = arg, .always = true };
	own_str kept = { 0 };
	struct stat st;

	pk_loop_set_clock(f->loop, set_clock, NULL);
	pk_str_addf(&kept, "%s/file/a", f->config.paths.policies);
	start(f);
	assert_int_equal(pipe(f->gate), 0);
	*arg = f;
	assert_true(pk_writer_add(f->fsync, &hang));
	offer(f, "/p/a");
	until_revision(f, 2);
	while (!pk_docs_is_stored(entry_of(f, "/p/a")))
		turn(f);
	assert_int_equal(unlink(kept.text), 0);
	assert_int_equal(mkfifo(kept.text, 0600), 0); /* which can't be synced */
	assert_int_equal(write(f->gate[1], "", 1), 1);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	pk_apply_soon(f->apply);
	turns(f, 100);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	assert_true(*pk_apply_state(f->apply)->store_error.text);
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_true(pk_docs_is_stored(entry_of(f, "/p/a")));
	assert_int_equal(stat(kept.text, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	close(f->gate[0]);
	close(f->gate[1]);
}

/* What the disk refused is tried again after a while, and said to be stored when it is. */
static void test_a_disk_that_refuses(void **state)
{
	struct fixture *f = *state;
	const struct pk_docs_look gone = { .of = "file", .has = has_none, .why = "gone" };
	own_str kept = { 0 };

	pk_loop_set_clock(f->loop, set_clock, NULL);
	pk_str_addf(&kept, "%s/file/a/kept", f->config.paths.policies);
	start(f);
	assert_int_equal(pk_fs_mkdirs(kept.text, 0700, NULL), 0); /* in the document's place */
	offer(f, "/p/a");
	until_revision(f, 2);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	fake.passes = 0;
	turns(f, 100);
	assert_true(fake.passes <= 1); /* for the names alone */
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	/* Mended, but nobody looks before it is time. */
	assert_int_equal(rmdir(kept.text), 0);
	*strrchr(kept.text, '/') = '\0';
	assert_int_equal(rmdir(kept.text), 0);
	pk_apply_soon(f->apply);
	turns(f, 100);
	assert_false(pk_docs_is_stored(entry_of(f, "/p/a")));
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (!pk_docs_is_stored(entry_of(f, "/p/a")))
		turn(f);
	assert_true(has_file(f, "a"));
	assert_string_equal(pk_apply_state(f->apply)->store_error.text, "");

	/* The same of one that went: it is told of until its file is gone. */
	assert_int_equal(unlink(kept.text), 0);
	assert_int_equal(mkdir(kept.text, 0700), 0);
	assert_true(pk_docs_looked(f->docs, &gone));
	pk_apply_documents(f->apply);
	until_revision(f, 3);
	while (!*pk_apply_state(f->apply)->store_error.text)
		turn(f);
	assert_non_null(pk_docs_gone(f->docs, 0));
	assert_false(pk_docs_gone_is_stored(f->docs, pk_docs_gone(f->docs, 0)));
	assert_int_equal(rmdir(kept.text), 0);
	assert_int_equal(symlink("nowhere", kept.text), 0);
	clock_ms += 5000;
	pk_apply_soon(f->apply);
	while (pk_docs_gone(f->docs, 0))
		turn(f);
	assert_int_equal(unlink(kept.text), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_way_in_is_sliced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_change_between_two_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_an_error_between_two_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lock_that_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_hangs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_disk_that_lost_what_was_written, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
