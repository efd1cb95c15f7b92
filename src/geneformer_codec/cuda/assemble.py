"""From LLVM code of many functions to PTX, by the LLVM in llvmlite.

libnvvm takes functions in as they are, which for a kernel of 266 of them, handed some hundred arguments each, takes
longer than half an hour. So each function is simplified before it goes into the kernel, as `coding.jit` does on CPUs.
"""

from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm

_llvm: Any = llvm


PTX_VERSION = "+ptx80"
"""What drivers from CUDA 12.0 on read."""


def assemble(codes: Sequence[str], entry: str, processor: str) -> str:
    """PTX of the kernel ``entry`` for a processor such as ``sm_90``."""
    _llvm.initialize_all_targets()
    _llvm.initialize_all_asmprinters()
    target = _llvm.Target.from_triple("nvptx64-nvidia-cuda")
    machine = target.create_target_machine(cpu=processor, features=PTX_VERSION, opt=3)
    return str(machine.emit_assembly(optimised(codes, entry, machine)))


def optimised(codes: Sequence[str], entry: str, machine: Any) -> Any:
    """One module of all the code, optimised for a target machine, from which only ``entry`` can be called."""
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
