/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A part of GET /v1/status: disk and pools. */
#include "err.h"
#include "parts.h"

typedef void pk_room_fn(void *arg, const char *what, const struct pk_err *why);
/* Calls say() for each thing that runs out. */
void pk_api_room(const struct pk_parts *parts, pk_room_fn *say, void *arg);
