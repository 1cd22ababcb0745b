/* SPDX-License-Identifier: Apache-2.0 */
/* The guard stands first, whoever came before or after; one packet proves that it judges. */
#include "kernel_room.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/bpf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "hook.h"
#include "netns.h"
#include "picket/limits.h"
#include "selftest.h"
#include "stack.h"
#include "tap.h"

#define ETH 10
#define TAP 11

static const uint8_t guest_mac[6] = { 0x02, 0x70, 1, 2, 3, 4 };

/* One endpoint: veth and tap in the netns of a child that waits. */
static struct endpoint {
	pid_t holder;
	struct pk_netns ns, home;
	struct pk_nl *host, *inside;
	uint32_t host_ifindex, slot;
	int tap, foreign;
} ep = { .ns = PK_NETNS_NONE, .home = PK_NETNS_NONE, .tap = -1, .foreign = -1 };

static int hold(int fd)
{
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || write(fd, &c, 1) != 1)
		return 1;
	pause();
	return 0;
}

static struct pk_hook guard(bool tcx)
{
	return (struct pk_hook){ .ifindex = ep.host_ifindex,
				 .tcx = tcx,
				 .prog = room.bpf->prog[PK_PROG_FROM_ENDPOINT],
				 .name = "pk_from_endpoint" };
}

/* A program that lets everything pass: `verdict` says so in its type's words. */
static int load_foreign(enum bpf_prog_type type, int verdict)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = type,
				.insns = (uint64_t)(uintptr_t)code,
				.insn_cnt = 2,
				.license = (uint64_t)(uintptr_t)"GPL" };

	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void make_inside(struct pk_err *err)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	const struct pk_tap tap = { .name = "tap0", .ifindex = TAP, .owner = 1000, .group = 1000 };
	struct pk_nl_veth veth = { .name = "eth0",
				   .ifindex = ETH,
				   .host_name = "pk1",
				   .host_mac = { 2, 1, 1, 1, 1, 1 },
				   .host_netns = ep.home.fd,
				   .mtu = 1500 };
	struct pk_nl_filter forward = { .ifindex = TAP,
					.prog = room.bpf->prog[PK_PROG_FORWARD_TAP],
					.name = "pk_forward_tap" };

	memcpy(veth.mac, guest_mac, 6);
	assert_int_equal(pk_netns_enter(&ep.ns, &visit, err), 0);
	assert_int_equal(pk_nl_open(&ep.inside, err), 0);
	pk_nl_veth(ep.inside, &veth);
	pk_nl_no_addrgen(ep.inside, ETH);
	assert_int_equal(pk_nl_send(ep.inside, err), 0);
	assert_int_equal(pk_tap_create(&tap, &ep.tap, err), 0);
	assert_int_equal(pk_tap_check(ep.inside, &tap, err), 0);
	pk_nl_clsact(ep.inside, TAP);
	pk_nl_filter(ep.inside, &forward);
	assert_int_equal(pk_nl_send(ep.inside, err), 0);
	pk_nl_up(ep.inside, ETH);
	pk_nl_up(ep.inside, TAP);
	assert_int_equal(pk_nl_send(ep.inside, err), 0);
}

static int make_endpoint(void **state)
{
	struct pk_endpoint entry = { .mtu = 1500 };
	struct pk_nl_link link;
	struct pk_err err = { 0 };
	char path[64], c;
	int pipes[2];

	(void)state;
	if (!room.made)
		return 0;
	assert_int_equal(pipe(pipes), 0);
	ep.holder = spawn(hold, pipes[1]);
	assert_int_equal(read(pipes[0], &c, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)ep.holder);
	assert_int_equal(pk_netns_open(path, &ep.ns, &err), 0);
	assert_int_equal(pk_netns_self(&ep.home, &err), 0);
	assert_int_equal(pk_nl_open(&ep.host, &err), 0);
	assert_int_equal(pk_slot_take(room.bpf, "hook@eth0", IN_A_WHILE, &ep.slot, &err), 0);
	make_inside(&err);
	assert_int_equal(pk_nl_link(ep.host, 0, "pk1", &link, &err), 0);
	ep.host_ifindex = entry.host_ifindex = link.ifindex;
	assert_int_equal(pk_addr_parse("10.40.0.7", &entry.ipv4), 0);
	memcpy(entry.mac, guest_mac, 6);
	assert_int_equal(pk_endpoint_write(room.bpf, ep.slot, &entry, &err), 0);
	assert_int_equal(pk_stack_write6("pk1", &err), 0);
	pk_stack_push(ep.host, ep.host_ifindex);
	pk_nl_up(ep.host, ep.host_ifindex);
	assert_int_equal(pk_nl_send(ep.host, &err), 0);
	ep.foreign = load_foreign(BPF_PROG_TYPE_SCHED_CLS, 0); /* TC_ACT_OK */
	assert_true(ep.foreign >= 0);
	return 0;
}

