/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * libcurl, loaded when a command needs it: linked, it would be loaded with 30 libraries for each
 * `picket`, whose start would take three times as long.
 */
#include "err.h"
#include "http_curl.h"

/*
 * Makes one request from beginning to end. -ENOENT: there is no libcurl; -EINVAL: the request can't
 * be made.
 */
int cli_curl(const struct pk_http_request *request, void *arg, struct pk_curl_answer *answer,
	     struct pk_err *err);
