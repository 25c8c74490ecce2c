// Facts about files that saved states and linked disks rest upon.
#include "vm/facts.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"

// The first bytes (a file system's superblock, a kernel's header) and blocks spread evenly.
enum { SAMPLE_HEAD = 64 << 10, SAMPLE_BLOCK = 4096, SAMPLE_BLOCKS = 256 };

static int sample(int fd, off_t size, uint64_t *out)
{
    size_t room = SAMPLE_HEAD + (size_t)SAMPLE_BLOCK * SAMPLE_BLOCKS;
    AUTO_FREE char *bytes = xcalloc(1, room);
    ssize_t head = pread(fd, bytes, SAMPLE_HEAD, 0);
    if (head < 0)
        return -1;
    size_t n = (size_t)head;
    for (int i = 0; i < SAMPLE_BLOCKS && size > SAMPLE_HEAD; i++) {
        off_t at = size / SAMPLE_BLOCKS * i / SAMPLE_BLOCK * SAMPLE_BLOCK;
        ssize_t got = pread(fd, bytes + n, SAMPLE_BLOCK, at);
        if (got < 0)
            return -1;
        n += (size_t)got;
    }
    *out = hash_bytes(bytes, n);
    return 0;
}

// All but the sample, which has to be read.
static int look(int fd, struct facts *out)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -1;
    struct timespec modified = os_modified(&st);
    *out = (struct facts){
        .size = (uint64_t)st.st_size,
        .inode = st.st_ino,
        .created = os_created(fd),
        .mtime = (int64_t)modified.tv_sec * 1000000000 + modified.tv_nsec,
    };
    return 0;
}

int facts_of(int fd, struct facts *out)
{
    return look(fd, out) < 0 ? -1 : sample(fd, (off_t)out->size, &out->sample);
}

int facts_hold(int fd, const struct facts *was, bool strict)
{
    struct facts is;
    if (look(fd, &is) < 0)
        return -1;
    bool same_file = is.inode == was->inode && is.created == was->created;
    if (is.size != was->size || ((same_file || strict) && is.mtime != was->mtime))
        return 0;
    if (same_file)
        return 1;
    return sample(fd, (off_t)is.size, &is.sample) < 0 ? -1 : is.sample == was->sample;
}

json_t *facts_to_json(const struct facts *f)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:o}", "size", (json_int_t)f->size, "inode",
                     (json_int_t)f->inode, "created", (json_int_t)f->created, "mtime",
                     (json_int_t)f->mtime, "sample",
                     json_sprintf("%016llx", (unsigned long long)f->sample));
}

bool facts_from_json(const json_t *doc, struct facts *out)
{
    json_int_t size;
    json_int_t inode;
    json_int_t created;
    json_int_t mtime;
    const char *digest;
    if (json_unpack((json_t *)doc, "{s:I, s:I, s:I, s:I, s:s}", "size", &size, "inode", &inode,
                    "created", &created, "mtime", &mtime, "sample", &digest) < 0)
        return false;
    *out = (struct facts){
        .size = (uint64_t)size,
        .inode = (uint64_t)inode,
        .created = created,
        .mtime = mtime,
        .sample = strtoull(digest, NULL, 16),
    };
    return true;
}
