// SPDX-License-Identifier: Apache-2.0
// What the checks of kernels find, in words: the same ones on the simulator and on the explorer.
#ifndef PTO_HOST_FINDING_H
#define PTO_HOST_FINDING_H

#include "abi/image.h"
#include "host/program.h"
#include "pto/runner.h"

// No range in a finding is longer: a negative size makes a kernel's copy as long as can be.
#define PTO_FINDING_RANGE_MAX (UINT64_C(1) << 62)

// "memcheck" and so on: the tools' names at NVIDIA and Huawei.
const char *pto__check_name(uint32_t kind);

// A task's record in a graph's image, and its arguments; `image` is where the host can read it.
static inline const struct pto_task_record *pto__image_record(const struct pto_image_header *image,
                                                              uint32_t task)
{
    const void *records = (const uint8_t *)image + image->record_offset;
    return (const struct pto_task_record *)records + task;
}
const uint64_t *pto__image_args(const struct pto_image_header *image, uint32_t task,
                                uint32_t *out_count);

// Fills in everything about one side but is_write, begin and end: kernel, and the argument that
// reaches an address of the tensor best: of those that point into it, the last at or before the
// address, else the first after it.
void pto__finding_name(struct pto_check_access *access, uint32_t task,
                       const struct pto_image_header *image, const struct pto_kernel_table *kernels,
                       uint64_t tensor, uint64_t tensor_bytes, uint64_t address);

// Writes finding->message from the other fields. `reason` says what is wrong, for memcheck and
// stalecheck.
void pto__finding_describe(struct pto_check_finding *finding, const char *reason);

#endif // PTO_HOST_FINDING_H
