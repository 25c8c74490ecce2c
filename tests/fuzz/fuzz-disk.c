// Fuzzes the head of a disk image: refused, or a link that leads to a VM of the bundle and nowhere
// else.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/os.h"
#include "base/parse.h"
#include "vm/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e;
    struct disk_info info;
    struct disk_link link;
    uint8_t head[QCOW2_HEAD] = {0};
    uint64_t length;
    AUTO_CLOSE int image = os_memory_file("image", 0);
    if (image < 0 || fd_write_all(image, data, size, &e) < 0)
        abort();
    if (disk_probe(image, &info, &e) == 0 && *info.link.parent)
        abort(); // an image from outside
    memcpy(head, data, size < sizeof head ? size : sizeof head);
    if (qcow2_read(head, &length, &link, &e) == 0 && *link.parent && !id_valid(link.parent))
        abort();
    return 0;
}
