/* SPDX-License-Identifier: Apache-2.0 */
#include "verb_counts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "own.h"

/* Another shape is another file: an older plugin goes on counting in its own. */
#define FILE_NAME "verbs-1.counts"

const unsigned int pk_counted_bounds_ms[PK_COUNTED_BUCKETS - 1] = { 5,	  10,	25,   50,
								    100,  250,	500,  1000,
								    2500, 5000, 10000 };

static const char *const names[] = {
#define NAME_(name) #name,
	PK_COUNTED_VERBS(NAME_)
};
_Static_assert(PK_ARRAY_LEN(names) <= PK_COUNTED_ROOM, "the file has room for each verb");

const char *pk_counted_name(enum pk_counted_verb verb)
{
	return names[verb];
}

int pk_counted_parse(const char *name)
{
	for (int i = 0; i < PK_COUNTED_COUNT; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -ENOENT;
}

static int open_file(const struct pk_paths *paths, int flags)
{
	char path[PK_PATH_ROOM + sizeof(FILE_NAME) + 1];

	snprintf(path, sizeof(path), "%s/" FILE_NAME, paths->run);
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/*
 * Makes the file if need be. Its size never changes, so two that make it at once make the same
 * file.
 */
struct pk_counts *pk_counts_open(const struct pk_paths *paths)
{
	own_fd int fd = open_file(paths, O_RDWR | O_CREAT);
	void *counts;

	/* Blocks are taken now: a page that the file system has no room for would be a SIGBUS. */
	if (fd < 0 || posix_fallocate(fd, 0, sizeof(struct pk_counts)) != 0)
		return NULL;
	counts = mmap(NULL, sizeof(struct pk_counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return counts == MAP_FAILED ? NULL : counts;
}

void pk_counts_close(struct pk_counts *counts)
{
	if (counts)
		munmap(counts, sizeof(*counts));
}

static void add(uint64_t *count, uint64_t n)
{
	__atomic_fetch_add(count, n, __ATOMIC_RELAXED);
}

void pk_counts_begin(struct pk_counts *counts, enum pk_counted_verb verb)
{
	if (counts)
		add(&counts->verb[verb].begun, 1);
}

void pk_counts_end(struct pk_counts *counts, enum pk_counted_verb verb, int code, uint64_t took_ns)
{
	struct pk_verb_counts *c = counts ? &counts->verb[verb] : NULL;
	size_t i = 0;

	if (!c)
		return;
	while (i < PK_COUNTED_BUCKETS - 1 && took_ns > pk_counted_bounds_ms[i] * UINT64_C(1000000))
		i++;
	if (code >= 0)
		add(&c->failed[code < PK_COUNTED_CODES ? code : 0], 1);
	add(&c->bucket[i], 1);
	add(&c->took_ns, took_ns);
	add(&c->ended, 1);
}

void pk_counts_read(const struct pk_paths *paths, struct pk_counts *out)
{
	own_fd int fd = open_file(paths, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : pread(fd, out, sizeof(*out), 0);

	if (n != (ssize_t)sizeof(*out))
		memset(out, 0, sizeof(*out));
}
