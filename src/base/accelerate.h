/* The matrix product of Apple's Accelerate framework, which has the matrix units of Apple's processors to
 * itself: there are no instructions for them that a program may use. */
#ifndef WILOR_ACCELERATE_H
#define WILOR_ACCELERATE_H

/* cblas_sgemm: C = alpha · op(A) · op(B) + beta · C, here with the numbers of cblas.h for row-major (101) and
 * for matrices as they are (111) or transposed (112). */
typedef void (*wilor_sgemm_fn)(int order, int transpose_a, int transpose_b, int m, int n, int k,
                               float alpha, const float *a, int lda, const float *b, int ldb,
                               float beta, float *c, int ldc);

/* NULL: not here. Loaded at the first call, by dlopen: on Apple's own processors the framework; anywhere else
 * the library that the environment variable WILOR_ACCELERATE names, which is for tests. Constant for the life
 * of the process. */
wilor_sgemm_fn wilor_accelerate_sgemm(void);

/* Around the uses on a thread, begin any number of times: the library is to start no threads of its own (macOS 15
 * and newer). The end gives the thread back what it had set. */
void wilor_accelerate_begin(void);
void wilor_accelerate_end(void);

#endif
