"""Recognises files of other formats by their first bytes, and archives by the names in them; nothing is executed."""

import os

from spconv_cy.errors import FileError, expected

HEAD = 1024
WEIGHTS = ("build the network here and give its arrays to net.load_state({name: array, ...}), names and shapes as in "
           "net.state()")
ARRAYS = f"take the arrays out with the library that wrote them, {WEIGHTS}"
CHECKPOINT = ("take it over with sp.io.convert(path, network, source), or read its arrays with "
              f"sp.io.read_checkpoint(path), {WEIGHTS}")
OTHERS = (".pth", ".pt", ".ckpt", ".npz", ".onnx")                       # names of files of other formats
UNPACK = "unpack it, and give the file in it"
AGAIN = "fetch it or make it again"

KINDS = (
    (b"\x93NUMPY", "a numpy array (.npy)", ARRAYS),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (.h5, as Keras writes it)", ARRAYS),
    (b"GGUF", "a GGUF model", ARRAYS),
    (b"MATLAB 5.0", "a MATLAB file (.mat)", ARRAYS),
    (b"\x1f\x8b", "a gzip archive (.gz)", UNPACK),
    (b"BZh", "a bzip2 archive (.bz2)", UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd archive (.zst)", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"version https://git-lfs", "a Git LFS pointer, which stands for the file", "fetch the file itself: git lfs pull"),
    (b"\x89PNG", "a PNG picture", AGAIN),
    (b"\xff\xd8\xff", "a JPEG picture", AGAIN),
    (b"%PDF", "a PDF document", AGAIN),
)
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."                             # the number at the head of torch's old files


def recognised(path: str) -> tuple[str, str]:
    """Return (format, remedy) of a file that could not be read; both are parts of an error message."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    if not head:
        return "an empty file", AGAIN
    for magic, kind, remedy in KINDS:
        if head.startswith(magic):
            return kind, remedy
    if head.startswith(b"PK"):
        return _archive(path)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        if LEGACY in head[:64]:
            return "a PyTorch checkpoint (.pth, .pt: pickles in the old format)", CHECKPOINT
        return "a pickle, which is not executed", CHECKPOINT
    if head[257:262] == b"ustar":
        return "a tar archive", UNPACK
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model", ARRAYS
    if head[:1] == b"\x08" and head[1:2] < b"\x20" and (b"onnx" in head or b"pytorch" in head
                                                     or os.fsdecode(path).lower().endswith(".onnx")):
        return "an ONNX model", f"read sparse convolutions by sp.io.read_onnx(path); of other graphs, {ARRAYS}"
    if head[8:9] == b"{":
        return "a .safetensors file that is damaged or cut short", AGAIN
    return _text(head)


def refuse_other_name(path: str) -> None:
    """Raise FileError if a .safetensors file would be written with the name of a different format."""
    if path.lower().endswith(OTHERS):
        raise FileError(expected(path, "the name of a .safetensors file to write", "that of a different kind"))


def of_format(found: str | None) -> str:
    """Return a remedy for a .safetensors file whose metadata name another format; "" if there is none."""
    if found is not None and found not in ("pt", "tf", "flax", "np", "mlx"):
        return ""
    return f"; files of PyTorch, Hugging Face and others hold arrays only, no layers: {CHECKPOINT}"


def refuse_folder(path: str, who: str = "load") -> None:
    """Raise IsADirectoryError if a path is that of a folder, and name a network in it."""
    if not os.path.isdir(path):
        return
    held = sorted(name for name in os.listdir(path) if os.fsdecode(name).endswith(".safetensors"))
    shown = f"give one, such as {os.path.join(path, held[0])}" if held else "there is no .safetensors file in it"
    raise IsADirectoryError(expected(path, f"a .safetensors file that {who} can read", "a folder", shown))


def _archive(path: str) -> tuple[str, str]:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return "a zip archive, damaged or cut short, such as PyTorch writes (.pth, .pt)", AGAIN
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch checkpoint (.pth, .pt: a zip archive of pickles)", CHECKPOINT
    if names and all(name.endswith(".npy") for name in names):
        return "a numpy archive (.npz)", CHECKPOINT
    if any(name.endswith("weights.h5") for name in names):
        return "a Keras model (.keras)", ARRAYS
    return "a zip archive", UNPACK


def _text(head: bytes) -> tuple[str, str]:
    words = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if words[:1] == b"<":
        html = words[:5].lower() == b"<html" or words[:14].lower() == b"<!doctype html"
        return ("an HTML page, such as that of a download", "fetch the file itself") if html else (
            "an XML document", AGAIN)
    if words[:1] in (b"{", b"[") and not words[1:2].isalpha():           # [name] begins a part of a TOML or INI file
        return "a JSON text, such as the description of a network", "give the .safetensors file"
    if all(byte in b"\t\n\r\f" or byte >= 32 for byte in head):
        return "a text, or a damaged or foreign file", AGAIN
    return "a damaged, cut short or foreign file", AGAIN
