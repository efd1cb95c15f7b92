"""Training data of a network: a split of the records, crops of them, and losses over both."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geneformer_codec.network.config import START
from geneformer_codec.network.pytorch import torch
from geneformer_codec.network.slice_coder import TOTAL

if TYPE_CHECKING:
    from geneformer_codec.network.float_network import GeneFormer
    from geneformer_codec.network.integer_network import IntegerNetwork

F = torch.nn.functional
Bases = NDArray[np.uint8]

SLICE_BASES = 1 << 16
SPLIT = (0.7, 0.2)
"""The paper's shares of training and validation records; the rest is for the test."""
CROP = 512
BATCH = 16


@dataclass(frozen=True)
class SplitRecords:
    """A species' records, split 70/20/10 into training, validation and test."""

    training: list[Bases]
    validation: list[Bases]
    test: list[Bases]

    @classmethod
    def of(cls, records: list[Bases], seed: int) -> "SplitRecords":
        """Split by record, in an order drawn from ``seed``; a few long records are cut so that each share has some."""
        if len(records) < 10:
            piece = max(64, sum(map(len, records)) // 20)
            records = [record[at : at + piece] for record in records for at in range(0, len(record), piece)]
        order = np.random.default_rng(seed).permutation(len(records))
        first = max(1, round(SPLIT[0] * len(records)))
        second = max(first, round((SPLIT[0] + SPLIT[1]) * len(records)))
        shares = (order[:first], order[first:second], order[second:])
        training, validation, test = ([records[i] for i in share] for share in shares)
        return cls(training, validation or training[-1:], test or validation or training[-1:])


class Crops:
    """Random stretches of the training records, with the bases before them."""

    def __init__(self, records: list[Bases], history: int, length: int) -> None:
        start = np.full(history, START, np.uint8)
        pieces = [piece for record in records for piece in (start, record)]
        self._text = np.concatenate([*pieces, np.full(length, START, np.uint8)])
        self._size = history + length
        self.bases = sum(map(len, records))

    def draw(self, count: int, random: np.random.Generator) -> Bases:
        """``count`` crops [count, history + length]; symbols `START` in them are not to be predicted."""
        begin = random.integers(0, len(self._text) - self._size + 1, count)
        crops: Bases = self._text[begin[:, None] + np.arange(self._size)]
        return crops


def choose_slices(records: list[Bases], most: int) -> list[Bases]:
    """Whole records (their first `SLICE_BASES`), evenly over all of them, that hold about ``most`` bases or fewer."""
    slices = [record[:SLICE_BASES] for record in records]
    step = max(1, -(-sum(map(len, slices)) // max(1, most)))
    chosen = slices[::step]
    return [slice_[: max(1, most)] for slice_ in chosen] if len(chosen) == 1 else chosen


def stream_loss(net: "GeneFormer", codes: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy (nats) of the bases in crops [n, history + length], and how many they are (stream form)."""
    logits = net.stream(codes[:, :-1])
    return _loss(logits, codes[:, net.config.kernel + net.config.memory :])


def window_loss(net: "GeneFormer", codes: torch.Tensor, latent: torch.Tensor) -> tuple[torch.Tensor, int, torch.Tensor]:
    """As `stream_loss` for one window each (paper's form): codes [n, window + 1]; also the next latent array."""
    logits, latent = net.window(codes[:, :-1], latent)
    return *_loss(logits, codes[:, -1]), latent


def _loss(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, int]:
    known = targets != START
    return F.cross_entropy(logits[known], targets[known], reduction="sum"), int(known.sum())


@torch.no_grad()
def float_bpb(net: "GeneFormer", slices: list[Bases], device: torch.device) -> float:
    """Bits per base of the float network, in its present mode; the paper's form does not predict a slice's first 64."""
    training = net.training
    net.eval()
    total, count = (_stream_cost if net.config.causal else _window_cost)(net, slices, device)
    net.train(training)
    return total / max(1, count) / math.log(2)


def _stream_cost(net: "GeneFormer", slices: list[Bases], device: torch.device) -> tuple[float, int]:
    config = net.config
    history, length = config.kernel + config.memory, -(-CROP // config.segment) * config.segment
    rows = []
    for slice_ in slices:
        padded = np.full(history + -(-len(slice_) // length) * length, START, np.uint8)
        padded[history : history + len(slice_)] = slice_
        rows += [padded[at : at + history + length] for at in range(0, len(padded) - history, length)]
    total, count = 0.0, 0
    for at in range(0, len(rows), BATCH):
        cost, known = stream_loss(net, torch.from_numpy(np.stack(rows[at : at + BATCH])).to(device, torch.int64))
        total, count = total + float(cost), count + known
    return total, count


def _window_cost(net: "GeneFormer", slices: list[Bases], device: torch.device) -> tuple[float, int]:
    window, longest = net.config.window, max(map(len, slices))
    codes = np.full((len(slices), longest), START, np.uint8)
    for row, slice_ in zip(codes, slices, strict=True):
        row[: len(slice_)] = slice_
    symbols = torch.from_numpy(codes).to(device, torch.int64)
    symbols = F.pad(symbols, (window, 0), value=START)
    latent, total, count = net.start_latent(len(slices)), 0.0, 0
    for at in range(longest):
        cost, known, latent = window_loss(net, symbols[:, at : at + window + 1], latent)
        if at >= window:
            total, count = total + float(cost), count + known
    return total, count


def integer_bpb(net: "IntegerNetwork", slices: list[Bases]) -> float:
    """Bits per base of the frequencies that the integer network gives; over the same bases as `float_bpb`."""
    first = 0 if net.config.causal else net.config.window
    bits, count = 0.0, 0
    for slice_ in slices:
        at = 0
        for sizes in net.encode(slice_[None]):
            begin, end = max(at, first), min(at + sizes.shape[1], len(slice_))
            if begin < end:
                chosen = np.take_along_axis(
                    sizes[0, begin - at : end - at], slice_[begin:end, None].astype(np.int64), 1
                )
                bits -= float(np.log2(chosen / TOTAL).sum())
                count += end - begin
            at += sizes.shape[1]
    return bits / max(1, count)
