// The kernel's random numbers: random(4), ioctls.
#include "agent/entropy.h"

#include "agent/hex.h"

#include <errno.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define BYTES_MAX 256

int entropy_add(struct kept *kept, const char *hex, char note[static WHY_MAX])
{
    struct {               // a rand_pool_info, which has no room of its own for the bytes
        int entropy_count; // bits
        int buf_size;      // bytes
        uint8_t bytes[BYTES_MAX];
    } pool = {0};
    long n = hex_decode(hex, pool.bytes, sizeof pool.bytes);
    int fd, rc;

    if (n <= 0)
        return why_not(note, "not 1 to %d bytes in hexadecimal", BYTES_MAX);
    fd = kept_fd(kept, KEPT_RANDOM);
    if (fd < 0)
        return why_not(note, "/dev/urandom: %s", strerror(errno));
    pool.entropy_count = (int)n * 8;
    pool.buf_size = (int)n;
    // Kernels before 4.14 do not know the second one; they reseed within five minutes.
    rc = ioctl(fd, RNDADDENTROPY, &pool);
    if (rc == 0 && ioctl(fd, RNDRESEEDCRNG) != 0 && errno != EINVAL)
        rc = -1;
    if (rc == 0)
        snprintf(note, WHY_MAX, "%ld bytes", n);
    else
        why_not(note, "cannot reseed: %s", strerror(errno));
    explicit_bzero(&pool, sizeof pool);
    return rc;
}
