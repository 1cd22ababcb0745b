/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Declares what all commands share: one table of commands with their options, from which parsing,
 * help and completion come. A command's run() returns the exit status: 0 yes or done, 1 no, denied
 * or would change, 2 could not tell.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "json.h"
#include "paths.h"
#include "str.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_NO = 1,	/* no, denied, degraded, would change */
	CLI_CANNOT = 2, /* usage, unreachable, a file that can't be used */
	CLI_PARTLY = 3,
	CLI_UNKNOWN = 127,
};

struct cli_option {
	const char *name; /* without dashes; one or two are taken: -follow, --follow */
	const char *arg;  /* its value's name in the help; NULL: a flag */
	const char *help;
	char letter; /* a one-letter form, 0 = none: -f */
};

struct cli;
struct cli_command {
	const char *noun, *verb; /* verb NULL: the noun alone */
	const char *args;	 /* "ID", "FILE...": for the usage line */
	const char *summary;
	int min_args, max_args;		  /* max -1: any number */
	const struct cli_option *options; /* ends with {0}; may be NULL */
	int (*run)(struct cli *cli);
	bool rows; /* prints a list: -o NAMES chooses columns */
};

#define CLI_VALUES_MAX 64
struct cli {
	const struct cli_command *command;
	struct pk_paths paths;
	const char *socket; /* -socket, else PICKET_SOCKET, else the one below the root */
	bool json, jsonl, wide, quiet;
	const char *columns; /* -o A,B: these only, without header */
	bool color, tty, utf8;
	int width; /* columns of the terminal; 0: output is piped, and nothing is cut */
	int argc;
	char **argv; /* positional arguments */
	struct {
		const struct cli_option *option;
		const char *value; /* "" for a flag */
	} values[CLI_VALUES_MAX];
	size_t n_values;
};

/* Returns the last value given; NULL: the option wasn't given. */
const char *cli_get(const struct cli *cli, const char *name);
bool cli_has(const struct cli *cli, const char *name);
/* Returns the n-th value of an option that may be given more than once; NULL after the last. */
const char *cli_nth(const struct cli *cli, const char *name, size_t n);
/* Reads a duration in seconds: a number, alone or with ms, s, m, h or d. Returns 0 or -EINVAL. */
int cli_duration(const char *text, double *seconds);

/* Prints "picket <noun> <verb>: text" and "fix: …" on standard error; returns code. */
int cli_fail(const struct cli *cli, const struct pk_err *err, int code);
int cli_usage(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/*
 * Asks picketd by GET; the caller frees the document. An error's fix says how to go on without
 * picketd.
 */
int cli_api(const struct cli *cli, const char *path, struct pk_json_doc **doc, struct pk_err *err);
int cli_api_post(const struct cli *cli, const char *path, const char *body,
		 struct pk_json_doc **doc, struct pk_err *err);
/* The same, and waits for so long. */
int cli_api_post_long(const struct cli *cli, const char *path, const char *body, double seconds,
		      struct pk_json_doc **doc, struct pk_err *err);
/* Returns whether a picketd of this root runs, also one that doesn't answer. */
bool cli_daemon_runs(const struct cli *cli);
/*
 * Reads picketd.json, which picketd may not have taken; *doc is NULL where there is none. -EINVAL:
 * it can't be read.
 */
int cli_config(const struct cli *cli, struct pk_json_doc **doc, struct pk_err *err);
/*
 * Reads a string of picketd.json (section.key; section NULL: at its top), to find things when
 * picketd doesn't answer. The caller frees it; NULL where it isn't given. -EINVAL: the file can't
 * be read.
 */
int cli_config_string(const struct cli *cli, const char *section, const char *key, char **out,
		      struct pk_err *err);
bool cli_no_daemon(int ret); /* nobody listens at the socket: what works offline may go on */

/* The registry (main.c); each file adds its table, which ends with {0}. */
extern const struct cli_command cli_status_commands[], cli_check_commands[],
	cli_endpoint_commands[], cli_policy_commands[], cli_policy_file_commands[],
	cli_policy_import_commands[], cli_policy_apply_commands[], cli_policy_release_commands[],
	cli_policy_history_commands[], cli_policy_rollout_commands[], cli_policy_test_commands[],
	cli_policy_plan_commands[], cli_flows_commands[], cli_sweep_commands[], cli_node_commands[],
	cli_ip_commands[], cli_reasons_commands[], cli_attach_commands[], cli_tap_commands[],
	cli_version_commands[], cli_completion_commands[], cli_help_commands[];
const struct cli_command *const *cli_tables(void); /* ends with NULL */