static int drop_endpoint(void **state)
{
	int status;

	(void)state;
	if (!room.made)
		return 0;
	close(ep.tap);
	close(ep.foreign);
	pk_nl_delete(ep.host, ep.host_ifindex);
	assert_ok(pk_nl_send(ep.host, &e));
	pk_nl_close(ep.host);
	pk_nl_close(ep.inside);
	pk_netns_close(&ep.ns);
	pk_netns_close(&ep.home);
	assert_int_equal(kill(ep.holder, SIGKILL), 0);
	waitpid(ep.holder, &status, 0);
	assert_ok(pk_slot_free(room.bpf, ep.slot, IN_A_WHILE, &e));
	return 0;
}

static enum pk_hook_state look(const struct pk_hook *hook)
{
	struct pk_hook_seen seen;

	assert_ok(pk_hook_read(ep.host, hook, &seen, &e));
	return seen.state;
}

static int selftest(struct pk_err *err)
{
	struct pk_selftest test = { .bpf = room.bpf, .slot = ep.slot, .deadline_ns = IN_A_WHILE };

	memcpy(test.mac, guest_mac, 6);
	return pk_selftest_tap(&test, ep.tap, err);
}

static int selftest_eth(struct pk_err *err)
{
	struct pk_selftest test = { .bpf = room.bpf, .slot = ep.slot, .deadline_ns = IN_A_WHILE };
	own_visit visit = PK_NETNS_VISIT_NONE;

	memcpy(test.mac, guest_mac, 6);
	assert_int_equal(pk_netns_enter(&ep.ns, &visit, err), 0);
	return pk_selftest_eth(&test, ETH, err);
}

static void add_foreign(uint32_t handle)
{
	struct pk_nl_filter filter = {
		.ifindex = ep.host_ifindex, .prog = ep.foreign, .name = "foreign", .handle = handle
	};

	pk_nl_filter(ep.host, &filter);
	assert_ok(pk_nl_send(ep.host, &e));
}

static void test_clsact(void **state)
{
	struct pk_hook hook;
	struct pk_hook_seen seen;
	struct pk_err err = { 0 };

	(void)state;
	NEED_ROOM();
	hook = guard(false);
	assert_int_equal(look(&hook), PK_HOOK_MISSING);
	/* no guard: the self-test says so */
	assert_int_equal(selftest(&err), -EINVAL);
	assert_int_equal(err.code, PK_CODE_KERNEL);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
	assert_ok(selftest_eth(&e));
	/* A filter of the same preference added later goes to the head */
	add_foreign(7);
	assert_ok(pk_hook_read(ep.host, &hook, &seen, &e));
	assert_int_equal(seen.state, PK_HOOK_NOT_FIRST);
	assert_string_equal(seen.before, "foreign");
	assert_true(seen.before_id);
	assert_int_equal(selftest(&err), -EINVAL);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
	/* again, where the handles that we would take are taken */
	add_foreign(1);
	add_foreign(3);
	assert_int_equal(look(&hook), PK_HOOK_NOT_FIRST);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
}

static void detach_tcx(int prog)
{
	union bpf_attr attr = { .attach_type = 46, .attach_bpf_fd = (uint32_t)prog };

	attr.target_fd = ep.host_ifindex;
	assert_int_equal(syscall(SYS_bpf, BPF_PROG_DETACH, &attr, sizeof(attr)), 0);
}

