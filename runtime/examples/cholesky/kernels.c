// SPDX-License-Identifier: Apache-2.0
// Kernels of the tile Cholesky factorisation A = L L^T, for float32 tiles of n x n elements, stored
// row by row. n may be any number; 64 to 256 make good tiles.
//
//   20 potrf  a = l l^T           a becomes l, with zeros above the diagonal
//   21 trsm   a = a l^-T          l as potrf leaves it
//   22 syrk   c = c - a a^T       only on and below the diagonal; above it c is left unspecified
//   23 gemm   c = c - a b^T
//
// Nearly all the work is done by subtract_product(). A compiler may not reorder a sum of floats, so
// a loop that adds products along a row stays scalar; here every inner loop runs across columns
// instead, with independent elements, which any vector unit can do several at a time.
#include "pto/kernel.h"

// `restrict` by the name that C and C++ compilers share.
#define RESTRICT __restrict

enum {
    BLOCK = 64, // side of the block of b that subtract_product turns: 16 KiB, on the stack
    STEP = 16,  // columns that trsm and potrf solve at a time before they use subtract_product
};

static inline PTO_AICORE uint64_t smaller(uint64_t first, uint64_t second)
{
    return first < second ? first : second;
}

// c[j] -= sum over p of a[p] * turned[p][j]. Four p at a time: c is then loaded and stored once for
// every four products, and not the bottleneck.
static inline PTO_AICORE void subtract_row(PTO_GM float *RESTRICT c, PTO_GM const float *RESTRICT a,
                                           const float *RESTRICT turned, uint64_t columns,
                                           uint64_t depth)
{
    uint64_t p = 0;
    for (; p + 4 <= depth; p += 4) {
        const float a0 = a[p], a1 = a[p + 1], a2 = a[p + 2], a3 = a[p + 3];
        const float *b = turned + p * BLOCK;
        for (uint64_t j = 0; j < columns; j++) {
            c[j] -= a0 * b[j] + a1 * b[BLOCK + j] + a2 * b[2 * BLOCK + j] + a3 * b[3 * BLOCK + j];
        }
    }
    for (; p < depth; p++) {
        const float a0 = a[p];
        const float *b = turned + p * BLOCK;
        for (uint64_t j = 0; j < columns; j++) {
            c[j] -= a0 * b[j];
        }
    }
}

// c -= a b^T, where c is rows x columns, a is rows x depth and b is columns x depth. All three are
// parts of tiles whose rows are `stride` elements apart; c shares no element with a or b.
static PTO_AICORE void subtract_product(PTO_GM float *c, PTO_GM const float *a,
                                        PTO_GM const float *b, uint64_t rows, uint64_t columns,
                                        uint64_t depth, uint64_t stride)
{
    float turned[BLOCK * BLOCK];
    for (uint64_t left = 0; left < columns; left += BLOCK) {
        const uint64_t width = smaller(BLOCK, columns - left);
        for (uint64_t first = 0; first < depth; first += BLOCK) {
            const uint64_t count = smaller(BLOCK, depth - first);
            for (uint64_t j = 0; j < width; j++) {
                for (uint64_t p = 0; p < count; p++) {
                    turned[p * BLOCK + j] = b[(left + j) * stride + first + p];
                }
            }
            for (uint64_t i = 0; i < rows; i++) {
                subtract_row(c + i * stride + left, a + i * stride + first, turned, width, count);
            }
        }
    }
}

// The same for a square c of which only the part on and below the diagonal is wanted: whole blocks
// above it are left out.
static PTO_AICORE void subtract_lower_product(PTO_GM float *c, PTO_GM const float *a, uint64_t rows,
                                              uint64_t depth, uint64_t stride)
{
    for (uint64_t top = 0; top < rows; top += BLOCK) {
        const uint64_t height = smaller(BLOCK, rows - top);
        subtract_product(c + top * stride, a + top * stride, a, height, top + height, depth,
                         stride);
    }
}

