// Heads of qcow2 images.
#include "vm/qcow2.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "vm/store.h"

#define PARENT_BEFORE "../"
#define PARENT_AFTER "/" VM_DISK
#define BACKING_FORMAT 0xe2792acaU // an extension of qcow2's own

// Where the fields of a header are, and how long they are.
struct field {
    size_t at;
    int size;
};
static const struct field magic = {0, 4}, version = {4, 4}, backing_offset = {8, 8},
                          backing_size = {16, 4}, cluster_bits = {20, 4}, virtual_size = {24, 8},
                          encryption = {32, 4}, l1_size = {36, 4}, l1_offset = {40, 8},
                          refcount_offset = {48, 8}, refcount_clusters = {56, 4},
                          incompatible = {72, 8}, refcount_order = {96, 4},
                          header_length = {100, 4};

enum {
    MAGIC = 0x514649fb,
    DATA_FILE = 4, // of the incompatible features
    LENGTH_2 = 72, // of a header of version 2
    LENGTH_3 = 104,
    EXTENSION_HEAD = 8,
    STAMP = 0x746d7374, // "tmst": ours
    STAMP_SIZE = 40,
    CLUSTER_BITS = 16,
    CLUSTER = 1 << CLUSTER_BITS,
    ENTRY = 8, // bytes of an entry of the L1 and refcount tables
    REFCOUNT = 2,
};

static uint64_t get(const uint8_t *head, struct field f)
{
    uint64_t value = 0;
    for (int i = 0; i < f.size; i++)
        value = value << 8 | head[f.at + (size_t)i];
    return value;
}

static void put(uint8_t *head, struct field f, uint64_t value)
{
    for (int i = f.size; i-- > 0; value >>= 8)
        head[f.at + (size_t)i] = (uint8_t)value;
}

// --- reading ---

static void read_stamp(const uint8_t *from, struct facts *out)
{
    uint64_t v[STAMP_SIZE / 8];
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        v[i] = get(from, (struct field){8 * i, 8});
    *out = (struct facts){v[0], v[1], (int64_t)v[2], (int64_t)v[3], v[4]};
}

// The stamp among the header's extensions.
static bool find_stamp(const uint8_t *head, size_t at, struct facts *out)
{
    while (at + EXTENSION_HEAD + STAMP_SIZE <= QCOW2_HEAD) {
        uint64_t type = get(head, (struct field){at, 4});
        uint64_t size = get(head, (struct field){at + 4, 4});
        at += EXTENSION_HEAD;
        if (type == STAMP && size == STAMP_SIZE) {
            read_stamp(head + at, out);
            return true;
        }
        if (type == 0 || size > QCOW2_HEAD)
            return false;
        at += (size + 7) / 8 * 8;
    }
    return false;
}

// "../ID/Disk.img", and nothing else.
static bool read_parent(const uint8_t *head, char out[static ID_MAX + 1])
{
    const size_t before = strlen(PARENT_BEFORE);
    const size_t after = strlen(PARENT_AFTER);
    uint64_t at = get(head, backing_offset);
    uint64_t n = get(head, backing_size);
    if (n <= before + after || n > before + ID_MAX + after || at > QCOW2_HEAD - n)
        return false;
    const char *name = (const char *)head + at;
    size_t length = n - before - after;
    memcpy(out, name + before, length);
    out[length] = 0;
    return strlen(out) == length && memcmp(name, PARENT_BEFORE, before) == 0 &&
           memcmp(name + before + length, PARENT_AFTER, after) == 0 && id_valid(out);
}

static bool read_link(const uint8_t *head, size_t extensions, struct disk_link *out)
{
    return read_parent(head, out->parent) && find_stamp(head, extensions, &out->stamp);
}

int qcow2_has_backing(struct err *e)
{
    return err_set(e, ERR_FAILED,
                   "a qcow2 image with a backing file: `qemu-img convert` makes it whole");
}

int qcow2_read(const uint8_t head[static QCOW2_HEAD], uint64_t *size, struct disk_link *link,
               struct err *e)
{
    uint64_t v = get(head, version);
    *link = (struct disk_link){0};
    if (v != 2 && v != 3)
        return err_set(e, ERR_FAILED, "a qcow2 image of version %llu, which is not known",
                       (unsigned long long)v);
    if (get(head, backing_offset) != 0 &&
        !read_link(head, v == 2 ? LENGTH_2 : get(head, header_length), link))
        return qcow2_has_backing(e);
    if (v == 3 && get(head, incompatible) & DATA_FILE)
        return err_set(e, ERR_FAILED,
                       "a qcow2 image with an external data file: `qemu-img convert` makes it "
                       "whole");
    if (get(head, encryption) != 0)
        return err_set(e, ERR_FAILED, "an encrypted qcow2 image");
    *size = get(head, virtual_size);
    return 0;
}

