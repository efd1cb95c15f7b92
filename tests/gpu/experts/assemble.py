"""From LLVM code of many functions to PTX, by the LLVM in llvmlite.

libnvvm takes functions in as they are, which for a kernel of 266 of them, handed some hundred arguments each, takes
longer than half an hour. So each function is simplified before it goes into the kernel, as `coding.jit` does on CPUs.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm

_llvm: Any = llvm


def assemble(codes: Sequence[str], entry: str, processor: str = "sm_90", features: str = "+ptx80") -> str:
    """PTX of the kernel ``entry``."""
    _llvm.initialize_all_targets()
    _llvm.initialize_all_asmprinters()
    target = _llvm.Target.from_triple("nvptx64-nvidia-cuda")
    machine = target.create_target_machine(cpu=processor, features=features, opt=3)
    return str(machine.emit_assembly(_optimised(codes, entry, machine)))


def _optimised(codes: Sequence[str], entry: str, machine: Any) -> Any:
    options = _llvm.create_pipeline_tuning_options(speed_level=3)
    builder = _llvm.create_pass_builder(machine, options)
    whole: Any = None
    for code in dict.fromkeys(codes):
        module = _llvm.parse_assembly(code)
        for function in module.functions:
            if not function.is_declaration:
                function.linkage = "weak_odr"  # as those that nobody calls yet would be left out
                builder.getFunctionPassManager().run(function, builder)
        if whole is None:
            whole = module
        else:
            whole.link_in(module)
    for function in whole.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == entry else "internal"
    for variable in whole.global_variables:
        if variable.name.startswith("_ZN08NumbaEnv"):
            variable.linkage = "internal"
    builder.getModulePassManager().run(whole, builder)
    return whole


_THREAD = """
@emulated_thread = global i32 0
define i32 @"emulated.tid.x"() { %1 = load i32, ptr @emulated_thread
 ret i32 %1 }
define i32 @"emulated.ctaid.x"() { ret i32 0 }
define i32 @"emulated.ntid.x"() { ret i32 0 }
"""


def emulated(codes: Sequence[str], entry: str) -> Callable[[int, int, int], None]:
    """The kernel on this machine's processor, one thread after the other; it must not prefetch.

    A test of all but what follows LLVM's optimisation.
    """
    _llvm.initialize_native_target()
    _llvm.initialize_native_asmprinter()
    machine = _llvm.Target.from_default_triple().create_target_machine(opt=3, jit=True)
    here = []
    for code in codes:
        lines = code.replace("llvm.nvvm.read.ptx.sreg.", "emulated.").splitlines()
        kept = [line for line in lines if not line.startswith(("!nvvm.annotations", "target "))]
        here.append("\n".join([f'target triple = "{_llvm.get_default_triple()}"', *kept]))
    module = _optimised([*here, _THREAD], entry, machine)
    engine = _llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    thread = ctypes.c_int32.from_address(engine.get_global_value_address("emulated_thread"))
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(engine.get_function_address(entry))

    def run(arena: int, book: int, count: int) -> None:
        for number in range(count):
            thread.value = number
            call(arena, book, count)

    run.engine = engine  # type: ignore[attr-defined]
    return run
