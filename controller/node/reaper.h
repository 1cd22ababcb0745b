/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Gives back the memory of flows that are over, a part of the table at a time, in idle time. */
#include "loop.h"
#include "sync.h"

struct pk_reaper;

struct pk_reaper *pk_reaper_new(struct pk_loop *loop, struct pk_sync *sync);
void pk_reaper_free(struct pk_reaper *reaper);
