/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep removes on two witnesses, and nothing else. */
#include "kernel_room.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <time.h>
#include <utime.h>

#include "eplease.h"
#include "eplock.h"
#include "lease.h"
#include "nl.h"
#include "sweep.h"

static enum pk_alloc_state alloc_says;

static enum pk_alloc_state ask_alloc(void *arg, const char *id)
{
	(void)arg;
	(void)id;
	return alloc_says;
}

static struct pk_orphan last[8];
static unsigned int n_last;

static void note(void *arg, const struct pk_orphan *orphan)
{
	(void)arg;
	if (n_last < PK_ARRAY_LEN(last))
		last[n_last++] = *orphan;
}

static struct pk_sweep sweep_now(bool apply, bool closed_only, bool all)
{
	struct pk_sweep sweep = { .paths = &room.paths,
				  .bpf = room.bpf,
				  .alloc = ask_alloc,
				  .found = note,
				  .apply = apply,
				  .parts = closed_only ? PK_SWEEP_CLOSED : PK_SWEEP_EVERYTHING,
				  .all = all,
				  .deadline_ns = IN_A_WHILE };

	n_last = 0;
	assert_ok(pk_sweep(&sweep, &e));
	return sweep;
}

static struct pk_lease_dir leases(void)
{
	return (struct pk_lease_dir){ .path = room.paths.leases,
				      .marks = room.paths.pools,
				      .now_s = 1000 };
}

/* A record with slot and lease, without device; netns NULL = one that is gone. */
static struct pk_record_name make_of(const char *id, const char *netns, const char *addr,
				     const char *declared)
{
	struct pk_lease_dir dir = leases();
	struct pk_record record = { .container_id = (char *)id,
				    .ifname = (char *)"eth0",
				    .netns = (char *)(netns ? netns : "/nonexistent"),
				    .declared = (char *)declared };
	struct pk_endpoint entry = { .host_ifindex = 9000 };
	struct pk_record_name name = { 0 };
	char owner[PK_CNI_ID_MAX + PK_IFNAME_MAX + 2];
	struct stat st;

	strcpy(name.container_id, id);
	strcpy(name.ifname, "eth0");
	pk_record_owner(&name, owner);
	if (netns && stat(netns, &st) == 0)
		record.netns_inode = st.st_ino;
	assert_int_equal(pk_addr_parse(addr, &record.ipv4), 0);
	assert_ok(pk_slot_take(room.bpf, owner, IN_A_WHILE, &record.slot, &e));
	entry.host_ifindex += record.slot;
	entry.ipv4 = record.ipv4;
	assert_ok(pk_endpoint_write(room.bpf, record.slot, &entry, &e));
	assert_ok(pk_fs_mkdirs(room.paths.leases, 0700, &e));
	assert_ok(pk_lease_take(&dir, &record.ipv4, owner, &e));
	assert_ok(pk_record_write(&room.paths, &record, &e));
	name.slot = record.slot;
	return name;
}

static struct pk_record_name make(const char *id, const char *netns, const char *addr)
{
	return make_of(id, netns, addr, NULL);
}

static int held(const char *addr, const char *owner)
{
	struct pk_lease_dir dir = leases();
	union pk_addr a;

	assert_int_equal(pk_addr_parse(addr, &a), 0);
	return pk_lease_is(&dir, &a, owner, NULL);
}

static bool exists(const struct pk_record_name *name)
{
	own_record record = { 0 };

	return pk_record_read(&room.paths, name, &record, NULL) == 0;
}

static void test_witnesses(void **state)
{
	struct pk_record_name name;

	(void)state;
	NEED_ROOM();
	name = make("gone", NULL, "10.40.0.2");
	/* device and netns are gone; Nomad doesn't know, or says that it runs: kept */
	alloc_says = PK_ALLOC_UNKNOWN;
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_int_equal(n_last, 1);
	assert_false(last[0].removable);
	assert_non_null(strstr(last[0].why, "no answer"));
	alloc_says = PK_ALLOC_LIVE;
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_true(exists(&name));
	/* both witnesses; without -apply it is only shown */
	alloc_says = PK_ALLOC_GONE;
	assert_int_equal(sweep_now(false, false, false).n_removed, 0);
	assert_true(last[0].removable && exists(&name));
	assert_int_equal(held("10.40.0.2", "gone@eth0"), 1);
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
	assert_false(exists(&name));
	assert_false(pk_slot_taken(room.bpf, name.slot));
	assert_int_equal(held("10.40.0.2", "gone@eth0"), 0);
	assert_int_equal(sweep_now(true, false, false).n_found, 0);
}

