// SPDX-License-Identifier: Apache-2.0
// Operations of the simulated device that the backend seam takes as they are.
#ifndef PTO_SIM_BACKEND_H
#define PTO_SIM_BACKEND_H

#include "sim/device.h"

enum pto_status pto__sim_open(struct pto_backend **out, const struct pto_backend_config *config,
                              struct pto_error *err);
void pto__sim_close(struct pto_backend *device);
enum pto_status pto__sim_launch(struct pto_backend *device,
                                const struct pto_launch_request *request,
                                struct pto_launch_outcome *out, struct pto_error *err);
enum pto_status pto__sim_handshakes(struct pto_backend *device, struct pto_handshake *out,
                                    uint32_t core_count, struct pto_error *err);

#endif // PTO_SIM_BACKEND_H
