"""Greedy-generation accuracy by question type and context length, and on JSON-lines case files.

    python evaluate.py --model DIR --prose prose.txt.xz --out results.json \\
        --files cases=../eval/cases.jsonl heldout2=../eval/heldout2.jsonl

Beside the files, fresh cases are made: "held" (first-round held-out names, phrasings, instructions and genre together) and
"seen" (fresh documents in the first round's style). --scale sets the share of the "held" cases; 0: files only.
"""

import argparse
import json
import multiprocessing as mp
import os
import time

LENGTHS = ((1024, 64), (4096, 64), (8192, 50), (16384, 20), (32768, 20))
TOKENS_IN_A_BATCH = 300_000
TEMPLATE_TOKENS = 68

generator = {}  # of a worker process: tokenizer and prose


def start_worker(prose_path, model_dir):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    from tokenizers import Tokenizer

    import first_round

    generator["tokenizer"] = Tokenizer.from_file(model_dir + "/tokenizer.json")
    generator["prose"] = first_round.load_prose(prose_path)


def fresh_case(job):
    """A case as in the files, with the fields kind and length, for a job (kind, length, seed) or one of make_eval."""
    import first_round
    import make_eval

    tokenizer, prose = generator["tokenizer"], generator["prose"]
    if len(job) == 4:
        split, kind, length, _ = job
        case, kind = make_eval.build(tokenizer, prose, job), f"{split}:{kind}"
    else:
        kind, length, seed = job
        builder = first_round.Builder(tokenizer, prose, 5000000 + seed, held=True)
        case = builder.eval_case(length - TEMPLATE_TOKENS, kind)
    return {**case, "kind": kind, "length": length}


def fresh_cases(args):
    import make_eval

    jobs = []
    for k, kind in enumerate([*make_eval.TYPES, "chat"]):
        if kind == "quote":
            continue
        for j, (length, count) in enumerate(LENGTHS[:1] if kind == "chat" else LENGTHS):
            wanted = int(args.scale * count * (2 if kind == "single" else 1))
            jobs += [(kind, length, k * 100000 + j * 1000 + i) for i in range(wanted)]
    jobs += [job for job in make_eval.familiar_jobs() if job[0] == "seen" and job[1] != "quote"]
    jobs.sort(key=lambda job: -job[-2])
    with mp.Pool(args.procs, start_worker, (args.prose, args.model)) as pool:
        return pool.map(fresh_case, jobs, chunksize=4)


class Evaluator:
    """A model of one weight type that answers cases."""

    def __init__(self, model_dir, device, dtype):
        import torch
        from tokenizers import Tokenizer

        import first_round
        import model

        torch.backends.cuda.enable_cudnn_sdp(False)  # it builds a plan for every new shape
        torch.backends.cuda.matmul.allow_tf32 = False
        self.model = model
        self.weights = model.load(model_dir + "/model.safetensors", device, getattr(torch, dtype))
        self.tables = model.rope_tables(device)
        self.tokenizer = Tokenizer.from_file(model_dir + "/tokenizer.json")
        self.builder = first_round.Builder(self.tokenizer, ["x"], 0)

    def prompt(self, case):
        turns = [(m["role"], m["content"]) for m in case["messages"]]
        return self.builder.tokens(turns)[0] + [self.builder.S] + self.builder.encode("assistant\n")

    def answers(self, cases):
        """Answers in the cases' order; prompts of like length share a batch."""
        prompts = [self.prompt(case) for case in cases]
        order = sorted(range(len(cases)), key=lambda i: len(prompts[i]))
        result = [""] * len(cases)
        at = 0
        while at < len(order):
            end = at + 1
            while end < len(order) and (end + 1 - at) * len(prompts[order[end]]) <= TOKENS_IN_A_BATCH:
                end += 1
            batch = order[at:end]
            outputs = self.model.generate(self.weights, [prompts[i] for i in batch], *self.tables)
            for i, output in zip(batch, outputs, strict=True):
                result[i] = self.tokenizer.decode(output)
            at = end
        return result


def scores(output, case):
    """(exact, contains the value)"""
    exact = output.strip() == case["answer"].strip()
    value = case["value"]
    return exact, exact or (value is not None and value.lower() in output.lower())


def tally(cases, outputs, groups):
    """{group: [exact, contains, cases]}; groups: case -> names of its groups"""
    counts = {}
    for case, output in zip(cases, outputs, strict=True):
        exact, contains = scores(output, case)
        for group in groups(case):
            row = counts.setdefault(group, [0, 0, 0])
            row[0] += exact
            row[1] += contains
            row[2] += 1
    return counts


def file_groups(case):
    size = case["id"].split("-")[0].lstrip("fh")
    return case["type"], f"all at {size}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prose", required=True)
    parser.add_argument("--out", default="results.json")
    parser.add_argument("--files", nargs="*", default=[], metavar="NAME=PATH")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--procs", type=int, default=15)
    parser.add_argument("--device", default="cuda")
    args = parser.parse_args()

    start = time.time()
    fresh = fresh_cases(args) if args.scale > 0 else []
    print(f"{len(fresh)} cases ready after {time.time() - start:.0f} s", flush=True)
    result = {}
    for dtype in ("float32", "bfloat16"):
        evaluator = Evaluator(args.model, args.device, dtype)
        for name, path in (entry.split("=", 1) for entry in args.files):
            with open(path) as f:
                cases = [json.loads(line) for line in f]
            outputs = evaluator.answers(cases)
            counts = tally(cases, outputs, file_groups)
            ids = [case["id"] for case in cases]
            result[f"{name}, {dtype}"] = {"counts": counts, "outputs": dict(zip(ids, outputs, strict=True))}
            for group, (exact, contains, count) in sorted(counts.items()):
                print(f"{name} {dtype} {group}: exact {exact}, contains {contains} of {count}", flush=True)
    if fresh:
        outputs = evaluator.answers(fresh)
        counts = tally(fresh, outputs, lambda case: [f"{case['kind']} at {case['length'] // 1024}K"])
        result["fresh"] = counts
        for group, (exact, contains, count) in sorted(counts.items()):
            print(f"{group}: exact {exact}, contains {contains} of {count}", flush=True)
    with open(args.out, "w") as f:
        json.dump(result, f)
    print(f"evaluated in {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
