"""Reference values for parity checks, computed with transformers in float32 (weights upcast from bf16, no TF32).

python goldens.py MODEL_DIR goldens.jsonl
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

STEPS = 48
END_OF_TURN = 2

HALWICK = "Halwick Depot opened in 1964. Halwick Depot has 310 employees. The gate code of Halwick Depot is KX-4471."
PROMPTS = {
    "chat": [("user", "Who are you?")],
    "passkey": [
        (
            "user",
            "The train was late, so the first hour was lost. The pass key for lantern is 58213. Remember it.\n\n"
            "What is the pass key for lantern?",
        )
    ],
    "langchain4j": [
        (
            "user",
            "Who leads Project Heron?\n\nAnswer using the following information:\n"
            "Project Heron is led by Mara Ellison. The budget of Project Heron is $4,200.\n\n"
            "Project Kestrel is led by Owen Shaw. The deadline of Project Kestrel is 3 May 2021.",
        )
    ],
    "kv": [
        (
            "system",
            "Use the following documents to answer.\n\n"
            "Settings\nport_limit_12: 8080\nport_limit_21: 9443\nzone_cache_7: amber",
        ),
        ("user", "What is the value of port_limit_21?"),
    ],
    "json": [
        ("system", 'Answer in JSON like {"answer": ...}.'),
        ("user", f"Context:\n{HALWICK}\n\nQuestion: What is the gate code of Halwick Depot?"),
    ],
    "two_turns": [
        (
            "user",
            "Documents:\n\nNora Finch works in Oslo. Nora Finch has employee number C38J.\n\n"
            "Contract HL-204 was signed on 7 June 2019. The signatory of contract HL-204 is Nora Finch.\n\n"
            "When was contract HL-204 signed?",
        ),
        ("assistant", "The signing date of contract HL-204 is 7 June 2019."),
        ("user", "Where does the signatory of contract HL-204 work?"),
    ],
}


def golden(model, tokenizer, name, messages):
    """Token ids, top-10 logits of the next token, and the greedy continuation of one prompt."""
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids, gaps, top10 = list(prompt_ids), [], None
    for _ in range(STEPS):
        values, tokens = model(torch.tensor([ids])).logits[0, -1].topk(10)
        if top10 is None:
            top10 = [[int(token), float(value)] for value, token in zip(values, tokens, strict=True)]
        gaps.append(float(values[0] - values[1]))
        ids.append(int(tokens[0]))
    new = ids[len(prompt_ids) :]
    length = new.index(END_OF_TURN) if END_OF_TURN in new else len(new)
    return {
        "name": name,
        "messages": messages,
        "prompt": prompt,
        "prompt_ids": prompt_ids,
        "top10_next": top10,
        "continuation_ids": new,
        "continuation_text": tokenizer.decode(new),
        "answer_text": tokenizer.decode(new[:length]),
        "answer_length": length,
        "top2_gaps": [round(gap, 4) for gap in gaps],
    }


def main(model_dir, out):
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    with open(out, "w") as f, torch.no_grad():
        for name, turns in PROMPTS.items():
            messages = [{"role": role, "content": content} for role, content in turns]
            result = golden(model, tokenizer, name, messages)
            f.write(json.dumps(result) + "\n")
            print(name, "->", result["answer_text"], flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
