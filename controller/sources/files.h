/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Watches the policy directory for *.json files that aren't hidden. A file that was written or
 * moved in is read at once and alone, by inotify. After any other event the whole directory is
 * looked at, and every 30 s for the sake of links' targets. A directory that isn't there is a
 * source that doesn't answer: its documents stay in force.
 */
#include "docs.h"
#include "loop.h"
#include "source.h"

struct pk_files;

/* changed is called after a look that changed something. The first look is its caller's to make. */
struct pk_files *pk_files_new(struct pk_loop *loop, struct pk_docs *docs, const char *directory,
			      pk_loop_fn *changed, void *arg);
void pk_files_free(struct pk_files *files);
/* Sets what is called after each look at the whole directory, changed or not. */
void pk_files_on_look(struct pk_files *files, pk_loop_fn *looked, void *arg);
/* Looks now, in one go: before the loop serves anybody. */
void pk_files_look(struct pk_files *files);
/* Looks at once where one turn is enough for what is new, else in several turns of the loop. */
void pk_files_begin(struct pk_files *files);
bool pk_files_has(const struct pk_files *files,
		  const char *path); /* whether it was there at the last look */
const struct pk_source *pk_files_source(const struct pk_files *files);