/* Neither Nomad's word nor its absence ends what an operator attached: DEL alone does. */
static void test_declared(void **state)
{
	struct pk_record_name name;

	(void)state;
	NEED_ROOM();
	name = make_of("db-1", NULL, "10.40.0.9", "[\"nomad:namespace=acme\"]");
	alloc_says = PK_ALLOC_GONE;
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_true(exists(&name) && n_last == 1 && !last[0].removable);
	assert_non_null(strstr(last[0].why, "picket detach"));
	assert_ok(pk_record_close(&room.paths, &name, &e));
	name.closed = true;
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
	assert_false(exists(&name));
}

static void test_live_netns(void **state)
{
	struct pk_record_name name;

	(void)state;
	NEED_ROOM();
	name = make("alive", "/proc/self/ns/net", "10.40.0.3");
	alloc_says = PK_ALLOC_GONE;
	/* its netns lives: not even shown */
	assert_int_equal(sweep_now(true, false, false).n_found, 0);
	assert_true(exists(&name));
	/* DEL is recorded and the device is gone: it goes */
	assert_ok(pk_record_close(&room.paths, &name, &e));
	name.closed = true;
	alloc_says = PK_ALLOC_LIVE;
	assert_int_equal(sweep_now(true, true, false).n_removed, 1);
	assert_false(exists(&name));
	assert_false(pk_slot_taken(room.bpf, name.slot));
}

static void make_device_of(const char *name, const uint8_t mac[6])
{
	struct pk_nl_veth veth = { .name = "other",
				   .ifindex = 60,
				   .mac = { 2 },
				   .host_name = name,
				   .host_netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
				   .mtu = 1500 };
	own_nl *nl = NULL;

	memcpy(veth.host_mac, mac, 6);
	assert_ok(pk_nl_open(&nl, &e));
	pk_nl_veth(nl, &veth);
	assert_ok(pk_nl_send(nl, &e));
	close(veth.host_netns);
}

static void make_device(const char *name)
{
	make_device_of(name, (const uint8_t[6])PK_GATEWAY_MAC);
}

static void drop_device(const char *name)
{
	own_nl *nl = NULL;

	assert_ok(pk_nl_open(&nl, &e));
	pk_nl_delete(nl, if_nametoindex(name));
	assert_ok(pk_nl_send(nl, &e));
}

static void test_device_keeps_it(void **state)
{
	struct pk_record_name name;
	char host[16];

	(void)state;
	NEED_ROOM();
	name = make("device", NULL, "10.40.0.4");
	snprintf(host, sizeof(host), "pk%u", name.slot);
	make_device(host);
	assert_ok(pk_record_close(&room.paths, &name, &e));
	name.closed = true;
	alloc_says = PK_ALLOC_GONE;
	/* DEL is recorded, but the device lives: slot and address stay its own */
	assert_int_equal(sweep_now(true, true, false).n_removed, 0);
	assert_true(exists(&name));
	assert_true(pk_slot_taken(room.bpf, name.slot));
	assert_int_equal(held("10.40.0.4", "device@eth0"), 1);
	drop_device(host);
	assert_int_equal(sweep_now(true, true, false).n_removed, 1);
	assert_false(exists(&name));
}

/* Somebody's veth has the name: it keeps nothing, and nobody deletes it. */
static void test_foreign_device(void **state)
{
	struct pk_record_name name;
	char host[16];

	(void)state;
	NEED_ROOM();
	name = make("foreign", NULL, "10.40.0.10");
	snprintf(host, sizeof(host), "pk%u", name.slot);
	make_device_of(host, (const uint8_t[6]){ 2, 0, 0, 0, 0, 1 });
	assert_ok(pk_record_close(&room.paths, &name, &e));
	name.closed = true;
	assert_int_equal(sweep_now(true, true, false).n_removed, 1);
	assert_false(exists(&name));
	assert_int_not_equal(if_nametoindex(host), 0);
	assert_int_equal(sweep_now(true, false, false).n_found, 0);
	drop_device(host);
}

