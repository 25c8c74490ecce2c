// Files and texts become labs.
#include "vnet/labfile/labfile.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/mem.h"
#include "vnet/labfile/check.h"
#include "vnet/labfile/read.h"
#include "vnet/labfile/tree.h"

void labfile_free(struct labfile *lab)
{
    if (!lab)
        return;
    schema_free(&schema_lab, lab);
    free(lab->capture_path);
    free(lab->file);
    free(lab);
}

// A path in the lab file is relative to the directory that the lab file is in.
static char *beside(const char *file, const char *path)
{
    const char *slash = strrchr(file, '/');
    if (!slash || *path == '/')
        return xstrdup(path);
    return xasprintf("%.*s/%s", (int)(slash - file), file, path);
}

static void forget_tree(struct labfile *lab)
{
    for (unsigned i = 0; i < lab->network_count; i++) {
        struct labfile_network *n = &lab->networks[i];
        n->entry.from = NULL;
        for (unsigned j = 0; j < n->name_count; j++)
            n->names[j].entry.from = NULL;
    }
    for (unsigned i = 0; i < lab->node_count; i++)
        lab->nodes[i].entry.from = NULL;
    for (unsigned i = 0; i < lab->name_count; i++)
        lab->names[i].entry.from = NULL;
    for (unsigned i = 0; i < lab->forward_count; i++)
        lab->forwards[i].entry.from = NULL;
}

struct labfile *labfile_parse(const char *text, size_t n, const char *file, struct err *e)
{
    struct tree *tree = tree_parse(text, n, file, e);
    if (!tree)
        return NULL;
    struct labfile *lab = xcalloc(1, sizeof *lab);
    struct reader r = {lab, file, e};
    lab->file = xstrdup(file);
    if (read_section(&r, &schema_lab, tree, lab, 0) < 0 || check_lab(lab, e) < 0) {
        labfile_free(lab);
        lab = NULL;
    } else {
        lab->capture_path = lab->capture ? beside(file, lab->capture) : NULL;
        forget_tree(lab);
    }
    tree_free(tree);
    return lab;
}

struct labfile *labfile_read(const char *path, struct err *e)
{
    size_t n;
    AUTO_FREE char *text = file_read(AT_FDCWD, path, LABFILE_SIZE_MAX, &n, e);
    return text ? labfile_parse(text, n, path, e) : NULL;
}

struct labfile *labfile_default(void)
{
    static const char text[] = "networks: {net: }\ninternet: {egress: host}";
    struct err e;
    struct labfile *lab = labfile_parse(text, strlen(text), "the default lab", &e);
    if (!lab)
        abort(); // a text of our own
    return lab;
}

uint16_t labfile_egress_mtu(const struct labfile *lab)
{
    uint16_t most = 0;
    for (unsigned i = 0; i < lab->network_count; i++) {
        const struct vnet_network *n = &lab->networks[i].is;
        uint16_t mtu = n->wan_mtu ? n->wan_mtu : n->mtu;
        most = mtu > most ? mtu : most;
    }
    return most;
}

bool labfile_has_queues(const struct labfile *lab)
{
    for (unsigned i = 0; i < lab->node_count; i++)
        if (lab->nodes[i].link[VNET_UP].queue || lab->nodes[i].link[VNET_DOWN].queue)
            return true;
    return false;
}

const struct labfile_node *labfile_node(const struct labfile *lab, struct mac mac)
{
    for (unsigned i = 0; i < lab->node_count; i++)
        if (memcmp(&lab->nodes[i].is.mac, &mac, sizeof mac) == 0)
            return &lab->nodes[i];
    return NULL;
}