/* TCX runs before clsact: a foreign program there can't be outdone by a filter. */
static void test_foreign_tcx(void **state)
{
	struct pk_hook hook, foreign;
	struct pk_err err = { 0 };

	(void)state;
	NEED_ROOM();
	hook = guard(false);
	foreign = hook;
	foreign.prog = ep.foreign;
	assert_ok(pk_hook_attach_tcx(&foreign, -1, &e));
	assert_int_equal(look(&hook), PK_HOOK_NOT_FIRST);
	assert_int_equal(pk_hook_repair(ep.host, &hook, &err), -EPERM);
	assert_int_equal(err.code, PK_CODE_KERNEL);
	assert_non_null(strstr(err.text, "before the guard"));
	assert_int_equal(selftest(&err), -EINVAL);
	detach_tcx(ep.foreign);
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
}

/* `"hook": "tcx"`: ours first, replaced atomically, seen behind another. */
static void test_tcx(void **state)
{
	struct pk_hook hook, foreign;
	struct pk_err err = { 0 };

	(void)state;
	NEED_ROOM();
	hook = guard(true);
	foreign = hook;
	foreign.prog = ep.foreign;
	assert_int_equal(look(&hook), PK_HOOK_MISSING);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
	/* replaced by the other: ours is gone; and back */
	assert_ok(pk_hook_attach_tcx(&foreign, hook.prog, &e));
	assert_int_equal(look(&hook), PK_HOOK_MISSING);
	assert_ok(pk_hook_attach_tcx(&hook, ep.foreign, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	/* lost, and a foreign one came: ours goes before it */
	detach_tcx(hook.prog);
	assert_ok(pk_hook_attach_tcx(&foreign, -1, &e));
	assert_int_equal(look(&hook), PK_HOOK_MISSING);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_ok(selftest(&e));
	/* the foreign one put itself before it: said, not passed over */
	detach_tcx(ep.foreign);
	assert_ok(pk_hook_attach_tcx(&foreign, -1, &e));
	assert_int_equal(look(&hook), PK_HOOK_NOT_FIRST);
	assert_int_equal(pk_hook_repair(ep.host, &hook, &err), -EPERM);
	detach_tcx(ep.foreign);
	detach_tcx(hook.prog);
}

/* XDP sees what comes in before every filter. */
static void test_foreign_xdp(void **state)
{
	int xdp = load_foreign(BPF_PROG_TYPE_XDP, XDP_PASS);
	struct pk_hook_seen seen;
	struct pk_err err = { 0 };
	struct pk_hook hook;

	(void)state;
	NEED_ROOM();
	hook = guard(false);
	assert_ok(pk_hook_repair(ep.host, &hook, &e));
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	assert_int_equal(bpf_xdp_attach((int)ep.host_ifindex, xdp, XDP_FLAGS_SKB_MODE, NULL), 0);
	assert_ok(pk_hook_read(ep.host, &hook, &seen, &e));
	assert_int_equal(seen.state, PK_HOOK_NOT_FIRST);
	assert_string_equal(seen.before, "an XDP program");
	assert_int_equal(pk_hook_repair(ep.host, &hook, &err), -EPERM);
	assert_non_null(strstr(err.text, "XDP"));
	assert_int_equal(bpf_xdp_detach((int)ep.host_ifindex, XDP_FLAGS_SKB_MODE, NULL), 0);
	assert_int_equal(look(&hook), PK_HOOK_OURS_FIRST);
	close(xdp);
}

static void write_setting(const char *key, const char *value)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/sys/net/%s", key);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(value, file) >= 0 && fclose(file) == 0);
}

static void test_settings(void **state)
{
	static const struct {
		const char *key, *value, *seen;
	} row[] = {
		{ "ipv4/ip_forward", "1", NULL },
		{ "ipv4/ip_forward", "0", "ipv4 forwarding" }, /* resets every device's */
		{ "ipv4/conf/pk1/accept_local", "0", "ipv4 accept_local" },
		{ "ipv4/conf/pk1/rp_filter", "1", "ipv4 rp_filter" },
		{ "ipv4/conf/pk1/arp_ignore", "0", "ipv4 arp_ignore" },
		{ "ipv4/conf/pk1/arp_announce", "0", "ipv4 arp_announce" },
		{ "ipv6/conf/pk1/forwarding", "0", "ipv6 forwarding" },
		{ "ipv6/conf/pk1/accept_ra", "2", "ipv6 accept_ra" },
		{ "ipv6/conf/pk1/accept_dad", "1", "ipv6 accept_dad" },
	};

	(void)state;
	NEED_ROOM();
	for (size_t i = 0; i < PK_ARRAY_LEN(row); i++) {
		struct pk_nl_link link;
		const char *seen;

		write_setting(row[i].key, row[i].value);
		assert_ok(pk_nl_link(ep.host, 0, "pk1", &link, &e));
		seen = pk_stack_wrong(&link);
		if (!seen != !row[i].seen || (seen && strcmp(seen, row[i].seen) != 0))
			fail_msg("%s: %s", row[i].key, seen ? seen : "nothing seen");
		assert_ok(pk_stack_mend(ep.host, &link, &e));
		assert_ok(pk_nl_link(ep.host, 0, "pk1", &link, &e));
		assert_null(pk_stack_wrong(&link));
	}
}

static void test_netns(void **state)
{
	struct pk_netns ns = PK_NETNS_NONE;
	struct pk_err err = { 0 };
	char file[128];
	ino_t inode;

	(void)state;
	NEED_ROOM();
	snprintf(file, sizeof(file), "%s/file", room.dir);
	assert_int_equal(pk_fs_write_quick(file, "x", 1, 0600, &err), 0);
	assert_int_equal(pk_netns_open("/proc/self/ns/net", &ns, &err), -EINVAL);
	assert_non_null(strstr(err.text, "node's own"));
	assert_int_equal(pk_netns_open("/proc/self/ns/mnt", &ns, &err), -EINVAL);
	assert_int_equal(pk_netns_open(file, &ns, &err), -EINVAL);
	assert_int_equal(err.code, PK_CODE_NETNS);
	assert_int_equal(pk_netns_open("/nonexistent", &ns, &err), -ENOENT);
	assert_int_equal(ns.fd, -1);
	/* Nomad leaves the plain file where a netns was mounted */
	assert_int_equal(pk_netns_inode(file, &inode), -ENOENT);
	snprintf(file, sizeof(file), "/proc/%d/ns/net", (int)ep.holder);
	assert_int_equal(pk_netns_inode(file, &inode), 0);
	assert_int_equal(inode, ep.ns.inode);
}

static void test_names_and_numbers_taken(void **state)
{
	own_visit visit = PK_NETNS_VISIT_NONE;
	struct pk_tap tap = { .name = "tap0", .ifindex = 99 };
	struct pk_err err = { 0 };
	struct pk_nl_link link;
	int fd;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_netns_enter(&ep.ns, &visit, &e));
	assert_int_equal(pk_tap_create(&tap, &fd, &err), -EBUSY);
	tap.name = "tap1";
	tap.ifindex = ETH;
	assert_int_equal(pk_tap_create(&tap, &fd, &err), -EBUSY);
	assert_int_equal(pk_nl_link(ep.inside, 0, "tap1", &link, &err), -ENODEV);
	assert_int_equal(pk_tap_check(ep.inside, &tap, &err), -ENODEV);
	tap = (struct pk_tap){ .name = "tap0", .ifindex = TAP, .owner = 1001, .group = 1000 };
	assert_int_equal(pk_tap_check(ep.inside, &tap, &err), -EINVAL);
	/* the first failure of a batch is the one that is told, with its message's name */
	pk_nl_up(ep.inside, 12345);
	pk_nl_mtu(ep.inside, 54321, 1400);
	assert_int_equal(pk_nl_send(ep.inside, &err), -ENODEV);
	assert_non_null(strstr(err.text, "link 12345 up"));
	/* and the next batch begins anew */
	pk_nl_up(ep.inside, ETH);
	assert_ok(pk_nl_send(ep.inside, &e));
	for (int i = 0; i < 100; i++)
		pk_nl_up(ep.inside, ETH);
	assert_int_equal(pk_nl_send(ep.inside, &err), -E2BIG);
}

static int enter(void **state)
{
	return room_load(state) < 0 ? -1 : make_endpoint(state);
}

static int leave(void **state)
{
	drop_endpoint(state);
	return room_leave(state);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcx),
		cmocka_unit_test(test_clsact),
		cmocka_unit_test(test_foreign_tcx),
		cmocka_unit_test(test_foreign_xdp),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_netns),
		cmocka_unit_test(test_names_and_numbers_taken),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
