/* SPDX-License-Identifier: Apache-2.0 */
#include "eplease.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "fs.h"
#include "own.h"
#include "str.h"

#define OWNER_ROOM (PK_CNI_ID_MAX + PK_IFNAME_MAX + 2)

struct pk_lease_dir pk_leases_now(const struct pk_paths *paths)
{
	return (struct pk_lease_dir){ .path = paths->leases,
				      .marks = paths->pools,
				      .now_s = pk_boot_seconds() };
}

static int take_again(const struct pk_lease_dir *dir, const union pk_addr *addr, const char *owner,
		      struct pk_err *err)
{
	int r = pk_addr_is_zero(addr) ? 1 : pk_lease_is(dir, addr, owner, err);

	if (r) /* nothing is written where nothing was lost: a read-only disk stops no load */
		return r < 0 ? r : 0;
	r = pk_lease_take(dir, addr, owner, err);
	return r == -EEXIST ? 0 : r;
}

/* Takes one record's addresses; a record that can't be read keeps what leases it has. */
static int rebuild_one(const struct pk_paths *paths, const struct pk_lease_dir *dir,
		       const struct pk_record_name *name, const char *owner, struct pk_err *err)
{
	own_record rec = { 0 };
	int r;

	if (pk_record_read(paths, name, &rec, NULL) < 0)
		return 0;
	r = take_again(dir, &rec.ipv4, owner, err);
	return r == 0 ? take_again(dir, &rec.ipv6, owner, err) : r;
}

static int rebuild(const struct pk_paths *paths, const struct pk_lease_dir *dir,
		   const struct pk_record_name *list, size_t n, struct pk_err *err)
{
	own_mem char(*owner)[OWNER_ROOM] = pk_alloc((n + 1) * sizeof(*owner));
	own_mem const char **keep = pk_alloc((n + 1) * sizeof(*keep));
	int r;

	for (size_t i = 0; i < n; i++)
		keep[i] = pk_record_owner(&list[i], owner[i]);
	r = pk_leases_prune(dir, keep, err);
	for (size_t i = 0; i < n && r == 0; i++)
		r = rebuild_one(paths, dir, &list[i], keep[i], err);
	return r;
}

/*
 * Brings one record in step with new tables. A record of these very tables keeps its name. An older
 * open one gets slot 0; an older closed one is deleted, since its device went when the tables
 * ended, and its lease with it. A record that can't be read counts as older.
 */
static int outlive(const struct pk_paths *paths, const struct pk_node *node,
		   const struct pk_record_name *name, struct pk_err *err)
{
	own_record rec = { 0 };

	if (pk_record_read(paths, name, &rec, NULL) == 0 &&
	    memcmp(rec.epoch, node->epoch, sizeof(rec.epoch)) == 0)
		return 0;
	if (name->closed)
		return pk_record_delete(paths, name, err);
	return name->slot ? pk_record_outlive(paths, name, err) : 0;
}

static int outlive_all(const struct pk_paths *paths, const struct pk_node *node, struct pk_err *err)
{
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;
	int r = pk_records_list(paths, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++)
		r = outlive(paths, node, &list[i], err);
	/* A read-only disk stops no load: the sweep does it once the disk can be written. */
	return r == -EROFS ? 0 : r;
}

int pk_records_outlive(const struct pk_paths *paths, const struct pk_node *node, struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(paths);
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;
	int r = outlive_all(paths, node, err);

	if (r == 0)
		r = pk_records_list(paths, &list, &n, err);
	if (r == 0 && (n || access(dir.path, F_OK) == 0)) {
		r = pk_fs_mkdirs(dir.path, 0700, err);
		if (r == 0)
			r = rebuild(paths, &dir, list, n, err);
	}
	return pk_code(err, r, PK_CODE_STATE);
}

static bool is_in(const struct pk_str *addresses, const union pk_addr *addr)
{
	for (size_t at = 0; addresses && at < addresses->len; at += sizeof(*addr))
		if (!memcmp(addresses->text + at, addr, sizeof(*addr)))
			return true;
	return false;
}

/* keep may be NULL: none. */
static int drop(const struct pk_lease_dir *dir, const char *owner, const struct pk_str *keep,
		struct pk_err *err)
{
	own_mem struct pk_lease *list = NULL;
	size_t n = 0;
	int r = pk_leases_read(dir, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++)
		if (list[i].state == PK_LEASE_HELD && !is_in(keep, &list[i].addr))
			r = pk_lease_free(dir, &list[i].addr, owner, err);
	return r;
}

/* Lists the addresses of every record of that owner, one after the other. */
static int recorded(const struct pk_paths *paths, const struct pk_record_name *who,
		    struct pk_str *out, struct pk_err *err)
{
	own_mem struct pk_record_name *list = NULL;
	size_t n = 0;
	int r = pk_records_list(paths, &list, &n, err);

	for (size_t i = 0; i < n && r == 0; i++) {
		own_record rec = { 0 };

		if (strcmp(list[i].container_id, who->container_id) ||
		    strcmp(list[i].ifname, who->ifname))
			continue;
		r = pk_record_read(paths, &list[i], &rec, err);
		pk_str_addn(out, &rec.ipv4, sizeof(rec.ipv4));
		pk_str_addn(out, &rec.ipv6, sizeof(rec.ipv6));
	}
	return r;
}

int pk_leases_drop_unrecorded(const struct pk_paths *paths, const struct pk_record_name *who,
			      struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(paths);
	struct pk_err unreadable = { 0 };
	char owner[OWNER_ROOM];
	own_str keep = { 0 };

	if (recorded(paths, who, &keep, &unreadable) < 0)
		return 0;
	return drop(&dir, pk_record_owner(who, owner), &keep, err);
}

static int give_back(const struct pk_lease_dir *dir, const union pk_addr *addr,
		     const union pk_addr *taken_over, const char *owner, struct pk_err *err)
{
	if (pk_addr_is_zero(addr) || pk_addr_equal(addr, taken_over))
		return 0;
	return pk_lease_free(dir, addr, owner, err);
}

int pk_leases_give_back(const struct pk_paths *paths, const struct pk_record_name *name,
			const struct pk_record_name *another, struct pk_err *err)
{
	const struct pk_lease_dir dir = pk_leases_now(paths);
	own_record rec = { 0 }, open = { 0 };
	char owner[OWNER_ROOM];
	int r;

	if (another && pk_record_read(paths, another, &open, NULL) < 0)
		return 0; /* nobody can tell which of them it has: they go with that record */
	pk_record_owner(name, owner);
	r = pk_record_read(paths, name, &rec, err);
	if (r < 0) /* the leases themselves say whose they are */
		return another ? 0 : drop(&dir, owner, NULL, err);
	r = give_back(&dir, &rec.ipv4, &open.ipv4, owner, err);
	return r < 0 ? r : give_back(&dir, &rec.ipv6, &open.ipv6, owner, err);
}
