/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node for C tests: the process's own network and mount namespace, a bpffs below a temporary
 * root. Nothing of it outlives the process but the empty directories, which room_leave removes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpfobj.h"
#include "fs.h"
#include "own.h"
#include "picket/reason.h"
#include "ruleset.h"
#include "tables.h"

#define SECOND	   1000000000ull
#define IN_A_WHILE (pk_now_ns() + 30 * SECOND)

static struct room {
	char dir[64];
	struct pk_paths paths;
	struct pk_settings settings;
	struct pk_bpf *bpf;
	bool made;
} room;

#define NEED_ROOM()                                                                                \
	do {                                                                                       \
		if (!room.made)                                                                    \
			skip(); /* needs root */                                                   \
	} while (0)

/* call passes &e, the error whose text the failure shows. */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		struct pk_err e = { 0 };                                                           \
		int r_ = (call);                                                                   \
		if (r_ < 0)                                                                        \
			fail_msg("%s: %d: %s", #call, r_, e.text);                                 \
	} while (0)

static inline int room_enter(void **state)
{
	struct pk_err err;

	(void)state;
	if (geteuid() != 0)
		return 0;
	strcpy(room.dir, "/tmp/picket.kernel-XXXXXX");
	if (!mkdtemp(room.dir) || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("room", room.dir, "tmpfs", 0, NULL) < 0 ||
	    pk_paths_init(&room.paths, room.dir, &err) < 0 ||
	    pk_fs_mkdirs(room.paths.bpffs, 0700, &err) < 0 ||
	    mount("bpf", room.paths.bpffs, "bpf", 0, NULL) < 0)
		return -1;
	pk_settings_init(&room.settings);
	room.settings.capacity = 16;
	room.settings.flow_budget = 64;
	room.made = true;
	return 0;
}

static inline int room_load(void **state)
{
	struct pk_err err = { 0 };

	if (room_enter(state) < 0)
		return -1;
	if (!room.made)
		return 0;
	if (pk_bpf_open(&room.bpf, &room.paths, PK_BPF_LOAD, &room.settings, IN_A_WHILE, &err) <
	    0) {
		fprintf(stderr, "load: %s\n", err.text);
		return -1;
	}
	return 0;
}

static inline int room_leave(void **state)
{
	(void)state;
	if (!room.made)
		return 0;
	pk_bpf_close(room.bpf);
	pk_settings_done(&room.settings);
	umount2(room.paths.bpffs, MNT_DETACH);
	umount2(room.dir, MNT_DETACH);
	rmdir(room.dir);
	return 0;
}

/* fn in a process of its own; its exit status is what fn returns. */
static inline pid_t spawn(int (*fn)(int i), int i)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn(i));
	return pid;
}

/* A rule set of n classes that are allowed. */
static inline struct pk_image *room_image(uint64_t digest, size_t n)
{
	struct pk_image *image = pk_alloc(sizeof(*image));

	image->refs = 1;
	image->digest[0] = digest;
	image->digest[1] = ~digest;
	image->verdicts = pk_alloc(n * sizeof(*image->verdicts));
	image->n_verdicts = n;
	for (size_t i = 0; i < n; i++) {
		image->verdicts[i].key =
			(struct pk_verdict_key){ .prefixlen = PK_VERDICT_BITS_DIR,
						 .class = PK_CLASS_FIRST + (uint32_t)i };
		image->verdicts[i].value.live.verdict = PK_ALLOW;
	}
	return image;
}
