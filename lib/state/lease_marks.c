/* SPDX-License-Identifier: Apache-2.0 */
#include "lease_marks.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fs.h"
#include "lease.h"
#include "own.h"

#define SIZE	  (PK_MARKS_MAX * sizeof(uint32_t))
#define NAME_ROOM 64
#define PATH_ROOM (512 + NAME_ROOM)

/* The block as a file's name: "10.40.7.0-24". */
static void name_of(const struct pk_prefix *block, char name[NAME_ROOM])
{
	char *slash;

	pk_prefix_format(block, name);
	slash = strchr(name, '/');
	if (slash)
		*slash = '-';
}

static int block_of_name(const char *name, struct pk_prefix *block)
{
	char text[NAME_ROOM], *dash;

	if (*name == '.' || strlen(name) >= sizeof(text))
		return -EINVAL;
	strcpy(text, name);
	dash = strrchr(text, '-');
	if (!dash)
		return -EINVAL;
	*dash = '/';
	return pk_prefix_parse(text, block);
}

uint32_t *pk_lease_mark(const struct pk_lease_marks *marks, const union pk_addr *addr)
{
	uint32_t distance;

	if (!marks->at || !pk_prefix_has(&marks->block, addr) ||
	    memcmp(addr, &marks->block.addr, sizeof(*addr) - sizeof(addr->w[3])) != 0)
		return NULL;
	distance = ntohl(addr->w[3]) - ntohl(marks->block.addr.w[3]);
	return distance < PK_MARKS_MAX ? &marks->at[distance] : NULL;
}

static union pk_addr address_at(const struct pk_lease_marks *marks, uint32_t distance)
{
	union pk_addr addr = marks->block.addr;

	addr.w[3] = htonl(ntohl(addr.w[3]) + distance);
	return addr;
}

bool pk_lease_mark_rests(uint32_t mark, uint64_t now_s)
{
	return mark != PK_MARK_FREE && mark != PK_MARK_HELD && mark <= now_s &&
	       now_s - mark < PK_LEASE_REST_S;
}

uint32_t pk_lease_mark_now(uint64_t now_s)
{
	return now_s && now_s < PK_MARK_HELD ? (uint32_t)now_s : 1;
}

void pk_lease_marks_close(struct pk_lease_marks *marks)
{
	if (marks->at)
		munmap(marks->at, SIZE);
	marks->at = NULL;
}

static int map_file(int fd, struct pk_lease_marks *marks)
{
	off_t size = lseek(fd, 0, SEEK_END);
	void *at;

	if (size != (off_t)SIZE) /* a shorter file would be a bus error at the first look */
		return size < 0 ? -errno : -EINVAL;
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	marks->at = at;
	return 0;
}

static int open_file(const char *path, struct pk_lease_marks *marks)
{
	own_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	return fd < 0 ? -errno : map_file(fd, marks);
}

