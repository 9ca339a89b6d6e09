/* JSON by printf: names and versions here hold neither quotes nor control characters. */
#include "bench_json.h"

#include "machine_facts.h"
#include "peak_probe.h"

#include <stdio.h>

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

void wilor_bench_print_head(wilor_isa isa, int threads, const wilor_bench_peak *peak) {
    char cpu[256];
    wilor_machine_cpu(cpu, sizeof cpu);
    printf(
        "{\"v\":1,\"env\":{\"build\":\"%s; %s\",\"cpu\":\"%s\",\"isa\":\"%s\",\"threads\":%d,"
        "\"affinity\":%d,\"quota\":%.2f,\"peak\":\"%s\",\"peak_gflops\":[%.1f,%.1f]},\n"
        " \"results\":[",
        wilor_build_info(), wilor_machine_build(), cpu, wilor_isa_name(isa), threads,
        wilor_machine_affinity(), wilor_machine_quota(), peak->name, peak->before, peak->after);
}
