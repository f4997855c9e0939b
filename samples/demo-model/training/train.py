"""Train the Skim demo model. Row lengths and learning rate follow training time, so the schedule fits any GPU.

    python train.py --prose prose.txt.xz --tok TOKENIZER_DIR --state state.pt --out OUT --seconds 500 --total 700

--data 1: rows of first_round.py; --data 2: rows of second_round.py, a share --old of them from first_round.py.
Workers send batches through one pipe each; a worker that ends is started again, and a row that fails is skipped.
For a trial without a GPU: --device cpu --compile 0 --batch 2048 --workers 2.
"""

import argparse
import math
import multiprocessing as mp
import os
import queue
import random
import threading
import time
import traceback
from multiprocessing import connection

CONTEXT = 32768
ANSWER, TEXT = 2, 1  # loss classes of tokens

# until this fraction of training: share of batches by row length
START = [
    (0.05, {256: 0.6, 512: 0.4}),
    (0.15, {256: 0.2, 512: 0.35, 1024: 0.45}),
    (0.30, {512: 0.2, 1024: 0.35, 2048: 0.45}),
    (0.45, {512: 0.1, 1024: 0.2, 2048: 0.35, 4096: 0.35}),
    (0.60, {512: 0.1, 1024: 0.15, 2048: 0.2, 4096: 0.3, 8192: 0.25}),
]
LENGTHS = {
    1: START
    + [
        (0.80, {512: 0.08, 1024: 0.14, 2048: 0.15, 4096: 0.2, 8192: 0.2, 16384: 0.15, 32768: 0.08}),
        (9.0, {512: 0.08, 1024: 0.12, 2048: 0.12, 4096: 0.16, 8192: 0.18, 16384: 0.17, 32768: 0.17}),
    ],
    2: START
    + [
        (0.80, {512: 0.10, 1024: 0.15, 2048: 0.15, 4096: 0.2, 8192: 0.19, 16384: 0.14, 32768: 0.07}),
        (9.0, {512: 0.11, 1024: 0.14, 2048: 0.13, 4096: 0.16, 8192: 0.18, 16384: 0.15, 32768: 0.13}),
    ],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prose", required=True, help="what prepare_prose.py wrote")
    parser.add_argument("--tok", required=True, help="folder with tokenizer.json")
    parser.add_argument("--state", default="state.pt", help="where the run is kept; it goes on from there")
    parser.add_argument("--out", default="out", help="folder for the model")
    parser.add_argument("--init", default="", help="safetensors file to start from")
    parser.add_argument("--data", type=int, default=1, choices=(1, 2), help="round of the data")
    parser.add_argument("--old", type=float, default=0.35, help="share of first-round rows in the second round")
    parser.add_argument("--seconds", type=float, default=500.0, help="limit of this call, start-up included")
    parser.add_argument("--total", type=float, default=700.0, help="training time of the whole run")
    parser.add_argument("--done", type=float, default=0.0, help="what counts as done at the start")
    parser.add_argument("--batch", type=int, default=65536, help="tokens in a batch, whatever the row length")
    parser.add_argument("--lr", type=float, default=0.012, help="peak learning rate of the matrices (Muon)")
    parser.add_argument("--elr", type=float, default=0.003, help="peak learning rate of the embedding (AdamW)")
    parser.add_argument("--clip", type=float, default=5.0, help="gradient norm of embedding and norms")
    parser.add_argument("--lambda0", type=float, default=1.0, help="weight of the text's loss at the start")
    parser.add_argument("--lambda1", type=float, default=0.3, help="and from 40 %% of the run on")
    parser.add_argument("--exportevery", type=float, default=100.0, help="seconds between exports")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", type=int, default=1)
    return parser.parse_args()


# ------------------------------------------------------------------- data
def positions(rng, length, used, may_jump):
    """Row positions; sometimes with jumps, so that short rows also show long distances."""
    import numpy as np

    result = np.arange(length, dtype=np.int32)
    if may_jump and rng.random() < 0.35:
        room = CONTEXT - length
        for _ in range(rng.choice((1, 2, 3))):
            gap = int(room * rng.random() ** 2)
            result[rng.randrange(1, max(2, used)) :] += gap
            room -= gap
    return result


def worker(number, seed, args, fraction, pipe):
    """Make batches for ever: (row length, token ids, loss classes, positions), each array [rows][row length]."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import numpy as np
    from tokenizers import Tokenizer

    import first_round

    os.nice(5)
    tokenizer = Tokenizer.from_file(os.path.join(args.tok, "tokenizer.json"))
    prose = first_round.load_prose(args.prose)
    if args.data == 2:
        import second_round

        builder = second_round.Builder2(tokenizer, prose, seed * 1000 + number, old=args.old)
    else:
        builder = first_round.Builder(tokenizer, prose, seed * 1000 + number)
    rng = random.Random(seed * 7919 + number)
    failures = 0
    while True:
        done = fraction.value
        mix = next(shares for until, shares in LENGTHS[args.data] if done < until)
        mix = {length: share for length, share in mix.items() if length <= args.batch}
        length = rng.choices(list(mix), list(mix.values()))[0]
        rows = args.batch // length
        ids = np.zeros((rows, length), np.uint16)
        classes = np.zeros((rows, length), np.uint8)
        places = np.zeros((rows, length), np.int32)
        row = 0
        while row < rows:
            try:
                row_ids, row_classes = builder.row(length)
            except Exception:
                failures += 1
                if failures <= 3:
                    traceback.print_exc()
                continue
            used = len(row_ids)
            ids[row, :used], classes[row, :used] = row_ids, row_classes
            places[row] = positions(rng, length, used, length <= 4096 and done > 0.1)
            row += 1
        pipe.send((length, ids, classes, places))


class Feed:
    """Batches from worker processes: one pipe a worker, read by one thread."""

    def __init__(self, args, fraction):
        self.context, self.args, self.fraction = mp.get_context("fork"), args, fraction
        self.batches, self.workers, self.started = queue.Queue(64), {}, 0
        for number in range(args.workers):
            self.start(number)

    def begin(self):
        """Start reading; only after numpy and torch are imported, since two threads importing numpy at once can fail."""
        threading.Thread(target=self.read, daemon=True).start()

    def start(self, number):
        mine, theirs = self.context.Pipe(duplex=False)
        seed = self.args.seed + 100 * (self.started // self.args.workers)
        process = self.context.Process(
            target=worker, args=(number, seed, self.args, self.fraction, theirs), daemon=True
        )
        process.start()
        theirs.close()
        self.started += 1
        self.workers[mine] = (number, process)

    def read(self):
        while True:
            for pipe in connection.wait(list(self.workers), timeout=5):
                try:
                    batch = pipe.recv()
                except (EOFError, OSError):
                    number, process = self.workers.pop(pipe)
                    print(f"worker {number} ended, exit code {process.exitcode}", flush=True)
                    if self.started < 4 * self.args.workers:
                        self.start(number)
                    continue
                self.batches.put(batch)

    def state(self):
        alive = sum(process.is_alive() for _, process in self.workers.values())
        return f"{alive} workers alive, {self.batches.qsize()} batches waiting"

    def stop(self):
        for _, process in list(self.workers.values()):
            process.terminate()


# ------------------------------------------------------------------- training
def muon(gradient, momentum, beta=0.95, steps=5):
    """Muon's update: the gradient with momentum, orthogonalised by Newton-Schulz iterations."""
    momentum.mul_(beta).add_(gradient)
    x = gradient.add(momentum, alpha=beta).bfloat16()
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).to(gradient.dtype)


