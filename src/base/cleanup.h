// Locals that free themselves: `AUTO_FREE char *p = …;`. One may be there for its end alone.
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void cleanup_closedir(DIR **d)
{
    if (*d)
        closedir(*d);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_free), unused))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_close), unused))
#define AUTO_FCLOSE __attribute__((cleanup(cleanup_fclose), unused))
#define AUTO_CLOSEDIR __attribute__((cleanup(cleanup_closedir), unused))

// Hands the value of a self-freeing variable to the caller.
#define TAKE_PTR(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })
