// Gives a fuzz target every file of the named directories: its main() where there is no libFuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// 0, or -1 with a message.
static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        perror(path);
        return -1;
    }
    // Memory of the input's own size, so that a sanitizer sees a read past its end.
    uint8_t *data = NULL;
    size_t size = 0;
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0; size += n) {
        data = realloc(data, size + n);
        if (!data)
            abort();
        for (size_t i = 0; i < n; i++)
            data[size + i] = (uint8_t)block[i];
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

// How many inputs it had, or -1 with a message.
static int replay_directory(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return -1;
    }
    int count = 0;
    for (const struct dirent *entry; count >= 0 && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count = replay_file(name) == 0 ? count + 1 : -1;
    }
    closedir(dir);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') // an option of libFuzzer's
            continue;
        int n = replay_directory(argv[i]);
        if (n < 0)
            return 1;
        count += n;
    }
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
