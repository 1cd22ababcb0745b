/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A sweep behind the loop: it writes to a disk that may hang, waits for locks and for RCU. What it
 * asks of the model is copied when it is begun; under each container's lock the devices and the
 * namespaces are asked again.
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
	bool whole; /* all there is; else closed records, and these open ones */
	const struct pk_record_name *only;
	size_t n_only;
	void (*found)(void *arg, const struct pk_orphan *orphan); /* on the loop, as is ended */
	void (*ended)(void *arg, unsigned int left);
	void *arg;
};

/* One at a time: the caller waits for its end. */
void pk_sweep_begin(struct pk_writer *writer, const struct pk_sweep_wish *wish);
