/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where the kernel put each source line of the loaded programs, for who samples a processor's place. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>

/* What the kernel says of a program; false where it keeps the addresses to itself. */
static inline bool lines_ask(int fd, struct bpf_prog_info *info)
{
	struct bpf_prog_info sizes = { 0 };
	__u32 len = sizeof(sizes);

	if (bpf_obj_get_info_by_fd(fd, &sizes, &len) || !sizes.nr_jited_line_info)
		return false;
	*info = (struct bpf_prog_info){
		.nr_line_info = sizes.nr_line_info,
		.line_info_rec_size = sizeof(struct bpf_line_info),
		.line_info = (__u64)(long)calloc(sizes.nr_line_info, sizeof(struct bpf_line_info)),
		.nr_jited_line_info = sizes.nr_jited_line_info,
		.jited_line_info_rec_size = sizeof(__u64),
		.jited_line_info = (__u64)(long)calloc(sizes.nr_jited_line_info, sizeof(__u64)),
	};
	len = sizeof(*info);
	return !bpf_obj_get_info_by_fd(fd, info, &len);
}

/* Writes `address file:line` for each line of a program. */
static inline void lines_write(FILE *out, int fd)
{
	struct bpf_prog_info info = { 0 };
	const struct bpf_line_info *line;
	const __u64 *at;
	struct btf *btf;

	if (!lines_ask(fd, &info))
		return;
	btf = btf__load_from_kernel_by_id(info.btf_id);
	line = (void *)(long)info.line_info;
	at = (void *)(long)info.jited_line_info;
	for (__u32 i = 0; btf && i < info.nr_line_info && i < info.nr_jited_line_info; i++)
		fprintf(out, "%llx %s:%u\n", (unsigned long long)at[i],
			btf__name_by_offset(btf, line[i].file_name_off),
			BPF_LINE_INFO_LINE_NUM(line[i].line_col));
	btf__free(btf);
	free((void *)(long)info.line_info);
	free((void *)(long)info.jited_line_info);
}

/* All programs of an object; false where the file can't be written. */
static inline bool lines_of(const struct bpf_object *obj, const char *path)
{
	FILE *out = fopen(path, "we");
	struct bpf_program *prog;

	if (!out)
		return false;
	bpf_object__for_each_program(prog, obj) lines_write(out, bpf_program__fd(prog));
	return !fclose(out);
}
