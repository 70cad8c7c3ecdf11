"""BTF, the type information that a Linux kernel carries: where a file has it, and what its types are."""

from percpu_emu.kernel.btf.image import KernelImage, read_image
from percpu_emu.kernel.btf.table import BtfError
from percpu_emu.kernel.btf.types import Btf, Structure
from percpu_emu.kernel.btf.unpack import MissingUnpacker

__all__ = ["Btf", "BtfError", "KernelImage", "MissingUnpacker", "Structure", "read_image"]
