/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Loads libcurl when a command needs it. Linked, it would be loaded with 30 other libraries at each
 * start of `picket`, which would take three times as long.
 */
#include "err.h"
#include "http_curl.h"

/* Makes one request and waits for its answer. */
int cli_curl(const struct pk_http_request *request, void *arg, struct pk_curl_answer *answer,
	     struct pk_err *err);
