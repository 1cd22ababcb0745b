/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* In the place of libbpf's header: the kernel's structures are the ones that the guard declares. */
#define BPF_CORE_READ_BITFIELD(from, field) ((from)->field)
#define bpf_core_type_id_kernel(type)	    0
#define bpf_core_read(to, size, from)	    bpf_probe_read_kernel(to, size, from)
/* Of the other way to read them, which isn't taken here. */
#define bpf_core_field_offset(field)   0
#define __CORE_RELO(from, field, what) 0
