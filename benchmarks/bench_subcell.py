"""How many crops SubCell describes in a second, by batch size, with random weights.

    python benchmarks/bench_subcell.py                    # two threads of the CPU
    python benchmarks/bench_subcell.py --device cuda --amp

Speed does not depend on the values of the weights, so no file is needed: a ViT-B/16 on crops
of 448 pixels and four channels, as released.
"""

import argparse
import time
from contextlib import nullcontext

import torch

from hpa_mmdet.models.subcell import SubCellEncoder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--device", default="cpu")
    add("--amp", action="store_true", help="half precision")
    add("--threads", type=int, default=2, help="of the CPU (default: %(default)s)")
    add("--batch-sizes", type=int, nargs="+", default=[1, 4, 16])
    add("--repeats", type=int, default=3, help="the fastest counts (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder = SubCellEncoder().eval().to(args.device)
    print(f"{sum(tensor.numel() for tensor in encoder.parameters()) / 1e6:.0f} M parameters")
    for size in args.batch_sizes:
        crops = torch.rand(size, 4, 448, 448, device=args.device)
        seconds = min(run(encoder, crops, amp=args.amp) for _ in range(args.repeats))
        print(f"batch of {size}: {size / seconds:.2f} crops a second, {seconds / size:.4f} s each")


def run(encoder: SubCellEncoder, crops: torch.Tensor, *, amp: bool) -> float:
    precision = torch.autocast(crops.device.type) if amp else nullcontext()
    begun = time.perf_counter()
    with torch.inference_mode(), precision:
        encoder(crops).float().sum().item()  # waits for the device
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
