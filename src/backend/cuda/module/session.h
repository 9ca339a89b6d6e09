/* A session's memory on the card, its products and graphs. */
#ifndef WILOR_CUDA_SESSION_H
#define WILOR_CUDA_SESSION_H

#include "gemm.h"
#include "model.h"

namespace wilor_cuda {

enum { MOST_SIZES = 32, ORDER_HEADER = 256, MOST_PARTS = 4 };

/* A product of a block. Of numbers in two float16 parts it is two: of the mixed parts, then of the large ones onto
 * that; what small ones give with each other is less than float32 has. */
struct block_product {
    gemm_plan *all, *mixed; /* mixed: NULL where numbers are whole */
    int inputs;
};

/* A product onto the residual stream: whole (1), or in parts that the norm behind it adds. */
struct onto_plan {
    block_product product;
    int parts;
};

/* The products of a block's second half, for one number of rows. */
struct half_plans {
    onto_plan proj, fc2;
    block_product fc1;
    bool gelu_within; /* fc1's product does it */
};

/* What is made once for each number of hands that a graph is for. */
struct size_plan {
    int hands;
    gemm_plan *patch;
    block_product qkv;
    half_plans whole, lean; /* 210 and 22 rows a hand */
    cudaGraphExec_t graph;
};

/* What a run gives, in the order in which it is copied back. */
struct result_view {
    float *rotation, *betas, *cam, *keypoints, *verts;
    int *corner;
    size_t bytes;
};

/* What a run is told, before the crops' orders. */
struct order_header {
    float fixed[12]; /* 1 and ten betas, or 0 */
    frame_view frame;
};

struct session_memory {
    float *crops;            /* batch × 256 × 256 × 3 */
    void *patches;           /* batch × 192 × 768 */
    float *x;                /* batch × 210 × d: residual stream */
    void *normed, *attended; /* batch × 210 × d */
    void *qkv;               /* batch × 210 × 3d */
    void *hidden;            /* batch × 210 × mlp */
    float *sums;            /* hidden in float32; embedded patches and a product's parts, too */
    float *chosen, *tokens; /* rows of the last block × d */
    float *pose6d, *xy, *features;
    float *map[MAPS], *half; /* fine, middle, coarse; between the fine one's two steps */
    char *orders, *result;
};

struct session {
    const model *m;
    wilor_cuda_session_options o;
    cudaStream_t stream;
    cudaEvent_t begin, end;
    gemm_engine *engine;
    char *block;
    size_t bytes;
    session_memory on;
    char *pinned; /* orders, result, sides, crops */
    char *pinned_orders, *pinned_result;
    float *pinned_sides; /* a logit a hand, written by the card itself */
    float *pinned_crops;
    size_t order_bytes;
    size_plan sizes[MOST_SIZES];
    int size_count;
    half_plans wide;     /* one hand, all rows */
    bool early;          /* norms and attention are launched early */
    int attention_depth; /* of tensor_attention; 0: the plain one */
    frame_view frame;
    frame_memory own_frame; /* a frame that came with session_frame */
    size_t frame_bytes;     /* of it, that go up with the next run */
    int running;            /* hands of the run that was started and not finished; 0: none */
    bool sides;             /* by the side head, too */
    wilor_cuda_trace trace;
    void *trace_context;
};

/* session_memory.cu */
void push_memory(session_memory *on, const model *m, int batch, device_arena *a);
result_view result_at(char *base, int hands, int vertices);
size_t result_bytes(int hands, int vertices);

/* session_stages.cu: everything goes onto the stream. */
wilor_cuda_result prepare_attention(session *s, wilor_cuda_error *err);
wilor_cuda_result make_plans(session *s, size_plan *p, wilor_cuda_error *err);
wilor_cuda_result make_wide_plans(session *s, wilor_cuda_error *err);
/* The crops of p->hands hands through all blocks but the last one's attention. */
wilor_cuda_result run_network(session *s, const size_plan *p, wilor_cuda_error *err);
/* The rest for all of them by the corner of 2 × 2 patches; what each hand would have needed is in the
 * result. */
wilor_cuda_result run_lean(session *s, const size_plan *p, wilor_cuda_error *err);
/* The rest for one hand by all patches; the result is the one of p. */
wilor_cuda_result run_wide(session *s, const size_plan *p, int hand, wilor_cuda_error *err);
/* The side head on the last tokens, those of `hands` hands, `each` rows of one; hand `first` is the first. */
void run_sides(session *s, int first, int hands, int each);
/* For tests: waits for a stage's numbers, where someone listens. */
void tell(session *s, const char *stage, int block, const float *card, int rows, int cols);

/* session_product.cu. w: of all blocks, for timing; x and y too, of which y is overwritten. */
wilor_cuda_result plan_product(session *s, block_product *p, const gemm_shape *shape,
                               const matrices &w, const void *x, void *y,
                               wilor_cuda_error *err);
wilor_cuda_result run_product(const block_product *p, const void *w, const void *x,
                              const void *bias, void *y, wilor_cuda_error *err);
void free_product(block_product *p);

/* session_residual.cu: the residual stream's products and norms. Whole: of all depth at once. */
wilor_cuda_result plan_onto(session *s, onto_plan *p, int rows, int inputs, const matrices &w,
                            const void *x, bool whole, wilor_cuda_error *err);
/* y += what rows x give, or says what y lacks from now on. */
wilor_cuda_result run_onto(session *s, const onto_plan *p, const void *w, const void *x,
                           const float *bias, float *y, int rows, missing *lacks,
                           wilor_cuda_error *err);
/* Rows of x, completed first, to norms: activations, or float32. */
void norm(session *s, float *x, const missing &lacks, int gamma, int block, void *out,
          int rows);
void norm_whole(session *s, float *x, const missing &lacks, int gamma, int block, float *out,
                int rows);
bool norms_may_be_early();
void tell_complete(session *s, const char *stage, int block, const float *x,
                   const missing &lacks, int rows);

/* session_hand.cu: from the last tokens of hands first … to their results, by rows × cols patches. */
void run_hand(session *s, const result_view *r, int first, int hands, int rows, int cols);

} // namespace wilor_cuda

#endif