/* From before the tables were loaded: its number is another's, and its device can't be there. */
static void test_outlived(void **state)
{
	struct pk_record_name name;
	struct pk_node another;
	own_record record = { 0 };

	(void)state;
	NEED_ROOM();
	another = room.bpf->node;
	name = make("before", NULL, "10.40.0.11");
	another.epoch[0]++;
	assert_ok(pk_records_outlive(&room.paths, &another, &e));
	assert_false(exists(&name));
	name.slot = 0;
	assert_true(exists(&name));
	assert_int_equal(held("10.40.0.11", "before@eth0"), 1);
	/* Nomad may start it again: its address is kept for it. */
	alloc_says = PK_ALLOC_UNKNOWN;
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	alloc_says = PK_ALLOC_GONE;
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
	assert_false(exists(&name));
	assert_int_equal(held("10.40.0.11", "before@eth0"), 0);
	assert_int_equal(pk_record_read(&room.paths, &name, &record, NULL), -ENOENT);
}

/* A closed record of an endpoint that was added again elsewhere leaves the new one's lease. */
static void test_added_again(void **state)
{
	struct pk_lease_dir dir;
	struct pk_record_name old, now;
	union pk_addr addr;

	(void)state;
	NEED_ROOM();
	dir = leases();
	old = make("again", NULL, "10.40.0.5");
	assert_ok(pk_record_close(&room.paths, &old, &e));
	old.closed = true;
	assert_int_equal(pk_addr_parse("10.40.0.5", &addr), 0);
	assert_ok(pk_lease_free(&dir, &addr, "again@eth0", &e));
	now = make("again", "/proc/self/ns/net", "10.40.0.5");
	assert_int_not_equal(now.slot, old.slot);
	alloc_says = PK_ALLOC_LIVE;
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
	assert_false(exists(&old));
	assert_true(exists(&now));
	assert_int_equal(held("10.40.0.5", "again@eth0"), 1);
	assert_true(pk_slot_taken(room.bpf, now.slot));
	assert_ok(pk_record_close(&room.paths, &now, &e));
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
}

/* Somebody holds the container's lock: nothing is waited for, nothing is removed. */
static void test_locked(void **state)
{
	struct pk_record_name name;
	int lock;

	(void)state;
	NEED_ROOM();
	name = make("busy", NULL, "10.40.0.6");
	assert_ok(pk_endpoint_lock(&room.paths, "busy", IN_A_WHILE, &lock, &e));
	alloc_says = PK_ALLOC_GONE;
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_non_null(strstr(last[0].why, "under way"));
	assert_true(exists(&name));
	close(lock);
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
}

/* What an ADD left that was killed before its record: kept while it may still be running. */
static void test_without_record(void **state)
{
	struct utimbuf old = { .actime = 1, .modtime = 1 };
	struct pk_lease_dir dir;
	char path[PK_PATH_ROOM + 64];
	union pk_addr addr;
	uint32_t slot;
	__u64 *stamp;

	(void)state;
	NEED_ROOM();
	dir = leases();
	assert_ok(pk_slot_take(room.bpf, "early@eth0", IN_A_WHILE, &slot, &e));
	assert_int_equal(pk_addr_parse("10.40.0.9", &addr), 0);
	assert_ok(pk_lease_take(&dir, &addr, "early@eth0", &e));
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_int_equal(n_last, 2);
	assert_true(last[0].young && last[1].young);
	assert_true(pk_slot_taken(room.bpf, slot));
	/* long ago */
	stamp = &room.bpf->endpoints[slot].owner; /* its low 16 bits are the time */
	*stamp = (*stamp & ~UINT64_C(0xffff)) | (uint16_t)(*stamp - 1000);
	snprintf(path, sizeof(path), "%s/10.40.0.9", room.paths.leases);
	assert_int_equal(utime(path, &old), 0);
	assert_int_equal(sweep_now(true, false, false).n_removed, 2);
	assert_false(pk_slot_taken(room.bpf, slot));
	assert_int_equal(held("10.40.0.9", "early@eth0"), 0);
}