/* Zeros are written, no hole left: a full file system says so here, not by a signal later. */
static int write_zeros(int fd)
{
	static const char zeros[4096];

	for (size_t done = 0; done < SIZE;) {
		size_t left = SIZE - done;
		ssize_t n = write(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros));

		if (n < 0 && errno != EINTR)
			return -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int fill(const struct pk_lease_dir *dir, struct pk_lease_marks *marks, struct pk_err *err)
{
	own_mem struct pk_lease *list = NULL;
	size_t n = 0;
	int r = pk_leases_read(dir, &list, &n, err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		uint32_t *mark = pk_lease_mark(marks, &list[i].addr);

		if (mark && list[i].state == PK_LEASE_HELD)
			*mark = PK_MARK_HELD;
	}
	return r;
}

/* The file is made beside and linked: nobody sees half of it, and of two the first stays. */
static int make_file(const struct pk_lease_dir *dir, const char *path, const char *name,
		     struct pk_lease_marks *marks, struct pk_err *err)
{
	char temp[PATH_ROOM + 32];
	own_fd int fd = -1;
	int r = pk_fs_mkdirs(dir->marks, 0700, err);

	if (r < 0)
		return r;
	snprintf(temp, sizeof(temp), "%s/.%s.%d", dir->marks, name, (int)getpid());
	fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return pk_fail(err, errno, "create %s", temp);
	r = write_zeros(fd);
	if (r == 0)
		r = map_file(fd, marks);
	if (r == 0)
		r = fill(dir, marks, err);
	if (r == 0 && link(temp, path) < 0)
		r = -errno;
	unlink(temp);
	return r;
}

int pk_lease_marks_open(const struct pk_lease_dir *dir, const struct pk_prefix *block,
			struct pk_lease_marks *marks, struct pk_err *err)
{
	char path[PATH_ROOM], name[NAME_ROOM];
	int r;

	*marks = (struct pk_lease_marks){ .block = *block };
	if (!dir->marks)
		return -ENOENT;
	name_of(block, name);
	snprintf(path, sizeof(path), "%s/%s", dir->marks, name);
	r = open_file(path, marks);
	if (r == -ENOENT)
		r = make_file(dir, path, name, marks, err);
	if (r == -EEXIST) {
		pk_lease_marks_close(marks);
		r = open_file(path, marks);
	}
	if (r < 0)
		pk_lease_marks_close(marks);
	return r < 0 ? pk_fail(err, -r, "marks %s", path) : 0;
}

/* Calls each for every block that has marks. */
static void each_block(const struct pk_lease_dir *dir,
		       void (*each)(void *arg, struct pk_lease_marks *marks), void *arg)
{
	own_dir DIR *d = dir->marks ? opendir(dir->marks) : NULL;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		own_lease_marks marks = { 0 };
		char path[PATH_ROOM + 256];

		if (block_of_name(e->d_name, &marks.block) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir->marks, e->d_name);
		if (open_file(path, &marks) == 0)
			each(arg, &marks);
	}
}

struct set {
	const union pk_addr *addr;
	uint32_t mark;
};

static void set_in(void *arg, struct pk_lease_marks *marks)
{
	const struct set *set = arg;
	uint32_t *mark = pk_lease_mark(marks, set->addr);

	if (mark)
		__atomic_store_n(mark, set->mark, __ATOMIC_RELAXED);
}

void pk_lease_marks_set(const struct pk_lease_dir *dir, const union pk_addr *addr, uint32_t mark)
{
	struct set set = { addr, mark };

	each_block(dir, set_in, &set);
}

struct resting {
	uint64_t now_s;
	void (*each)(void *arg, const union pk_addr *addr, uint32_t freed_s);
	void *arg;
};

static void resting_in(void *arg, struct pk_lease_marks *marks)
{
	const struct resting *resting = arg;

	for (uint32_t i = 0; i < PK_MARKS_MAX; i++) {
		uint32_t mark = __atomic_load_n(&marks->at[i], __ATOMIC_RELAXED);
		union pk_addr addr;

		if (!pk_lease_mark_rests(mark, resting->now_s))
			continue;
		addr = address_at(marks, i);
		resting->each(resting->arg, &addr, mark);
	}
}

void pk_lease_marks_resting(const struct pk_lease_dir *dir,
			    void (*each)(void *arg, const union pk_addr *addr, uint32_t freed_s),
			    void *arg)
{
	struct resting resting = { dir->now_s, each, arg };

	each_block(dir, resting_in, &resting);
}

struct settle {
	uint32_t now;
	bool (*is_held)(void *arg, const union pk_addr *addr);
	void *arg;
};

static void settle_in(void *arg, struct pk_lease_marks *marks)
{
	const struct settle *settle = arg;

	for (uint32_t i = 0; i < PK_MARKS_MAX; i++) {
		union pk_addr addr;

		if (__atomic_load_n(&marks->at[i], __ATOMIC_RELAXED) != PK_MARK_HELD)
			continue;
		addr = address_at(marks, i);
		if (!settle->is_held(settle->arg, &addr))
			__atomic_store_n(&marks->at[i], settle->now, __ATOMIC_RELAXED);
	}
}

void pk_lease_marks_settle(const struct pk_lease_dir *dir,
			   bool (*is_held)(void *arg, const union pk_addr *addr), void *arg)
{
	struct settle settle = { pk_lease_mark_now(dir->now_s), is_held, arg };

	each_block(dir, settle_in, &settle);
}
