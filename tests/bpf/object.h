/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Objects as they were built with the test, or, with $PK_OBJECTS, as they lie in that directory:
 * mutants of them need no new test program.
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

/* NULL and errno where it can't be opened. */
#define object_open(type, name)                                                                    \
	({                                                                                         \
		struct type *opened_ = calloc(1, sizeof(*opened_));                                \
                                                                                                   \
		if (opened_ && (type##__create_skeleton(opened_) ||                                \
				object_open_skeleton(opened_->skeleton, name))) {                  \
			type##__destroy(opened_);                                                  \
			opened_ = NULL;                                                            \
		}                                                                                  \
		opened_;                                                                           \
	})

/* The bytes of NAME.bpf.o in place of the skeleton's own, if they are asked for. 0 or -errno. */
int object_open_skeleton(struct bpf_object_skeleton *skeleton, const char *name);
