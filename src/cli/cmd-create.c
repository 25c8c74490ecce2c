// `tailmac create`: a new VM from an image, a disk or a kernel. It appears whole or not at all.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/interrupt.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/knobs.h"
#include "cli/progress.h"
#include "image/image.h"
#include "vm/disk.h"
#include "vm/parts.h"

struct create_args {
    const char *image;
    const char *disk;
    const char *kernel;
    const char *initrd;
};

static const struct opt opts[] = {
    {"image", OPT_TEXT, offsetof(struct create_args, image), "FILE",
     "a .tar, .tar.zst or .tar.gz of a VM, or a raw or qcow2 disk (default: the bundle's "
     "RestoreImage)",
     NULL, 0},
    {"disk", OPT_TEXT, offsetof(struct create_args, disk), "SIZE|FILE",
     "the disk's size, or a raw or qcow2 disk to copy (./8G for a file of that name)", NULL, 0},
    {"kernel", OPT_TEXT, offsetof(struct create_args, kernel), "FILE", "a kernel to boot directly",
     NULL, 0},
    {"initrd", OPT_TEXT, offsetof(struct create_args, initrd), "FILE", "its initial RAM disk", NULL,
     0},
    {0},
};

struct creation {
    struct cli *cli;
    const struct create_args *args;
    uint64_t disk_size; // of --disk SIZE; 0: none
    struct new_vm draft;
    struct vm_config config;
};

static bool in_dir(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, 0) == 0;
}

// Says no to what cannot be right before anything is made.
static int check_args(struct creation *c, struct err *e)
{
    struct err ignored;
    const char *disk = c->args->disk;
    if (disk && size_parse(disk, &c->disk_size, &ignored) == 0 &&
        (c->disk_size < DISK_SIZE_MIN || c->disk_size > DISK_SIZE_MAX))
        return err_set(e, ERR_USAGE, "--disk: '%s' is not from 1M to 16T", disk);
    if (c->args->initrd && !c->args->kernel)
        return err_set(e, ERR_USAGE, "--initrd needs --kernel");
    return knobs_apply(c->cli, &c->config, e);
}

// The image to use: the given one, none where disk or kernel is given, else the bundle's own.
static int find_image(const struct creation *c, char **path, struct err *e)
{
    static const char *const names[] = {"RestoreImage.tar.zst", "RestoreImage.qcow2",
                                        "RestoreImage.img"};
    const struct store *s = &c->cli->store;
    *path = xstrdup(c->args->image);
    if (*path || c->args->kernel || (c->args->disk && !c->disk_size))
        return 0;
    for (size_t i = 0; !*path && i < sizeof names / sizeof *names; i++)
        if (in_dir(s->fd, names[i]))
            *path = xasprintf("%s/%s", s->path, names[i]);
    if (*path)
        return 0;
    return err_set(e, ERR_FAILED,
                   "no image to make it from: give --image FILE, or --kernel and --initrd, or put "
                   "a RestoreImage.tar.zst, .qcow2 or .img into %s",
                   s->path);
}

// What an image says about the VM counts as if it were a default, except for what is the host's to
// say: whose files the guest may see.
static int take_config(struct creation *c, const char *text, struct err *e)
{
    AUTO_FREE char *warning = NULL; // another vmID: images are not bound to a name
    config_free(&c->config);
    if (config_parse(text, c->draft.id, &c->config, &warning, e) < 0)
        return err_wrap(e, "config.json");
    return config_set(&c->config, "sharedDir", "", e);
}

static int unpack(struct creation *c, int fd, struct err *e)
{
    AUTO_FREE char *text = NULL;
    struct progress p = {.what = "unpacking the image"};
    int result = image_unpack(fd, c->draft.fd, &text, progress_show, &p, e);
    progress_end(&p);
    if (result < 0)
        return -1;
    return text ? take_config(c, text, e) : 0;
}

static int use_disk(struct creation *c, const char *path, struct err *e)
{
    struct progress p = {.what = "copying the disk"};
    int result = part_install_disk(c->draft.fd, path, progress_show, &p, e);
    progress_end(&p);
    return result;
}

