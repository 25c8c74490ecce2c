// Fuzzes archives: nothing may come out beside the directory, nor anything but plain files in it.
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/os.h"
#include "base/parse.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_directory(const char *path)
{
    struct stat st;
    AUTO_CLOSEDIR DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!id_valid(entry->d_name) || strcmp(entry->d_name, "lock") == 0 ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(st.st_mode) || st.st_size > 1LL << 40)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    AUTO_FREE char *config = NULL;
    char path[] = "/tmp/tailmac-fuzz-XXXXXX";
    AUTO_CLOSE int image = os_memory_file("image", 0);
    if (image < 0 || !mkdtemp(path) || fd_write_all(image, data, size, &e) < 0)
        abort();
    AUTO_CLOSE int dir = dir_open(AT_FDCWD, path, &e);
    if (dir < 0)
        abort();
    image_unpack(image, dir, &config, NULL, NULL, &e);
    check_directory(path);
    if (tree_remove(AT_FDCWD, path, &e) < 0)
        abort();
    return 0;
}
