// Guest memory: mapping regions, finding addresses.
#include "host/vsock-memory.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static bool wraps(uint64_t from, uint64_t size)
{
    return from + size < from;
}

static int map_one(struct guest_memory *m, const struct guest_region *r, int fd, struct err *e)
{
    struct stat st;
    if (r->size == 0 || wraps(r->guest, r->size) || wraps(r->user, r->size) ||
        wraps(r->offset, r->size))
        return err_set(e, ERR_FAILED, "a region of guest memory has no possible size");
    if (fd < 0 || fstat(fd, &st) < 0 || (uint64_t)st.st_size < r->offset + r->size)
        return err_set(e, ERR_FAILED, "a region of guest memory is longer than its file");
    uint64_t skip = r->offset & ((uint64_t)sysconf(_SC_PAGESIZE) - 1);
    size_t size = (size_t)(r->size + skip);
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(r->offset - skip));
    if (map == MAP_FAILED)
        return err_sys(e, "cannot map guest memory");
    m->at[m->count].is = *r;
    m->at[m->count].data = (uint8_t *)map + skip;
    m->at[m->count].map = map;
    m->at[m->count++].map_size = size;
    return 0;
}

int guest_memory_map(struct guest_memory *m, const struct guest_region *regions, int n,
                     struct fds *files, struct err *e)
{
    guest_memory_unmap(m);
    if (n > GUEST_REGIONS_MAX)
        return err_set(e, ERR_FAILED, "guest memory has more than %d regions", GUEST_REGIONS_MAX);
    for (int i = 0; i < n; i++) {
        AUTO_CLOSE int fd = fds_take(files);
        if (map_one(m, &regions[i], fd, e) < 0) {
            guest_memory_unmap(m);
            return -1;
        }
    }
    return 0;
}

void guest_memory_unmap(struct guest_memory *m)
{
    for (int i = 0; i < m->count; i++)
        munmap(m->at[i].map, m->at[i].map_size);
    m->count = 0;
}

uint8_t *guest_memory_at(const struct guest_memory *m, uint64_t guest, size_t *n)
{
    for (int i = 0; i < m->count; i++) {
        const struct guest_region *r = &m->at[i].is;
        if (guest < r->guest || guest - r->guest >= r->size)
            continue;
        uint64_t left = r->size - (guest - r->guest);
        if (left < *n)
            *n = (size_t)left;
        return m->at[i].data + (guest - r->guest);
    }
    return NULL;
}

void *guest_memory_user(const struct guest_memory *m, uint64_t user, size_t n)
{
    for (int i = 0; i < m->count; i++) {
        const struct guest_region *r = &m->at[i].is;
        if (user >= r->user && user - r->user < r->size && r->size - (user - r->user) >= n)
            return m->at[i].data + (user - r->user);
    }
    return NULL;
}
