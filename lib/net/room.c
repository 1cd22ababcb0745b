/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "fs.h"
#include "ipam.h"

#define BYTES_LEFT (16ull << 20)
#define FILES_LEFT 1024
#define PART_LEFT  20 /* a pool is short with less than a twentieth */

bool pk_room_disk_is_short(const struct pk_paths *paths, struct pk_err *why)
{
	struct statvfs fs;
	uint64_t bytes;

	/* A directory that isn't there means that nothing was attached yet. */
	if (statvfs(paths->endpoints, &fs) < 0)
		return false;
	if (fs.f_flag & ST_RDONLY) {
		pk_fail(why, EROFS, "%s", paths->endpoints);
		pk_fs_fix(why, -EROFS);
		return true;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes >= BYTES_LEFT && (fs.f_favail >= FILES_LEFT || !fs.f_files))
		return false;
	pk_fail(why, 0, "the file system of %s is full but for %llu KiB and %llu files",
		paths->endpoints, (unsigned long long)bytes >> 10, (unsigned long long)fs.f_favail);
	pk_fix(why, 0, "make room there: each ADD writes its record first, and fails without");
	return true;
}

bool pk_room_pool_is_short(const struct pk_prefix *block, const union pk_addr *gateway,
			   uint64_t held, struct pk_err *why)
{
	uint64_t size = cni_block_size(block, gateway);
	char text[PK_ADDR_TEXT];

	if (block->v6 || (held < size && (size - held) * PART_LEFT >= size))
		return false;
	pk_fail(why, 0, "pool %s: %llu of %llu addresses are held", pk_prefix_format(block, text),
		(unsigned long long)held, (unsigned long long)size);
	pk_fix(why, 0,
	       "add a block to the conflist's \"pool\"; \"picket ip list\" says who has them");
	return true;
}
