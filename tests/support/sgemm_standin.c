/* A library in place of Apple's Accelerate, so that the tier of that name is tested where there is none
 * (WILOR_ACCELERATE): cblas_sgemm for what the library asks of it, and BLASSetThreading with its question. Whatever else it is
 * asked for ends the process, so that a wrong call cannot pass. Each sum is one chain over k, for any size. */
#include <stdio.h>
#include <stdlib.h>

enum { ROW_MAJOR = 101, AS_IS = 111, TRANSPOSED = 112, WIDE = 8 };

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc);
int BLASSetThreading(int how);
int BLASGetThreading(void);

static _Thread_local int g_one_thread;

int BLASSetThreading(int how) {
    if (how < 0 || how > 1)
        abort();
    g_one_thread = how;
    return 0;
}

int BLASGetThreading(void) { return g_one_thread; }

static void need(int holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "cblas_sgemm: %s\n", what);
    abort();
}

/* WIDE rows of b, or fewer, at once: their chains overlap. */
static void row_times(const float *a, const float *b, size_t ldb, int n, int k, float beta,
                      float *c) {
    float sum[WIDE] = {0};
    for (int i = 0; i < k; i++)
        for (int j = 0; j < n; j++)
            sum[j] += a[i] * b[(size_t)j * ldb + (size_t)i];
    for (int j = 0; j < n; j++)
        c[j] = beta == 0 ? sum[j] : c[j] + sum[j];
}

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a,
                 int lda, const float *b, int ldb, float beta, float *c, int ldc) {
    need(order == ROW_MAJOR && ta == AS_IS && tb == TRANSPOSED, "another layout");
    need(m > 0 && n > 0 && k > 0 && alpha == 1 && (beta == 0 || beta == 1), "other numbers");
    need(lda >= k && ldb >= k && ldc >= n, "rows overlap");
    need(g_one_thread, "many threads were not switched off");
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j += WIDE)
            row_times(a + (size_t)i * (size_t)lda, b + (size_t)j * (size_t)ldb, (size_t)ldb,
                      n - j < WIDE ? n - j : WIDE, k, beta, c + (size_t)i * (size_t)ldc + j);
}