/* The device of an ADD that is under way has no record yet: status counts no orphan for it. */
static void test_young_device(void **state)
{
	char host[16];
	uint32_t slot;
	__u64 *stamp;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_slot_take(room.bpf, "under-way@eth0", IN_A_WHILE, &slot, &e));
	snprintf(host, sizeof(host), "pk%u", slot);
	make_device(host);
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_int_equal(n_last, 1);
	assert_true(last[0].kind == PK_ORPHAN_DEVICE && last[0].young);
	stamp = &room.bpf->endpoints[slot].owner; /* its low 16 bits are the time */
	*stamp = (*stamp & ~UINT64_C(0xffff)) | (uint16_t)(*stamp - 1000);
	assert_int_equal(sweep_now(true, false, false).n_removed, 0);
	assert_int_equal(n_last, 1);
	assert_false(last[0].young);
	drop_device(host);
	assert_int_equal(sweep_now(true, false, false).n_removed, 1);
	assert_false(pk_slot_taken(room.bpf, slot));
}

static void touch(const char *directory, const char *name, bool old)
{
	const struct utimbuf long_ago = { .actime = 1, .modtime = 1 };
	char path[PK_PATH_ROOM + 64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
	if (old)
		assert_int_equal(utime(path, &long_ago), 0);
}

static bool is_file(const char *directory, const char *name)
{
	char path[PK_PATH_ROOM + 64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return access(path, F_OK) == 0;
}

/* A process was killed while it wrote; the first release left lock files. What is young may be
 * another's at work. */
static void test_cut_short(void **state)
{
	const char *const dirs[] = { room.paths.endpoints, room.paths.leases, room.paths.vm };
	struct pk_record_name name;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_fs_mkdirs(room.paths.vm, 0751, &e));
	name = make("here", "/proc/self/ns/net", "10.40.0.7");
	for (size_t i = 0; i < PK_ARRAY_LEN(dirs); i++) {
		touch(dirs[i], ".old.1", true);
		touch(dirs[i], ".young.2", false);
	}
	touch(room.paths.lock, "gone", true);
	touch(room.paths.lock, "young", false);
	touch(room.paths.lock, "endpoints", true);
	touch(room.paths.lock, "node", true);
	assert_int_equal(sweep_now(false, false, false).n_removed, 0);
	assert_true(is_file(room.paths.lock, "gone"));
	assert_int_equal(sweep_now(true, false, false).n_removed, 4);
	for (size_t i = 0; i < PK_ARRAY_LEN(dirs); i++) {
		assert_false(is_file(dirs[i], ".old.1"));
		assert_true(is_file(dirs[i], ".young.2"));
	}
	assert_false(is_file(room.paths.lock, "gone"));
	assert_true(is_file(room.paths.lock, "young") && is_file(room.paths.lock, "endpoints") &&
		    is_file(room.paths.lock, "node"));
	assert_true(exists(&name));
}

/* -all -apply: live or not, and the pins. */
static void test_all(void **state)
{
	struct pk_record_name name;
	char host[16];

	(void)state;
	NEED_ROOM();
	name = make("all", "/proc/self/ns/net", "10.40.0.8");
	snprintf(host, sizeof(host), "pk%u", name.slot);
	make_device(host);
	sweep_now(false, false, true);
	assert_true(exists(&name) && if_nametoindex(host));
	sweep_now(true, false, true);
	assert_false(exists(&name));
	assert_int_equal(if_nametoindex(host), 0);
	assert_int_equal(access(room.paths.pins, F_OK), -1);
	assert_int_equal(held("10.40.0.8", "all@eth0"), 0);
	assert_int_equal(rmdir(room.paths.leases), 0); /* empty, of what was cut short too */
	assert_int_equal(rmdir(room.paths.endpoints), 0);
	assert_false(is_file(room.paths.lock, "young"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_witnesses),      cmocka_unit_test(test_live_netns),
		cmocka_unit_test(test_declared),       cmocka_unit_test(test_device_keeps_it),
		cmocka_unit_test(test_added_again),    cmocka_unit_test(test_locked),
		cmocka_unit_test(test_without_record), cmocka_unit_test(test_young_device),
		cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_foreign_device),
		cmocka_unit_test(test_outlived),       cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, room_load, room_leave);
}