// Solves x l^T = x in place for each of the rows of x; l is lower triangular, width x width, and
// width is at most STEP.
static PTO_AICORE void solve_rows(PTO_GM float *x, PTO_GM const float *l, uint64_t rows,
                                  uint64_t width, uint64_t stride)
{
    // Zeros on and above the turned diagonal and past `width`, so that the inner loop always runs
    // over all of a row: a loop of constant length costs less than the products by zero.
    float turned[STEP][STEP];
    float inverse[STEP];
    for (uint64_t p = 0; p < STEP; p++) {
        inverse[p] = p < width ? 1.0f / l[p * stride + p] : 0.0f;
        for (uint64_t j = 0; j < STEP; j++) {
            turned[p][j] = j > p && j < width ? l[j * stride + p] : 0.0f;
        }
    }
    for (uint64_t i = 0; i < rows; i++) {
        PTO_GM float *row = x + i * stride;
        float solved[STEP];
        for (uint64_t j = 0; j < STEP; j++) {
            solved[j] = j < width ? row[j] : 0.0f;
        }
        for (uint64_t p = 0; p < width; p++) {
            const float value = solved[p] * inverse[p];
            for (uint64_t j = 0; j < STEP; j++) {
                solved[j] -= value * turned[p][j];
            }
            solved[p] = value;
        }
        for (uint64_t j = 0; j < width; j++) {
            row[j] = solved[j];
        }
    }
}

// Factors the width x width block at a. Returns 0, or one more than the column whose pivot is not
// positive.
static PTO_AICORE int32_t factor_block(PTO_GM float *a, uint64_t width, uint64_t stride)
{
    for (uint64_t j = 0; j < width; j++) {
        PTO_GM float *pivot_row = a + j * stride;
        for (uint64_t i = j; i < width; i++) {
            PTO_GM float *row = a + i * stride;
            float value = row[j];
            for (uint64_t p = 0; p < j; p++) {
                value -= row[p] * pivot_row[p];
            }
            if (i > j) {
                row[j] = value / pivot_row[j];
            } else if (value > 0.0f) {
                row[j] = __builtin_sqrtf(value);
            } else { // also when value is not a number
                return (int32_t)j + 1;
            }
        }
    }
    return 0;
}

// a = l l^T. Arguments: a, n. Returns the column, from 1, at which the matrix proves not positive
// definite; a is then half factored.
PTO_KERNEL(20, potrf, PTO_INOUT_2D(float, 1, 1), PTO_INTEGER)
{
    PTO_GM float *a = PTO_POINTER(args, 0, float);
    const uint64_t n = args[1];
    for (uint64_t k = 0; k < n; k += STEP) {
        const uint64_t width = smaller(STEP, n - k);
        const uint64_t next = k + width;
        PTO_GM float *diagonal = a + k * n + k;
        const int32_t column = factor_block(diagonal, width, n);
        if (column != 0) {
            return (int32_t)k + column;
        }
        solve_rows(a + next * n + k, diagonal, n - next, width, n);
        subtract_lower_product(a + next * n + next, a + next * n + k, n - next, width, n);
    }
    for (uint64_t i = 0; i < n; i++) {
        for (uint64_t j = i + 1; j < n; j++) {
            a[i * n + j] = 0.0f;
        }
    }
    return 0;
}

// a = a l^-T. Arguments: l, a, n.
PTO_KERNEL(21, trsm, PTO_IN_2D(float, 2, 2), PTO_INOUT_2D(float, 2, 2), PTO_INTEGER)
{
    PTO_GM const float *l = PTO_POINTER(args, 0, const float);
    PTO_GM float *a = PTO_POINTER(args, 1, float);
    const uint64_t n = args[2];
    for (uint64_t k = 0; k < n; k += STEP) {
        const uint64_t width = smaller(STEP, n - k);
        const uint64_t next = k + width;
        solve_rows(a + k, l + k * n + k, n, width, n);
        subtract_product(a + next, a + k, l + next * n + k, n, n - next, width, n);
    }
    return 0;
}

// c = c - a a^T, on and below the diagonal. Arguments: a, c, n.
PTO_KERNEL(22, syrk, PTO_IN_2D(float, 2, 2), PTO_INOUT_2D(float, 2, 2), PTO_INTEGER)
{
    const uint64_t n = args[2];
    subtract_lower_product(PTO_POINTER(args, 1, float), PTO_POINTER(args, 0, const float), n, n, n);
    return 0;
}

// c = c - a b^T. Arguments: a, b, c, n.
PTO_KERNEL(23, gemm, PTO_IN_2D(float, 3, 3), PTO_IN_2D(float, 3, 3), PTO_INOUT_2D(float, 3, 3),
           PTO_INTEGER)
{
    const uint64_t n = args[3];
    subtract_product(PTO_POINTER(args, 2, float), PTO_POINTER(args, 0, const float),
                     PTO_POINTER(args, 1, const float), n, n, n, n);
    return 0;
}