// A raw disk may hold anything, but not under the name of an archive.
static bool named_archive(const char *path)
{
    static const char *const ends[] = {".tar", ".tar.zst", ".tar.gz", ".tgz"};
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n > strlen(ends[i]) && strcmp(path + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static int use_image(struct creation *c, const char *path, struct err *e)
{
    enum image_kind kind;
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_sys(e, "cannot open image %s", path);
    if (image_recognise(fd, &kind, e) < 0)
        return err_wrap(e, "image %s", path);
    if (kind == IMAGE_DISK && named_archive(path))
        return err_set(e, ERR_FAILED, "image %s is no archive, or a damaged one", path);
    if (kind == IMAGE_DISK)
        return use_disk(c, path, e);
    return unpack(c, fd, e) < 0 ? err_wrap(e, "image %s", path) : 0;
}

static int use_disk_option(struct creation *c, struct err *e)
{
    bool has = in_dir(c->draft.fd, VM_DISK);
    if (!c->args->disk)
        return 0;
    if (c->disk_size && has)
        return disk_grow(c->draft.fd, VM_DISK, c->disk_size, e);
    if (c->disk_size)
        return disk_make(c->draft.fd, VM_DISK, c->disk_size, e);
    if (has)
        return err_set(e, ERR_USAGE, "--disk %s: the image brings a disk already", c->args->disk);
    return use_disk(c, c->args->disk, e);
}

static int use_kernel_options(struct creation *c, struct err *e)
{
    struct progress p = {.what = "copying the kernel"};
    if (c->args->kernel &&
        (part_install(c->draft.fd, VM_KERNEL, c->args->kernel, progress_show, &p, e) < 0 ||
         config_set(&c->config, "kernel", VM_KERNEL, e) < 0))
        return -1;
    if (c->args->initrd &&
        (part_install(c->draft.fd, VM_INITRD, c->args->initrd, progress_show, &p, e) < 0 ||
         config_set(&c->config, "initrd", VM_INITRD, e) < 0))
        return -1;
    progress_end(&p);
    return 0;
}

// Makes a file's key true: the usual file counts where the image names none; one that it names must
// be there.
static int settle_file(struct creation *c, const char *key, const char *usual, const char *named,
                       struct err *e)
{
    if (!named && in_dir(c->draft.fd, usual))
        return config_set(&c->config, key, usual, e);
    if (named && !in_dir(c->draft.fd, named))
        return err_set(e, ERR_FAILED, "the image names the %s '%s' and does not have it", key,
                       named);
    return 0;
}

static int settle(struct creation *c, struct err *e)
{
    struct vm_config *config = &c->config;
    struct disk_info disk = {.format = ""};
    if (in_dir(c->draft.fd, VM_DISK) && disk_probe_at(c->draft.fd, VM_DISK, &disk, e) < 0)
        return -1;
    if (config_set(config, "diskFormat", disk.format, e) < 0 ||
        settle_file(c, "kernel", VM_KERNEL, config->kernel, e) < 0 ||
        settle_file(c, "initrd", VM_INITRD, config->initrd, e) < 0)
        return -1;
    if (!config->kernel && !config->disk_format)
        return err_set(e, ERR_FAILED, "the image has neither a kernel nor a disk to boot from");
    if (knobs_apply(c->cli, config, e) < 0)
        return -1;
    config_settle(config);
    return 0;
}

static int fill(struct creation *c, struct err *e)
{
    AUTO_FREE char *image = NULL;
    if (find_image(c, &image, e) < 0)
        return -1;
    if (image && use_image(c, image, e) < 0)
        return -1;
    if (use_disk_option(c, e) < 0 || use_kernel_options(c, e) < 0 || settle(c, e) < 0)
        return -1;
    return part_new_identity(c->draft.fd, e);
}

static int create(struct creation *c, struct err *e)
{
    if (check_args(c, e) < 0 || new_vm_begin(&c->cli->store, c->cli->id, &c->draft, e) < 0)
        return -1;
    if (fill(c, e) < 0)
        return -1;
    return new_vm_publish(&c->draft, &c->config, true, e);
}

static void print_created(const json_t *doc)
{
    printf("created %s\n", json_string_value(json_object_get(doc, "vmID")));
}

static int run_create(struct cli *cli, void *args, struct err *e)
{
    struct creation c = {.cli = cli, .args = args};
    config_init(&c.config, cli->id);
    interrupt_catch();
    int result = create(&c, e);
    if (result == 0)
        cli_print(cli, config_to_json(&c.config), print_created);
    else
        err_wrap(e, "cannot create VM '%s'", cli->id);
    new_vm_abandon(&c.draft);
    config_free(&c.config);
    return result;
}

const struct command cmd_create = {
    .name = "create",
    .summary = "Make a new VM from an image, a disk or a kernel",
    .id = ID_REQUIRED,
    .opts = opts,
    .args_size = sizeof(struct create_args),
    .knobs = true,
    .run = run_create,
};
