/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to tables_slot.c and tables_ports.c: an endpoint's ports, with the node lock held. */
#include "tables.h"

/* Writes the ports. After a failure what was written stays, for pk_ports_delete. */
int pk_ports_write(struct pk_bpf *bpf, const struct pk_endpoint_open *open, struct pk_err *err);
void pk_ports_delete(struct pk_bpf *bpf, uint32_t slot);
