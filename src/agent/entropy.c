// The kernel's random numbers: random(4), ioctls.
#include "agent/entropy.h"

#include "agent/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BYTES_MAX 256

int entropy_add(const char *hex, char note[static WHY_MAX])
{
    struct {               // a rand_pool_info, which has no room of its own for the bytes
        int entropy_count; // bits
        int buf_size;      // bytes
        uint8_t bytes[BYTES_MAX];
    } pool = {0};
    long n = hex_decode(hex, pool.bytes, sizeof pool.bytes);
    int fd, rc, error;

    if (n <= 0)
        return why_not(note, "not 1 to %d bytes in hexadecimal", BYTES_MAX);
    fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return why_not(note, "/dev/urandom: %s", strerror(errno));
    pool.entropy_count = (int)n * 8;
    pool.buf_size = (int)n;
    // Kernels before 4.14 do not know the second one; they reseed within five minutes.
    rc = ioctl(fd, RNDADDENTROPY, &pool);
    if (rc == 0 && ioctl(fd, RNDRESEEDCRNG) != 0 && errno != EINVAL)
        rc = -1;
    error = errno;
    close(fd);
    explicit_bzero(&pool, sizeof pool);
    if (rc != 0)
        return why_not(note, "cannot reseed: %s", strerror(error));
    snprintf(note, WHY_MAX, "%ld bytes", n);
    return 0;
}
