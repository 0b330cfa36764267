// SPDX-License-Identifier: Apache-2.0
// libascend_hal.so, the driver's library: that it is there is all that is asked of it.
int fake_hal_version(void);

__attribute__((visibility("default"))) int fake_hal_version(void)
{
    return 252;
}
