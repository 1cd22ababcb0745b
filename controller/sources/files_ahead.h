/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads the files of the policy directory that changed, some in each turn of the loop, ahead of the
 * look that takes all of them in one turn: see pk_docs_read_ahead.
 */
#include <sys/stat.h>

#include "docs.h"

/* Returns whether a file of that name is a document: *.json, not hidden. */
bool pk_file_is_wanted(const char *name);
/* Names the directory without slashes at its end, and the one above; the caller frees both. */
void pk_file_directory(const char *given, char **directory, char **above);
/* Returns the file's path, which the caller frees. */
char *pk_file_path(const char *directory, const char *name);
/* Times of files go in steps: one that changed just now may change again unseen. */
bool pk_file_is_young(const struct stat *st);

struct pk_files_ahead;

struct pk_files_ahead_args {
	const struct pk_docs *docs; /* outlives it */
	const char *directory;	    /* likewise */
	/* Returns whether the file is one to be read: it isn't known as it is. */
	bool (*is_new)(void *arg, const char *name, const struct stat *st);
	void *arg;
};

struct pk_files_ahead *pk_files_ahead_new(const struct pk_files_ahead_args *args);
void pk_files_ahead_free(struct pk_files_ahead *ahead);
/* Reads as many as one turn has. Returns whether there may be more. */
bool pk_files_ahead_read(struct pk_files_ahead *ahead);
/*
 * Gives the file's text, which the caller frees, if it was read, wasn't young, and is still as it
 * was then.
 */
bool pk_files_ahead_take(struct pk_files_ahead *ahead, const char *path, const struct stat *st,
			 char **text, size_t *len);
/* Returns what its texts say, for their offers. */
struct pk_docs_ahead *pk_files_ahead_docs(const struct pk_files_ahead *ahead);
/* Forgets what was read and not taken. */
void pk_files_ahead_clear(struct pk_files_ahead *ahead);
