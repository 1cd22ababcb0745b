/* SPDX-License-Identifier: Apache-2.0 */
#include "epfind.h"

#include <errno.h>
#include <string.h>

#include "tables.h"

#define OWNER_ROOM (PK_CNI_ID_MAX + PK_IFNAME_MAX + 2)

bool pk_endpoint_owns(const struct pk_bpf *bpf, const struct pk_record_name *name)
{
	char owner[OWNER_ROOM];

	return bpf && name->slot &&
	       pk_slot_of(bpf, pk_record_owner(name, owner), name->slot - 1) == name->slot;
}

int pk_endpoint_find(const struct pk_paths *paths, const struct pk_bpf *bpf,
		     const char *container_id, const char *ifname, struct pk_record_name *name,
		     struct pk_err *err)
{
	struct pk_record_name at = { 0 };
	char owner[OWNER_ROOM];

	if (!bpf)
		return pk_record_find(paths, container_id, ifname, name, err);
	if (strlen(container_id) > PK_CNI_ID_MAX || strlen(ifname) > PK_IFNAME_MAX)
		return -ENOENT;
	strcpy(at.container_id, container_id);
	strcpy(at.ifname, ifname);
	pk_record_owner(&at, owner);
	do {
		at.slot = pk_slot_of(bpf, owner, at.slot);
		if (pk_record_exists(paths, &at)) {
			*name = at;
			return 0;
		}
	} while (at.slot);
	return -ENOENT;
}
