"""What both training programs share: flat parameters, AdamW, averages of weights, time-driven schedule, state, logs.

One process a GPU (torchrun sets RANK, WORLD_SIZE, LOCAL_RANK); gradients are one vector, averaged by one all-reduce. No step
waits for the GPU: numbers for the log gather on the device and are read every LOG_EVERY steps.
"""
import argparse
import json
import math
import os
import sys
import time

import torch
import torch.distributed as dist

from .state import load_state, save_state


def process_start():
    """When this process began, or the launcher above it (torchrun), on time.monotonic's scale: what --minutes counts from."""
    pid = os.getppid() if "TORCHELASTIC_RUN_ID" in os.environ else os.getpid()
    try:
        with open(f"/proc/{pid}/stat") as f, open("/proc/uptime") as g:
            ticks, up = int(f.read().rsplit(")", 1)[1].split()[19]), float(g.read().split()[0])
        return time.monotonic() - max(0.0, up - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.monotonic()


STARTED = process_start()
LOG_EVERY, TALK_EVERY, SAVE_SECONDS, EVAL_SECONDS = 200, 20, 60, 200


def common_arguments(name, lr, batch, weight_decay):
    p = argparse.ArgumentParser(prog=name)
    p.add_argument("--minutes", type=float, required=True, help="stop by itself before so many minutes after the start")
    p.add_argument("--total-minutes", type=float, default=0, help="training time of all pieces, which the schedule spans; default: this piece's")
    p.add_argument("--final", action="store_true", help="the last piece: the schedule ends with it, however much was trained before")
    p.add_argument("--state", required=True, help="folder of the resumable state; read when it has one, written every minute")
    p.add_argument("--out", required=True, help="folder of log.ndjson")
    p.add_argument("--from-weights", help="what to begin with where --state holds no state: averaged weights (state.save_weights), or an exported network")
    p.add_argument("--batch", type=int, default=batch, help="samples a step and GPU")
    p.add_argument("--muon", type=int, default=0, help="blocks' matrices by orthogonalised momentum (Muon) instead of AdamW")
    p.add_argument("--reuse", type=int, default=1, help="steps a made batch: each trains on pictures drawn from the last --memory ones")
    p.add_argument("--easy", type=float, default=0, help="part of the time over which pictures get from easy to as they are (scenes.ease)")
    p.add_argument("--memory", type=int, default=40, help="batches of pictures kept for --reuse")
    p.add_argument("--parts", type=int, default=1, help="optimiser steps a batch of pictures is cut into")
    p.add_argument("--lr", type=float, default=lr)
    p.add_argument("--min-lr", type=float, default=0.01, help="last learning rate, as a part of --lr")
    p.add_argument("--warmup", type=int, default=500, help="steps of linear warm-up")
    p.add_argument("--flat", type=float, default=0.3, help="part of the time before the cosine decay begins")
    p.add_argument("--weight-decay", type=float, default=weight_decay)
    p.add_argument("--beta2", type=float, default=0.99)
    p.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    p.add_argument("--ema", type=float, default=0.999)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--compile", type=int, default=0)
    p.add_argument("--graph", type=int, default=0, help="a step as two CUDA graphs (loss and gradient; optimiser): the loss must not wait for the device")
    p.add_argument("--amp", type=int, default=1, help="bfloat16 autocast")
    p.add_argument("--side-stream", type=int, default=1, help="make pictures on a second CUDA stream, one batch ahead")
    p.add_argument("--max-steps", type=int, default=0, help="stop after so many steps of this piece (tests)")
    p.add_argument("--eval-samples", type=int, default=2048)
    p.add_argument("--run-id", default="")
    p.add_argument("--bench", action="store_true", help="print samples/s of scenes, model and both, then stop")
    p.add_argument("--fake", action="store_true", help="stand-in pictures (fake_scene.py), for tests")
    return p


class World:
    """Rank, device and the few collective operations. With one process everything is local."""

    def __init__(self, device):
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.device = torch.device(device)
        if self.device.type == "cuda":
            self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(self.device)
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")

    def mean(self, t):
        if self.size > 1:
            dist.all_reduce(t)
            t.div_(self.size)
        return t

    def agree(self, values):
        """Rank 0's numbers on every rank (waits for the device)."""
        if self.size == 1:
            return values
        t = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(t, 0)
        return t.tolist()

    def close(self):
        if self.size > 1:
            dist.destroy_process_group()


class Flat:
    """All trained parameters of a model as views of one float32 vector, their gradients as views of another; AdamW and the
    moving average on these vectors. 4D parameters lie channels-last when asked."""

    def __init__(self, model, no_decay, channels_last=False):
        self.model, self.spans, at = model, {}, 0
        params = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        for name, p in params:
            self.spans[name] = (at, p.numel())
            at += -(-p.numel() // 64) * 64
        dev = params[0][1].device
        self.values, self.grads, self.ema, self.first, self.second, self.decay = (torch.zeros(at, device=dev) for _ in range(6))
        self.shapes = {n: p.shape for n, p in params}
        self.last = channels_last
        for name, p in params:
            self.view(self.values, name).copy_(p.data)
            self.view(self.decay, name).fill_(float(p.dim() >= 2 and not no_decay(name)))
            p.data = self.view(self.values, name)
            p.grad = self.view(self.grads, name)
        self.ema.copy_(self.values)
        self.buffers = {n: b for n, b in model.named_buffers() if n in model.state_dict() and n.endswith(("running_mean", "running_var"))}
        self.ema_buffers = {n: b.clone() for n, b in self.buffers.items()}
        self.steps = 0
        self.skipped = torch.zeros((), device=dev)
        self.rates = torch.zeros(4, device=dev)
        self.by_adam, self.muon = None, {}

    def use_muon(self, chosen):
        """Take the 2D parameters that `chosen` (name -> number of stacked matrices, 0 for none) names from AdamW to Muon."""
        self.by_adam = torch.ones_like(self.values)
        for name, shape in self.shapes.items():
            stacked = chosen(name) if len(shape) == 2 else 0
            if stacked:
                self.view(self.by_adam, name).zero_()
                self.muon.setdefault((shape[0] // stacked, shape[1]), []).append((name, stacked))

    def muon_step(self, lr, g, momentum=0.95):
        """The matrices' part of step(): moments lie in `first`, as AdamW's do; an update's root mean square is AdamW's 0.2."""
        for (r, c), members in self.muon.items():
            look = lambda flat: torch.cat([self.view(flat, n).reshape(k, r, c) for n, k in members])
            update = orthogonal(look(g) * (1 - momentum) + momentum * look(self.first)) * (lr * (-0.2 * math.sqrt(max(r, c))))
            at = 0
            for n, k in members:
                self.view(self.values, n).add_(update[at : at + k].reshape(self.shapes[n]))
                at += k

    def view(self, flat, name):
        at, n = self.spans[name]
        s = self.shapes[name]
        if self.last and len(s) == 4:
            return flat[at : at + n].view(s[0], s[2], s[3], s[1]).permute(0, 3, 1, 2)
        return flat[at : at + n].view(s)

    def set_rates(self, lr, beta1, beta2, ema):
        """What changes from step to step, as numbers on the device: update() can be captured."""
        self.steps += 1
        t = self.steps
        for i, rate in enumerate((lr, lr / (1 - beta1**t), 1 / math.sqrt(1 - beta2**t), 1 - min(ema, (1 + t) / (10 + t)))):
            self.rates[i].fill_(rate)  # a copy from the host would wait for the device

    def update(self, beta1, beta2, weight_decay, clip):
        """One AdamW step with the gradients there are, which are zeroed. A step with a gradient that is not finite is skipped."""
        lr, adam_lr, unbias, to_ema = self.rates.unbind()
        g = self.grads
        norm = g.norm()
        fine = torch.isfinite(norm)
        self.skipped += ~fine
        g.mul_((clip / norm.clamp_min(1e-6)).clamp_max(1))
        g.nan_to_num_(0, 0, 0)
        g.mul_(fine)
        self.first.lerp_(g, 1 - beta1)
        self.second.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        root = self.second.sqrt().mul_(unbias).add_(1e-8)
        self.values.sub_(self.values * self.decay * (lr * weight_decay))
        change = self.first / root * adam_lr
        self.values.sub_(change if self.by_adam is None else change * self.by_adam)
        if self.by_adam is not None:
            self.muon_step(lr, g)
        self.ema.lerp_(self.values, to_ema)
        for name, b in self.buffers.items():
            self.ema_buffers[name].lerp_(b, to_ema)
        g.zero_()
        return norm

    def step(self, lr, beta1, beta2, weight_decay, clip, ema):
        self.set_rates(lr, beta1, beta2, ema)
        return self.update(beta1, beta2, weight_decay, clip)

    def everything(self):
        """The tensors that a step changes."""
        return [self.values, self.ema, self.first, self.second, self.skipped, *self.buffers.values(), *self.ema_buffers.values()]

    def parts(self):
        named = lambda flat: {n: self.view(flat, n) for n in self.spans}
        return dict(
            weights=named(self.values), ema=named(self.ema), moment=named(self.first), root_second=named(self.second.sqrt()),
            buffers=self.buffers, ema_buffers=self.ema_buffers,
        )  # fmt: skip

    def restore(self, parts):
        """What save_state wrote. A name or shape that differs is an error: the state is of another network."""
        for part, flat in (("weights", self.values), ("ema", self.ema), ("moment", self.first), ("root_second", self.second)):
            given = parts.get(part, {})
            if given.keys() != self.spans.keys():
                raise ValueError(f"state: {part} is of another network ({len(given)} tensors, not {len(self.spans)})")
            for name, t in given.items():
                if t.shape != self.shapes[name]:
                    raise ValueError(f"state: {part}/{name} is {tuple(t.shape)}, not {tuple(self.shapes[name])}")
                self.view(flat, name).copy_(t.square() if part == "root_second" else t)
        for part, here in (("buffers", self.buffers), ("ema_buffers", self.ema_buffers)):
            for name, b in here.items():
                b.copy_(parts[part][name])

    def begin(self, values, buffers):
        """Parameters and their averages from a file of averaged weights; moments stay zero."""
        if values.keys() != self.spans.keys() or buffers.keys() != self.buffers.keys():
            raise ValueError("the weights to start with are of another network")
        for name, t in values.items():
            self.view(self.values, name).copy_(t)
            self.view(self.ema, name).copy_(t)
        for name, t in buffers.items():
            self.buffers[name].copy_(t)
            self.ema_buffers[name].copy_(t)

    def ema_state(self):
        return {**{n: self.view(self.ema, n) for n in self.spans}, **self.ema_buffers}


def orthogonal(m, rounds=5):
    """(N, R, C) matrices to about the nearest with orthonormal rows or columns, by Newton-Schulz steps of order five
    (the coefficients are Keller Jordan's, of Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = m.shape[1] > m.shape[2]
    x = m.transpose(1, 2) if tall else m
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
    for _ in range(rounds):
        g = x @ x.transpose(1, 2)
        x = a * x + (b * g + c * (g @ g)) @ x
    return x.transpose(1, 2) if tall else x


class averaged:
    """with averaged(flat): the model computes with the moving averages."""

    def __init__(self, flat):
        self.flat = flat

    def swap(self):
        f = self.flat
        kept = f.values.clone()
        f.values.copy_(f.ema)
        f.ema.copy_(kept)
        for n, b in f.buffers.items():
            kept = b.clone()
            b.copy_(f.ema_buffers[n])
            f.ema_buffers[n].copy_(kept)

    def __enter__(self):
        self.swap()
        self.flat.model.eval()

    def __exit__(self, *_):
        self.swap()
        self.flat.model.train()


class Graph:
    """function(batch) -> {name: tensor}, captured as a CUDA graph at the first batch; a call copies the batch in and replays. The
    results are the same tensors every time."""

    def __init__(self, function, batch):
        self.batch = {k: v.clone() for k, v in batch.items()}
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                function(self.batch)
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.results = function(self.batch)

    def __call__(self, batch):
        for k, v in batch.items():
            self.batch[k].copy_(v, non_blocking=True)
        self.graph.replay()
        return self.results


class Ahead:
    """next() of scenes, one batch ahead on a second stream. Batches are dicts of tensors."""

    def __init__(self, scenes, device, side):
        self.scenes, self.device = scenes, device
        self.stream = torch.cuda.Stream(device) if side and device.type == "cuda" else None
        self.waiting = None

    def make(self):
        with torch.no_grad():
            return {k: v for k, v in self.scenes.next().items() if torch.is_tensor(v)}

    def next(self):
        """The batch that is ready. fill() makes the next one: to be called when the step on this one is under way, since making
        pictures may wait for the device."""
        if self.stream is None:
            return self.make()
        main = torch.cuda.current_stream(self.device)
        if self.waiting is None:
            self.stream.wait_stream(main)  # what the scenes were made of
            self.fill()
        main.wait_stream(self.stream)
        batch, self.waiting = self.waiting, None
        for t in batch.values():
            t.record_stream(main)
        return batch

    def fill(self):
        if self.stream is not None:
            with torch.cuda.stream(self.stream):
                self.waiting = self.make()


class Memory:
    """next() of scenes, each picture used about `reuse` times: the last `size` batches are kept on the device and mixed, `vary`
    turns a drawn batch into another view of the same scenes."""

    def __init__(self, scenes, reuse, size, vary, seed, device):
        self.scenes, self.reuse, self.size, self.vary = scenes, reuse, size, vary
        self.kept, self.count, self.calls = None, 0, 0
        self.generator = torch.Generator(device=device).manual_seed(seed)

    def next(self):
        if self.calls % self.reuse == 0 or self.kept is None:
            batch = {k: v for k, v in self.scenes.next().items() if torch.is_tensor(v)}
            n = len(batch["image"])
            if self.kept is None:
                self.kept = {k: v.new_empty(self.size * n, *v.shape[1:]) for k, v in batch.items()}
            at = self.count % self.size * n
            for k, v in batch.items():
                self.kept[k][at : at + n] = v
            self.count += 1
        self.calls += 1
        n = len(self.kept["image"]) // self.size
        pick = torch.randint(min(self.count, self.size) * n, (n,), generator=self.generator, device=self.generator.device)
        return self.vary({k: v[pick] for k, v in self.kept.items()}, self.generator)


class Clock:
    """Where the run is in its time. Progress 0..1 over all pieces drives the schedule."""

    def __init__(self, args, seconds_before):
        self.before = seconds_before
        self.begin = time.monotonic()
        self.end = STARTED + 60 * args.minutes
        piece = max(1.0, self.end - self.begin)
        self.total = 60 * args.total_minutes if args.total_minutes and not args.final else seconds_before + piece
        self.paused = 0.0
        self.reserve = 12.0  # seconds for the last measures and the last save; grows with what they are seen to take

    def trained(self):
        return self.before + time.monotonic() - self.begin - self.paused

    def progress(self):
        return min(1.0, self.trained() / max(1e-9, self.total - self.paused - self.reserve))

    def left(self):
        return self.end - time.monotonic() - self.reserve


def rate_at(args, progress, steps, steps_here):
    """Learning rate: warm-up (short after a resume), flat, then a cosine down to min-lr."""
    warm = min(1.0, (steps + 1) / max(1, args.warmup), (steps_here + 1) / 20 if steps > args.warmup else 1.0)
    x = max(0.0, (progress - args.flat) / max(1e-9, 1 - args.flat))
    return args.lr * warm * (args.min_lr + (1 - args.min_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, x))))


class Trainer:
    """task: name, model (module in train mode), loss(batch) -> (total, {name: detached scalar}), evaluate() -> {name: number}
    (rank 0, averaged weights), no_decay(name), load(path), progress(part), config (dict), scenes(seed), channels_last."""

    def __init__(self, args, world, task):
        self.args, self.world, self.task = args, world, task
        self.flat = Flat(task.model, task.no_decay, task.channels_last)
        if args.muon:
            self.flat.use_muon(task.matrices)
        self.samples, self.pieces, before = 0, 0, 0.0
        parts, meta = load_state(args.state, task.name)
        if parts:
            if json.loads(meta["config"]) != task.config:
                raise ValueError(f"{args.state}: state of {meta['config']}, asked for {json.dumps(task.config)}")
            self.flat.restore(parts)
            self.flat.steps, self.samples, self.pieces = int(meta["steps"]), int(meta["samples"]), int(meta["pieces"])
            before = float(meta["seconds"])
            args.run_id = args.run_id or meta["run_id"]
        elif args.from_weights:
            self.flat.begin(*task.load(args.from_weights))
        args.run_id = args.run_id or f"{task.name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-s{args.seed}"
        if world.size > 1:
            dist.broadcast(self.flat.values, 0)
        self.clock = Clock(args, before)
        self.log_file, self.graphs = None, None
        if world.rank == 0:
            os.makedirs(args.out, exist_ok=True)
            self.log_file = open(os.path.join(args.out, f"{task.name}.log.ndjson"), "a", buffering=1)

    def log(self, **line):
        if self.log_file:
            text = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in line.items()})
            self.log_file.write(text + "\n")
            print(text, flush=True)

    def save(self):
        if self.world.rank == 0:
            meta = dict(
                steps=self.flat.steps, samples=self.samples, pieces=self.pieces + 1, seconds=self.clock.trained(), config=json.dumps(self.task.config),
                generation=self.samples, run_id=self.args.run_id, torch=torch.__version__,
            )  # fmt: skip
            return save_state(self.args.state, self.task.name, self.flat.parts(), meta)

    def measure(self):
        """Held-out measures with the averaged weights on rank 0. Time spent is no training time."""
        began = time.monotonic()
        if self.world.rank == 0:
            # an evaluation is short: it is not worth compiling for
            with torch.no_grad(), averaged(self.flat), torch.compiler.set_stance("force_eager"):
                found = self.task.evaluate()
            self.log(step=self.flat.steps, trained_s=self.clock.trained(), held_out=True, **found)
        took = time.monotonic() - began
        self.clock.paused += took
        self.clock.reserve = max(self.clock.reserve, 5 + 1.5 * took)

    def gradient(self, batch):
        total, terms = self.task.loss(batch)
        total.backward()
        return dict(terms, loss=total.detach())

    def one_step(self, batch, lr):
        a = self.args
        self.flat.set_rates(lr, 0.9, a.beta2, a.ema)
        update = lambda _: dict(grad=self.flat.update(0.9, a.beta2, a.weight_decay, a.clip))
        if not a.graph or self.world.device.type != "cuda":
            terms = self.gradient(batch)
            self.world.mean(self.flat.grads)
            return dict(terms, **update(None))
        if self.graphs is None:
            with torch.no_grad():
                kept = [t.clone() for t in self.flat.everything()]
            self.graphs = [Graph(self.gradient, batch), Graph(update, {})]
            with torch.no_grad():
                for t, k in zip(self.flat.everything(), kept):
                    t.copy_(k)
                self.flat.grads.zero_()
        terms = self.graphs[0](batch)
        self.world.mean(self.flat.grads)
        return dict(terms, **self.graphs[1]({}))

    def steps(self, batch, lr):
        """A step for each of --parts pieces of a batch; the last one's terms."""
        for part in range(self.args.parts):
            terms = self.one_step({k: v[part :: self.args.parts] for k, v in batch.items()}, lr)
        return terms

    def scenes(self, seed):
        """What makes pictures, and what hands them out: itself, or a memory of them."""
        a = self.args
        source = self.task.scenes(seed)
        return source, Memory(source, a.reuse, a.memory, self.task.vary, seed, self.world.device) if a.reuse > 1 else source

    def run(self):
        a, w = self.args, self.world
        seed = (a.seed * 1000 + self.pieces) * 64 + w.rank
        torch.manual_seed(seed)
        began = time.monotonic()
        source, scenes = self.scenes(seed)
        since_scenes = time.monotonic() - began
        ahead = Ahead(scenes, w.device, a.side_stream)
        saved = measured = since = time.monotonic()
        progress, stop, sums, count, here = 0.0, False, {}, 0, 0
        self.log(start=a.run_id, steps=self.flat.steps, trained_s=self.clock.before, gpus=w.size, config=self.task.config, batch=a.batch, lr=a.lr)
        while True:
            if here % TALK_EVERY == 0:
                now = time.monotonic()
                over = self.clock.left() <= 0 or (a.max_steps and here >= a.max_steps)
                progress, stop, save, measure = w.agree([self.clock.progress(), over, now - saved > SAVE_SECONDS, now - measured > EVAL_SECONDS])
                if stop:
                    break
                if a.easy:
                    source.ease = max(0.0, 1 - progress / a.easy)
                self.task.progress(progress)
                if save:
                    self.save()
                    saved = now
                if measure:
                    self.measure()
                    measured = time.monotonic()
            lr = rate_at(a, progress, self.flat.steps, here)
            terms = self.steps(ahead.next(), lr)
            ahead.fill()
            if here == 0:
                first = time.monotonic() - since
            here += 1
            count += 1
            self.samples += a.batch * w.size
            for k, v in terms.items():
                sums[k] = sums[k] + v if k in sums else v.clone()
            if here % LOG_EVERY == 0:
                now = time.monotonic()
                means = {k: (v / count).item() for k, v in sums.items()}
                rate = count * a.batch * w.size / (now - since)
                extra = dict(first_step_s=first, scenes_s=since_scenes) if here == LOG_EVERY else {}
                self.log(step=self.flat.steps, samples_s=round(rate, 1), **extra, lr=lr, progress=progress, skipped=self.flat.skipped.item(), **means)
                sums, count, since = {}, 0, time.monotonic()
        sizes = self.save()
        self.measure()
        self.log(done=True, step=self.flat.steps, samples=self.samples, trained_s=self.clock.trained(), state_bytes=sizes, left_s=self.clock.end - time.monotonic())

    def bench(self, rounds=30):
        """Samples a second of the scenes alone, the step alone (one batch again and again), and both."""
        w, a = self.world, self.args
        _, scenes = self.scenes(a.seed)
        wait = (lambda: torch.cuda.synchronize(w.device)) if w.device.type == "cuda" else (lambda: None)

        def clocked(name, once):
            for _ in range(3):
                once()
            wait()
            began = time.monotonic()
            for _ in range(rounds):
                once()
            wait()
            took = (time.monotonic() - began) / rounds
            extra = torch.cuda.max_memory_allocated(w.device) / 2**30 if w.device.type == "cuda" else 0
            print(f"{name:8} {a.batch / took:10.1f} samples/s a GPU  {1000 * took:8.2f} ms a step  {extra:6.2f} GiB", flush=True)

        clocked("scenes", scenes.next)
        batch = {k: v for k, v in scenes.next().items() if torch.is_tensor(v)}
        clocked("step", lambda: self.steps(batch, 1e-6))
        ahead = Ahead(scenes, w.device, a.side_stream)

        def both():
            self.steps(ahead.next(), 1e-6)
            ahead.fill()

        clocked("both", both)


def main(task_class, args):
    world = World(args.device)
    if world.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")  # TF32: hands move by less than 0.1 mm, pictures come faster
    if args.compile:
        torch._dynamo.config.suppress_errors = True  # where there is no compiler the step runs as it is
    try:
        trainer = Trainer(args, world, task_class(args, world))
        trainer.bench() if args.bench else trainer.run()
    finally:
        world.close()
    sys.stdout.flush()
