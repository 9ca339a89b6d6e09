/* Numbers for Prometheus, and the triangles of the mesh. */
#include "server_impl.h"

#include <string.h>

static const char *const g_stages[WILOR_SERVER_STAGES] = {"wait", "decode", "detect", "crop",
                                                          "pose", "post",   "total"};
/* Upper bounds in seconds. */
static const double g_bounds[WILOR_SERVER_BUCKETS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                      0.05,   0.1,   0.25,   0.5,   1,    2.5};

/* On the engine's thread. */
void wilor_server_metrics_count(wilor_server *s, const wilor_cli_live_timing *t) {
    const int64_t ns[WILOR_SERVER_STAGES] = {t->wait, t->decode, t->detect, t->crop,
                                             t->pose, t->post,   t->total};
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < WILOR_SERVER_STAGES; i++) {
        double seconds = (double)ns[i] * 1e-9;
        int k = 0;
        while (k < WILOR_SERVER_BUCKETS && seconds > g_bounds[k])
            k++;
        s->stage_count[i][k]++;
        s->stage_sum[i] += seconds;
    }
    pthread_mutex_unlock(&s->lock);
}

static void put_head(wilor_cli_buffer *b, const char *name, const char *type,
                     const char *help) {
    char text[256];
    snprintf(text, sizeof text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    wilor_cli_buffer_text(b, text);
}

static void put_value(wilor_cli_buffer *b, const char *name, uint64_t value) {
    wilor_cli_buffer_text(b, name);
    wilor_cli_buffer_text(b, " ");
    wilor_cli_buffer_unsigned(b, value);
    wilor_cli_buffer_text(b, "\n");
}

static void put_stages(wilor_cli_buffer *b, const uint64_t (*counts)[WILOR_SERVER_BUCKETS + 1],
                       const double *sums) {
    char name[128];
    put_head(b, "wilor_stage_seconds", "histogram", "Time of a frame in each stage.");
    for (int i = 0; i < WILOR_SERVER_STAGES; i++) {
        uint64_t below = 0;
        for (int k = 0; k <= WILOR_SERVER_BUCKETS; k++) {
            char bound[32] = "+Inf";
            if (k < WILOR_SERVER_BUCKETS)
                snprintf(bound, sizeof bound, "%g", g_bounds[k]);
            below += counts[i][k];
            snprintf(name, sizeof name, "wilor_stage_seconds_bucket{stage=\"%s\",le=\"%s\"}",
                     g_stages[i], bound);
            put_value(b, name, below);
        }
        snprintf(name, sizeof name, "wilor_stage_seconds_sum{stage=\"%s\"} %.9g\n", g_stages[i],
                 sums[i]);
        wilor_cli_buffer_text(b, name);
        snprintf(name, sizeof name, "wilor_stage_seconds_count{stage=\"%s\"}", g_stages[i]);
        put_value(b, name, below);
    }
}

void wilor_server_metrics_text(wilor_server *s, wilor_cli_buffer *b) {
    wilor_cli_engine_counts counts = {0};
    uint64_t stages[WILOR_SERVER_STAGES][WILOR_SERVER_BUCKETS + 1];
    double sums[WILOR_SERVER_STAGES];
    pthread_mutex_lock(&s->lock);
    memcpy(stages, s->stage_count, sizeof stages);
    memcpy(sums, s->stage_sum, sizeof sums);
    bool ready = s->ready;
    pthread_mutex_unlock(&s->lock);
    if (ready && !s->leaving)
        wilor_cli_engine_count(s->m.engine, &counts);
    put_head(b, "wilor_frames_total", "counter", "Frames that were looked at.");
    put_value(b, "wilor_frames_total", counts.frames);
    put_head(b, "wilor_dropped_total", "counter", "Frames that newer ones took the place of.");
    put_value(b, "wilor_dropped_total", counts.dropped);
    put_head(b, "wilor_hands_total", "counter", "Hands in them.");
    put_value(b, "wilor_hands_total{side=\"left\"}", counts.hands[WILOR_LEFT]);
    put_value(b, "wilor_hands_total{side=\"right\"}", counts.hands[WILOR_RIGHT]);
    put_head(b, "wilor_clients", "gauge", "Clients that read events or frames now.");
    put_value(b, "wilor_clients", (uint64_t)s->stream_count);
    put_head(b, "wilor_model_loaded", "gauge", "1 once the weights are there.");
    put_value(b, "wilor_model_loaded", ready);
    put_stages(b, (const uint64_t(*)[WILOR_SERVER_BUCKETS + 1]) stages, sums);
}

void wilor_server_faces_text(wilor_cli_buffer *b, const wilor_model *model, wilor_side side) {
    const int32_t *faces = wilor_model_faces(model, side);
    wilor_model_info info;
    wilor_model_get_info(model, &info, sizeof info);
    wilor_cli_buffer_text(b, "\"faces\":[");
    for (int i = 0; i < info.faces; i++) {
        for (int k = 0; k < 3; k++) {
            wilor_cli_buffer_text(b, k ? "," : i ? ",[" : "[");
            wilor_cli_buffer_integer(b, faces[3 * i + k]);
        }
        wilor_cli_buffer_text(b, "]");
    }
    wilor_cli_buffer_text(b, "]");
}
