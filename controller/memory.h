/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gives freed memory back to the kernel once work is done, or amid work that doesn't end. After the
 * start the pages of program and libraries go back, too, which only that read: the loader each
 * symbol, TLS its tables. What is needed again comes from the page cache, in as many pages as are
 * needed. That is done once, as a debugger's breakpoints in the program go with them.
 */
#include "loop.h"

struct pk_memory;

/* Waits so long after the last piece of work, and after the first one no longer than latest_ms. */
struct pk_memory *pk_memory_new(struct pk_loop *loop, uint64_t rest_ms, uint64_t latest_ms);
void pk_memory_free(struct pk_memory *memory);
/* Says that a piece of work is being done. */
void pk_memory_worked(struct pk_memory *memory);
