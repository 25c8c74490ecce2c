// Images that VMs are made from: archives of a VM directory, and disk images.
//
// An archive is a tar file, plain or compressed with zstd or gzip, with files of a VM's directory
// at its top level (vm/store.h) and a config.json whose values are defaults of the new VM.
#pragma once

#include "base/err.h"
#include "base/file.h"

enum image_kind { IMAGE_ARCHIVE, IMAGE_DISK };

// Recognises an image by its content. -1 with ERR_FAILED for what is neither.
int image_recognise(int fd, enum image_kind *out, struct err *e);

// Unpacks an archive into the empty directory `dirfd`; *config (the caller frees) becomes the text
// of its config.json, NULL where it has none. Nothing in the archive is trusted: only regular files
// with plain names are taken, each once, at most a terabyte altogether; runs of zeros become holes.
// After a failure the directory holds some of the files.
int image_unpack(int fd, int dirfd, char **config, file_progress *progress, void *arg,
                 struct err *e);
