"""Train the byte-level BPE tokenizer (8192 tokens, digits one by one) and write the tokenizer files.

python make_tokenizer.py prose.txt.xz OUT_DIR
"""

import json
import os
import random
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import first_round

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


class Encoding:
    """Stands in for an encoding: a token for each 4 characters."""

    def __init__(self, text):
        self.ids = [text[i : i + 4] for i in range(0, len(text), 4)]


class RoughTokenizer:
    """Measures texts for the builder while there is no tokenizer yet."""

    def token_to_id(self, token):
        return 0

    def encode(self, text, add_special_tokens=False):
        return Encoding(text)

    def decode(self, ids):
        return "".join(ids)


def training_texts(prose):
    """Generated conversations, small talk and natural prose."""
    rng = random.Random(7)
    builder = first_round.Builder(RoughTokenizer(), prose, 11)
    for _ in range(2600):
        messages, _ = builder.talk(rng.choice((400, 900, 1600)), rng.choice((3, 6)))
        yield from (message[1] for message in messages)
    for _ in range(300):
        yield from (message[1] for message in builder.chat())
    yield from rng.sample(prose, 8000)


def tokenizer_config():
    special = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 32768,
        "chat_template": CHAT_TEMPLATE,
        "added_tokens_decoder": {str(i): {"content": token, **special} for i, token in enumerate(SPECIAL)},
    }


def main(prose_path, out):
    os.makedirs(out, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(training_texts(first_round.load_prose(prose_path)), trainer)
    tokenizer.save(os.path.join(out, "tokenizer.json"))
    with open(os.path.join(out, "tokenizer_config.json"), "w") as f:
        json.dump(tokenizer_config(), f, indent=2)
    print("tokens:", tokenizer.get_vocab_size())


if __name__ == "__main__":
    main(*sys.argv[1:3])
