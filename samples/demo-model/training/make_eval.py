"""Write the evaluation sets as JSON lines.

    python make_eval.py prose.txt.xz TOKENIZER_DIR OUT_DIR            cases.jsonl and familiar.jsonl (first round)
    python make_eval.py prose.txt.xz TOKENIZER_DIR OUT_DIR heldout2   heldout2.jsonl (second round, handwritten.py)

cases.jsonl     190 held-out cases: held-out names and places, held-out question phrasings and instructions
familiar.jsonl  fresh documents and questions in the style of the first round's training data
heldout2.jsonl  held-out names, question forms, answer instructions, verbs, attributes and a held-out genre (zoo guide) of
                the second round, and small handwritten documents with free questions (type "hand": scored by "contains")
"""

import json
import sys

from tokenizers import Tokenizer

import first_round
import second_round
from handwritten import DOCUMENTS

TEMPLATE_TOKENS = 68  # room for the chat template and the answer

TYPES = (
    "single similar two_values two_hop kv passkey not_stated newgenre value_only json unseen_attr reverse quote"
).split()
FAMILIAR_TYPES = "kv two_hop similar json two_values passkey not_stated value_only reverse quote misc".split()
SECOND_TYPES = "single newattr event reverse two_hop not_stated value_only json zoo follow_up".split()


def familiar_jobs():
    """(split, type, length, seed) of fresh cases; seeds count over all splits, so the list is fixed."""
    jobs = []

    def add(split, kind, counts):
        for length, count in counts:
            for _ in range(count):
                jobs.append((split, kind, length, len(jobs)))

    add("seen", "single", ((1024, 60), (4096, 60), (8192, 50), (16384, 20), (32768, 20)))
    add("names", "single", ((1024, 60), (4096, 60)))
    add("phrasing", "single", ((1024, 60), (4096, 60)))
    for kind in FAMILIAR_TYPES:
        add("seen", kind, ((1024, 40), (4096, 40), (8192, 24), (16384, 8), (32768, 8)))
    return jobs


def build(tokenizer, prose, job):
    """The case of a job of `familiar_jobs`."""
    split, kind, length, seed = job
    builder = first_round.Builder(
        tokenizer, prose, 7000000 + seed, held=split == "phrasing", held_names=split == "names"
    )
    return builder.eval_case(length - TEMPLATE_TOKENS, kind)


def write(path, cases):
    """cases: (id, case) pairs"""
    with open(path, "w") as f:
        for name, case in cases:
            f.write(json.dumps({"id": name, **case}, ensure_ascii=False) + "\n")


def held_out_cases(tokenizer, prose):
    builder = first_round.Builder(tokenizer, prose, 424242, held=True)
    for length, count in ((1024, 60), (4096, 60), (8192, 50), (16384, 30)):
        for i in range(count):
            kind = "single" if i % 5 == 0 else TYPES[(i - i // 5) % len(TYPES)]
            case = builder.eval_case(length - TEMPLATE_TOKENS, kind)
            if kind != "quote":  # its answer's length is arbitrary, so an exact match says little
                yield f"{length // 1024}k-{i:03d}", case


def familiar_cases(tokenizer, prose):
    keep = {1024: 3, 4096: 3, 8192: 3, 16384: 2, 32768: 1}
    count = {}
    for job in familiar_jobs():
        split, kind, length, _ = job
        if split != "seen" or kind == "quote":
            continue
        number = count[kind, length] = count.get((kind, length), 0) + 1
        if number <= keep[length] * (3 if kind == "single" else 1):
            yield f"f{length // 1024}k-{kind}-{number}", build(tokenizer, prose, job)


def second_round_cases(tokenizer, prose):
    builder = second_round.Builder2(tokenizer, prose, 808080, held=True)
    for length, count in ((1024, 5), (4096, 5), (8192, 3), (16384, 1)):
        for kind in SECOND_TYPES:
            for i in range(count):
                yield f"h{length // 1024}k-{kind}-{i}", builder.case2(length - TEMPLATE_TOKENS, kind)
    for k, (document, questions) in enumerate(DOCUMENTS):
        for i, (question, value) in enumerate(questions):
            after = f"{document}\n\n{question}"
            before = f"{question}\n\nAnswer using the following information:\n{document}"
            content = after if (k + i) % 2 else before
            answer = value or first_round.NOT_STATED
            yield (
                f"hand-{k}-{i}",
                {
                    "type": "hand" if value else "hand_not_stated",
                    "context_tokens": len(builder.tokens([("user", content)])[0]) + builder.open_len,
                    "messages": [{"role": "user", "content": content}],
                    "answer": answer,
                    "value": answer,
                },
            )


def main(prose_path, tokenizer_dir, out, which="first"):
    tokenizer = Tokenizer.from_file(tokenizer_dir + "/tokenizer.json")
    prose = first_round.load_prose(prose_path)
    if which == "heldout2":
        write(out + "/heldout2.jsonl", second_round_cases(tokenizer, prose))
    else:
        write(out + "/cases.jsonl", held_out_cases(tokenizer, prose))
        write(out + "/familiar.jsonl", familiar_cases(tokenizer, prose))


if __name__ == "__main__":
    main(*sys.argv[1:])
