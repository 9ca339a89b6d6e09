/* JSON by printf: names and versions here hold neither quotes nor control characters. */
#include "bench_json.h"

#include "machine_facts.h"
#include "peak_probe.h"

#include <stdio.h>
#include <string.h>

wilor_isa wilor_bench_isa(const char *name, wilor_isa otherwise) {
    for (int i = WILOR_ISA_C; i <= WILOR_ISA_ACCELERATE; i++)
        if (strcmp(name, wilor_isa_name((wilor_isa)i)) == 0)
            return (wilor_isa)i;
    return otherwise;
}

void wilor_bench_peak_probe(wilor_bench_peak *peak, const char *dtype, int threads, int done) {
    int index = wilor_probe_for(dtype);
    wilor_probe_rate rate = {0};
    wilor_probe_run(index, threads, 0.5, &rate);
    peak->name = index >= 0 ? wilor_probe_at(index)->name : "";
    *(done ? &peak->after : &peak->before) = rate.rate;
}

double wilor_bench_peak_rate(const wilor_bench_peak *peak) {
    return peak->before > peak->after ? peak->before : peak->after;
}

static void print_env(wilor_isa isa, int threads) {
    char cpu[256];
    wilor_machine_cpu(cpu, sizeof cpu);
    printf(
        "{\"v\":1,\"env\":{\"build\":\"%s; %s\",\"cpu\":\"%s\",\"isa\":\"%s\",\"threads\":%d,"
        "\"affinity\":%d,\"quota\":%.2f",
        wilor_build_info(), wilor_machine_build(), cpu, wilor_isa_name(isa), threads,
        wilor_machine_affinity(), wilor_machine_quota());
}

void wilor_bench_print_head(wilor_isa isa, int threads, const wilor_bench_peak *peak) {
    print_env(isa, threads);
    printf(",\"peak\":\"%s\",\"peak_gflops\":[%.1f,%.1f]},\n \"results\":[", peak->name,
           peak->before, peak->after);
}

void wilor_bench_print_peaks(int threads) {
    print_env(wilor_isa_best(), threads);
    printf("},\n \"results\":[");
    for (int i = 0; i < wilor_probe_count(); i++) {
        const wilor_probe *p = wilor_probe_at(i);
        wilor_probe_rate r;
        bool done = wilor_probe_run(i, threads, 0.5, &r) == WILOR_PROBE_DONE;
        printf("%s{\"what\":\"peak\",\"name\":\"%s\",\"dtype\":\"%s\",\"instruction\":\"%s\","
               "\"unit\":\"%s\",\"rate\":",
               i ? ",\n  " : "", p->name, p->dtype, p->instruction, p->unit);
        printf(done ? "%.1f}" : "null}", r.rate);
    }
    printf("]}\n");
}
