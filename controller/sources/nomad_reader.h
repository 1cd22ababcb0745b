/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads Nomad's answers as they arrive. Each alloc is taken or refused by itself, and only the
 * facts in nomad.h stay in memory. An answer that isn't of the expected form is an error.
 */
#include "nomad.h"

struct pk_alloc_reader;

enum pk_alloc_reader_kind {
	PK_READ_ALLOCS, /* /v1/node/ID/allocations: those that aren't over */
	PK_READ_ALLOC,	/* /v1/allocation/ID, and facts that were kept */
};

struct pk_alloc_reader *pk_alloc_reader_new(enum pk_alloc_reader_kind kind);
void pk_alloc_reader_free(struct pk_alloc_reader *reader);
static inline void pk_alloc_reader_freep(struct pk_alloc_reader **reader)
{
	pk_alloc_reader_free(*reader);
}
int pk_alloc_reader_feed(struct pk_alloc_reader *reader, const char *bytes, size_t n,
			 struct pk_err *err);
/* Hands out what was read, which the caller then owns; -EINVAL: the answer was cut off. */
int pk_alloc_reader_end(struct pk_alloc_reader *reader, struct pk_allocs *out, struct pk_err *err);

/* Calls fn for each alloc of /v1/allocations with its node's name and id. */
struct pk_placement_reader;

struct pk_placement_reader *pk_placement_reader_new(void (*fn)(void *arg, const char *node),
						    void *arg);
void pk_placement_reader_free(struct pk_placement_reader *reader);
int pk_placement_reader_feed(struct pk_placement_reader *reader, const char *bytes, size_t n,
			     struct pk_err *err);
int pk_placement_reader_end(struct pk_placement_reader *reader, struct pk_err *err);

/*
 * Finds in /v1/nodes the node with that name or id; of several the ready one. None, or two ready
 * ones, is an error with a fix.
 */
struct pk_node_reader;

struct pk_node_reader *pk_node_reader_new(const char *name);
void pk_node_reader_free(struct pk_node_reader *reader);
int pk_node_reader_feed(struct pk_node_reader *reader, const char *bytes, size_t n,
			struct pk_err *err);
int pk_node_reader_end(struct pk_node_reader *reader, struct pk_nomad_node *out,
		       struct pk_err *err);
