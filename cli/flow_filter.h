/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Parses and applies the filters of `picket flows`. They are named as Hubble's; one table makes
 * options, help and matching.
 */
#include "cli.h"

#define FLOW_OPTIONS_MAX 64
/* Appends the filters' options at options[n]; returns the new count. */
size_t flow_filter_options(struct cli_option *options, size_t n);
/* Checks the values; returns 0, or prints which is wrong and returns the exit status. */
int flow_filter_check(const struct cli *cli);
/*
 * Returns whether the flow passes: all options hold, of one given more than once any value. -not
 * negates the next one.
 */
bool flow_filter_match(const struct cli *cli, const struct pk_json *flow);
/*
 * Reads "15m" (ago) or an RFC 3339 time as seconds since 1970; now is in the same. Returns 0 or
 * -EINVAL.
 */
int flow_time_parse(const char *text, double now, double *out);
