// A tree of files as a stream of bytes: what `tailmac cp` sends and receives, here and in the
// guest. The command line and the agent compile it; it needs libc and the plain parts of base.
//
// The stream is TREE_MAGIC and records, numbers little endian:
//
//     'D' HEAD                     a directory, whose entries follow up to
//     'U'                          its end
//     'F' HEAD                     a file, whose data follows
//     'X' u64 offset, u32 n, n bytes   data of it, each behind the one before; between them: holes
//     'E' u64 size                 its end
//     'L' HEAD, u16 n, n bytes     a symbolic link, and where it leads
//     'Z' u64 skipped              the end, and how much was no file, directory or link
//
//     HEAD: u32 mode (permissions only), i64 and u32: mtime in s and ns, u16 n, n bytes: the name
//
// One entry stands at the top, which has no name: who receives chooses it. All others have one
// without '/' and NUL that is neither "." nor "..".
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/err.h"

#define TREE_MAGIC "tmtree1\n"

enum {
    TREE_NAME_MAX = 255,
    TREE_LINK_MAX = 4095,
    TREE_CHUNK_MAX = 65536,
    TREE_DEPTH_MAX = 128, // directories: each takes up to four descriptors
    TREE_TEMPORARY = 40,
};

// Where the bytes come from or go to.
struct tree_io {
    // Up to n bytes, at least one; 0 at the end; -1 with *e.
    ssize_t (*read)(void *arg, void *to, size_t n, struct err *e);
    // All of them: 0, or -1 with *e.
    int (*write)(void *arg, const void *data, size_t n, struct err *e);
    void *arg;
};

struct tree_count {
    uint64_t files, directories, links, bytes; // bytes of data, without holes
    uint64_t skipped;                          // devices, sockets, FIFOs
};

// The name that a copy of `path` gets; "" where it has none of its own: "/", "..", "x/.".
void tree_name(const char *path, char out[static TREE_NAME_MAX + 1]);

// Sends what is at `path`, followed where it is a symbolic link; those below it are sent as links.
int tree_send(const char *path, const struct tree_io *io, struct tree_count *count, struct err *e);

// Where a copy goes to, and the hidden name beside it under which it is put together. Both are in
// the directory `dir`.
struct tree_place {
    int dir;
    char name[TREE_NAME_MAX + 1]; // "": the copy's entries go into `dir` itself
    char temporary[TREE_TEMPORARY];
    bool wants_directory; // its path ended with '/'
    int (*sync)(int fd);  // syncs its file system; NULL: is left to the system
};

// For a copy to `path` of what is called `source` (tree_name()): into a directory that exists,
// under that name; else to `path` itself, whose parent must exist.
int tree_place_open(struct tree_place *p, const char *path, const char *source, struct err *e);
// Before anything is received: whether a directory, or something else, may come to stand there.
int tree_place_check(const struct tree_place *p, bool directory, struct err *e);
// Moves what is at the temporary name to its place. A file is replaced, a directory added to;
// `root` is the open directory that moves, or -1. Nothing has changed where it fails for what is
// there.
int tree_place_fill(const struct tree_place *p, int root, struct err *e);
void tree_place_close(struct tree_place *p);
// Whether this is a place's temporary name that was made before this computer was booted: in a
// directory that no other computer writes to, nobody goes on with what it names.
bool tree_place_is_stale(const char *name);

// Receives and fills the place. Whatever happens, what is left at the temporary name is the
// caller's to remove.
int tree_receive(const struct tree_place *p, const struct tree_io *io, struct tree_count *count,
                 struct err *e);
