/* SPDX-License-Identifier: Apache-2.0 */
/* What is given back of the flow table, and the wait for packets in hand. On real maps. */
#include "kernel_room.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flows.h"
#include "rcu.h"

#define LONG_AGO (2 * 3600)

static int flows_map(void)
{
	return room.bpf->map[PK_MAP_FLOWS];
}

static struct pk_flow_key key_of(uint16_t port)
{
	return (struct pk_flow_key){ .src = pk_addr_from4(htonl(0x0a280001)),
				     .dst = pk_addr_from4(htonl(0x0a280002)),
				     .sport = htons(port),
				     .dport = htons(80),
				     .proto = 17 };
}

static uint32_t now_in_jiffies(void)
{
	uint32_t now = 0;

	assert_ok(pk_flows_now(room.bpf, &now, &e));
	return now;
}

static void put(uint16_t port, const struct pk_flow *flow)
{
	const struct pk_flow_key key = key_of(port);

	assert_ok(pk_map_set(flows_map(), &key, flow, 0));
}

static bool is_there(uint16_t port)
{
	const struct pk_flow_key key = key_of(port);
	struct pk_flow flow;

	return pk_map_get(flows_map(), &key, &flow) == 0;
}

static struct pk_flow flow_until(uint32_t expires)
{
	return (struct pk_flow){ .kind = PK_FLOW_PRIMARY, .expires = expires };
}

static void test_reap(void **state)
{
	struct pk_flows_walk walk = { 0 };
	struct pk_flow flow, alias = { .kind = PK_FLOW_ALIAS };
	uint32_t now, hz = pk_jiffies_a_second();
	int r;

	(void)state;
	NEED_ROOM();
	now = now_in_jiffies();
	flow = flow_until(now + 100 * hz);
	put(1000, &flow); /* lives */
	flow = flow_until(now - 10 * hz);
	put(1001, &flow); /* over, but not for long */
	flow = flow_until(now - LONG_AGO * hz);
	put(1002, &flow);
	flow = flow_until(now + 100 * hz);
	flow.slot[0] = 3; /* closed */
	flow.opened[0] = 7;
	put(1003, &flow);
	alias.primary = key_of(1);
	put(1004, &alias); /* of a flow that is gone */
	do
		r = pk_flows_reap(room.bpf, &walk, 2, NULL);
	while (r == 0);
	/* One bucket may hold more than two: then more at once. */
	if (r < 0)
		assert_true(pk_flows_reap(room.bpf, &walk, 64, NULL) == 1);
	assert_true(is_there(1000));
	assert_true(is_there(1001));
	assert_false(is_there(1002));
	assert_false(is_there(1003));
	assert_false(is_there(1004));
}

/* A slot that is freed takes its flows along; other flows stay. */
static void test_slot(void **state)
{
	struct pk_flow flow = { .kind = PK_FLOW_PRIMARY, .slot = { 1, 0 }, .opened = { 9, 0 } };
	struct pk_endpoint ep = { .host_ifindex = 4001 };
	struct pk_flow_key key;
	uint32_t slot, budget, index;

	(void)state;
	NEED_ROOM();
	budget = room.bpf->node.flow_budget;
	assert_ok(pk_slot_take(room.bpf, "flows@eth0", IN_A_WHILE, &slot, &e));
	assert_ok(pk_endpoint_write(room.bpf, slot, &ep, &e));
	flow.slot[0] = (uint16_t)slot;
	flow.expires = now_in_jiffies() + 1000 * pk_jiffies_a_second();
	for (uint16_t i = 0; i < 100 && i < budget; i++) {
		key = key_of(2000 + i);
		index = slot * budget + i;
		assert_ok(pk_map_set(room.bpf->map[PK_MAP_PLACES], &index, &key, 0));
		put(2000 + i, &flow);
	}
	flow = flow_until(flow.expires);
	put(3000, &flow);
	assert_ok(pk_slot_free(room.bpf, slot, IN_A_WHILE, &e));
	for (uint16_t i = 0; i < 100 && i < budget; i++)
		assert_false(is_there(2000 + i));
	assert_true(is_there(3000));
}

/* As under nohz_full= or a strict seccomp filter: membarrier says EINVAL. */
static int refuse_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static void test_wait(void **state)
{
	int status = 0;
	pid_t pid;

	(void)state;
	NEED_ROOM();
	assert_ok(pk_rcu_wait(&e));
	pid = fork();
	if (!pid) {
		struct pk_err err = { 0 };

		if (refuse_membarrier() || syscall(SYS_membarrier, 0, 0, 0) != -1)
			_exit(2);
		_exit(pk_rcu_wait(&err) ? 1 : 0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reap),
		cmocka_unit_test(test_slot),
		cmocka_unit_test(test_wait),
	};

	return cmocka_run_group_tests(tests, room_load, room_leave);
}
