/* SPDX-License-Identifier: Apache-2.0 */
/* Tells whether what is pinned is still a handle's, and pins again what is gone: see bpfobj.h. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf_private.h"
#include "own.h"

#define DIR_ROOM (PK_PATH_ROOM + 32)
#define ROOM	 (DIR_ROOM + 64)

enum pinned { GONE, OURS, OTHERS };

/* Opens a pin. One that can't be read is none of ours. */
static int open_at(const char *dir, const char *name, enum pinned *what)
{
	char path[ROOM];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = bpf_obj_get(path);
	*what = fd < 0 && errno == ENOENT ? GONE : OTHERS;
	return fd;
}

static enum pinned map_at(const char *dir, const char *name, int own)
{
	struct pk_map_info mine, theirs;
	enum pinned what;
	own_fd int fd = open_at(dir, name, &what);

	if (fd < 0 || pk_map_info(fd, &theirs) < 0 || pk_map_info(own, &mine) < 0)
		return what;
	return theirs.id == mine.id ? OURS : OTHERS;
}

static enum pinned prog_at(const char *dir, const char *name, int own)
{
	uint32_t mine, theirs;
	enum pinned what;
	own_fd int fd = open_at(dir, name, &what);

	if (fd < 0 || pk_prog_id(fd, &theirs) < 0 || pk_prog_id(own, &mine) < 0)
		return what;
	return theirs == mine ? OURS : OTHERS;
}

static enum pinned current_at(const struct pk_bpf *bpf)
{
	char build[24];

	if (pk_pin_current(bpf->paths, build) < 0)
		return GONE;
	return strcmp(build, bpf->build) == 0 ? OURS : OTHERS;
}

struct pins {
	const struct pk_bpf *bpf;
	char build[DIR_ROOM]; /* the build's directory */
	bool all, others;
};

static void note(struct pins *p, enum pinned what)
{
	p->all &= what == OURS;
	p->others |= what == OTHERS;
}

static struct pins look(const struct pk_bpf *bpf)
{
	struct pins p = { .bpf = bpf, .all = true };

	snprintf(p.build, sizeof(p.build), "%s/%s", bpf->paths->pins, bpf->build);
	note(&p, current_at(bpf));
	for (int i = 0; i < PK_MAP_COUNT; i++)
		note(&p, map_at(bpf->paths->maps, pk_map_name(i), bpf->map[i]));
	for (int i = 0; i < PK_PROG_COUNT; i++)
		note(&p, prog_at(p.build, pk_prog_name(i), bpf->prog[i]));
	note(&p, map_at(p.build, PK_PIN_SLOW, bpf->slow));
	return p;
}

bool pk_bpf_is_pinned(const struct pk_bpf *bpf, bool whole)
{
	if (!whole)
		return map_at(bpf->paths->maps, pk_map_name(PK_MAP_NODE), bpf->map[PK_MAP_NODE]) ==
		       OURS;
	return look(bpf).all;
}

/* Pins one object. What is there by now is ours, so only what is gone is pinned. */
static int pin(int fd, const char *dir, const char *name, struct pk_err *err)
{
	char path[ROOM];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0 ? 0 : pk_pin_object(fd, dir, name, err);
}

/* Pins all in the order of a first load: `current` is last, and nobody uses a pin before it. */
static int pin_all(const struct pins *p, struct pk_err *err)
{
	const struct pk_bpf *bpf = p->bpf;
	int r = pk_pin_dirs(bpf->paths, err);

	if (r == 0 && mkdir(p->build, 0700) < 0 && errno != EEXIST)
		r = pk_fail(err, errno, "make directory %s", p->build);
	if (r == 0)
		r = pin(bpf->slow, p->build, PK_PIN_SLOW, err);
	for (int i = 0; i < PK_PROG_COUNT && r == 0; i++)
		r = pin(bpf->prog[i], p->build, pk_prog_name(i), err);
	for (int i = PK_MAP_COUNT - 1; i >= 0 && r == 0; i--)
		r = pin(bpf->map[i], bpf->paths->maps, pk_map_name(i), err);
	if (r == 0 && current_at(bpf) == GONE)
		r = pk_pin_make_current(bpf->paths, bpf->build, err);
	return r;
}

int pk_bpf_pin_again(const struct pk_bpf *bpf, uint64_t deadline_ns, struct pk_err *err)
{
	int r = pk_bpffs_check(bpf->paths, err);
	own_fd int lock = -1;
	struct pins p;

	if (r == 0)
		r = pk_node_lock(bpf->paths, deadline_ns, &lock, err);
	if (r < 0)
		return r;
	p = look(bpf);
	if (p.others)
		return pk_fail(err, ESTALE, "others are pinned in %s", bpf->paths->pins);
	return p.all ? 0 : pin_all(&p, err);
}