class Trainer:
    """Weights, optimisers and one training step."""

    def __init__(self, args, saved):
        import torch

        import model

        self.torch, self.model, self.args = torch, model, args
        device = args.device
        if saved:
            self.weights = {name: w.to(device) for name, w in saved["weights"].items()}
        elif args.init:
            self.weights = model.load(args.init, device, torch.float32)
        else:
            self.weights = model.init(device)
        for w in self.weights.values():
            w.requires_grad_()
        self.momentum = {
            name: saved["momentum"][name].to(device) if saved else torch.zeros_like(self.weights[name])
            for name in model.MATRICES
        }
        self.others = [w for name, w in self.weights.items() if name not in model.MATRICES]
        norms = [self.weights[name] for name in ("n1", "n2", "nf")]
        self.adam = torch.optim.AdamW(
            [{"params": [self.weights["emb"]]}, {"params": norms}],
            lr=1e-3,
            betas=(0.9, 0.97),
            eps=1e-9,
            weight_decay=0.0,
            fused=device == "cuda",
        )
        if saved:
            self.adam.load_state_dict(saved["adam"])
        self.cos, self.sin = model.rope_tables(device)
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cuda.enable_flash_sdp(False)  # cuDNN attention is the fastest here

        def compiled(function):
            return torch.compile(function, dynamic=False, fullgraph=True) if args.compile else function

        self.before_attention = compiled(model.before_attention)
        self.after_attention = compiled(model.after_attention)
        self.head_loss = compiled(model.head_loss)

    def synchronize(self):
        if self.args.device == "cuda":
            self.torch.cuda.synchronize()

    def to_device(self, batch):
        """(row length, ids, targets, target classes, positions), flat; a row's last token has no target."""
        length, *arrays = batch
        ids, classes, places = (array.to(self.args.device, non_blocking=True) for array in arrays)
        ids = ids.long()
        targets, target_classes = self.torch.roll(ids, -1), self.torch.roll(classes, -1)
        target_classes.view(-1, length)[:, -1] = 0
        return length, ids, targets, target_classes, places

    def hidden(self, ids, places, rows, length):
        """Output of the last layer, [tokens][width]."""
        x = self.torch.nn.functional.embedding(ids, self.weights["emb"]).bfloat16()
        cos, sin = self.cos[places], self.sin[places]
        layers = {name: self.weights[name].unbind(0) for name in (*self.model.MATRICES, "n1", "n2")}
        for i in range(self.model.LAYERS):
            q, k, v = self.before_attention(x, *(layers[n][i] for n in ("n1", "wq", "wk", "wv")), cos, sin)
            attended = self.model.attend(q, k, v, rows, length)
            x = self.after_attention(x, attended, *(layers[n][i] for n in ("wo", "n2", "wg", "wu", "wd")))
        return x

    def step(self, batch, rate, text_weight):
        """One update at `rate` of the peak learning rates; (row length, mean loss of answers, mean loss of text)."""
        torch, args = self.torch, self.args
        length, ids, targets, classes, places = self.to_device(batch)
        answer, text = classes == ANSWER, classes == TEXT
        token_weights = answer / answer.sum().clamp(min=100) + text_weight * text / text.sum().clamp(min=100)
        x = self.hidden(ids, places, args.batch // length, length)
        loss, entropy = self.head_loss(x, self.weights["nf"], self.weights["emb"], targets, token_weights)
        loss.backward()
        with torch.no_grad():
            for name, (rows, columns) in self.model.MATRICES.items():
                w = self.weights[name]
                update = muon(w.grad, self.momentum[name])
                w.mul_(1 - args.lr * rate * 0.02).add_(update, alpha=-args.lr * rate * max(1.0, rows / columns) ** 0.5)
                w.grad = None
        torch.nn.utils.clip_grad_norm_(self.others, args.clip)
        self.adam.param_groups[0]["lr"], self.adam.param_groups[1]["lr"] = args.elr * rate, 0.6 * args.elr * rate
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

        def mean(mask):
            return (entropy * mask).sum() / mask.sum().clamp(min=1)

        return length, mean(answer), mean(text)

    def save(self, step, done):
        folder = os.path.dirname(self.args.state)
        if folder:
            os.makedirs(folder, exist_ok=True)
        state = {
            "weights": {name: w.detach().cpu() for name, w in self.weights.items()},
            "momentum": {name: m.cpu() for name, m in self.momentum.items()},
            "adam": self.adam.state_dict(),
            "step": step,
            "done": done,
        }
        self.torch.save(state, self.args.state)


def pin_batches(feed, pinned, model, device):
    """Move batches from the feed to `pinned` as flat tensors in page-locked memory, for ever."""
    import torch

    while True:
        length, ids, classes, places = feed.batches.get()
        if int(ids.max()) >= model.VOCAB or int(places.max()) >= model.CONTEXT:
            print("a bad batch was dropped", flush=True)
            continue
        arrays = ((ids, "int32"), (classes, "uint8"), (places, "int64"))
        flat = [torch.from_numpy(array.astype(kind)).view(-1) for array, kind in arrays]
        pinned.put((length, *(t.pin_memory() if device == "cuda" else t for t in flat)))


def report(losses, used, step, fraction, tokens):
    """One line: progress, speed, and the losses of answers and text by row length."""
    by_length = {}
    for length, answer, text in losses:
        by_length.setdefault(length, []).append((float(answer), float(text)))
    means = " ".join(
        f"{length}:{sum(a for a, _ in pairs) / len(pairs):.3f}/{sum(t for _, t in pairs) / len(pairs):.2f}"
        for length, pairs in sorted(by_length.items())
    )
    print(f"{used:6.1f}s step {step} of the run {fraction:.3f} {tokens / used / 1e3:.0f}k tok/s | {means}", flush=True)


def main():
    args = arguments()
    called = time.time()
    fraction = mp.Value("d", args.done / args.total)
    feed = Feed(args, fraction)  # before torch: the workers are forked from a small process

    import torch

    import model

    saved = torch.load(args.state, map_location="cpu") if os.path.exists(args.state) else None
    done = saved["done"] if saved else args.done
    fraction.value = done / args.total
    feed.begin()
    trainer = Trainer(args, saved)
    pinned = queue.Queue(6)
    threading.Thread(target=pin_batches, args=(feed, pinned, model, args.device), daemon=True).start()

    first_step = step = saved["step"] if saved else 0
    start, used, tokens, last_report, last_export, waits = None, 0.0, 0, 0.0, 0.0, 0
    losses, copying = [], []  # copying: pinned batches whose copy may still be under way
    while True:
        try:
            batch = pinned.get(timeout=20)
        except queue.Empty:
            waits += 1
            print(f"no batch for 20 s: {feed.state()}", flush=True)
            if step == first_step:
                os._exit(3)
            if waits < 4:
                continue
            break
        copying.append(batch)
        fraction.value = now = min(1.0, (done + used) / args.total)
        warm_up = 1.0 if saved else min(1.0, (step - first_step + 1) / 150)
        rate = warm_up * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * now)))
        text_weight = args.lambda0 + (args.lambda1 - args.lambda0) * min(1.0, now / 0.4)
        losses.append(trainer.step(batch, rate, text_weight))
        step += 1
        tokens += args.batch
        if step % 4 == 0:
            trainer.synchronize()
            copying.clear()
        if start is None:
            if step >= first_step + 3:  # compiled
                trainer.synchronize()
                start, tokens = time.time(), 0
                print(f"ready after {start - called:.1f} s", flush=True)
            continue
        used = time.time() - start
        if used - last_report > (10 if used < 60 else 20):
            report(losses, used, step, now, tokens)
            losses, last_report = [], used
        if used - last_export > args.exportevery:
            model.export(trainer.weights, args.out, args.tok)
            last_export = used
        if time.time() - called > args.seconds or done + used >= args.total:
            break
    trainer.synchronize()
    model.export(trainer.weights, args.out, args.tok)
    done += used
    trainer.save(step, done)
    print(f"saved: step {step}, trained {done:.0f} s, call {time.time() - called:.0f} s", flush=True)
    feed.stop()
    os._exit(0)  # threads may still wait for batches


if __name__ == "__main__":
    main()
