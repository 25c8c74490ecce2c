// Fuzzes trees: whatever is sent, nothing comes out beside the place; and what was taken can be
// sent again.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "place.h"
#include "tree-bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Only the copy may be there, and what it might have reached is as it was.
static int check_entry(void *arg, const char *name, struct err *e)
{
    (void)arg;
    (void)e;
    if (strcmp(name, "copy") != 0 && strcmp(name, "file") != 0)
        abort();
    return 0;
}

static void send_again(const char *path)
{
    struct err e;
    struct tree_count count;
    struct bytes again = {0};
    struct tree_io io = bytes_io(&again);
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size < 1 << 20) // and no link to nowhere
        tree_send(path, &io, &count, &e);
    free(again.data);
}

static void receive(const uint8_t *data, size_t size, const char *to)
{
    struct err e;
    struct tree_count count;
    struct tree_place place;
    struct bytes stream = {.data = (unsigned char *)data, .n = size};
    struct tree_io io = bytes_io(&stream);
    if (tree_place_open(&place, to, "copy", &e) < 0)
        abort();
    int result = tree_receive(&place, &io, &count, &e);
    if (tree_remove(place.dir, place.temporary, &e) < 0 ||
        dir_each(place.dir, check_entry, NULL, &e) < 0)
        abort();
    tree_place_close(&place);
    if (result == 0)
        send_again(to);
}

// Twice: the second one finds the first.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    char path[PLACE_PATH];
    char in[64];
    place_make(path);
    snprintf(in, sizeof in, "%s/in", path);
    if (mkdir(in, 0700) < 0)
        abort();
    receive(data, size, in);
    receive(data, size, in);
    AUTO_CLOSE int dir = dir_open(AT_FDCWD, path, &e);
    if (dir < 0 || unlinkat(dir, "file", 0) == 0 || tree_remove(AT_FDCWD, path, &e) < 0)
        abort();
    return 0;
}
