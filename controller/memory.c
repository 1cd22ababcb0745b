/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "own.h"

struct pk_memory {
	struct pk_timer *rest, *latest;
	uint64_t rest_ms, latest_ms;
	bool started; /* the start's pages are given back */
};

/* Gives back the pages of one program or library that nobody may write: its file has them all. */
static int leave_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
		uintptr_t to = info->dlpi_addr + p->p_vaddr + p->p_memsz;

		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
			madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

static void give_back(void *arg)
{
	struct pk_memory *m = arg;

	pk_timer_clear(m->rest);
	pk_timer_clear(m->latest);
	malloc_trim(0);
	if (!m->started)
		dl_iterate_phdr(leave_object, NULL);
	m->started = true;
}

struct pk_memory *pk_memory_new(struct pk_loop *loop, uint64_t rest_ms, uint64_t latest_ms)
{
	struct pk_memory *m = pk_alloc(sizeof(*m));

	*m = (struct pk_memory){ .rest_ms = rest_ms, .latest_ms = latest_ms };
	m->rest = pk_timer_new(loop, give_back, m);
	m->latest = pk_timer_new(loop, give_back, m);
	return m;
}

void pk_memory_free(struct pk_memory *m)
{
	if (!m)
		return;
	pk_timer_free(m->rest);
	pk_timer_free(m->latest);
	free(m);
}

void pk_memory_worked(struct pk_memory *m)
{
	pk_timer_set(m->rest, m->rest_ms);
	pk_timer_hurry(m->latest, m->latest_ms);
}
