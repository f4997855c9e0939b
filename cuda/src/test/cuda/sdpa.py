"""Times PyTorch's attention of one query a sequence beside that of attend.cu: bf16, heads of 128, contiguous keys, graph replay.

Run:  python3 sdpa.py    (PyTorch 2.11 with CUDA)
"""
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

BANDWIDTH = 4.3e12  # about what an H200 delivers: floors are bytes / BANDWIDTH
SHAPES = [(32, 8, 8192, 1), (32, 8, 32768, 1), (32, 8, 131072, 1), (32, 32, 2048, 1), (32, 32, 8192, 1), (32, 32, 32768, 1),
          (32, 32, 131072, 1), (32, 8, 32768, 8)]


def micros(heads, kv_heads, tokens, batch, backend):
    """Median of 10 replays of a graph of several calls, each on keys and values of its own where they would fit the cache."""
    size = 2 * batch * kv_heads * tokens * 128 * 2
    copies = max(1, -(-(240 << 20) // size))
    q = torch.randn(batch, heads, 1, 128, device="cuda", dtype=torch.bfloat16)
    caches = [torch.randn(2, batch, kv_heads, tokens, 128, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    calls = max(copies, 8)

    def run():
        for i in range(calls):
            k, v = caches[i % copies]
            scaled_dot_product_attention(q, k, v, enable_gqa=heads != kv_heads)

    with sdpa_kernel(backend):
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


for shape in SHAPES:
    heads, kv_heads, tokens, batch = shape
    line = f"{heads}/{kv_heads} {tokens // 1024}K b{batch}: floor {2 * batch * kv_heads * tokens * 256 / BANDWIDTH * 1e6:.1f}"
    for name, backend in (("cuDNN", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
        try:
            line += f"  {name} {micros(*shape, backend):.1f}"
        except RuntimeError as e:
            line += f"  {name} - ({str(e).splitlines()[0][:60]})"
    print(line, flush=True)
