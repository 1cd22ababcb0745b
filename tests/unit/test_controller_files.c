/* SPDX-License-Identifier: Apache-2.0 */
/* The policy directory under a real inotify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "controller/sources/files.h"
#include "fs.h"
#include "own.h"
#include "str.h"

#define ONE   "[{\"endpointSelector\": {}, \"ingress\": [{}]}]"
#define OTHER "[{\"endpointSelector\": {}, \"egress\":  [{}]}]" /* as long */
#define NAMED "{\"name\": \"same\", \"rules\": " ONE "}"
#define AWAY  "{\"name\": \"away\", \"rules\": " ONE "}"

struct fixture {
	char base[32], dir[64];
	struct pk_loop *loop;
	struct pk_docs *docs;
	struct pk_files *files;
	unsigned int changes;
	size_t least; /* documents in force after any change */
};

static size_t settle(struct fixture *f)
{
	struct pk_document **list;
	size_t n = pk_docs_settle(f->docs, &list);

	pk_docs_retire(f->docs);
	return n;
}

static void changed(void *arg)
{
	struct fixture *f = arg;
	size_t n = settle(f);

	f->changes++;
	if (n < f->least)
		f->least = n;
}

static int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));

	strcpy(f->base, "/tmp/pk-files-XXXXXX");
	if (!mkdtemp(f->base))
		return -1;
	snprintf(f->dir, sizeof(f->dir), "%s/d", f->base);
	f->loop = pk_loop_new();
	f->docs = pk_docs_new(NULL);
	f->least = SIZE_MAX;
	*state = f;
	return mkdir(f->dir, 0755);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_files_free(f->files);
	pk_docs_free(f->docs);
	pk_loop_free(f->loop);
	pk_str_addf(&command, "rm -r %s", f->base);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	f->files = pk_files_new(f->loop, f->docs, f->dir, changed, f);
	pk_files_look(f->files);
}

