"""The bindings are what the wheel's own header says."""

import ctypes
import os
import platform
import re
import subprocess
import sys
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from importlib.metadata import files
from pathlib import Path

import pytest

from inference.llama_engine import library
from inference.llama_engine.library import WHEEL, CacheView, LogCallback, load_library
from scene.errors import InputError

bound = pytest.importorskip("ik_llama_cpp._ctypes_api")

STRUCTS = {
    "llama_model_params": bound.llama_model_params,
    "llama_context_params": bound.llama_context_params,
    "llama_batch": bound.llama_batch,
    "llama_kv_cache_view": CacheView,
}
USED = {
    name
    for file in Path(library.__file__).parent.glob("*.py")
    for name in re.findall(r"library\.(llama_\w+)", file.read_text())
}

PLAIN = {
    "bool": c_bool,
    "float": c_float,
    "int": c_int,
    "int8_t": c_int8,
    "int32_t": c_int32,
    "uint32_t": c_uint32,
    "size_t": c_size_t,
    "llama_token": c_int32,
    "llama_pos": c_int32,
    "llama_seq_id": c_int32,
    "llama_state_seq_flags": c_uint32,
    "llama_progress_callback": c_void_p,
    "ggml_backend_sched_eval_callback": c_void_p,
    "ggml_abort_callback": c_void_p,
    "ggml_log_callback": LogCallback,
    **STRUCTS,
}
POINTED = {"char": c_char_p, "float": POINTER(c_float), "llama_kv_cache_view": POINTER(CacheView)}


@pytest.fixture(scope="module")
def header():
    path = next(file for file in files(WHEEL) if str(file).endswith("include/llama.h"))
    text = path.read_text()
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)


def kind(declared, pointers):
    words = [word for word in declared.replace("*", " ").split() if word not in ("const", "struct")]
    if words[0] == "enum":
        return c_int
    return pointers.get(words[0], c_void_p) if "*" in declared else PLAIN[words[0]]


def declared(parameter):
    """Type and name of a parameter or field."""
    found = re.fullmatch(r"\s*(.*?[\s*])(\w+)\s*", parameter, flags=re.DOTALL)
    return found[1], found[2]


@pytest.mark.parametrize("name", STRUCTS)
def test_struct(header, name):
    body = re.search(rf"struct {name} \{{(.*?)\n    \}}", header, flags=re.DOTALL)[1]
    pointers = {
        "char": c_char_p,
        "float": POINTER(c_float) if name == "llama_batch" else c_void_p,
        "int8_t": POINTER(c_int8),
        "int32_t": POINTER(c_int32),
        "llama_token": POINTER(c_int32),
        "llama_pos": POINTER(c_int32),
        "llama_seq_id": POINTER(c_int32),
    }
    fields = []
    for line in filter(str.strip, body.split(";")):
        type_, field = declared(line)
        found = POINTER(POINTER(c_int32)) if type_.count("*") == 2 else kind(type_, pointers)
        fields.append((field, found))
    assert [laid_out(*field) for field in STRUCTS[name]._fields_] == [laid_out(*field) for field in fields]


def laid_out(name, found):
    """A field as it lies in memory: what it points at is the library's affair."""
    return name, found if found in PLAIN.values() and found is not c_void_p else ctypes.sizeof(found)


@pytest.mark.parametrize("name", sorted(USED))
def test_function(header, name):
    found = re.search(rf"LLAMA_API ([^;()]*?)\b{name}\s*\(([^;]*?)\)\s*;", header, flags=re.DOTALL)
    result, parameters = found[1].strip(), found[2].strip()
    arguments = [] if parameters in ("", "void") else [declared(each)[0] for each in parameters.split(",")]
    function = getattr(load_library(), name)
    assert function.restype == (None if result == "void" else kind(result, POINTED))
    assert function.argtypes == [kind(each, {**POINTED, "float": c_void_p}) for each in arguments]


def test_defaults_are_read_where_they_lie():
    params = load_library().llama_context_default_params()
    assert (params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max) == (512, 2048, 512, 1)
    assert (params.flash_attn, params.fused_up_gate, params.graph_reuse) == (True, True, True)
    assert (params.min_experts, params.defrag_thold, bool(params.abort_callback)) == (-1, -1.0, False)
    params = load_library().llama_model_default_params()
    assert (params.n_ubatch, params.use_mmap, params.repack_tensors) == (512, True, False)
    assert ctypes.sizeof(params) % 8 == 0


def test_another_version_is_not_used(monkeypatch):
    monkeypatch.setattr(library, "version", lambda name: "0.2.0")
    assert not library.is_installed()
    load_library.cache_clear()
    try:
        with pytest.raises(InputError, match=r"needs ik-llama-cpp-python 0\.1\.5"):
            load_library()
    finally:
        load_library.cache_clear()


@pytest.mark.skipif(platform.machine() != "x86_64" or sys.platform != "linux", reason="others don't say")
def test_a_processor_that_it_was_not_compiled_for(monkeypatch, tmp_path):
    """It would end the process."""
    monkeypatch.setattr(library, "CPUINFO", tmp_path / "cpuinfo")
    for text, lacking in (
        ("model name\t: avx2\nflags\t\t: fpu avx f16c\nflags\t\t: fpu\n", {"avx2", "fma"}),
        ("flags\t\t: fpu avx avx2 fma f16c\n", set()),
        ("", set()),
    ):
        library.CPUINFO.write_text(text)
        assert library._lacking() == lacking
    library.CPUINFO.write_text("flags : fma f16c")
    load_library.cache_clear()
    try:
        assert not library.is_usable()
        with pytest.raises(InputError, match=r"needs a processor with avx2; use the engine `transformers`\."):
            load_library()
        library.CPUINFO.unlink()
        assert library.is_usable()
    finally:
        load_library.cache_clear()


def test_its_threads_sleep_while_they_wait(monkeypatch):
    for set_by_user in ("", "active"):
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
        if set_by_user:
            monkeypatch.setenv("OMP_WAIT_POLICY", set_by_user)
        with library._patient_threads():
            assert os.environ["OMP_WAIT_POLICY"] == (set_by_user or "passive")
        assert os.environ.get("OMP_WAIT_POLICY", "") == set_by_user


def test_loading_says_nothing(gguf_path):
    program = (
        "import sys; from pathlib import Path; from inference.llama_engine.model import LlamaModel;"
        "from inference.llama_engine.context import LlamaContext;"
        "model = LlamaModel(Path(sys.argv[1]), 'x');"
        "LlamaContext(model, cells=64, sequences=1, batch_tokens=8, threads=1)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(gguf_path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
