/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs and maps of a node: used where they are pinned, loaded where they aren't (state.md,
 * "Locks, first load, generations").
 */
#include <stdbool.h>
#include <stdint.h>

#include "bpfmap.h"
#include "err.h"
#include "own.h"
#include "paths.h"
#include "settings.h"

struct pk_bpf {
	const struct pk_paths *paths; /* the caller's; outlives this */
	int map[PK_MAP_COUNT];
	int prog[PK_PROG_COUNT];
	int slow;		       /* the targets of the build's tail calls */
	struct pk_node node;	       /* as read at open: epoch, layout, path, sizes */
	char build[24];		       /* "g<16 hex digits>" */
	bool loaded;		       /* loaded by this open */
	uint64_t *words;	       /* mmap'ed, by slot */
	struct pk_endpoint *endpoints; /* mmap'ed, by slot */
	uint64_t *numbers;	       /* mmap'ed, by enum pk_number */
	struct pk_tables_memo *memo;   /* tables.c's own */
};

enum pk_bpf_mode {
	PK_BPF_READ = 0, /* use only what is pinned; -ENOENT where nothing is loaded */
	PK_BPF_LOAD = 1, /* load where nothing is */
};

/*
 * Opens the tables. settings: sizes and pools of a first load; NULL only with PK_BPF_READ.
 * deadline_ns bounds the wait for another loader. Codes: PK_CODE_LAYOUT (another layout),
 * PK_CODE_KERNEL (no bpffs, program refused), PK_CODE_DEADLINE.
 */
int pk_bpf_open(struct pk_bpf **bpf, const struct pk_paths *paths, enum pk_bpf_mode mode,
		const struct pk_settings *settings, uint64_t deadline_ns, struct pk_err *err);
void pk_bpf_close(struct pk_bpf *bpf);
static inline void pk_bpf_closep(struct pk_bpf **bpf)
{
	pk_bpf_close(*bpf);
}
#define own_bpf PK_OWN(pk_bpf_closep) struct pk_bpf

/* Takes run/lock/node, which is held until *fd is closed. deadline_ns: CLOCK_MONOTONIC. */
int pk_node_lock(const struct pk_paths *paths, uint64_t deadline_ns, int *fd, struct pk_err *err);

/*
 * Returns whether the pins still lead to what this handle opened. whole: every table and program is
 * compared, else the table `node` alone. False: whoever opens or loads from now on gets others.
 */
bool pk_bpf_is_pinned(const struct pk_bpf *bpf, bool whole);
/*
 * Pins the handle's objects again where their pins are gone, in the order of a first load. -ESTALE:
 * the pins of another load stand there, and stay.
 */
int pk_bpf_pin_again(const struct pk_bpf *bpf, uint64_t deadline_ns, struct pk_err *err);

/*
 * Tells whether this binary's programs would load here, over the pinned tables where there are some
 * (pinned). It changes nothing and takes no lock. The codes are those of pk_bpf_open.
 */
int pk_bpf_rehearse(const struct pk_paths *paths, const struct pk_settings *settings, bool *pinned,
		    struct pk_err *err);

/* Returns 0, or PK_CODE_KERNEL with the mount command as fix. */
int pk_bpffs_check(const struct pk_paths *paths, struct pk_err *err);
/* The build that this binary embeds, in the form of pk_bpf.build. */
const char *pk_bpf_own_build(void);
uint32_t pk_jiffies_a_second(void);
/* Returns 1 where this kernel has bpf_cast_to_kern_ctx, 0 where it lacks it, else -errno. */
int pk_bpf_has_kfunc(void);
/*
 * Loads this binary's build beside the current one, over the same maps, has the devices switched,
 * and makes it current; picketd alone does so. to and from are descriptors of the programs, by enum
 * pk_prog. Where the switch fails it is called once more with the two exchanged, and the old build
 * stays current. On success the handle has the new programs. -EALREADY: this build is the current
 * one; what an earlier switch that was cut short left of another has been switched and removed.
 */
typedef int pk_bpf_switch_fn(void *arg, const int *to, const int *from, struct pk_err *err);
int pk_bpf_upgrade(struct pk_bpf *bpf, pk_bpf_switch_fn *switch_devices, void *arg,
		   uint64_t deadline_ns, struct pk_err *err);
/* Removes every pin below pins/: `sweep -all -apply` does so after the devices are gone. */
int pk_bpf_unpin_all(const struct pk_paths *paths, struct pk_err *err);

static inline bool pk_bpf_same_epoch(const struct pk_bpf *bpf, const uint64_t epoch[2])
{
	return bpf->node.epoch[0] == epoch[0] && bpf->node.epoch[1] == epoch[1];
}
