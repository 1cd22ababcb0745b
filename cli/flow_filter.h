/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The filters of `picket flows`: Hubble's words, one table for parsing, help and matching. */
#include "cli.h"

#define FLOW_OPTIONS_MAX 64
/* Appends the filters' options at options[n]; returns the new count. */
size_t flow_filter_options(struct cli_option *options, size_t n);
/* Checks the values; returns 0, or the exit code after it has said which is wrong. */
int flow_filter_check(const struct cli *cli);
/*
 * Returns whether all options hold; of one given more than once, any value. -not turns the next one
 * round.
 */
bool flow_filter_match(const struct cli *cli, const struct pk_json *flow);
/* Reads "15m" (ago) or RFC 3339 as seconds since 1970; -EINVAL. */
int flow_time_parse(const char *text, double now, double *out);
