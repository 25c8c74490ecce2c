// How QEMU is told what to be. Ids and PCI addresses are pinned: saved device state goes by path.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/qemu/internal.h"
#include "vm/store.h"

#define FORK_CACHE_MIB "14"

// An option whose value is a JSON object: no comma in a value can become another option.
static void add_json(struct argv *a, const char *option, json_t *value)
{
    AUTO_FREE char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    argv_add(a, "%s", option);
    argv_add(a, "%s", text);
}

static void add_device(struct argv *a, const char *driver, const char *id, const char *address,
                       json_t *more)
{
    json_t *device = json_pack("{s:s, s:s, s:s, s:s}", "driver", driver, "id", id, "bus", "pcie.0",
                               "addr", address);
    if (more) {
        json_object_update(device, more);
        json_decref(more);
    }
    add_json(a, "-device", device);
}

static void add_machine(struct argv *a, const struct engine *en, const struct engine_spec *spec)
{
    char ram[64];
    os_fd_path(en->ram_fd, ram, sizeof ram);
    argv_add(a, "-machine");
    argv_add(a, "%s%s,memory-backend=ram%s", en->machine.type, en->machine.options,
             en->firmware ? ",pflash0=fwcode,pflash1=fwvars" : "");
    if (en->machine.uuid) {
        argv_add(a, "-uuid");
        argv_add(a, "%s", en->machine.uuid);
    }
    argv_add(a, "-accel");
    // Forks are many, and each has a translator whose cache, left alone, takes what it can get.
    bool bounded = en->fork && en->accel.accel == ACCEL_TCG;
    argv_add(a, "%s%s", accel_name(en->accel.accel), bounded ? ",tb-size=" FORK_CACHE_MIB : "");
    argv_add(a, "-cpu");
    argv_add(a, "%s", en->machine.cpu);
    argv_add(a, "-smp");
    argv_add(a, "%llu", (unsigned long long)en->cpus);
    argv_add(a, "-m");
    argv_add(a, "%lluM", (unsigned long long)(en->ram_size >> 20));
    add_json(a, "-object",
             json_pack("{s:s, s:s, s:I, s:s, s:b}", "qom-type", "memory-backend-file", "id", "ram",
                       "size", (json_int_t)en->ram_size, "mem-path", ram, "share",
                       !en->ram_private));
}

// QEMU maps an ELF file, and reads any other into memory of its own, which for a fork that is not
// about to boot is most of what it costs.
static bool kernel_is_mapped(const struct engine_spec *spec)
{
    char magic[4] = {0};
    AUTO_CLOSE int fd = openat(spec->dir_fd, spec->config->kernel, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, magic, sizeof magic) == sizeof magic &&
           memcmp(magic, "\177ELF", sizeof magic) == 0;
}

static void add_boot(struct argv *a, const struct engine_spec *spec)
{
    const struct vm_config *c = spec->config;
    if (!c->kernel)
        return;
    if (spec->fork && !kernel_is_mapped(spec)) {
        argv_add(a, "-action"); // it could not boot again
        argv_add(a, "reboot=shutdown");
        return;
    }
    argv_add(a, "-kernel");
    argv_add(a, "%s", c->kernel);
    if (c->initrd) {
        argv_add(a, "-initrd");
        argv_add(a, "%s", c->initrd);
    }
    if (c->cmdline) {
        argv_add(a, "-append");
        argv_add(a, "%s", c->cmdline);
    }
}

static void add_socket_chardev(struct argv *a, const char *id, int fd)
{
    argv_add(a, "-chardev");
    argv_add(a, "socket,id=%s,fd=%d", id, fd);
}

static json_t *raw_file(const char *node, const char *path, bool read_only)
{
    return json_pack("{s:s, s:s, s:b, s:{s:s, s:s, s:b}}", "driver", "raw", "node-name", node,
                     "read-only", read_only, "file", "driver", "file", "filename", path,
                     "read-only", read_only);
}

// A fork writes its variables over those of its base.
static json_t *own_variables(int overlay)
{
    char path[64];
    os_fd_path(overlay, path, sizeof path);
    json_t *base = raw_file("fwbase", VM_AUX, true);
    json_object_set_new(json_object_get(base, "file"), "locking", json_string("off"));
    return json_pack("{s:s, s:s, s:{s:s, s:s}, s:o}", "driver", "qcow2", "node-name", "fwvars",
                     "file", "driver", "file", "filename", path, "backing", base);
}

static void add_firmware(struct argv *a, const struct engine *en, const struct engine_spec *spec)
{
    if (!en->firmware)
        return;
    add_json(a, "-blockdev", raw_file("fwcode", en->firmware, true));
    add_json(a, "-blockdev",
             spec->fork ? own_variables(spec->variables_fd) : raw_file("fwvars", VM_AUX, false));
}

// `backing` is given even where there is none: what an image's header names is not opened.
static void add_disk(struct argv *a, const struct engine_spec *spec)
{
    static const struct layers none;
    char path[64] = VM_DISK;
    if (spec->overlay_fd >= 0)
        os_fd_path(spec->overlay_fd, path, sizeof path);
    const char *format = spec->overlay_fd >= 0 ? "qcow2" : spec->config->disk_format;
    if (!format)
        return;
    json_t *disk = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}}", "driver", format, "node-name",
                             "disk0", "discard", "unmap", "file", "driver", "file", "filename",
                             path, "discard", "unmap");
    if (strcmp(format, "qcow2") == 0)
        json_object_set_new(disk, "backing", layers_node(spec->layers ? spec->layers : &none, 0));
    add_json(a, "-blockdev", disk);
    add_device(a, "virtio-blk-pci", "blk0", "4.0", json_pack("{s:s}", "drive", "disk0"));
}

