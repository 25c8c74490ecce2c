// What kind of image a file is, by its first bytes: its name says nothing certain.
#include <string.h>
#include <unistd.h>

#include "image/image.h"

static const struct {
    size_t at;
    const char *magic;
    const char *refusal; // NULL: an archive that image_unpack() reads
} magics[] = {
    {0, "\x28\xb5\x2f\xfd", NULL},
    {0, "\x1f\x8b", NULL},
    {257, "ustar", NULL},
    {0,
     "\xfd"
     "7zXZ",
     "an xz file: unpack it first"},
    {0, "BZh", "a bzip2 file: unpack it first"},
    {0, "PK\x03\x04", "a zip file (macOS restore images need the engine vz)"},
};

int image_recognise(int fd, enum image_kind *out, struct err *e)
{
    char head[512] = {0};
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return err_sys(e, "cannot read it");
    if (n == 0)
        return err_set(e, ERR_FAILED, "it is empty");
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        if (memcmp(head + magics[i].at, magics[i].magic, strlen(magics[i].magic)) != 0)
            continue;
        *out = IMAGE_ARCHIVE;
        return magics[i].refusal ? err_set(e, ERR_FAILED, "%s", magics[i].refusal) : 0;
    }
    *out = IMAGE_DISK;
    return 0;
}
