/* SPDX-License-Identifier: Apache-2.0 */
#include "rcu.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "own.h"

/* A map of maps waits in its update until no program can hold the map that it replaced. */
static int wait_by_map(void)
{
	own_fd int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pk_rcu", 4, 4, 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (__u32)inner);
	own_fd int outer = -1;
	__u32 zero = 0;

	if (inner < 0)
		return -errno;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "pk_rcu", 4, 4, 1, &opts);
	if (outer < 0 || bpf_map_update_elem(outer, &zero, &inner, BPF_ANY) < 0)
		return -errno;
	return 0;
}

int pk_rcu_wait(struct pk_err *err)
{
	int r;

	/* Refused with nohz_full=, and where seccomp or an old kernel doesn't know it. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return 0;
	r = wait_by_map();
	return r < 0 ? pk_fail(err, -r, "wait until no packet sees the old policy") : 0;
}