static bool is_stream(int fd)
{
    int type = 0;
    socklen_t n = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM;
}

json_t *nic_backend_args(const struct engine_nic *nic, int index, const char *fd_name)
{
    AUTO_FREE char *id = xasprintf("nic%db", index);
    if (nic->role == NIC_NAT)
        // Port 0: the kernel picks a free one; QEMU is asked which (nat_ask_port).
        return json_pack("{s:s, s:s, s:[{s:s}]}", "type", "user", "id", id, "hostfwd", "str",
                         "tcp:127.0.0.1:0-:22");
    if (is_stream(nic->socket_fd)) // "stream" would look for the name in another thread
        return json_pack("{s:s, s:s, s:s}", "type", "socket", "id", id, "fd", fd_name);
    return json_pack("{s:s, s:s, s:{s:s, s:s}}", "type", "dgram", "id", id, "local", "type", "fd",
                     "str", fd_name);
}

// guest_announce is off because without it a load with no announce-rounds (migrate.c) leaves the
// device with a timer that was freed, and QEMU 7.2 crashes when the guest resets it.
json_t *nic_device_args(const struct mac *mac, int index)
{
    AUTO_FREE char *id = xasprintf("nic%d", index);
    AUTO_FREE char *port = xasprintf("nic%dh", index);
    AUTO_FREE char *bus = xasprintf("rp%d", index);
    char text[MAC_TEXT];
    mac_format(mac, text);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "driver", "virtio-net-pci", "id", id,
                     "netdev", port, "mac", text, "bus", bus, "romfile", "", "guest_announce", 0);
}

// NIC and backend meet in a hub, so that the backend can be replaced under a live NIC.
static void add_nic(struct argv *a, const struct engine_nic *nic, int i)
{
    AUTO_FREE char *fd = xasprintf("%d", nic->socket_fd);
    AUTO_FREE char *backend = xasprintf("nic%db", i);
    AUTO_FREE char *backend_port = xasprintf("nic%dp", i);
    AUTO_FREE char *nic_port = xasprintf("nic%dh", i);
    add_json(a, "-netdev", nic_backend_args(nic, i, fd));
    add_json(a, "-netdev",
             json_pack("{s:s, s:s, s:i, s:s}", "type", "hubport", "id", backend_port, "hubid", i,
                       "netdev", backend));
    add_json(a, "-netdev",
             json_pack("{s:s, s:s, s:i}", "type", "hubport", "id", nic_port, "hubid", i));
    add_json(a, "-device", nic_device_args(&nic->mac, i));
}

// A root port for each NIC there could be: NICs are hot-plugged there.
static void add_root_ports(struct argv *a)
{
    for (int i = 0; i < ENGINE_NICS_MAX; i++) {
        AUTO_FREE char *id = xasprintf("rp%d", i);
        AUTO_FREE char *address = xasprintf("%d.0", 2 + i);
        add_device(a, "pcie-root-port", id, address,
                   json_pack("{s:i, s:i}", "slot", 1 + i, "chassis", 1 + i));
    }
}

// The port is part of the machine; whether a device is in it may change.
static void add_vsock(struct argv *a, const struct engine_spec *spec)
{
    if (!spec->vsock)
        return;
    int slot = 1 + ENGINE_NICS_MAX;
    add_device(a, "pcie-root-port", "rpv", "8.0",
               json_pack("{s:i, s:i}", "slot", slot, "chassis", slot));
    if (spec->vsock_fd < 0)
        return;
    add_socket_chardev(a, "vsock0c", spec->vsock_fd);
    add_json(a, "-device", vsock_device_args());
}

void qemu_argv(const struct engine *en, const struct engine_spec *spec, int qmp_fd,
               struct argv *out)
{
    argv_add(out, "%s", en->machine.binary);
    static const char *const fixed[] = {
        "-nodefaults", "-no-user-config",
        "-display",    "none",
        "-sandbox",    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        "-action",     "panic=pause",
        "-S",
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv_add(out, "%s", fixed[i]);
    argv_add(out, "-name");
    argv_add(out, "guest=%s", spec->config->vm_id);
    add_machine(out, en, spec);
    add_firmware(out, en, spec);
    add_boot(out, spec);
    add_socket_chardev(out, "qmp", qmp_fd);
    argv_add(out, "-mon");
    argv_add(out, "chardev=qmp,mode=control");
    add_socket_chardev(out, "console", spec->console_fd);
    argv_add(out, "-serial");
    argv_add(out, "chardev:console");
    add_root_ports(out);
    add_disk(out, spec);
    add_device(out, "virtio-serial-pci", "vs0", "5.0", NULL);
    add_socket_chardev(out, "agent", spec->agent_fd);
    add_json(out, "-device",
             json_pack("{s:s, s:s, s:s, s:s}", "driver", "virtserialport", "id", "agent0",
                       "chardev", "agent", "name", "org.tailmac.agent.0"));
    add_device(out, "pvpanic-pci", "panic0", "6.0", NULL);
    add_json(out, "-object", json_pack("{s:s, s:s}", "qom-type", "rng-builtin", "id", "rng"));
    add_device(out, "virtio-rng-pci", "rng0", "7.0", json_pack("{s:s}", "rng", "rng"));
    for (int i = 0; i < en->nic_count; i++)
        add_nic(out, &en->nics[i], i);
    add_vsock(out, spec);
    if (spec->saved) {
        argv_add(out, "-incoming");
        argv_add(out, "defer");
    }
}