// --- writing ---

// Adds an extension at *at, whose data the caller fills in.
static uint8_t *add_extension(uint8_t *head, size_t *at, uint32_t type, size_t size)
{
    put(head, (struct field){*at, 4}, type);
    put(head, (struct field){*at + 4, 4}, size);
    uint8_t *data = head + *at + EXTENSION_HEAD;
    *at += EXTENSION_HEAD + (size + 7) / 8 * 8;
    return data;
}

static void write_link(uint8_t *head, const struct disk_link *link)
{
    const struct facts *s = &link->stamp;
    const uint64_t v[STAMP_SIZE / 8] = {s->size, s->inode, (uint64_t)s->created, (uint64_t)s->mtime,
                                        s->sample};
    size_t at = LENGTH_3;
    size_t n = strlen(link->format);
    memcpy(add_extension(head, &at, BACKING_FORMAT, n), link->format, n);
    uint8_t *stamp = add_extension(head, &at, STAMP, STAMP_SIZE);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        put(stamp, (struct field){8 * i, 8}, v[i]);
    add_extension(head, &at, 0, 0);
    int length = snprintf((char *)head + at, QCOW2_HEAD - at, "%s%s%s", PARENT_BEFORE, link->parent,
                          PARENT_AFTER);
    put(head, backing_offset, at);
    put(head, backing_size, (uint64_t)length);
}

static int write_at(int fd, const void *data, size_t n, off_t at, struct err *e)
{
    return pwrite(fd, data, n, at) == (ssize_t)n ? 0 : err_sys(e, "cannot write");
}

// Clusters: the header, the table of refcount blocks, the one such block, the L1 table.
enum { TABLE_AT = 1, BLOCK_AT, L1_AT };

static void write_header(uint8_t *head, uint64_t size, uint64_t l1_entries)
{
    const struct {
        struct field field;
        uint64_t value;
    } fields[] = {
        {magic, MAGIC},
        {version, 3},
        {cluster_bits, CLUSTER_BITS},
        {virtual_size, size},
        {l1_size, l1_entries},
        {l1_offset, (uint64_t)L1_AT << CLUSTER_BITS},
        {refcount_offset, (uint64_t)TABLE_AT << CLUSTER_BITS},
        {refcount_clusters, 1},
        {refcount_order, 4},
        {header_length, LENGTH_3},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        put(head, fields[i].field, fields[i].value);
}

int qcow2_write(int fd, uint64_t size, const struct disk_link *link, struct err *e)
{
    const uint64_t reach = (uint64_t)CLUSTER * (CLUSTER / ENTRY); // of an entry of the L1 table
    uint64_t l1_entries = (size + reach - 1) / reach;
    uint64_t clusters = L1_AT + (l1_entries * ENTRY + CLUSTER - 1) / CLUSTER;
    uint8_t head[QCOW2_HEAD] = {0};
    uint8_t table[ENTRY] = {0};
    uint8_t block[QCOW2_HEAD] = {0};
    write_header(head, size, l1_entries);
    if (link)
        write_link(head, link);
    put(table, (struct field){0, ENTRY}, (uint64_t)BLOCK_AT << CLUSTER_BITS);
    if (clusters > sizeof block / REFCOUNT)
        return err_set(e, ERR_FAILED, "a disk of %llu bytes is too big for qcow2",
                       (unsigned long long)size);
    for (uint64_t i = 0; i < clusters; i++)
        put(block, (struct field){REFCOUNT * i, REFCOUNT}, 1);
    if (ftruncate(fd, (off_t)(clusters << CLUSTER_BITS)) < 0)
        return err_sys(e, "cannot make an image");
    if (write_at(fd, block, sizeof block, (off_t)BLOCK_AT << CLUSTER_BITS, e) < 0 ||
        write_at(fd, table, sizeof table, (off_t)TABLE_AT << CLUSTER_BITS, e) < 0)
        return -1;
    return write_at(fd, head, sizeof head, 0, e);
}