static const char *at(const struct fixture *f, const char *name)
{
	static char path[4][128];
	static unsigned int next;
	char *to = path[next++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", f->dir, name);
	return to;
}

/* In place, as an editor or a shell does. */
static void put(const char *path, const char *text)
{
	own_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static const struct pk_doc_entry *entry(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < pk_docs_count(f->docs); i++) {
		const struct pk_doc_entry *e = pk_docs_at(f->docs, i);

		if (strcmp(e->path, at(f, name)) == 0)
			return e;
	}
	return NULL;
}

static bool active(const struct fixture *f, const char *name, const char *text)
{
	const struct pk_doc_entry *e = entry(f, name);
	uint64_t hash[2];

	pk_hash128(text, strlen(text), hash);
	return e && e->doc && !e->refused && memcmp(hash, e->hash, sizeof(hash)) == 0;
}

static bool absent(const struct fixture *f, const char *name, const char *text)
{
	(void)text;
	return !entry(f, name);
}

static bool refused(const struct fixture *f, const char *name, const char *why)
{
	const struct pk_doc_entry *e = entry(f, name);

	return e && e->refused && e->refusal && strstr(e->refusal, why);
}

/* A bound on waiting that is well under the 30 s after which everything is looked at anyhow. */
static void until(struct fixture *f,
		  bool (*is)(const struct fixture *f, const char *name, const char *text),
		  const char *name, const char *text)
{
	uint64_t end = pk_now_ns() + 20000000000u;

	while (!is(f, name, text)) {
		if (pk_now_ns() > end)
			fail_msg("waited 20 s for %s: %s", name, text);
		event_base_loop(pk_loop_base(f->loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
		usleep(500);
	}
}

static void test_written_and_moved_in(void **state)
{
	struct fixture *f = *state;

	put(at(f, "a.json"), ONE);
	start(f);
	assert_true(active(f, "a.json", ONE));
	put(at(f, "a.json"), OTHER);
	until(f, active, "a.json", OTHER);
	put(at(f, ".b.json.7"), ONE);
	put(at(f, "no.text"), ONE);
	assert_int_equal(rename(at(f, ".b.json.7"), at(f, "b.json")), 0);
	until(f, active, "b.json", ONE);
	assert_int_equal(pk_docs_count(f->docs), 2);
	assert_int_equal(unlink(at(f, "a.json")), 0);
	until(f, absent, "a.json", "");
	assert_int_equal(rename(at(f, "b.json"), at(f, "c.json")), 0);
	until(f, active, "c.json", ONE);
	until(f, absent, "b.json", "");
}

/* A new name of an old file: no writer's close tells of it. */
static void test_links(void **state)
{
	struct fixture *f = *state;
	own_str outside = { 0 };

	pk_str_addf(&outside, "%s/text", f->base);
	put(outside.text, ONE);
	start(f);
	assert_int_equal(symlink(outside.text, at(f, "s.json")), 0);
	until(f, active, "s.json", ONE);
	assert_int_equal(link(outside.text, at(f, "h.json")), 0);
	until(f, active, "h.json", ONE);
}

/* An editor renames the old version away and writes anew: what it says never lapses. */
static void test_an_edit_is_no_removal(void **state)
{
	struct fixture *f = *state;

	put(at(f, "a.json"), ONE);
	start(f);
	f->least = SIZE_MAX;
	assert_int_equal(rename(at(f, "a.json"), at(f, "a.json~")), 0);
	put(at(f, "a.json"), OTHER);
	until(f, active, "a.json", OTHER);
	assert_int_equal(f->least, 1);
}

/* Two changes within one step of the file system's clock, the second one without an event. */
static void test_times_that_do_not_tell(void **state)
{
	struct fixture *f = *state;
	own_str outside = { 0 };

	pk_str_addf(&outside, "%s/text", f->base);
	put(at(f, "go.json"), NAMED);
	start(f);
	put(outside.text, ONE);
	assert_int_equal(link(outside.text, at(f, "a.json")), 0);
	until(f, active, "a.json", ONE);
	put(outside.text, OTHER);
	assert_int_equal(unlink(at(f, "go.json")), 0); /* all is looked at */
	until(f, active, "a.json", OTHER);
}

static void test_pipe(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkfifo(at(f, "p.json"), 0600), 0);
	assert_int_equal(mkdir(at(f, "d.json"), 0700), 0);
	start(f);
	assert_true(refused(f, "p.json", "not a regular file"));
	assert_true(refused(f, "d.json", "not a regular file"));
	put(at(f, "a.json"), ONE);
	until(f, active, "a.json", ONE);
}

static void test_another_directory_of_the_same_name(void **state)
{
	struct fixture *f = *state;
	own_str old = { 0 };

	put(at(f, "a.json"), ONE);
	start(f);
	pk_str_addf(&old, "%s/old", f->base);
	assert_int_equal(rename(f->dir, old.text), 0);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	put(at(f, "b.json"), ONE);
	until(f, active, "b.json", ONE);
	until(f, absent, "a.json", "");
	put(at(f, "b.json"), OTHER);
	until(f, active, "b.json", OTHER);
}

static void test_directory_made_later(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rmdir(f->dir), 0);
	start(f);
	assert_int_equal(pk_files_source(f->files)->state, PK_SOURCE_STARTING);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	put(at(f, "a.json"), ONE);
	until(f, active, "a.json", ONE);
	assert_int_equal(pk_files_source(f->files)->state, PK_SOURCE_OK);
}

/* More events than the kernel keeps: the last one is lost. */
static void test_overflow(void **state)
{
	struct fixture *f = *state;
	own_mem char *text = NULL;
	uint64_t most;

	assert_int_equal(
		pk_fs_read("/proc/sys/fs/inotify/max_queued_events", 64, &text, NULL, NULL), 0);
	text[strcspn(text, "\n")] = '\0';
	assert_int_equal(pk_parse_u64(text, 1000000, &most), 0);
	start(f);
	put(at(f, ".t1"), "");
	for (uint64_t i = 0; i <= most; i++)
		rename(at(f, i % 2 ? ".t2" : ".t1"), at(f, i % 2 ? ".t1" : ".t2"));
	put(at(f, "a.json"), ONE);
	until(f, active, "a.json", ONE);
}

static void test_namesake_waits(void **state)
{
	struct fixture *f = *state;

	put(at(f, "a.json"), NAMED);
	start(f);
	put(at(f, "b.json"), NAMED);
	until(f, refused, "b.json", "a.json");
	assert_true(active(f, "a.json", NAMED));
	put(at(f, "a.json"), AWAY);
	until(f, active, "b.json", NAMED);
	put(at(f, "a.json"), NAMED);
	until(f, refused, "b.json", "a.json");
	assert_int_equal(unlink(at(f, "a.json")), 0);
	until(f, active, "b.json", NAMED);
}

/* In place of libc's: the user's instances may be used up. */
static bool used_up;

int inotify_init1(int flags)
{
	if (!used_up)
		return (int)syscall(SYS_inotify_init1, flags);
	errno = EMFILE;
	return -1;
}

/* Without inotify each look finds what changed; once there is room again, changes are told. */
static void test_no_inotify(void **state)
{
	struct fixture *f = *state;
	const struct pk_source *source;

	put(at(f, "a.json"), ONE);
	used_up = true;
	start(f);
	source = pk_files_source(f->files);
	assert_int_equal(source->state, PK_SOURCE_OK);
	assert_non_null(strstr(source->detail, "no inotify"));
	assert_int_equal(settle(f), 1);
	put(at(f, "b.json"), AWAY);
	pk_files_look(f->files);
	assert_int_equal(settle(f), 2);
	used_up = false;
	pk_files_look(f->files);
	assert_null(strstr(source->detail, "no inotify"));
	put(at(f, "c.json"), NAMED);
	while (settle(f) < 3)
		event_base_loop(pk_loop_base(f->loop), EVLOOP_ONCE);
}

#define MANY 2000

/* Makes so many documents, each with a name of its own. */
static void put_many(const char *dir)
{
	for (int i = 0; i < MANY; i++) {
		own_str path = { 0 };

		pk_str_addf(&path, "%s/%04d.json", dir, i);
		put(path.text, ONE);
	}
}

static void assert_many_turns(struct fixture *f)
{
	size_t turns = 0;

	for (f->changes = 0; !f->changes; turns++)
		event_base_loop(pk_loop_base(f->loop), EVLOOP_ONCE);
	assert_int_equal(f->least, MANY);
	/* A text that is read takes 16 of 1,024 that a turn has. */
	assert_in_range(turns, MANY * 16 / PK_DOCS_TURN, 2 * MANY * 16 / PK_DOCS_TURN);
}

/* A directory of many files is read in many turns, and what it says is in force in one. */
static void test_many_are_read_in_turns(void **state)
{
	struct fixture *f = *state;
	own_str other = { 0 };

	start(f);
	pk_str_addf(&other, "%s/other", f->base);
	assert_int_equal(mkdir(other.text, 0755), 0);
	put_many(other.text);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(rename(other.text, f->dir), 0);
	assert_many_turns(f);
}

/* So is another directory that a reload names; a start reads all at once. */
static void test_another_directory_in_turns(void **state)
{
	struct fixture *f = *state;

	put_many(f->dir);
	f->files = pk_files_new(f->loop, f->docs, f->dir, changed, f);
	assert_int_equal(pk_files_source(f->files)->state, PK_SOURCE_STARTING);
	pk_files_begin(f->files);
	assert_int_equal(pk_files_source(f->files)->state, PK_SOURCE_STARTING);
	assert_many_turns(f);
	assert_int_equal(pk_files_source(f->files)->state, PK_SOURCE_OK);
	/* Nothing is new: one turn is enough. */
	f->changes = 0;
	pk_files_begin(f->files);
	put(at(f, "z.json"), OTHER);
	pk_files_begin(f->files);
	assert_int_equal(f->changes, 1);
	assert_int_equal(settle(f), MANY + 1);
}

static void test_a_start_reads_all_at_once(void **state)
{
	struct fixture *f = *state;

	put_many(f->dir);
	start(f);
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->least, MANY);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_written_and_moved_in),
		TEST(test_links),
		TEST(test_an_edit_is_no_removal),
		TEST(test_times_that_do_not_tell),
		TEST(test_pipe),
		TEST(test_another_directory_of_the_same_name),
		TEST(test_directory_made_later),
		TEST(test_overflow),
		TEST(test_namesake_waits),
		TEST(test_no_inotify),
		TEST(test_many_are_read_in_turns),
		TEST(test_another_directory_in_turns),
		TEST(test_a_start_reads_all_at_once),
	};

	return cmocka_run_group_tests_name("controller: policy directory", tests, NULL, NULL);
}
