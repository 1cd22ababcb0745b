/* SPDX-License-Identifier: Apache-2.0 */
#include "epclear.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "epfind.h"
#include "eplease.h"
#include "fault.h"
#include "tables.h"

void pk_driver_file_remove(const struct pk_paths *paths, const char *container_id)
{
	char path[PK_PATH_ROOM + PK_CNI_ID_MAX + 8];

	snprintf(path, sizeof(path), "%s/%s.json", paths->vm, container_id);
	unlink(path);
}

static int free_slot(const struct pk_clear *clear, const struct pk_record_name *name,
		     struct pk_err *err)
{
	int r;

	if (!pk_endpoint_owns(clear->bpf, name))
		return 0;
	r = pk_endpoint_close(clear->bpf, name->slot, clear->deadline_ns, err);
	return r < 0 ? r : pk_slot_free(clear->bpf, name->slot, clear->deadline_ns, err);
}

/* Returns the first failure, which the caller hears of. */
static int keep_first_error(int old, int r)
{
	return old < 0 ? old : r;
}

int pk_endpoint_clear(const struct pk_clear *clear, const struct pk_record_name *name,
		      struct pk_err *err)
{
	const struct pk_paths *paths = clear->paths;
	struct pk_record_name closed = *name, open;
	bool another;
	int r = name->closed ? 0 : pk_record_close(paths, name, err);

	if (r < 0)
		return r;
	closed.closed = true;
	r = free_slot(clear, &closed, err);
	pk_fault("clear-slot-freed");
	another = pk_endpoint_find(paths, clear->bpf, name->container_id, name->ifname, &open,
				   NULL) == 0;
	r = keep_first_error(r, pk_leases_give_back(paths, &closed, another ? &open : NULL, err));
	pk_fault("clear-leases-freed");
	if (r < 0)
		return r;
	r = pk_record_delete(paths, &closed, err);
	if (r == 0 && !another)
		pk_driver_file_remove(paths, name->container_id);
	return r;
}
