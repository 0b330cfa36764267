# SPDX-License-Identifier: Apache-2.0
"""The module, its stubs, its docstrings and its reference say the same."""

import ast
import doctest
import inspect
import os
import pathlib
import subprocess
import sys
import types

import pytest

import pto_runtime
from conftest import AICORE, AICPU, PACKAGE_PARENT, RUNTIME
from pto_runtime import _core, _errors

PACKAGE = pathlib.Path(pto_runtime.__file__).parent
OBJECT_NAMES = set(dir(object)) | {"__module__", "__dict__", "__weakref__"}


def stub(name):
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def stub_classes():
    return {node.name: node for node in stub("_core.pyi").body if isinstance(node, ast.ClassDef)}


def stub_members(name):
    return {node.name: node for node in stub_classes()[name].body
            if isinstance(node, ast.FunctionDef)}


def is_property(node):
    return any(isinstance(item, ast.Name) and item.id == "property"
               for item in node.decorator_list)


def public_members(kind):
    return {name: value for name, value in vars(kind).items()
            if name in ("__enter__", "__exit__", "__len__") or not name.startswith("_")}


def all_names(tree):
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError("no __all__")


def test_exported_names():
    for name in ("__init__.py", "__init__.pyi"):
        assert all_names(stub(name)) == sorted(all_names(stub(name))) == pto_runtime.__all__
    imported = {alias.asname for node in stub("__init__.pyi").body
                if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported == set(pto_runtime.__all__)
    public = {name for name, value in vars(pto_runtime).items()
              if not name.startswith("_") and not isinstance(value, types.ModuleType)}
    assert public == set(pto_runtime.__all__) - {"__version__"}
    assert set(stub_classes()) == {"Graph", "DeviceRunner"}
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.parametrize("name", ["Graph", "DeviceRunner"])
def test_stub_has_the_members(name):
    kind = getattr(pto_runtime, name)
    assert set(stub_members(name)) - {"__new__"} == set(public_members(kind))
    for member, node in stub_members(name).items():
        value = vars(kind)[member]
        assert is_property(node) == isinstance(value, types.GetSetDescriptorType), member


def stub_parameters(node):
    arguments = node.args
    defaults = [None] * (len(arguments.args) - len(arguments.defaults)) + arguments.defaults
    names = [(item.arg, "positional", default)
             for item, default in zip(arguments.args, defaults)]
    names += [(item.arg, "keyword", default)
              for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults)]
    return [(name, kind, ast.literal_eval(default) if default is not None else inspect._empty)
            for name, kind, default in names if name != "self"]


def module_parameters(function):
    kinds = {inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
             inspect.Parameter.POSITIONAL_ONLY: "positional",
             inspect.Parameter.KEYWORD_ONLY: "keyword"}
    return [(parameter.name, kinds[parameter.kind], parameter.default)
            for parameter in inspect.signature(function).parameters.values()
            if parameter.name != "self"]


@pytest.mark.parametrize("name", ["Graph", "DeviceRunner"])
def test_signatures_agree(name):
    kind = getattr(pto_runtime, name)
    if sys.version_info >= (3, 10):  # before, a type made from a spec loses its signature
        assert str(inspect.signature(kind)) == "()"
    for member, node in stub_members(name).items():
        if is_property(node) or member in ("__new__", "__len__", "__exit__"):
            continue
        assert stub_parameters(node) == module_parameters(getattr(kind, member)), member
        assert node.returns is not None, member


def test_public_names_have_docstrings():
    assert inspect.getdoc(pto_runtime) and inspect.getdoc(_core)
    for name in pto_runtime.__all__:
        value = getattr(pto_runtime, name)
        if isinstance(value, str):
            continue
        assert inspect.getdoc(value), name
        if value in (pto_runtime.Graph, pto_runtime.DeviceRunner):
            for member, function in public_members(value).items():
                assert inspect.getdoc(function), member


def documented_names():
    for name in pto_runtime.__all__:
        yield name
        value = getattr(pto_runtime, name)
        if value in (pto_runtime.Graph, pto_runtime.DeviceRunner):
            yield from (member for member in public_members(value)
                        if not member.startswith("__"))
    yield from (name for name in vars(pto_runtime.Error) if not name.startswith("_"))
    for kind in (pto_runtime.CoreResult, pto_runtime.CheckFinding, pto_runtime.TaskAccess):
        yield from kind._fields
    yield "more_findings"


def test_reference_has_every_name():
    text = (RUNTIME / "python" / "README.md").read_text(encoding="utf-8")
    missing = [name for name in documented_names()
               if not any(form in text for form in (f"`{name}`", f"`{name}(", f".{name}`",
                                                    f".{name}("))]
    assert not missing


def documented_objects():
    yield pto_runtime
    for kind in (pto_runtime.Graph, pto_runtime.DeviceRunner):
        yield kind
        for name in public_members(kind):
            yield getattr(kind, name)


@pytest.mark.parametrize("item", list(documented_objects()), ids=lambda item: item.__name__
                         if hasattr(item, "__name__") else "property")
def test_examples_in_docstrings(item):
    runner = pto_runtime.DeviceRunner()
    runner.init(0, 3, AICPU, AICORE)
    names = dict(vars(pto_runtime), runner=runner, pto_runtime=pto_runtime)
    example = doctest.DocTestParser().get_doctest(
        inspect.getdoc(item) or "", names, getattr(item, "__name__", "property"), None, 0)
    failures = doctest.DocTestRunner(verbose=False).run(example)
    runner.finalize()
    assert failures.failed == 0


def test_examples_in_the_reference():
    """Every python block of the reference runs, one after the other, in one program."""
    text = (RUNTIME / "python" / "README.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) >= 3
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], timeout=120, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, universal_newlines=True,
        env=dict(os.environ, PYTHONPATH=str(PACKAGE_PARENT)))
    assert done.returncode == 0, done.stdout


def test_error_attributes_are_annotated():
    assert set(_errors.Error.__annotations__) == {
        "code", "name", "op", "vendor_code", "task", "func_id", "core", "kernel", "task_code",
        "hint"}


def test_stubtest(tmp_path):
    """mypy's own comparison, where it is installed; the tests above need no mypy."""
    if sys.version_info < (3, 10):
        pytest.skip("stubtest takes typing.NamedTuple for a mistake before Python 3.10")
    mypy = pytest.importorskip("mypy.version", reason="mypy is not installed")
    if tuple(map(int, mypy.__version__.split(".")[:2])) < (1, 5):
        pytest.skip(f"mypy {mypy.__version__} does not know typing_extensions.Buffer")
    environment = dict(os.environ, PYTHONPATH=str(PACKAGE_PARENT))
    if PACKAGE_PARENT.name not in ("site-packages", "dist-packages"):
        environment["MYPYPATH"] = str(PACKAGE_PARENT)  # mypy finds installed packages by itself

    def stubtest(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mypy.stubtest", *arguments], env=environment, cwd=str(tmp_path),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=280)

    # The decorator that recent versions want in stubs is one that older type checkers reject.
    options = [option for option in ("--ignore-missing-stub", "--ignore-disjoint-bases")
               if option in stubtest("--help").stdout]
    done = stubtest(*options, "pto_runtime")
    assert done.returncode == 0, done.stdout
