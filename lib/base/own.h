/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Release at the end of the scope, and visible moves of ownership. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PK_OWN(fn) __attribute__((cleanup(fn)))

static inline void pk_own_fd_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
static inline void pk_own_mem_(void *p)
{
	free(*(void **)p);
}
static inline void pk_own_file_(FILE **f)
{
	if (*f)
		fclose(*f);
}
static inline void pk_own_dir_(DIR **d)
{
	if (*d)
		closedir(*d);
}
#define own_fd	 PK_OWN(pk_own_fd_)
#define own_mem	 PK_OWN(pk_own_mem_)
#define own_file PK_OWN(pk_own_file_)
#define own_dir	 PK_OWN(pk_own_dir_)

/* Take the value and leave `empty` behind, so that the owner's release finds nothing. */
#define PK_MOVE(var, empty)                                                                        \
	({                                                                                         \
		__typeof__(var) moved_ = (var);                                                    \
		(var) = (empty);                                                                   \
		moved_;                                                                            \
	})

#define PK_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Small objects of fixed size: abort when there is no memory (crash-only; enforcement goes on from
 * the pins).
 */
static inline void *pk_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}
/* For qsort(): the smaller number first. */
static inline int pk_u32_cmp(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The caller's copy of at most so many bytes. */
static inline char *pk_strndup(const char *text, size_t n)
{
	char *copy = strndup(text, n);

	if (!copy)
		abort();
	return copy;
}

/* The caller's copy; NULL of NULL. */
static inline char *pk_strdup(const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		abort();
	return copy;
}
