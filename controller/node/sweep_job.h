/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A sweep on a thread, since it writes to a disk that may hang, and waits for locks and for RCU. It
 * works on a copy of what it needs of the model. Devices and namespaces are looked at again under
 * each container's lock.
 */
#include "model.h"
#include "sweep.h"
#include "sync.h"
#include "upkeep.h"
#include "writer.h"

struct pk_sweep_job;

struct pk_sweep_wish {
	const struct pk_paths *paths;
	struct pk_model *model;
	struct pk_sync *sync;
	enum pk_nomad_word nomad;
	bool whole; /* look at everything; else at closed records and these open ones */
	const struct pk_record_name *only;
	size_t n_only;
	void (*found)(void *arg, const struct pk_orphan *orphan); /* on the loop, as is ended */
	void (*ended)(void *arg, unsigned int left);
	void *arg;
};

/* One at a time: the caller waits for its end. */
void pk_sweep_begin(struct pk_writer *writer, const struct pk_sweep_wish *wish);
