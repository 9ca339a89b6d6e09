#!/usr/bin/env python3
"""Write docs/accuracy.md (but for the part kept by hand) from what the golden tests print: scripts/make_accuracy.py BUILD [FULL_CHECKPOINT].

Runs BUILD's test programs on every kernel tier of this machine, with the committed references and, where
they are there, the fixtures; takes the largest measured difference of every stage.
"""
import collections, os, pathlib, platform, re, subprocess, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(sys.argv[1])
LINE = re.compile(r'^\s*(.*): ([0-9.e+-]+|inf) \(allowed ([0-9.e+-]+)\)')
TIERS = ('c', 'avx2', 'avx512', 'neon')


def run(name, *args, **env):
    """Lines of one test program, or None when it was skipped."""
    done = subprocess.run([BUILD / 'tests' / 'golden' / f'test_{name}', *args], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **env})
    if done.returncode == 77:
        return None
    if done.returncode:
        sys.exit(f'test_{name} {args} failed:\n{done.stdout}')
    return done.stdout.splitlines()


def stages(source):
    table, tiers = collections.OrderedDict(), []
    for tier in TIERS:
        lines = run('stages', source, tier)
        if lines is None:
            continue
        tiers.append(tier)
        for line in lines:
            match = LINE.match(line)
            if match:
                where, stage = match[1].split(': ')
                cell = table.setdefault((where.split()[0], stage), {})
                cell[tier] = max(cell.get(tier, 0), float(match[2]))
                cell['allowed'] = min(cell.get('allowed', 9), float(match[3]))
    return table, tiers


def show(out, title, table, tiers):
    if not table:
        return
    out += [f'## {title}', '', '| model | stage | ' + ' | '.join(tiers) + ' | allowed |',
            '|---|---|' + '---|' * (len(tiers) + 1)]
    for (model, stage), cell in table.items():
        out.append(f'| {model} | {stage} | ' + ' | '.join(f'{cell[t]:.1e}' for t in tiers) +
                   f' | {cell["allowed"]:.1e} |')
    out.append('')


def plain(out, title, lines):
    if lines is None:
        return
    rows = collections.OrderedDict()
    for line in lines:
        match = LINE.match(line)
        if match:
            old = rows.get(match[1], (0, 9))
            rows[match[1]] = max(old[0], float(match[2])), min(old[1], float(match[3]))
    out += [f'## {title}', '', '| | largest difference | allowed |', '|---|---|---|']
    out += [f'| {k} | {a:.1e} | {b:.1e} |' for k, (a, b) in rows.items()] + ['']


def main():
    cpu = next((l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')),
               platform.machine())
    out = ['# Accuracy', '',
           'Largest absolute differences from upstream (WiLoR-mini, PyTorch float32 on a CPU), measured by the golden',
           f'tests on {cpu}; made by `scripts/make_accuracy.py`. One and two threads, one hand and two give the same bits,',
           'so there is one column per kernel tier. Metres for vertices and keypoints; `allowed` is the test\'s limit.', '',
           'For comparison: wilor-mlx publishes 0.006 for vertices and keypoints: metres, so 6 mm. PyTorch\'s own float32 is',
           '5e-08 m from float64 at full size. The weights are synthetic (same formats, same sizes): trained ones could not be',
           'used here.', '']
    old = (ROOT / 'docs' / 'accuracy.md').read_text()
    begin, end = '<!-- kept by', '<!-- /kept -->'
    kept = old[old.index(begin):old.index(end) + len(end)]  # written by hand
    full = sys.argv[2] if len(sys.argv) > 2 else None
    if full:
        plain(out, 'Full size: 32 blocks, width 1280 (two crops)', run('full', WILOR_FULL_CHECKPOINT=full))
    out += [kept, '']
    show(out, 'Every stage, small models, crops of photos', *stages('fixtures'))
    show(out, 'Every stage, small models, rendered hands (in the repository)', *stages('committed'))
    best = next(t for t in reversed(TIERS) if run('refine', t) is not None)
    plain(out, f'RefineNet alone, extreme cameras and the lean path\'s guard ({best})', run('refine', best))
    plain(out, 'Rotations, MANO, cameras, smoothing, warps', run('units'))
    plain(out, 'Crops of 16 hands on four photos', run('crops'))
    plain(out, 'Models from files of every form', run('model_files'))
    (ROOT / 'docs' / 'accuracy.md').write_text('\n'.join(out).rstrip() + '\n')


main()
