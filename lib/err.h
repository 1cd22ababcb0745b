/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Errors: a function returns 0 or -errno and says why in a struct that its caller owns (may be
 * NULL). Context is added on the way up (pk_wrap), printed once at the top.
 */

/* CNI error codes (CNI spec 1.1.0 "Error", and state.md "Error codes of the plugin"). */
enum pk_code {
	PK_CODE_NONE = 0, /* no code chosen: an internal error */
	PK_CODE_VERSION = 1,
	PK_CODE_UNSUPPORTED = 2,
	PK_CODE_UNKNOWN_CONTAINER = 3,
	PK_CODE_ENV = 4,
	PK_CODE_IO = 5,
	PK_CODE_DECODE = 6,
	PK_CODE_CONFIG = 7,
	PK_CODE_TRY_LATER = 11,
	PK_CODE_NOT_AVAILABLE = 50,
	PK_CODE_NETNS = 100,
	PK_CODE_LAYOUT = 101,
	PK_CODE_NO_ADDRESS = 102,
	PK_CODE_KERNEL = 103,
	PK_CODE_STATE = 104,
	PK_CODE_ARGS = 105,
	PK_CODE_CAPACITY = 106,
	PK_CODE_DEADLINE = 107,
};

/* The fix of a full table, begun: the sizes of tables are those of the boot. */
#define PK_FIX_CAPACITY                                                                            \
	"raise capacity.endpoints in picketd.json (it takes effect at the next boot)"

struct pk_err {
	int code;	/* enum pk_code; the first one set stays */
	char text[384]; /* what and where */
	char fix[256];	/* how to mend it, "" = not known */
};

/* Set text (": strerror" is added when num > 0) and return -num (-EINVAL where num is 0). */
int pk_fail(struct pk_err *err, int num, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Put context and ": " before the text; returns ret. */
int pk_wrap(struct pk_err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Set the code unless one is set; returns ret, so that it sits in the return. */
int pk_code(struct pk_err *err, int ret, enum pk_code code);
/* Set the fix unless one is set; returns ret. */
int pk_fix(struct pk_err *err, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
