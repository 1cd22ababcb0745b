/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Shared by the bpf*.c files: a node's first load, a new build beside the old one, their pins. */
#include <stdbool.h>
#include <stdint.h>

#include "bpfobj.h"

/*
 * Loads the programs, fills the tables, pins all and makes it current. The caller holds the node
 * lock and has seen that nothing current is pinned.
 */
int pk_bpf_load_first(const struct pk_paths *paths, const struct pk_settings *settings,
		      struct pk_err *err);
/* Pins this binary's build over bpf's maps under its name, but doesn't make it current. */
int pk_bpf_load_beside(const struct pk_bpf *bpf, struct pk_err *err);

/*
 * Reads the node's entry from the map of any release, since the field `layout` has the same offset
 * in all of them. PK_CODE_LAYOUT: it isn't this binary's layout.
 */
int pk_bpf_read_node(int map, struct pk_node *node, struct pk_err *err);
/*
 * Says why a pin can't be opened, and what brings it back: one that is gone is pinned again by
 * nobody but a picketd that has it open. PK_CODE_LAYOUT.
 */
int pk_bpf_fail_pin(struct pk_err *err, int num, const char *path);

/* The pins' directories (bpfpin.c): 0 or -errno. */
#define PK_PIN_SLOW "programs" /* beside a build's programs */
/* Reads the current build's name from pins/current, which is "g…"; -ENOENT: none is current. */
int pk_pin_current(const struct pk_paths *paths, char build[24]);
int pk_pin_make_current(const struct pk_paths *paths, const char *build, struct pk_err *err);
int pk_pin_dirs(const struct pk_paths *paths, struct pk_err *err);
/* Removes a directory of pins and what is in it; gone is success. */
int pk_pin_remove(const char *dir, struct pk_err *err);
/* Removes the directories of all builds but `keep` ("" = none). */
int pk_pin_remove_builds(const struct pk_paths *paths, const char *keep, struct pk_err *err);
/* Tells whether the directory of another build than `keep` is there, and which. */
bool pk_pin_other_build(const struct pk_paths *paths, const char *keep, char build[24]);
int pk_pin_object(int fd, const char *dir, const char *name, struct pk_err *err);
