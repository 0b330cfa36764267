// SPDX-License-Identifier: Apache-2.0
// Everything a host program needs: graphs, what can be said of them, and runners.
#ifndef PTO_PTO_H
#define PTO_PTO_H

#include "pto/analysis.h"
#include "pto/graph.h"
#include "pto/runner.h"
#include "pto/status.h"

#define PTO_VERSION_MAJOR 0
#define PTO_VERSION_MINOR 1
#define PTO_VERSION_PATCH 0
#define PTO_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

// The version of the library that is loaded, for example "0.1.0". Static storage.
PTO_API const char *pto_version(void);

#ifdef __cplusplus
}
#endif

#endif // PTO_PTO_H
