"""What a base takes of a GPU, without one: ``PYTHONPATH=tests/gpu python docs/benchmarks/gpu_operations.py KIND...``.

Kinds are those of ``tests/gpu/kinds.py``. The code of their kernels is run on the CPU, as by ``tests/gpu/emulated.py``,
and counts for each base, or quality: operations (of each element of a vector), accesses of the thread's own memory,
reads and writes of the GPU's memory, and the bytes of these.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import emulated
import llvmlite.binding as llvm
from emulated import EmulatedDevice, EmulatedKernel
from kinds import KINDS, QUALITY_KINDS, empty, mapped_of, predictor_of, qualities_of, relatives

from geneformer_codec.cuda.assemble import optimised
from geneformer_codec.cuda.coder import Batches, CudaExpertCoder
from geneformer_codec.cuda.read_slices import code_read_slices
from geneformer_codec.predict.coder import ExpertCoder

COUNTERS = ("operations", "own", "reads", "writes", "bytes")
BYTES = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}
NO_OPERATION = {"alloca", "bitcast", "unreachable", "ret", "inttoptr", "ptrtoint", "addrspacecast", "freeze", "phi"}
OF_VECTORS = {"load", "store", "extractelement", "insertelement", "shufflevector"}
STACK = 1 << 16
"""Bytes from the kernel's frame that are the thread's own memory."""
FRAME = """  %frame.pointer = call ptr @llvm.frameaddress.p0(i32 0)
  %frame.number = ptrtoint ptr %frame.pointer to i64
  store i64 %frame.number, ptr @count.frame"""
ACCESS = """  %access.{n} = ptrtoint ptr {pointer} to i64
  %frame.{n} = load i64, ptr @count.frame
  %distance.{n} = sub i64 %access.{n}, %frame.{n}
  %from.{n} = add i64 %distance.{n}, {stack}
  %is.{n} = icmp ugt i64 %from.{n}, {range}
  %outside.{n} = zext i1 %is.{n} to i64
  %bytes.{n} = mul i64 %outside.{n}, {size}
  %own.{n} = sub i64 1, %outside.{n}"""
ENGINES: list[dict[str, Any]] = []


class Counting:
    """Code that counts what it does."""

    def __init__(self, text: str, entry: str) -> None:
        self._entry, self._number = entry, 0
        names: dict[str, str] = {}

        def short(found: re.Match[str]) -> str:
            return names.setdefault("%" + found[1], f"%long.{len(names)}")

        text = re.sub(r'%("?[\w.$\-]{150,}"?)', short, text)
        text = re.sub(r'(?m)^("?[\w.$\-]{150,}"?):', lambda found: short(found)[1:] + ":", text)
        lines = [*self._lines(text), *(f"@count.{name} = global i64 0" for name in (*COUNTERS, "frame"))]
        self.text = "\n".join([*lines, "declare ptr @llvm.frameaddress.p0(i32)"])

    def _lines(self, text: str) -> Iterator[str]:
        block, begins = list[str](), False
        for line in text.splitlines():
            if line.startswith("define "):
                begins = re.search(rf'@"?{self._entry}"?\(', line) is not None
            elif line.startswith("  "):
                block.append(line)
                continue
            elif block:
                yield from self._block(block, begins)
                block, begins = [], False
            yield line

    def _block(self, block: list[str], begins: bool) -> Iterator[str]:
        first = sum(" = phi " in line for line in block)
        operations, counted = 0, list[str]()
        for line in block[first:]:
            found = re.match(r"  (?:\S+ = )?(?:(?:tail|musttail|notail) )?([a-z]\w*)", line)
            what = found[1] if found else "phi"
            vector = re.search(r"<(\d+) x i\d+>", line)
            operations += 0 if what in NO_OPERATION else int(vector[1]) if vector and what not in OF_VECTORS else 1
            access = re.match(r"  (?:%\S+ = (load) |(store) )(<\d+ x \w+>|\w+)(?: .*)?, ptr (%\S+?)(?:,|$)", line)
            if access:
                counted += self._access(access[1] or access[2], access[3], access[4])
            counted.append(line)
        yield from block[:first]
        yield from [FRAME] if begins else []
        yield from self._add("operations", operations)
        yield from counted

    def _access(self, what: str, kind: str, pointer: str) -> Iterator[str]:
        self._number += 1
        vector = re.fullmatch(r"<(\d+) x (\w+)>", kind)
        size = int(vector[1]) * BYTES[vector[2]] if vector else BYTES[kind]
        n = self._number
        yield ACCESS.format(n=n, pointer=pointer, stack=STACK, range=2 * STACK, size=size)
        yield from self._add("reads" if what == "load" else "writes", f"%outside.{n}")
        yield from self._add("bytes", f"%bytes.{n}")
        yield from self._add("own", f"%own.{n}")

    def _add(self, counter: str, amount: int | str) -> Iterator[str]:
        self._number += 1
        before, after = f"%count.{self._number}.before", f"%count.{self._number}.after"
        yield f"  {before} = load i64, ptr @count.{counter}"
        yield f"  {after} = add i64 {before}, {amount}"
        yield f"  store i64 {after}, ptr @count.{counter}"


class CountingKernel(EmulatedKernel):
    """A kernel that counts."""

    def _module(self, codes: list[str], entry: str, machine: Any) -> Any:
        return llvm.parse_assembly(Counting(str(optimised(codes, entry, machine)), entry).text)

    def __init__(self, codes: list[str], entry: str) -> None:
        super().__init__(codes, entry)
        places = {name: self._engine.get_global_value_address(f"count.{name}") for name in COUNTERS}
        ENGINES.append({name: ctypes.c_int64.from_address(place) for name, place in places.items()})


def report(kind: str, what: str, bases: int, work: Callable[[], object]) -> None:
    """Count what work does for each base."""
    for engine in ENGINES:
        for counter in engine.values():
            counter.value = 0
    work()
    sums = {name: sum(engine[name].value for engine in ENGINES) for name in COUNTERS}
    print(
        f"{kind:20} {what:7} " + "  ".join(f"{name} {count / bases:,.0f}" for name, count in sums.items()), flush=True
    )


def main() -> None:
    """The command."""
    emulated.EmulatedKernel = CountingKernel  # type: ignore[misc]
    for kind in sys.argv[1:]:
        batches = Batches(EmulatedDevice(1 << 32))
        if kind in KINDS:
            panel, data = relatives(1 << 15, 4, 200_000)
            coder = CudaExpertCoder(ExpertCoder(predictor_of(kind, panel, 1 << 15), "model"), batches)
            bases, lengths, streams = data.reshape(-1), [1 << 15] * 4, list[bytes]()
            report(kind, "encode", len(bases), lambda: streams.extend(coder.encode(bases, lengths)))  # noqa: B023
            report(kind, "decode", len(bases), lambda: coder.decode(streams, lengths))  # noqa: B023
        else:
            codec, slices = (qualities_of if kind in QUALITY_KINDS else mapped_of)(kind, [1 << 17] * 2)
            coded, back = list[bytes](), empty(codec, slices)
            code = lambda some, streams: code_read_slices(batches, codec, some, streams, 1, None)  # noqa: B023, E731
            report(kind, "encode", 1 << 18, lambda: coded.extend(code(slices, None)))  # noqa: B023
            report(kind, "decode", 1 << 18, lambda: code(back, coded))  # noqa: B023


if __name__ == "__main__":
    main()
