/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Errors: a function returns 0 or -errno and says why in a struct that its caller owns (may be
 * NULL). Context is added on the way up (pk_wrap), printed once at the top.
 */

/* Codes of the plugin's errors: below 100 the CNI spec's (1.1.0, "Error"), from 100 on ours. */
#define PK_CODES(X)                                                                                \
	X(1, VERSION, "cniVersion")                                                                \
	X(2, UNSUPPORTED, "a field or value that this release doesn't support")                    \
	X(3, UNKNOWN_CONTAINER, "CHECK of an endpoint that this node doesn't have")                \
	X(4, ENV, "a CNI_* variable; it is named")                                                 \
	X(5, IO, "standard input can't be read")                                                   \
	X(6, DECODE, "standard input is no proper JSON: line, column and reason")                  \
	X(7, CONFIG, "the conflist says something wrong or unknown")                               \
	X(11, TRY_LATER,                                                                           \
	  "a host port is another endpoint's, or no claimed block counts yet: later it may")       \
	X(50, NOT_AVAILABLE, "STATUS with strictStatus: ADD would fail")                           \
	X(100, NETNS, "network namespace or link")                                                 \
	X(101, LAYOUT, "tables of another layout, or programs of another release")                 \
	X(102, NO_ADDRESS, "no address free")                                                      \
	X(103, KERNEL, "the kernel refused")                                                       \
	X(104, STATE, "the state directory")                                                       \
	X(105, ARGS, "CNI_ARGS")                                                                   \
	X(106, CAPACITY, "capacity: slots, labels or rule sets are used up")                       \
	X(107, DEADLINE, "the deadline passed")
#define PK_CODE_ENUM_(nr, sym, help) PK_CODE_##sym = nr,
enum pk_code {
	PK_CODE_NONE = 0, /* no code chosen: an internal error */
	PK_CODES(PK_CODE_ENUM_)
};

/* The beginning of a full table's fix: the sizes of tables are those of the boot. */
#define PK_FIX_CAPACITY                                                                            \
	"raise capacity.endpoints in picketd.json (it takes effect at the next boot)"

struct pk_err {
	int code;	/* enum pk_code; the first one set stays */
	char text[384]; /* what and where */
	char fix[256];	/* how to mend it, "" = not known */
};

/* Sets text (": strerror" is added when num > 0) and returns -num (-EINVAL where num is 0). */
int pk_fail(struct pk_err *err, int num, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts context and ": " before the text; returns ret. */
int pk_wrap(struct pk_err *err, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Sets the code unless one is set; returns ret, so that it sits in the return. */
int pk_code(struct pk_err *err, int ret, enum pk_code code);
/* Sets the fix unless one is set; returns ret. */
int pk_fix(struct pk_err *err, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
