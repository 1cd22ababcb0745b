/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* One line of `picket check`. */
#include "cli.h"

enum check_state { CHECK_OK, CHECK_WARN, CHECK_FAIL };
struct check {
	struct cli *cli;
	struct pk_jw w;
	enum check_state worst;
};
void check_line(struct check *check, enum check_state state, const char *what, const char *fix,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));
