// SPDX-License-Identifier: Apache-2.0
/* Objects as they were built, or others in their place. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bpf/object.h"

/* Mapped as long as the test runs. */
static int read_object(struct bpf_object_skeleton *skeleton, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (data == MAP_FAILED)
		return -errno;
	skeleton->data = data;
	skeleton->data_sz = (size_t)st.st_size;
	return 0;
}

int object_open_skeleton(struct bpf_object_skeleton *skeleton, const char *name)
{
	const char *dir = getenv("PK_OBJECTS");
	char path[4096];
	int r;

	if (dir) {
		snprintf(path, sizeof(path), "%s/%s.bpf.o", dir, name);
		r = read_object(skeleton, path);
		if (r) {
			perror(path);
			return r;
		}
	}
	return bpf_object__open_skeleton(skeleton, NULL);
}
