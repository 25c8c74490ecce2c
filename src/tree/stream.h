// The tree's stream of bytes, buffered: numbers and texts in and out.
#pragma once

#include "tree/tree.h"

enum tree_kind {
    TREE_DIRECTORY = 'D',
    TREE_UP = 'U',
    TREE_FILE = 'F',
    TREE_DATA = 'X',
    TREE_END_OF_FILE = 'E',
    TREE_LINK = 'L',
    TREE_END = 'Z',
};

// The head of a directory, file or link.
struct tree_head {
    mode_t mode;
    struct timespec mtime;
    char name[TREE_NAME_MAX + 1];
};

enum { TREE_DATA_HEAD = 1 + 8 + 4 };

struct tree_out {
    const struct tree_io *io;
    size_t held;
    unsigned char bytes[65536]; // what a pipe takes
};

int tree_out_flush(struct tree_out *o, struct err *e);
int tree_put_magic(struct tree_out *o, struct err *e);
int tree_put_kind(struct tree_out *o, enum tree_kind kind, struct err *e);
int tree_put_number(struct tree_out *o, uint64_t n, int bytes, struct err *e);
int tree_put_text(struct tree_out *o, const char *text, struct err *e);
int tree_put_head(struct tree_out *o, enum tree_kind kind, const struct tree_head *h,
                  struct err *e);
// Reads up to n bytes (more than 0) at an offset of a file, and puts what it got, which it returns;
// 0: the file ended; -1 with *e, or with errno and *e untouched when the file could not be read.
ssize_t tree_put_data(struct tree_out *o, int fd, off_t at, uint64_t n, bool *unread,
                      struct err *e);

struct tree_in {
    const struct tree_io *io;
    size_t at, held;
    unsigned char bytes[TREE_CHUNK_MAX];
};

int tree_get_magic(struct tree_in *i, struct err *e);
// The next record's kind, or -1.
int tree_get_kind(struct tree_in *i, struct err *e);
int tree_get_number(struct tree_in *i, uint64_t *n, int bytes, struct err *e);
// At most max bytes and a NUL; -1 for one that is longer or holds a NUL.
int tree_get_text(struct tree_in *i, char *text, size_t max, struct err *e);
int tree_get_head(struct tree_in *i, struct tree_head *h, struct err *e);
// Up to n of the bytes that come next, in place: how many, or -1.
ssize_t tree_get_some(struct tree_in *i, const unsigned char **data, size_t n, struct err *e);
// What breaks the rules of the stream: -1.
int tree_broken(struct err *e);

// Where a walk is, for messages; cut where it is longer.
struct tree_path {
    size_t n;
    char text[1024];
};
// Returns what tree_path_pop() needs.
size_t tree_path_push(struct tree_path *p, const char *name);
void tree_path_pop(struct tree_path *p, size_t was);
