"""Times others' attention of one query a sequence beside that of attend.cu: bf16, heads of 128, graph replay.

PyTorch's reads contiguous keys and values; FlashInfer's, where it is installed, pages of 16 tokens in the order of attend.cu, at random.

Run:  python3 sdpa.py    (PyTorch 2.11 with CUDA; FlashInfer 0.6)
"""
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

BANDWIDTH = 4.3e12  # about what an H200 delivers: floors are bytes / BANDWIDTH
SHAPES = [(32, 8, 8192, 1), (32, 8, 32768, 1), (32, 8, 131072, 1), (32, 32, 2048, 1), (32, 32, 8192, 1), (32, 32, 32768, 1),
          (32, 32, 131072, 1), (32, 8, 32768, 8)]


PAGE = 16


def micros(run, calls):
    """Median of 10 replays of a graph of several calls."""
    run()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    times = []
    for _ in range(12):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) * 1e3 / calls)
    return sorted(times[2:])[5]


def copies_of(kv_heads, tokens, batch):
    """Caches that the calls read in turn, so that none is in the GPU's cache."""
    return max(1, -(-(240 << 20) // (2 * batch * kv_heads * tokens * 128 * 2)))


def pytorch(heads, kv_heads, tokens, batch, backend):
    copies = copies_of(kv_heads, tokens, batch)
    q = torch.randn(batch, heads, 1, 128, device="cuda", dtype=torch.bfloat16)
    caches = [torch.randn(2, batch, kv_heads, tokens, 128, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    calls = max(copies, 8)

    def run():
        for i in range(calls):
            k, v = caches[i % copies]
            scaled_dot_product_attention(q, k, v, enable_gqa=heads != kv_heads)

    with sdpa_kernel(backend):
        return micros(run, calls)


def flashinfer(heads, kv_heads, tokens, batch):
    from flashinfer import BatchDecodeWithPagedKVCacheWrapper

    copies, pages = copies_of(kv_heads, tokens, batch), tokens // PAGE
    q = torch.randn(batch, heads, 128, device="cuda", dtype=torch.bfloat16)
    out = torch.empty_like(q)
    caches = [torch.randn(batch * pages, 2, kv_heads, PAGE, 128, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    begins = torch.arange(batch + 1, dtype=torch.int32, device="cuda") * pages
    order = torch.randperm(batch * pages, device="cuda").to(torch.int32)
    last = torch.full((batch,), PAGE, dtype=torch.int32, device="cuda")
    decode = BatchDecodeWithPagedKVCacheWrapper(
        torch.empty(256 << 20, dtype=torch.uint8, device="cuda"), "HND", use_cuda_graph=True,
        paged_kv_indptr_buffer=begins, paged_kv_indices_buffer=order, paged_kv_last_page_len_buffer=last)
    decode.plan(begins, order, last, heads, kv_heads, 128, PAGE, q_data_type=torch.bfloat16, kv_data_type=torch.bfloat16)
    calls = max(copies, 8)

    def run():
        for i in range(calls):
            decode.run(q, caches[i % copies], out=out)

    return micros(run, calls)


OTHERS = (("cuDNN", lambda shape: pytorch(*shape, SDPBackend.CUDNN_ATTENTION)),
          ("FlashAttention", lambda shape: pytorch(*shape, SDPBackend.FLASH_ATTENTION)),
          ("FlashInfer", lambda shape: flashinfer(*shape)))

for shape in SHAPES:
    heads, kv_heads, tokens, batch = shape
    line = f"{heads}/{kv_heads} {tokens // 1024}K b{batch}: floor {2 * batch * kv_heads * tokens * 256 / BANDWIDTH * 1e6:.1f}"
    for name, time in OTHERS:
        try:
            line += f"  {name} {time(shape):.1f}"
        except (RuntimeError, ImportError) as e:
            line += f"  {name} - ({str(e).splitlines()[0][:60]})"
    print(line, flush=True)
